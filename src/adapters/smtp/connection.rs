//! Getting a connection on which mails can be sent: TCP, TLS, `EHLO`, login. Whatever goes wrong
//! here says nothing about any mail.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Protection, SmtpSettings, said};

/// To reach the server, for each of its addresses.
const CONNECT: Duration = Duration::from_secs(10);
/// No greeting needs more.
const LONGEST_REPLY: usize = 8 * 1024;

/// Opens connections to one server.
pub(super) struct Dialer {
    settings: SmtpSettings,
    hello: ClientId,
    tls: TlsConnector,
}

impl Dialer {
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        let hello = match settings.own_host.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => ClientId::Domain(settings.own_host.clone()),
        };
        let tls = TlsConnector::from(Arc::new(tls(settings.ca_pem.as_deref())?));
        Ok(Self { settings, hello, tls })
    }

    /// A connection on which a mail can begin.
    pub async fn dial(&self) -> Result<AsyncSmtpConnection, String> {
        let SmtpSettings { host, port, .. } = &self.settings;
        let tcp = reach(host.trim_matches(['[', ']']), *port).await?;
        // The greeting is an answer, too; what follows until the login takes no longer.
        let patience = self.settings.answer_within;
        match tokio::time::timeout(patience, self.get_ready(tcp)).await {
            Ok(ready) => ready,
            Err(_) => {
                Err(format!("{host}:{port} was not ready to take a mail within {patience:?}"))
            }
        }
    }

    async fn get_ready(&self, tcp: TcpStream) -> Result<AsyncSmtpConnection, String> {
        let stream: Box<dyn AsyncTokioStream> = match self.settings.protection {
            Protection::None => Box::new(tcp),
            Protection::Tls => Box::new(self.protect(tcp, Vec::new()).await?),
            Protection::StartTls => {
                let (tcp, greeting) = ask_for_tls(tcp, &self.hello).await?;
                Box::new(self.protect(tcp, greeting).await?)
            }
        };
        let mut smtp = AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
            .await
            .map_err(|error| format!("no greeting{}", said(&error)))?;
        if let Some((user, password)) = &self.settings.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(
                |error| {
                    let code = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
                    format!("it does not take the login of {user}{code}{}", said(&error))
                },
            )?;
        }
        Ok(smtp)
    }

    async fn protect(&self, tcp: TcpStream, greeting: Vec<u8>) -> Result<Protected, String> {
        let host = &self.settings.host;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| format!("{host} cannot be in a certificate: {error}"))?;
        let stream = self.tls.connect(name, tcp).await.map_err(|error| {
            let certificate = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
            match certificate {
                true => format!(
                    "the certificate of {host} is not trusted ({error}); for a private authority \
                     set mail.ca"
                ),
                false => format!("no TLS with {host}: {error}"),
            }
        })?;
        Ok(Protected { greeting, stream })
    }
}

async fn reach(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| format!("{host} cannot be looked up: {error}"))?
        .collect();
    let mut why = format!("{host} has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Commands are small and wait for their answers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = format!("{address} cannot be reached: {error}"),
            Err(_) => {
                why = format!("{address} cannot be reached within {} s", CONNECT.as_secs());
            }
        }
    }
    Err(why)
}

/// The part of the conversation before TLS (RFC 3207), without the library: it would read on in
/// what arrived before TLS, and somebody on the way could put answers there for later.
async fn ask_for_tls(tcp: TcpStream, hello: &ClientId) -> Result<(TcpStream, Vec<u8>), String> {
    let mut tcp = BufReader::new(tcp);
    let greeting = reply(&mut tcp, "a greeting").await?;
    tcp.write_all(format!("EHLO {hello}\r\n").as_bytes()).await.map_err(|e| lost("EHLO", &e))?;
    let features = reply(&mut tcp, "EHLO").await?;
    let offered = String::from_utf8_lossy(&features)
        .lines()
        .skip(1)
        .any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS")));
    if !offered {
        return Err("it does not offer STARTTLS, so the connection would not be protected; use \
                    smtps://, or ?tls=none if nobody can listen in between"
            .to_owned());
    }
    tcp.write_all(b"STARTTLS\r\n").await.map_err(|error| lost("STARTTLS", &error))?;
    reply(&mut tcp, "STARTTLS").await?;
    if !tcp.buffer().is_empty() {
        return Err("it said more before TLS than it may".to_owned());
    }
    Ok((tcp.into_inner(), greeting))
}

fn lost(what: &str, error: &std::io::Error) -> String {
    format!("no answer to {what}: {error}")
}

/// A whole reply, which must be a good one (2xx).
async fn reply(tcp: &mut BufReader<TcpStream>, what: &str) -> Result<Vec<u8>, String> {
    let mut reply = Vec::new();
    loop {
        let begin = reply.len();
        loop {
            let arrived = tcp.fill_buf().await.map_err(|error| lost(what, &error))?;
            let end = arrived.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(arrived.len(), |end| end + 1);
            if take == 0 {
                return Err(format!("no answer to {what}: it closed the connection"));
            }
            reply.extend_from_slice(&arrived[..take]);
            tcp.consume(take);
            if reply.len() > LONGEST_REPLY {
                return Err(format!("the answer to {what} has no end"));
            }
            if end.is_some() {
                break;
            }
        }
        let line = &reply[begin..];
        if line.first() != Some(&b'2') {
            let line = String::from_utf8_lossy(line).trim().escape_debug().to_string();
            return Err(format!("the answer to {what} was {line}"));
        }
        if line.get(3) != Some(&b'-') {
            return Ok(reply);
        }
    }
}

/// The authorities of `ca_pem`, or the public ones.
fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            if roots.is_empty() {
                return Err("the file holds no certificate".to_owned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A stream inside TLS. The library begins each conversation with the greeting; the one that came
/// before `STARTTLS` is therefore said to it again.
#[derive(Debug)]
struct Protected {
    greeting: Vec<u8>,
    stream: tokio_rustls::client::TlsStream<TcpStream>,
}

impl AsyncTokioStream for Protected {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Protected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let take = self.greeting.len().min(buffer.remaining());
        buffer.put_slice(&self.greeting[..take]);
        self.greeting.drain(..take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Protected {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
