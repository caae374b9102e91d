//! Vocabulary of these tests: `upstream()`, `gateway(…)`, `tls_client(…)`, `eventually(…)`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::{get, post};
use bytes::Bytes;
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::gateway::framing;
use crate::gateway::listeners::{
    BodyWatch, ConnectionHandle, Connections, Listeners, ServerSettings, TimeLimits, prepare,
};
use crate::gateway::tls::{CertStore, development_certificate, install_crypto_provider};

/// Long enough for a busy machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never happened: {what}");
}

/// Awaits `future`, but not for ever.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("never happened: {what}"),
    }
}

/// What the upstream noticed.
#[derive(Default)]
pub struct Noticed {
    /// Paths asked for, in order.
    pub paths: Mutex<Vec<String>>,
    /// WebSockets that ended.
    pub closed_sockets: Mutex<usize>,
    /// Lets the answer to `/held` go.
    pub release: Notify,
}

/// A real HTTP server behind the gateway.
pub async fn upstream() -> (SocketAddr, Arc<Noticed>) {
    let noticed = Arc::new(Noticed::default());
    let on_socket = {
        let noticed = Arc::clone(&noticed);
        move |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(move |socket| echo(socket, noticed))
        }
    };
    let held = {
        let noticed = Arc::clone(&noticed);
        move || async move {
            noticed.release.notified().await;
            "held until released"
        }
    };
    let record = {
        let noticed = Arc::clone(&noticed);
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            noticed.paths.lock().push(request.uri().to_string());
            next.run(request)
        }
    };
    let router = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/held", get(held))
        .route("/big", get(|| async { Body::from(vec![b'x'; 64 << 20]) }))
        .route("/ws", get(on_socket))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn(record));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, noticed)
}

async fn echo(mut socket: WebSocket, noticed: Arc<Noticed>) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
    *noticed.closed_sockets.lock() += 1;
}

/// The least a pipeline does with these listeners.
struct Pipeline {
    upstream: SocketAddr,
    records: Arc<Records>,
}

/// What the pipeline noticed.
#[derive(Default)]
pub struct Records {
    /// The connection of each request, in order.
    pub connections: Mutex<Vec<ConnectionHandle>>,
    /// Requests that reached the `logging` phase, with their error.
    pub logged: Mutex<Vec<Option<String>>>,
}

#[derive(Default)]
struct Request {
    connection: Option<ConnectionHandle>,
    body: Option<BodyWatch>,
}

#[async_trait]
impl ProxyHttp for Pipeline {
    type CTX = Request;

    fn new_ctx(&self) -> Request {
        Request::default()
    }

