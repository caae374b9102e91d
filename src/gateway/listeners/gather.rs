//! One record and one system call for an answer that the engine writes in two.
//!
//! Pingora writes the head of an answer, then its body, and flushes. Its own listeners buffer
//! below TLS; we do it above, which saves the second TLS record too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Heads of answers are smaller; what is larger is worth a record of its own.
const SMALL: usize = 4 * 1024;
/// Most that one TLS record carries (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// Holds the first small write after each flush, and sends it together with the next write or at
/// the next flush. Never more than one write is held back, so that a body whose length is known
/// arrives as it is written, however slowly.
pub(super) struct Gather<S> {
    io: S,
    stage: Stage,
    held: Vec<u8>,
    /// How much of `held` has been written.
    written: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was written since the last flush.
    Flushed,
    /// `held` waits for more.
    Holding,
    /// What is in `held` must go first; then everything goes straight through.
    Sending,
}

impl<S> Gather<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, stage: Stage::Flushed, held: Vec::new(), written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    /// Writes what is held; ready when nothing is any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let wrote = ready!(Pin::new(&mut self.io).poll_write(cx, &self.held[self.written..]))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += wrote;
        }
        // Freed rather than kept: most connections are idle most of the time.
        self.held = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Takes in as much of `parts` as is to be held or goes along with what is held; `None` if
    /// they are to be written straight through.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        if self.stage == Stage::Sending {
            return self.poll_send(cx).map_ok(|()| None);
        }
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        if self.stage == Stage::Flushed && offered > SMALL {
            self.stage = Stage::Sending;
            return Poll::Ready(Ok(None));
        }
        let mut room = RECORD - self.held.len();
        let before = self.held.len();
        for part in parts {
            let taken = part.len().min(room);
            self.held.extend_from_slice(&part[..taken]);
            room -= taken;
        }
        let taken = self.held.len() - before;
        if self.stage == Stage::Flushed {
            self.stage = Stage::Holding;
        } else {
            self.stage = Stage::Sending;
            // What cannot be written now is written first thing next time: it has been taken.
            if let Poll::Ready(outcome) = self.poll_send(cx) {
                outcome?;
            }
        }
        Poll::Ready(Ok(Some(taken)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match ready!(this.poll_take(cx, &[IoSlice::new(bytes)]))? {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut this.io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match ready!(this.poll_take(cx, parts))? {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut this.io).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.stage = Stage::Flushed;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    /// Notes each write that reaches it; takes no more than `appetite` at once, then nothing
    /// until it is fed anew.
    #[derive(Default)]
    struct Wire {
        writes: Vec<Vec<u8>>,
        appetite: Option<usize>,
        flushes: usize,
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let taken = bytes.len().min(this.appetite.unwrap_or(usize::MAX));
            if taken == 0 {
                return Poll::Pending;
            }
            if let Some(appetite) = &mut this.appetite {
                *appetite -= taken;
            }
            this.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(stream: &mut Gather<Wire>, bytes: &[u8]) -> Option<usize> {
        let mut cx = Context::from_waker(noop_waker_ref());
        match Pin::new(stream).poll_write(&mut cx, bytes) {
            Poll::Ready(outcome) => Some(outcome.unwrap()),
            Poll::Pending => None,
        }
    }

    fn flush(stream: &mut Gather<Wire>) -> bool {
        let mut cx = Context::from_waker(noop_waker_ref());
        Pin::new(stream).poll_flush(&mut cx).is_ready()
    }

    #[test]
    fn head_and_body_are_one_write() {
        let mut stream = Gather::new(Wire::default());
        for _ in 0..2 {
            assert_eq!(write(&mut stream, b"head "), Some(5));
            assert!(stream.io.writes.is_empty());
            assert_eq!(write(&mut stream, b"body"), Some(4));
            assert_eq!(std::mem::take(&mut stream.io.writes), [b"head body"]);
            assert!(flush(&mut stream));
        }
        assert_eq!(stream.io.flushes, 2);
    }

    /// A body of known length that comes slowly is not held back.
    #[test]
    fn only_the_first_write_is_held() {
        let mut stream = Gather::new(Wire::default());
        for piece in [b"head", b"bod1", b"bod2", b"bod3"] {
            assert_eq!(write(&mut stream, piece), Some(4));
        }
        assert_eq!(stream.io.writes, [&b"headbod1"[..], b"bod2", b"bod3"]);
    }

    #[test]
    fn a_flush_or_the_end_sends_what_is_held() {
        let mut stream = Gather::new(Wire::default());
        write(&mut stream, b"head");
        assert!(flush(&mut stream));
        assert_eq!(stream.io.writes, [b"head"]);
        write(&mut stream, b"more");
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(Pin::new(&mut stream).poll_shutdown(&mut cx).is_ready());
        assert_eq!(stream.io.writes, [b"head", b"more"]);
    }

    #[test]
    fn large_writes_pass_and_records_are_not_exceeded() {
        let mut stream = Gather::new(Wire::default());
        let large = vec![7; 50_000];
        assert_eq!(write(&mut stream, &large), Some(50_000));
        assert_eq!(stream.io.writes.len(), 1);
        assert!(flush(&mut stream));
        assert_eq!(write(&mut stream, b"head"), Some(4));
        assert_eq!(write(&mut stream, &large), Some(RECORD - 4));
        assert_eq!(stream.io.writes[1].len(), RECORD);
    }

    /// Whatever the wire takes at once, every byte arrives once and in order.
    #[test]
    fn a_slow_wire_gets_everything_in_order() {
        for step in [1, 3, 7, 5_000] {
            let mut stream = Gather::new(Wire { appetite: Some(0), ..Wire::default() });
            let sent: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[1]).collect();
            let mut rest = &sent[..];
            let mut piece = 1;
            while !rest.is_empty() {
                piece = piece * 2 % 9_973 + 1;
                match write(&mut stream, &rest[..piece.min(rest.len())]) {
                    Some(taken) => rest = &rest[taken..],
                    None => stream.io.appetite = Some(step),
                }
            }
            while !flush(&mut stream) {
                stream.io.appetite = Some(step);
            }
            assert_eq!(stream.io.writes.concat(), sent);
        }
    }
}
