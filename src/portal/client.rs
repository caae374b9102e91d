//! A small HTTP/1.1 client: pooled, bounded in time and size, never following a redirect.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::ports::Unavailable;

/// An answer, its body cut off at the limit.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) enum NoAnswer {
    /// There was no connection: not a byte of the request was sent.
    NotSent(Unavailable),
    /// The request was sent, or a part of it; whether it arrived is not known.
    Lost(Unavailable),
}

/// The client.
pub(super) struct Client {
    pool: HttpClient,
    /// Without idle connections: one for each request.
    fresh: HttpClient,
    /// From the first byte sent to the last byte of the answer that is read.
    exchange_timeout: Duration,
}

type HttpClient = Pool<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Idle connections are closed before a PBX would: Apache's default is 5 s.
const IDLE: Duration = Duration::from_secs(4);

impl Client {
    /// `ca_pem`: the authorities to trust instead of the public ones.
    pub(super) fn new(
        ca_pem: Option<&[u8]>,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca_pem {
            Some(pem) => builder.with_tls_config(trusting(pem, provider)?),
            None => builder
                .with_provider_and_webpki_roots(provider)
                .map_err(|error| format!("TLS to the PBX cannot be set up: {error}"))?,
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let mut builder = Pool::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .set_host(false);
        let pool = builder.build(connector.clone());
        let fresh =
            builder.pool_max_idle_per_host(0).retry_canceled_requests(false).build(connector);
        Ok(Self { pool, fresh, exchange_timeout: connect_timeout + response_timeout })
    }

    /// Sends one request. At most `limit` bytes of the body are read, decoded. 5xx is an outage.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, Unavailable> {
        let exchange = async {
            let response = begin(&self.pool, request).await?;
            if response.status().is_server_error() {
                return Err(Unavailable::new("pbx", format!("answered {}", response.status())));
            }
            read(response, limit).await
        };
        self.in_time(exchange).await
    }

    /// Sends a request that must not arrive twice, on a connection of its own: one that the server
    /// closed in the meantime would leave it open whether the request arrived. Every status is an
    /// answer, 5xx too.
    pub(super) async fn send_once(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, NoAnswer> {
        let connection = capture_connection(&mut request);
        let exchange = async { read(begin(&self.fresh, request).await?, limit).await };
        self.in_time(exchange).await.map_err(|outage| {
            // Noted just before the request goes onto the connection, never later.
            let connected = connection.connection_metadata().is_some();
            if connected { NoAnswer::Lost(outage) } else { NoAnswer::NotSent(outage) }
        })
    }

    async fn in_time(
        &self,
        exchange: impl Future<Output = Result<Answer, Unavailable>>,
    ) -> Result<Answer, Unavailable> {
        tokio::time::timeout(self.exchange_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(Unavailable::new("pbx", "no answer in time")))
    }
}

async fn begin(
    client: &HttpClient,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Unavailable> {
    request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    client.request(request).await.map_err(|error| outage(&error))
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Answer, Unavailable> {
    let (head, body) = response.into_parts();
    let body = decoded(read_body(body, limit).await?, &head.headers, limit)?;
    Ok(Answer { status: head.status, headers: head.headers, body })
}

fn trusting(
    pem: &[u8],
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| format!("the PBX's CA is no PEM file: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the PBX's CA cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the PBX's CA file holds no certificate".to_owned());
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS to the PBX cannot be set up: {error}"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn read_body(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Unavailable> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| outage(&error))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(limit - bytes.len())]);
        }
        if bytes.len() >= limit {
            break;
        }
    }
    Ok(bytes)
}

/// Some servers compress although they were asked not to.
fn decoded(body: Vec<u8>, headers: &HeaderMap, limit: usize) -> Result<Vec<u8>, Unavailable> {
    let coding = headers.get(CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    match coding.map(str::trim) {
        None | Some("" | "identity") => Ok(body),
        Some("gzip" | "x-gzip") => {
            let mut plain = Vec::new();
            let reader = flate2::read::MultiGzDecoder::new(body.as_slice());
            match reader.take(limit as u64).read_to_end(&mut plain) {
                // What was cut off at the limit ends early; its beginning is what is judged.
                Ok(_) => Ok(plain),
                Err(_) if body.len() >= limit => Ok(plain),
                Err(error) => Err(outage(&error)),
            }
        }
        Some(other) => {
            let detail = format!("answered in the unknown coding {}", other.escape_debug());
            Err(Unavailable::new("pbx", detail))
        }
    }
}

/// The whole chain of causes: hyper's outermost error says little.
fn outage(error: &dyn std::error::Error) -> Unavailable {
    let mut detail = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        detail = format!("{detail}: {inner}");
        cause = inner.source();
    }
    Unavailable::new("pbx", detail)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
