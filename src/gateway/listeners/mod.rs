//! Client connections: our own accept loop in front of Pingora's HTTP engine.
//!
//! ```text
//! TcpListener ─ PROXY line ─ limit per address ─ TLS handshake ─ GuardedStream ─ Pingora ─ pipeline
//!                (proxy_line)     (connections)        (tls)        (stream)
//! ```
//!
//! What the pipeline gets from here, in the request phases:
//!
//! * first thing in `early_request_filter`: [`prepare`], which arms the time limits of this
//!   request and returns the [`ConnectionHandle`];
//! * the client's address: [`ConnectionHandle::client_address`] (after PROXY; also what
//!   `session.client_addr()` says);
//! * TLS facts: [`ConnectionHandle::tls`] (version, cipher, server name, protocol);
//! * the kill switch: [`ConnectionHandle::kill_switch`], made to be given to
//!   [`crate::domain::session::LiveSession::watch`]; it closes the connection even if no byte
//!   moves on it;
//! * for requests with a body over h2: [`ConnectionHandle::watch_body`], because Pingora has no
//!   time limit on reading such a body.

mod accept;
mod connection;
mod connections;
mod farewell;
mod gather;
mod proxy_line;
mod redirect;
mod stream;
mod timer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::configuration::ServerConf;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::connection::{BodyWatch, ConnectionHandle, HttpVersion, TlsFacts, prepare};
pub use self::connections::Connections;
pub(super) use self::redirect::host_name;
use super::tls::{CertStore, server_config};

/// How many connections wait in the kernel until they are accepted.
const BACKLOG: u32 = 1024;
/// RFC 9113 §5.1.2; browsers open up to 100.
const H2_STREAMS: u32 = 100;
/// Decoded size of one h2 header list in bytes, as on h1 ([`super::framing::MAX_HEAD`]).
const H2_HEADER_LIST: u32 = 32 * 1024;
/// Streams that were reset before they were looked at (rapid reset, CVE-2023-44487); more end the
/// connection.
const H2_PENDING_RESETS: usize = 20;
/// Streams that we reset because of a client's errors (MadeYouReset, CVE-2025-8671); more end the
/// connection.
const H2_OWN_RESETS: usize = 64;
/// Flow-control window of one h2 stream in bytes: uploads keep moving on long lines, while what a
/// stalled upstream leaves in memory stays small.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
/// Flow-control window of a whole h2 connection in bytes.
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long connections that were told to end at the end of the grace period may take.
const AFTER_GRACE: Duration = Duration::from_secs(2);

/// What the listeners are told by the configuration.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Addresses that speak TLS (`server.https`).
    pub https: Vec<SocketAddr>,
    /// Plain addresses (`server.http`): they only send clients to https …
    pub http: Vec<SocketAddr>,
    /// … unless the pipeline is to see their requests, because it serves some of them.
    pub serves_plain: bool,
    /// Where plain requests are sent: scheme and authority, without a slash at the end
    /// (`server.public_url`).
    pub public_url: String,
    /// Host names (lower case, no port) that are sent elsewhere than to `public_url`: brands.
    pub public_url_by_host: BTreeMap<String, String>,
    /// Networks whose PROXY header is believed (`server.trusted_proxies`).
    pub trusted_proxies: Vec<IpNet>,
    /// Whether trusted proxies begin each connection with a PROXY header (`server.proxy_protocol`).
    pub proxy_protocol: bool,
    /// Open connections per client address (IPv6: per /64); `None` for no limit.
    pub connections_per_address: Option<u32>,
    /// Time limits of a connection.
    pub limits: TimeLimits,
    /// How long running requests may take after a stop signal; WebSockets are closed at its end.
    pub grace: Duration,
    /// Idle connections kept to the PBX.
    pub upstream_idle: usize,
}

/// Time limits of one client connection.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// PROXY header and TLS handshake together, and each request's whole header block
    /// (`limits.header_time`).
    pub header: Duration,
    /// No byte of a body read, or none of an answer taken by the client, for so long
    /// (`limits.body_stall`).
    pub stall: Duration,
    /// A connection without a request is closed after so long.
    pub idle: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

impl ServerSettings {
    /// Settings with default limits, for one public address and no listener yet.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            https: Vec::new(),
            http: Vec::new(),
            serves_plain: false,
            public_url: public_url.into(),
            public_url_by_host: BTreeMap::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            connections_per_address: Some(1024),
            limits: TimeLimits::default(),
            grace: Duration::from_secs(30),
            upstream_idle: 128,
        }
    }
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address from the configuration.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Sockets that listen already, so that an address in use is an error before anything starts, and
/// port 0 is known by its real number.
#[derive(Debug)]
pub struct Listeners {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    settings: ServerSettings,
    connections: Arc<Connections>,
}

