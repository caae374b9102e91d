//! The stream that Pingora reads requests from and writes answers to: the TLS stream with a guard
//! around it.
//!
//! The guard sees every byte in clear, before Pingora. On h1 it scans each request's head
//! ([`HeadScanner`]), lets Pingora have it only when it is complete, and answers itself what must not
//! be parsed; it limits the time of a whole head, where Pingora's own timeout starts anew with each
//! byte; it ends a connection whose client takes
//! nothing of an answer; and it can be closed from outside while nothing moves
//! ([`ConnectionHandle::kill`]). In the good case it costs a scan of the head and two atomic loads
//! per read; timers exist only while something waits.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::connection::{ConnectionHandle, HttpVersion};
use super::connections::Permit;
use super::farewell::Farewell;
use super::gather::Gather;
use super::timer::Timer;
use crate::gateway::framing::{HeadScanner, HeaderBlocks, Progress};

/// A guarded client connection over any byte stream.
pub(super) struct GuardedStream<S> {
    io: Gather<S>,
    connection: ConnectionHandle,
    digests: Digests,
    heads: Heads,
    /// The beginning of an h1 head whose end has not come, then the head until it is read.
    held: Vec<u8>,
    head_timer: Timer,
    write_timer: Timer,
    farewell: Option<Farewell>,
    _permit: Permit,
}

/// Follows the request heads of the connection. On h2 what they say is the h2 crate's business,
/// and only the time they take is ours.
enum Heads {
    Http1(HeadScanner),
    Http2(HeaderBlocks),
}

impl Heads {
    fn new(http: HttpVersion) -> Self {
        match http {
            HttpVersion::Http1 => Self::Http1(HeadScanner::new()),
            HttpVersion::Http2 => Self::Http2(HeaderBlocks::new()),
        }
    }

    /// Whether the client owes the rest of a head.
    fn is_partial(&self) -> bool {
        match self {
            Self::Http1(head) => head.is_partial(),
            Self::Http2(blocks) => blocks.is_partial(),
        }
    }
}

struct Digests {
    fd: RawFd,
    ssl: Arc<SslDigest>,
    socket: Arc<SocketDigest>,
    proxy: Arc<ProxyDigest>,
}

impl<S> GuardedStream<S> {
    /// `fd` and `local` describe the socket under `io`.
    pub(super) fn new(
        io: S,
        connection: ConnectionHandle,
        permit: Permit,
        fd: RawFd,
        local: Option<SocketAddr>,
    ) -> Self {
        let (ssl, socket, proxy) = connection.digests(fd, local);
        let limits = *connection.limits();
        permit.attach(&connection);
        Self {
            io: Gather::new(io),
            heads: Heads::new(connection.tls().http),
            held: Vec::new(),
            head_timer: Timer::new(limits.header),
            write_timer: Timer::new(limits.stall),
            farewell: None,
            digests: Digests { fd, ssl, socket, proxy },
            connection,
            _permit: permit,
        }
    }

