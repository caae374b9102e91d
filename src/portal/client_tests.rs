//! TLS to the PBX, and answers in odd codings, over real sockets.

use std::io::Write;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const TIME: Duration = Duration::from_secs(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

/// An HTTPS server for `localhost`; its port and the PEM of the authority that vouches for it.
async fn tls_server() -> (u16, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(ANSWER).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, issuer.pem())
}

/// `upstream.ca`: servers are believed by their own authority, for their own name, and by no other.
#[tokio::test]
async fn tls_trusts_the_configured_authority_only() {
    let (port, ca) = tls_server().await;
    let client = Client::new(Some(ca.as_bytes()), TIME, TIME).unwrap();
    let answer = client.send(get(&format!("https://localhost:{port}/")), 10).await.unwrap();
    assert_eq!(answer.body, b"ok");
    let misnamed = client.send(get(&format!("https://127.0.0.1:{port}/")), 10).await;
    assert_eq!(misnamed.unwrap_err().what, "pbx");

    let public_roots = Client::new(None, TIME, TIME).unwrap();
    assert!(public_roots.send(get(&format!("https://localhost:{port}/")), 10).await.is_err());
    let (_, other_ca) = tls_server().await;
    let other = Client::new(Some(other_ca.as_bytes()), TIME, TIME).unwrap();
    assert!(other.send(get(&format!("https://localhost:{port}/")), 10).await.is_err());
}

async fn answering(head: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let head = format!("HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n");
        let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
        let _ = stream.shutdown().await;
    });
    url
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Bodies are bounded, whatever they unpack to; codings that nobody asked for are understood.
#[tokio::test]
async fn bodies_are_bounded_and_decoded() {
    let client = Client::new(None, TIME, TIME).unwrap();
    let plain = answering("", vec![b'x'; 100_000]).await;
    assert_eq!(client.send(get(&plain), 5000).await.unwrap().body.len(), 5000);
    let zipped = answering("Content-Encoding: gzip\r\n", gzip(b"<form>")).await;
    assert_eq!(client.send(get(&zipped), 5000).await.unwrap().body, b"<form>");
    let bomb = answering("Content-Encoding: gzip\r\n", gzip(&vec![0; 1_000_000])).await;
    assert_eq!(client.send(get(&bomb), 5000).await.unwrap().body.len(), 5000);
    let broken = answering("Content-Encoding: gzip\r\n", b"nonsense".to_vec()).await;
    assert!(client.send(get(&broken), 5000).await.is_err());
    let odd = answering("Content-Encoding: br\r\n", b"x".to_vec()).await;
    assert!(client.send(get(&odd), 5000).await.is_err());
}
