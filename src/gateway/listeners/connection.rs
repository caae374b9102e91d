//! One client connection, as the request phases see it.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures::task::AtomicWaker;
use http::Version;
use pingora::protocols::SocketDigest;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::Session;
use tokio::time::Instant;

use super::TimeLimits;
use crate::domain::session::KillSwitch;

/// What was agreed on in the TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// IANA name of the cipher suite.
    pub cipher: &'static str,
    /// The name the client asked for (SNI), lower case.
    pub server_name: Option<Box<str>>,
    /// The HTTP version chosen by ALPN.
    pub http: HttpVersion,
}

impl TlsFacts {
    /// There was no handshake.
    pub(super) const NONE: Self =
        Self { version: "", cipher: "", server_name: None, http: HttpVersion::Http1 };
}

/// The HTTP version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1, or 1.0 if the client says so in its request line.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A client connection: shared by the stream below Pingora, every request on it, and whoever holds
/// its kill switch. It costs nothing to clone.
#[derive(Debug, Clone)]
pub struct ConnectionHandle(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    client: SocketAddr,
    peer: SocketAddr,
    tls: TlsFacts,
    limits: TimeLimits,
    opened: Instant,
    /// Milliseconds from `opened` to the last byte read.
    last_read: AtomicU64,
    killed: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl ConnectionHandle {
    /// `client` is the address behind a trusted proxy, `peer` the other end of the socket.
    pub(super) fn new(
        client: SocketAddr,
        peer: SocketAddr,
        tls: TlsFacts,
        limits: TimeLimits,
    ) -> Self {
        Self(Arc::new(Connection {
            client,
            peer,
            tls,
            limits,
            opened: Instant::now(),
            last_read: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        }))
    }

    /// The connection that `session`'s request came on; `None` for a session that did not come
    /// through our accept loop (Pingora's subrequests).
    pub fn of(session: &Session) -> Option<&Self> {
        session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// The client's address: from the PROXY header of a trusted proxy, else the socket's.
    pub fn client_address(&self) -> SocketAddr {
        self.0.client
    }

    /// The other end of the socket: the client, or a proxy in front of us. Forwarding headers are
    /// believed or not by this address.
    pub fn peer_address(&self) -> SocketAddr {
        self.0.peer
    }

    /// What was agreed on in the TLS handshake.
    pub fn tls(&self) -> &TlsFacts {
        &self.0.tls
    }

    /// Whether everybody on the way can read along: the connection has no TLS.
    pub fn is_plain(&self) -> bool {
        self.0.tls == TlsFacts::NONE
    }

    /// How long ago the client last sent a byte: on a WebSocket, whether the user is still there.
    pub fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.0.last_read.load(Ordering::Relaxed));
        self.0.opened.elapsed().saturating_sub(last)
    }

    /// Closes the connection now, also if nothing moves on it. Requests on it end with an error
    /// in their `logging` phase.
    pub fn kill(&self) {
        // The order matters: a task that registers its waker after our wake-up looks at the flag.
        self.0.killed.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// [`Self::kill`] as a closure for [`crate::domain::session::LiveSession::watch`]. It does not
    /// keep the connection's memory alive after it has closed.
    pub fn kill_switch(&self) -> KillSwitch {
        let connection = Arc::downgrade(&self.0);
        Box::new(move || {
            if let Some(connection) = connection.upgrade() {
                ConnectionHandle(connection).kill();
            }
        })
    }

    /// Watches over the body of an h2 request: if [`BodyWatch::progress`] is not called for the
    /// stall limit, the connection is closed. Drop the watch when the body is complete. (On h1
    /// Pingora's read timeout does this, see [`prepare`].)
    pub fn watch_body(&self) -> BodyWatch {
        BodyWatch::new(self.clone())
    }

    /// The limits the connection was accepted with.
    pub(super) fn limits(&self) -> &TimeLimits {
        &self.0.limits
    }

    pub(super) fn is_killed(&self) -> bool {
        self.0.killed.load(Ordering::SeqCst)
    }

    /// Remembers who to wake on [`Self::kill`]. Returns whether it has happened already.
    pub(super) fn park_reader(&self, waker: &Waker) -> bool {
        self.0.reader.register(waker);
        self.is_killed()
    }

    /// As [`Self::park_reader`], for the writing side.
    pub(super) fn park_writer(&self, waker: &Waker) -> bool {
        self.0.writer.register(waker);
        self.is_killed()
    }

    pub(super) fn note_read(&self) {
        let since = self.0.opened.elapsed().as_millis();
        self.0.last_read.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Pingora's three descriptions of a connection. The handle travels in the user data of the
    /// proxy digest: the only typed slot that reaches `Session::digest` on h1 and on h2.
    pub(super) fn digests(
        &self,
        fd: RawFd,
        local: Option<SocketAddr>,
    ) -> (Arc<SslDigest>, Arc<SocketDigest>, Arc<ProxyDigest>) {
        let tls = self.tls();
        let ssl = SslDigest::new(tls.cipher, tls.version, None, None, Vec::new());
        let socket = SocketDigest::from_raw_fd(fd);
        // Set on a fresh cell: cannot fail. Left unset, Pingora would ask the socket and miss PROXY.
        let _ = socket.peer_addr.set(Some(PingoraAddress::Inet(self.client_address())));
        let _ = socket.local_addr.set(local.map(PingoraAddress::Inet));
        let response = pingora::http::ResponseHeader::build(200, Some(0));
        let proxy = match response {
            Ok(response) => ProxyDigest::new(Box::new(response), Some(Box::new(self.clone()))),
            Err(_) => unreachable!("200 is a valid status code"),
        };
        (Arc::new(ssl), Arc::new(socket), Arc::new(proxy))
    }
}

/// Arms the time limits of a request and returns its connection. The pipeline calls it first of
/// all, in `early_request_filter`. `None`: the request did not come through our listeners and is
/// not to be served.
pub fn prepare(session: &mut Session) -> Option<ConnectionHandle> {
    let handle = ConnectionHandle::of(session)?.clone();
    let stall = handle.limits().stall;
    // Also covers an h2 client that reads nothing by keeping its window at zero.
    session.as_downstream_mut().set_write_timeout(Some(stall));
    let head = session.req_header();
    let h1 = head.version < Version::HTTP_2;
    if h1 && head.headers.contains_key(http::header::UPGRADE) {
        // A tunnel may be silent for hours, so Pingora's read timeout is not for it. Whatever
        // follows an Upgrade that was not answered by 101 is not a request we would believe
        // (CVE-2026-2833): the connection ends with the answer, and the client is told so.
        session.as_downstream_mut().set_read_timeout(None);
        session.set_keepalive(None);
    }
    Some(handle)
}

/// See [`ConnectionHandle::watch_body`].
#[derive(Debug)]
pub struct BodyWatch {
    last: Arc<AtomicU64>,
    began: Instant,
    task: tokio::task::JoinHandle<()>,
}

impl BodyWatch {
    fn new(connection: ConnectionHandle) -> Self {
        let stall = connection.limits().stall;
        let last = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let seen = Arc::clone(&last);
        let task = tokio::spawn(async move {
            loop {
                let until = began + Duration::from_millis(seen.load(Ordering::Relaxed)) + stall;
                if Instant::now() >= until {
                    tracing::debug!(client = %connection.client_address(), "request body stalled");
                    connection.kill();
                    return;
                }
                tokio::time::sleep_until(until).await;
            }
        });
        Self { last, began, task }
    }

    /// Some of the body has arrived.
    pub fn progress(&self) {
        let since = self.began.elapsed().as_millis();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for BodyWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