    /// The answer to one request is complete and Pingora has read nothing beyond its body: the
    /// next byte begins a new head. `false` if the connection must end here.
    pub(super) fn expect_request(&mut self) -> bool {
        let Heads::Http1(head) = &mut self.heads else { return false };
        if !head.is_complete()
            || head.asks_upgrade()
            || !self.held.is_empty()
            || self.farewell.is_some()
        {
            return false;
        }
        *head = HeadScanner::new();
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedStream<S> {
    /// Whether Pingora may have these bytes, just read. If not, they are held until their head is
    /// complete, or a farewell is said.
    ///
    /// Pingora never sees an incomplete head, so it neither parses the same bytes again with each
    /// that drips in, nor logs an error for each client that gives up half-way.
    fn inspect(&mut self, fresh: &[u8]) -> bool {
        let (completed, hold) = match &mut self.heads {
            Heads::Http1(head) if head.is_complete() && self.held.is_empty() => return true,
            Heads::Http1(head) => match head.scan(fresh) {
                Ok(Progress::Complete) => (true, !self.held.is_empty()),
                Ok(Progress::Partial) => (false, true),
                Err(refusal) => {
                    self.say_farewell(Farewell::refused(refusal));
                    return false;
                }
            },
            Heads::Http2(blocks) => (blocks.follow(fresh), false),
        };
        if hold {
            self.held.extend_from_slice(fresh);
        }
        if completed {
            self.head_timer.stop();
        }
        // A client that drips bytes without a pause never leaves the read pending, so the clock is
        // looked at here too.
        if self.heads.is_partial() && self.head_timer.is_over() {
            self.head_is_late();
            return false;
        }
        !hold
    }

    /// Gives Pingora what was held, as much as it has room for.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let count = buf.remaining().min(self.held.len());
        buf.put_slice(&self.held[..count]);
        self.held.drain(..count);
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    fn head_is_late(&mut self) {
        self.say_farewell(match self.heads {
            Heads::Http1(_) => Farewell::late(),
            Heads::Http2(_) => Farewell::without_words(),
        });
    }

    fn say_farewell(&mut self, farewell: Farewell) {
        tracing::debug!(
            client = %self.connection.client_address(),
            status = farewell.status(),
            "request head refused"
        );
        self.farewell = Some(farewell);
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.farewell {
            Some(farewell) => {
                // Whatever comes of it, the connection is over: an error here is as good as an end.
                let _ = ready!(farewell.poll(cx, &mut self.io));
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ends a write that has moved nothing for too long, or that was killed while it waited.
    fn guard_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer.stop();
            return outcome;
        }
        if self.connection.park_writer(cx.waker()) {
            return Poll::Ready(Err(killed()));
        }
        if self.write_timer.poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.is_killed() {
            return Poll::Ready(Err(killed()));
        }
        while this.farewell.is_none() {
            if !this.held.is_empty() && !this.heads.is_partial() {
                this.hand_out(buf);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.io).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() > before => {
                    this.connection.note_read();
                    if this.inspect(&buf.filled()[before..]) {
                        return Poll::Ready(Ok(()));
                    }
                    buf.set_filled(before);
                }
                Poll::Ready(outcome) => return Poll::Ready(outcome),
                Poll::Pending if !this.heads.is_partial() => break,
                Poll::Pending => {
                    if this.head_timer.poll(cx).is_pending() {
                        break;
                    }
                    this.head_is_late();
                }
            }
        }
        // Here either something is pending, or the connection is being closed.
        if this.connection.park_reader(cx.waker()) {
            return Poll::Ready(Err(killed()));
        }
        match this.farewell {
            Some(_) => this.poll_farewell(cx),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_over() {
            return Poll::Ready(Err(killed()));
        }
        let outcome = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.guard_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_over() {
            return Poll::Ready(Err(killed()));
        }
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.guard_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over() {
            return Poll::Ready(Err(killed()));
        }
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        this.guard_write(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.is_killed() {
            return Poll::Ready(Ok(()));
        }
        this.farewell.get_or_insert_with(Farewell::in_peace);
        let outcome = this.poll_farewell(cx);
        this.guard_write(cx, outcome)
    }
}

impl<S> GuardedStream<S> {
    /// Whether nobody but the guard may write any more.
    fn is_over(&self) -> bool {
        self.connection.is_killed() || self.farewell.is_some()
    }
}

fn killed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "connection closed by the gateway")
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Shutdown for GuardedStream<S> {
    async fn shutdown(&mut self) {
        // The other end may be gone already: nothing to say about it.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl<S> UniqueID for GuardedStream<S> {
    fn id(&self) -> UniqueIDType {
        self.digests.fd
    }
}

impl<S> Ssl for GuardedStream<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(Arc::clone(&self.digests.ssl))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(match self.connection.tls().http {
            HttpVersion::Http1 => ALPN::H1,
            HttpVersion::Http2 => ALPN::H2,
        })
    }
}

impl<S> GetTimingDigest for GuardedStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<S> GetProxyDigest for GuardedStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digests.proxy))
    }
}

impl<S> GetSocketDigest for GuardedStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digests.socket))
    }
}

impl<S> Peek for GuardedStream<S> {}

impl<S> fmt::Debug for GuardedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
