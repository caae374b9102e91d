//! The PBX servers, as Pingora connects to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// One configured server (`upstream.servers`).
#[derive(Debug, Clone)]
pub struct UpstreamServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether to speak TLS to it, verified against `host`.
    pub tls: bool,
}

/// What all of them share.
#[derive(Debug, Clone, Default)]
pub struct UpstreamLimits {
    /// Time to connect, TLS handshake included.
    pub connect: Duration,
    /// Longest silence within an answer.
    pub response: Duration,
    /// Certificate authorities (PEM); `None` for the usual ones.
    pub ca: Option<Vec<u8>>,
}

/// The servers with their resolved addresses.
pub struct Upstreams {
    servers: Vec<Server>,
    limits: UpstreamLimits,
    ca: Option<Arc<CaType>>,
    next: AtomicUsize,
}

struct Server {
    configured: UpstreamServer,
    peer: ArcSwapOption<HttpPeer>,
}

/// The configured CA file is no list of certificates.
#[derive(Debug, thiserror::Error)]
#[error("upstream.ca holds no readable certificate: {0}")]
pub struct BadCa(String);

impl Upstreams {
    /// Prepares the servers; none is connected to or resolved yet.
    pub fn new(servers: Vec<UpstreamServer>, limits: UpstreamLimits) -> Result<Self, BadCa> {
        let ca = limits.ca.as_deref().map(certificates).transpose()?;
        let servers = servers
            .into_iter()
            .map(|configured| Server { configured, peer: ArcSwapOption::empty() })
            .collect();
        Ok(Self { servers, limits, ca, next: AtomicUsize::new(0) })
    }

    /// The server to use: the one that holds the session, else the next in turn.
    pub fn choose(&self, sticky: Option<usize>) -> usize {
        match sticky {
            Some(server) if server < self.servers.len() => server,
            _ => self.next.fetch_add(1, Ordering::Relaxed) % self.servers.len().max(1),
        }
    }

    /// Where to connect; `None` while the name does not resolve.
    pub fn peer(&self, server: usize) -> Option<Box<HttpPeer>> {
        let peer = self.servers.get(server)?.peer.load();
        peer.as_deref().map(|peer| Box::new(peer.clone()))
    }

    /// `host:port` of a server, for the fixed `Host` header and for rewriting redirects.
    pub fn authorities(&self) -> impl Iterator<Item = String> + '_ {
        self.servers.iter().map(|s| format!("{}:{}", s.configured.host, s.configured.port))
    }

    /// Looks all names up anew. A name that does not resolve now keeps its last address.
    pub async fn resolve(&self) {
        for server in &self.servers {
            let UpstreamServer { host, port, tls } = &server.configured;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            match tokio::net::lookup_host((host, *port)).await {
                Ok(mut addresses) => {
                    if let Some(address) = addresses.next() {
                        server
                            .peer
                            .store(Some(Arc::new(self.configured_peer(address, *tls, host))));
                    }
                }
                Err(error) => {
                    tracing::warn!(host, %error, "the PBX server's name does not resolve");
                }
            }
        }
    }

    /// Whether each server takes connections now, by its `host:port`.
    pub async fn probe(&self) -> Vec<(String, bool)> {
        let mut found = Vec::with_capacity(self.servers.len());
        for (authority, server) in self.authorities().zip(&self.servers) {
            let address =
                server.peer.load().as_ref().and_then(|peer| peer._address.as_inet().copied());
            let up = match address {
                Some(address) => {
                    let connected = tokio::net::TcpStream::connect(address);
                    tokio::time::timeout(self.limits.connect, connected)
                        .await
                        .is_ok_and(|result| result.is_ok())
                }
                None => false,
            };
            found.push((authority, up));
        }
        found
    }

    fn configured_peer(&self, address: std::net::SocketAddr, tls: bool, host: &str) -> HttpPeer {
        // An empty SNI would silently turn verification off in Pingora: never pass one.
        let sni = if tls { host.to_owned() } else { String::new() };
        let mut peer = HttpPeer::new(address, tls, sni);
        let options = &mut peer.options;
        options.connection_timeout = Some(self.limits.connect);
        options.total_connection_timeout = Some(self.limits.connect);
        options.read_timeout = Some(self.limits.response);
        options.write_timeout = Some(self.limits.response);
        options.idle_timeout = Some(Duration::from_secs(55));
        options.ca.clone_from(&self.ca);
        // The CA is not part of Pingora's pool key: connections verified by another one must not
        // be shared.
        peer.group_key = u64::from(self.ca.is_some());
        peer
    }
}

fn certificates(pem: &[u8]) -> Result<Arc<CaType>, BadCa> {
    let parsed: Result<Vec<WrappedX509>, _> = CertificateDer::pem_slice_iter(pem)
        .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
        .collect();
    match parsed {
        Ok(list) if !list.is_empty() => Ok(list.into()),
        Ok(_) => Err(BadCa("no certificate in the file".into())),
        Err(error) => Err(BadCa(error.to_string())),
    }
}
