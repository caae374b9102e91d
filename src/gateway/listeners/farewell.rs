//! How the guard ends a connection whose client must be told why.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::timer::Timer;
use crate::gateway::framing::Refusal;

/// What a refused client may still send while it reads our answer: closing a socket with unread
/// bytes would reset it, and the answer would be lost.
const LINGER_BYTES: usize = 64 * 1024;
/// How long we wait for it to close.
const LINGER: Duration = Duration::from_millis(500);
/// How long a client that was answered in full may be silent while it reads the rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last words of a connection: an answer, the end of our side, and a short wait for the
/// client's.
pub(super) struct Farewell {
    status: u16,
    answer: &'static [u8],
    written: usize,
    stage: Stage,
    timer: Timer,
    /// Whether the time begins anew with each sign of life.
    patient: bool,
    drained: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    Writing,
    Flushing,
    Closing,
    Lingering,
}

impl Farewell {
    /// The answer to a head with two readings or none.
    pub(super) fn refused(refusal: Refusal) -> Self {
        if refusal.status().as_u16() == 431 {
            Self::new(431, answer::TOO_LARGE)
        } else {
            Self::new(400, answer::BAD_REQUEST)
        }
    }

    /// For an h2 client in the middle of a frame: nothing we could say would be understood.
    pub(super) fn without_words() -> Self {
        Self { stage: Stage::Closing, ..Self::new(408, b"") }
    }

    /// The end of a connection on which all was said. An h2 client acknowledges what it reads
    /// (WINDOW_UPDATE): closed with such frames unread, the socket would be reset, and the end of
    /// its last download lost (RFC 9112 §9.6 tells the same of h1).
    pub(super) fn in_peace() -> Self {
        let timer = Timer::new(PATIENCE);
        Self { stage: Stage::Closing, patient: true, timer, ..Self::new(200, b"") }
    }

    /// The answer to a head that took too long.
    pub(super) fn late() -> Self {
        Self::new(408, answer::TIMEOUT)
    }

    /// For the log.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    fn new(status: u16, answer: &'static [u8]) -> Self {
        let timer = Timer::new(LINGER);
        Self {
            status,
            answer,
            written: 0,
            stage: Stage::Writing,
            timer,
            patient: false,
            drained: 0,
        }
    }

    /// Ready when the connection can be dropped.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            // While an answered client is still taking the rest, the stream's own limit holds.
            let is_limited = !self.patient || matches!(self.stage, Stage::Lingering);
            if is_limited && self.timer.poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match self.stage {
                Stage::Writing => {
                    let rest = &self.answer[self.written..];
                    if rest.is_empty() {
                        self.stage = Stage::Flushing;
                        continue;
                    }
                    let wrote = ready!(Pin::new(&mut *io).poll_write(cx, rest))?;
                    if wrote == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    self.written += wrote;
                }
                Stage::Flushing => {
                    ready!(Pin::new(&mut *io).poll_flush(cx))?;
                    self.stage = Stage::Closing;
                }
                Stage::Closing => {
                    ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                    self.stage = Stage::Lingering;
                }
                Stage::Lingering => {
                    let mut space = [0; 2048];
                    let mut rest = ReadBuf::new(&mut space);
                    ready!(Pin::new(&mut *io).poll_read(cx, &mut rest))?;
                    if self.patient {
                        self.timer.stop();
                    }
                    self.drained += rest.filled().len();
                    if rest.filled().is_empty() || self.drained > LINGER_BYTES {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

/// The answers the guard gives itself, complete as bytes: there is no request to answer yet.
pub(super) mod answer {
    pub(in super::super) const BAD_REQUEST: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\
          Cache-Control: no-store\r\nConnection: close\r\n\r\nBad request\n";
    pub(in super::super) const TIMEOUT: &[u8] =
        b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\
          Cache-Control: no-store\r\nConnection: close\r\n\r\nRequest timeout\n";
    pub(in super::super) const TOO_LARGE: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\n\
          Content-Length: 25\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
          Request header too large\n";
}
