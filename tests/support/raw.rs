//! Requests byte for byte, over TLS or (to the portal itself) without: for what HTTP clients refuse
//! to send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longer than anything takes; a test that hangs fails with its own name.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both directions of a connection.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open connection on which one writes bytes.
pub struct Raw {
    stream: Box<dyn Wire>,
    /// Read, but not part of an answer yet.
    pending: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub struct RawAnswer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Status line and header fields.
    pub head: String,
}

impl RawAnswer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// Head and body, for searching.
    pub fn everything(&self) -> String {
        format!("{}{}", self.head, self.text())
    }
}

impl Raw {
    /// A connection over TLS, with HTTP/1.1 agreed on.
    pub async fn tls(address: SocketAddr, authority_pem: &str, server_name: &str) -> Self {
        let tls = tls(authority_pem, &[b"http/1.1"]);
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
        Self { stream: Box::new(stream), pending: Vec::new() }
    }

    /// A connection in clear text.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream: Box::new(stream), pending: Vec::new() }
    }

    /// Writes; an end that is closed already shows when the answer is read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// The next answer; `None` when the connection ended without one.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        let read = tokio::time::timeout(PATIENCE, self.read_answer()).await;
        read.expect("an answer in time")
    }

    /// The next header block, whatever it is: interim answers (1xx) too.
    pub async fn head(&mut self) -> String {
        let read = tokio::time::timeout(PATIENCE, self.read_head()).await;
        read.expect("a header in time").expect("a header")
    }

    /// The connection itself, before anything was read from it.
    pub fn into_stream(self) -> Box<dyn Wire> {
        self.stream
    }

    /// Waits until the other end closes; returns what came before.
    pub async fn closed(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.pending);
        let end = self.stream.read_to_end(&mut rest);
        // A reset is a close, too.
        tokio::time::timeout(patience, end).await.ok().map(|_| rest)
    }

    async fn read_answer(&mut self) -> Option<RawAnswer> {
        loop {
            let mut answer = parse(&self.read_head().await?);
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            answer.body = self.body(&answer).await;
            return Some(answer);
        }
    }

    async fn read_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                let head: Vec<u8> = self.pending.drain(..at + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn body(&mut self, answer: &RawAnswer) -> Vec<u8> {
        if matches!(answer.status, 101 | 204 | 304) {
            return Vec::new();
        }
        let chunked = answer.header("transfer-encoding").is_some_and(|v| v.contains("chunked"));
        if chunked {
            return self.chunks().await;
        }
        let length = answer.header("content-length").and_then(|value| value.parse().ok());
        while length.is_none_or(|length: usize| self.pending.len() < length) && self.more().await {}
        let length = length.unwrap_or(self.pending.len()).min(self.pending.len());
        self.pending.drain(..length).collect()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match find(&self.pending, b"\r\n") {
                    Some(at) => break at,
                    None if self.more().await => {}
                    None => return body,
                }
            };
            let size: Vec<u8> = self.pending.drain(..line + 2).collect();
            let size = String::from_utf8_lossy(&size);
            let size = size.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else { return body };
            while self.pending.len() < size + 2 && self.more().await {}
            let there = (size + 2).min(self.pending.len());
            let piece: Vec<u8> = self.pending.drain(..there).collect();
            body.extend_from_slice(&piece[..size.min(piece.len())]);
            if size == 0 || piece.len() < size + 2 {
                return body;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.pending.extend_from_slice(&buffer[..read]);
                true
            }
        }
    }
}

/// A TLS client's configuration that trusts one authority.
fn tls(authority_pem: &str, protocols: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    // Whoever is first wins; the others find the same provider there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap()).unwrap();
    let mut config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn parse(head: &str) -> RawAnswer {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    RawAnswer { status: status.unwrap_or(0), headers, body: Vec::new(), head: head.to_owned() }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