impl Listeners {
    /// Binds all addresses. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(settings: ServerSettings) -> Result<Self, ListenError> {
        let bind_all = |addresses: &[SocketAddr]| {
            addresses
                .iter()
                .map(|&address| listen(address).map_err(|source| ListenError { address, source }))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            https: bind_all(&settings.https)?,
            http: bind_all(&settings.http)?,
            connections: Arc::new(Connections::new(settings.connections_per_address)),
            settings,
        })
    }

    /// The addresses that speak TLS, with their real ports.
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        self.https.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The plain addresses, with their real ports.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.http.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The open connections: for metrics.
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Serves until `stop` is cancelled, then drains: no connection is accepted any more, idle
    /// ones close, running requests have [`ServerSettings::grace`] to finish, and what is left
    /// then (WebSockets, slow downloads) is closed. Runs on the tokio runtime it is called on.
    pub async fn serve<P>(self, proxy: P, certs: Arc<CertStore>, stop: CancellationToken)
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        let Self { https, http, settings, connections } = self;
        let proxy = Arc::new(engine(proxy, &settings));
        let settings = Arc::new(settings);
        let tls = tokio_rustls::TlsAcceptor::from(server_config(certs));
        // Pingora's own sign of the end: h2 sends GOAWAY, h1 stops keeping connections alive.
        let (ending, ended) = tokio::sync::watch::channel(false);
        let tasks = TaskTracker::new();

        for listener in https {
            let door = Arc::new(accept::HttpsDoor {
                proxy: Arc::clone(&proxy),
                tls: tls.clone(),
                settings: Arc::clone(&settings),
                connections: Arc::clone(&connections),
                ended: ended.clone(),
            });
            tasks.spawn(accept::accept_until(stop.clone(), listener, tasks.clone(), door));
        }
        for listener in http {
            if settings.serves_plain {
                let door = Arc::new(accept::PlainDoor {
                    proxy: Arc::clone(&proxy),
                    settings: Arc::clone(&settings),
                    connections: Arc::clone(&connections),
                    ended: ended.clone(),
                });
                tasks.spawn(accept::accept_until(stop.clone(), listener, tasks.clone(), door));
                continue;
            }
            let door = Arc::new(redirect::RedirectDoor {
                settings: Arc::clone(&settings),
                connections: Arc::clone(&connections),
            });
            tasks.spawn(accept::accept_until(stop.clone(), listener, tasks.clone(), door));
        }
        tasks.close();

        stop.cancelled().await;
        ending.send_replace(true);
        proxy.cleanup().await;
        if tokio::time::timeout(settings.grace, tasks.wait()).await.is_err() {
            tracing::info!(open = connections.open(), "grace period over, closing connections");
            connections.kill_all();
            if tokio::time::timeout(AFTER_GRACE, tasks.wait()).await.is_err() {
                tracing::warn!(open = connections.open(), "connections left at the end");
            }
        }
    }
}

/// Binds `settings`' addresses and serves `proxy` on them until `stop` is cancelled; see
/// [`Listeners::serve`].
///
/// # Errors
/// The first address that cannot be bound.
pub async fn serve<P>(
    proxy: P,
    settings: ServerSettings,
    certs: Arc<CertStore>,
    stop: CancellationToken,
) -> Result<(), ListenError>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    Listeners::bind(settings)?.serve(proxy, certs, stop).await;
    Ok(())
}

/// A token that is cancelled by SIGTERM or SIGINT. Must be called within a tokio runtime.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn stop_on_signals() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}

/// Pingora's engine without its server, services and listeners.
fn engine<P: ProxyHttp>(proxy: P, settings: &ServerSettings) -> HttpProxy<P> {
    let conf = ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        upstream_keepalive_pool_size: settings.upstream_idle,
        // Tries, the first one counted; the pipeline decides per request whether there is another:
        // where a connection had been closed under us, and where the PBX wanted another token.
        max_retries: 3,
        ..ServerConf::default()
    };
    let mut engine = HttpProxy::new(proxy, Arc::new(conf));
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(settings.limits.idle);
    engine.server_options = Some(options);
    engine.h2_options = Some(h2_options());
    engine.handle_init_modules();
    engine
}

/// CONTINUATION floods (CVE-2024-27316) end at the header list's limit inside the h2 crate.
fn h2_options() -> H2Options {
    let mut options = H2Options::default();
    options
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEADER_LIST)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(Some(H2_OWN_RESETS))
        .initial_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW);
    options
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
