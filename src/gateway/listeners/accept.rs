//! From an accepted socket to a served connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{ConnectionHandle, HttpVersion, TlsFacts};
use super::connections::{Connections, Permit};
use super::stream::GuardedStream;
use super::{ServerSettings, proxy_line};

/// Pause after an error that the next `accept` would meet again (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is behind a listener.
pub(super) trait Door: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn enter(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send;
}

/// Accepts until `stop` is cancelled; each connection is a task of its own among `tasks`.
pub(super) async fn accept_until<D: Door>(
    stop: CancellationToken,
    listener: TcpListener,
    tasks: TaskTracker,
    door: Arc<D>,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, peer)) => {
                tasks.spawn(Arc::clone(&door).enter(socket, peer));
            }
            // The client gave up between the kernel's accept and ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The way into the gateway proper.
pub(super) struct HttpsDoor<P> {
    pub(super) proxy: Arc<HttpProxy<P>>,
    pub(super) tls: TlsAcceptor,
    pub(super) settings: Arc<ServerSettings>,
    pub(super) connections: Arc<Connections>,
    pub(super) ended: ShutdownWatch,
}

impl<P> Door for HttpsDoor<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn enter(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        // One limit for PROXY header and handshake together: neither may hold a socket open.
        let opening = tokio::time::timeout(self.settings.limits.header, self.open(socket, peer));
        let (stream, http) = match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "connection not opened");
                return;
            }
            Err(_) => {
                tracing::debug!(%peer, "connection not opened in time");
                return;
            }
        };
        match http {
            HttpVersion::Http1 => {
                serve_http1(&self.proxy, &self.settings, &self.ended, stream).await;
            }
            HttpVersion::Http2 => {
                self.proxy.process_new(Box::new(stream), &self.ended).await;
            }
        }
    }
}

impl<P> HttpsDoor<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn open(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<(GuardedStream<TlsStream<TcpStream>>, HttpVersion)> {
        let (socket, client, permit) =
            admit(socket, peer, &self.settings, &self.connections).await?;
        let local = socket.local_addr().ok();
        let fd = socket.as_raw_fd();
        let tls = self.tls.accept(socket).await?;
        let facts = tls_facts(&tls);
        let http = facts.http;
        let peer = canonical(peer);
        let handle = ConnectionHandle::new(client, peer, facts, self.settings.limits);
        Ok((GuardedStream::new(tls, handle, permit, fd, local), http))
    }
}

/// The way in without TLS, where machine clients are served on it. The pipeline sends everybody
/// else to https.
pub(super) struct PlainDoor<P> {
    pub(super) proxy: Arc<HttpProxy<P>>,
    pub(super) settings: Arc<ServerSettings>,
    pub(super) connections: Arc<Connections>,
    pub(super) ended: ShutdownWatch,
}

impl<P> Door for PlainDoor<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn enter(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let opening = admit(socket, peer, &self.settings, &self.connections);
        let opening = tokio::time::timeout(self.settings.limits.header, opening);
        let Ok(Ok((socket, client, permit))) = opening.await else {
            tracing::debug!(%peer, "connection not opened");
            return;
        };
        let local = socket.local_addr().ok();
        let fd = socket.as_raw_fd();
        let limits = self.settings.limits;
        let handle = ConnectionHandle::new(client, canonical(peer), TlsFacts::NONE, limits);
        let stream = GuardedStream::new(socket, handle, permit, fd, local);
        serve_http1(&self.proxy, &self.settings, &self.ended, stream).await;
    }
}

/// Pingora's own loop over the requests of a connection, with three differences: its idle limit
/// holds for every request (Pingora's ends with the first), the guard learns where a request
/// begins, and nothing follows a request that asked for an upgrade.
async fn serve_http1<P, S>(
    proxy: &Arc<HttpProxy<P>>,
    settings: &ServerSettings,
    ended: &ShutdownWatch,
    stream: GuardedStream<S>,
) where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    let limits = &settings.limits;
    let mut stream: Stream = Box::new(stream);
    loop {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(limits.idle.as_secs().max(1)));
        session.set_read_timeout(Some(limits.stall));
        session.set_write_timeout(Some(limits.stall));
        session.set_total_drain_timeout(Some(limits.stall));
        let Some(reused) = proxy.process_new_http(session, ended).await else { return };
        // What Pingora would carry over to the next request is its keep-alive limit, set anew
        // above, and the bytes of pipelined requests, which we never switch on.
        let (next, _settings) = reused.consume();
        let Ok(mut guarded) = next.into_any().downcast::<GuardedStream<S>>() else { return };
        if !guarded.expect_request() {
            return;
        }
        stream = guarded;
    }
}

/// The beginning that all listeners share: PROXY header, then a place among the client's
/// connections.
pub(super) async fn admit(
    mut socket: TcpStream,
    peer: SocketAddr,
    settings: &ServerSettings,
    connections: &Arc<Connections>,
) -> io::Result<(TcpStream, SocketAddr, Permit)> {
    socket.set_nodelay(true)?;
    let mut client = canonical(peer);
    // A peer that is not a trusted proxy speaks for itself only: its PROXY header, if it sends
    // one, is garbage to the TLS handshake.
    if settings.proxy_protocol && is_within(&settings.trusted_proxies, client) {
        client = proxy_line::read(&mut socket).await?.unwrap_or(client);
    }
    let permit = connections
        .admit(client.ip())
        .ok_or_else(|| io::Error::other("too many connections of this address"))?;
    Ok((socket, client, permit))
}

fn is_within(networks: &[IpNet], address: SocketAddr) -> bool {
    networks.iter().any(|network| network.contains(&address.ip()))
}

/// IPv4 clients of an IPv6 socket are IPv4 clients.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn tls_facts(stream: &TlsStream<TcpStream>) -> TlsFacts {
    let (_, session) = stream.get_ref();
    let http = match session.alpn_protocol() {
        Some(b"h2") => HttpVersion::Http2,
        _ => HttpVersion::Http1,
    };
    TlsFacts {
        version: session.protocol_version().and_then(|v| v.as_str()).unwrap_or_default(),
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default(),
        server_name: session.server_name().map(|name| name.to_ascii_lowercase().into()),
        http,
    }
}