    async fn early_request_filter(
        &self,
        session: &mut Session,
        request: &mut Request,
    ) -> pingora::Result<()> {
        let connection = prepare(session).expect("every request came through our listeners");
        self.records.connections.lock().push(connection.clone());
        if session.is_http2() && !session.is_body_done() {
            request.body = Some(connection.watch_body());
        }
        request.connection = Some(connection);
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        _: &mut Request,
    ) -> pingora::Result<bool> {
        if let Err(refusal) = framing::check(session.req_header()) {
            session.respond_error(refusal.status().as_u16()).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        end: bool,
        request: &mut Request,
    ) -> pingora::Result<()> {
        match &request.body {
            Some(_) if end => request.body = None,
            Some(body) => body.progress(),
            None => {}
        }
        Ok(())
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        _: &mut Request,
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        request: &mut Request,
    ) -> pingora::Result<()> {
        let connection = request.connection.as_ref().expect("set in early_request_filter");
        let seen_by_pingora = session.client_addr().map(ToString::to_string).unwrap_or_default();
        response.insert_header("x-client", connection.client_address().to_string())?;
        response.insert_header("x-client-pingora", seen_by_pingora)?;
        response.insert_header("x-tls", connection.tls().version)?;
        response.insert_header("x-http", format!("{:?}", connection.tls().http))?;
        Ok(())
    }

    async fn logging(&self, _: &mut Session, error: Option<&pingora::Error>, _: &mut Request) {
        self.records.logged.lock().push(error.map(ToString::to_string));
    }
}

/// A running gateway.
pub struct Gateway {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub connections: Arc<Connections>,
    pub records: Arc<Records>,
    pub stop: CancellationToken,
    pub serving: tokio::task::JoinHandle<()>,
    pub ca: CertificateDer<'static>,
}

/// Starts a gateway in front of `upstream`, with settings changed by `change`.
pub fn gateway(upstream: SocketAddr, change: impl FnOnce(&mut ServerSettings)) -> Gateway {
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-06-01T00:00:00Z".parse().unwrap();
    // The certificate must be valid when the client looks, by its own clock: make it for long.
    let certificate = development_certificate(folder.path(), "localhost", now).unwrap();
    let (certs, _) = CertStore::load(std::slice::from_ref(&certificate.files), now).unwrap();
    let ca = CertificateDer::from_pem_file(&certificate.files.cert).unwrap();

    let mut settings = ServerSettings::new("https://portal.example.com");
    settings.https = vec!["127.0.0.1:0".parse().unwrap()];
    settings.http = vec!["127.0.0.1:0".parse().unwrap()];
    settings.grace = Duration::from_secs(10);
    change(&mut settings);

    let records = Arc::new(Records::default());
    let listeners = Listeners::bind(settings).unwrap();
    let (https, http) = (listeners.https_addresses()[0], listeners.http_addresses()[0]);
    let connections = listeners.connections();
    let stop = CancellationToken::new();
    let pipeline = Pipeline { upstream, records: Arc::clone(&records) };
    let serving = tokio::spawn(listeners.serve(pipeline, certs, stop.clone()));
    Gateway { https, http, connections, records, stop, serving, ca }
}

/// Limits short enough for a test to wait for them.
pub fn short() -> TimeLimits {
    TimeLimits {
        header: Duration::from_millis(300),
        stall: Duration::from_millis(300),
        idle: Duration::from_secs(30),
    }
}

impl Gateway {
    /// A TLS connection that offers `alpn` only.
    pub async fn connect(&self, alpn: &str) -> TlsStream<TcpStream> {
        self.connect_after(b"", alpn).await.unwrap()
    }

    /// A TLS connection after some bytes in clear.
    pub async fn connect_after(
        &self,
        first: &[u8],
        alpn: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut socket = TcpStream::connect(self.https).await?;
        socket.set_nodelay(true)?;
        socket.write_all(first).await?;
        let mut config = self.client_config();
        config.alpn_protocols = vec![alpn.into()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// A client that goes through the whole of HTTP; `h2` decides by what ALPN offers.
    pub fn browser(&self, h2: bool) -> reqwest::Client {
        let mut config = self.client_config();
        let alpn: &[&str] = if h2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(config);
        let builder = if h2 { builder } else { builder.http1_only() };
        builder.resolve("localhost", self.https).no_proxy().build().unwrap()
    }

    /// The address of `path` for [`Self::browser`].
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https.port())
    }

    fn client_config(&self) -> ClientConfig {
        ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(self.ca.clone())))
            .with_no_client_auth()
    }
}

/// Trusts one certificate, whatever the clock says.
#[derive(Debug)]
struct Pinned(CertificateDer<'static>);

impl rustls::client::danger::ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        if *leaf == self.0 {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider();
        let algorithms = &algorithms.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider();
        let algorithms = &algorithms.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let algorithms = rustls::crypto::ring::default_provider();
        algorithms.signature_verification_algorithms.supported_schemes()
    }
}

/// Everything until the gateway closes, as text. A reset counts as a close.
pub async fn read_to_close(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    soon("the gateway closes", async {
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..read]);
        }
    })
    .await;
    String::from_utf8_lossy(&all).into_owned()
}

/// One answer with a `Content-Length` body, leaving the connection open.
pub async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    soon("an answer", async {
        loop {
            let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .split("\r\n")
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if body.len() >= length {
                    break;
                }
            }
            all.push(stream.read_u8().await.expect("the answer is not complete"));
        }
    })
    .await;
    String::from_utf8(all).unwrap()
}
