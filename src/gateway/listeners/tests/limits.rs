//! Limits of time and number, and whose address they go by.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::support::{
    Gateway, eventually, gateway, read_answer, read_to_close, short, soon, upstream,
};

/// Sends one byte at a time, often enough for any timeout that starts anew with each byte, until
/// the gateway closes.
async fn drip(client: TlsStream<TcpStream>, first: &str) -> String {
    let (mut reader, mut writer) = tokio::io::split(client);
    let dripping = async {
        let mut drop = first.as_bytes();
        while writer.write_all(drop).await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop = b"x";
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = read_to_close(&mut reader) => answer,
        () = dripping => unreachable!("it drips until the gateway closes"),
    }
}

/// Header time limited in total, on the first and on a later request.
#[tokio::test]
async fn a_dripping_head_is_closed() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits = short());
    let first = "GET /bad HTTP/1.1\r\nHost: localhost\r\nX: ";
    let client = gateway.connect("http/1.1").await;
    let answer = drip(client, first).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");

    let mut client = gateway.connect("http/1.1").await;
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_answer(&mut client).await;
    let answer = drip(client, first).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    eventually("places are free", || gateway.connections.open() == 0).await;
    assert_eq!(*noticed.paths.lock(), ["/hello"]);
}

/// An unfinished head without any further byte is closed too.
#[tokio::test]
async fn a_silent_head_is_closed() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits = short());
    let mut client = gateway.connect("http/1.1").await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(read_to_close(&mut client).await.starts_with("HTTP/1.1 408 "));
}

/// Header time limited on h2: no preface, half a frame, and a block that drips CONTINUATIONs.
#[tokio::test]
async fn a_dripping_h2_head_is_closed() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits = short());
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut silent = gateway.connect("h2").await;
    read_to_close(&mut silent).await;
    let mut half = gateway.connect("h2").await;
    half.write_all(&[preface, b"\0\0\x10\x01\x04\0\0\0\x01\x82"].concat()).await.unwrap();
    read_to_close(&mut half).await;

    let mut dripping = gateway.connect("h2").await;
    dripping.write_all(&[preface, b"\0\0\x01\x01\x01\0\0\0\x01\x82"].concat()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(dripping);
    let drip = async {
        while writer.write_all(b"\0\0\x01\x09\0\0\0\0\x01\x87").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = read_to_close(&mut reader) => {}
        () = drip => unreachable!("it drips until the gateway closes"),
    }
    eventually("places are free", || gateway.connections.open() == 0).await;
    assert!(noticed.paths.lock().is_empty());
}

/// A connection that never begins its handshake is closed.
#[tokio::test]
async fn a_handshake_takes_no_longer_than_a_head() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits = short());
    let mut client = TcpStream::connect(gateway.https).await.unwrap();
    eventually("it is counted", || gateway.connections.open() == 1).await;
    assert_eq!(read_to_close(&mut client).await, "");
    eventually("its place is free", || gateway.connections.open() == 0).await;
}

/// A connection without a request is closed after the idle limit: before the first request and
/// after one.
#[tokio::test]
async fn idle_connections_are_closed() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits.idle = Duration::from_secs(1));
    let mut fresh = gateway.connect("http/1.1").await;
    let mut used = gateway.connect("http/1.1").await;
    used.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_answer(&mut used).await;
    let mut h2 = gateway.connect("h2").await;
    h2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert_eq!(read_to_close(&mut fresh).await, "");
    assert_eq!(read_to_close(&mut used).await, "");
    read_to_close(&mut h2).await;
    eventually("places are free", || gateway.connections.open() == 0).await;
}

/// Body stall timeout on h1 and h2.
#[tokio::test]
async fn a_stalled_body_is_closed() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits.stall = Duration::from_millis(300));
    let mut h1 = gateway.connect("http/1.1").await;
    h1.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nabc")
        .await
        .unwrap();
    read_to_close(&mut h1).await;

    let (stall, body) = futures::channel::mpsc::unbounded::<Result<&str, std::io::Error>>();
    stall.unbounded_send(Ok("abc")).unwrap();
    let browser = gateway.browser(true);
    let sending = browser.post(gateway.url("/echo")).body(reqwest::Body::wrap_stream(body)).send();
    assert!(soon("the stalled request ends", sending).await.is_err());
    eventually("places are free", || gateway.connections.open() == 0).await;
    drop(stall);
}

/// Slow readers: a client that takes nothing of its answer is closed.
#[tokio::test]
async fn a_client_that_reads_nothing_is_closed() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits.stall = Duration::from_millis(300));
    let mut client = gateway.connect("http/1.1").await;
    client.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    eventually("it is served", || gateway.records.connections.lock().len() == 1).await;
    eventually("its place is free", || gateway.connections.open() == 0).await;
    assert!(gateway.records.logged.lock()[0].is_some(), "it ended with an error");
}

/// Connections per address limited.
#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.connections_per_address = Some(2));
    let first = gateway.connect("http/1.1").await;
    let _second = gateway.connect("h2").await;
    assert!(gateway.connect_after(b"", "http/1.1").await.is_err());
    assert_eq!(gateway.connections.refused(), 1);
    drop(first);
    eventually("a place is free", || gateway.connections.open() == 1).await;
    let mut third = gateway.connect("http/1.1").await;
    third.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut third).await.starts_with("HTTP/1.1 200 "));
}

fn behind_a_balancer(upstream: std::net::SocketAddr, trusted: &str) -> Gateway {
    let trusted = trusted.parse().unwrap();
    gateway(upstream, |settings| {
        settings.proxy_protocol = true;
        settings.trusted_proxies = vec![trusted];
        settings.connections_per_address = Some(1);
    })
}

/// The client's address behind a trusted proxy, by PROXY v1 and v2; it is the one that is limited.
#[tokio::test]
async fn proxy_headers_name_the_client() {
    let (upstream, _) = upstream().await;
    let gateway = behind_a_balancer(upstream, "127.0.0.0/8");
    let v1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 51000 443\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([203, 0, 113, 8, 192, 0, 2, 1, 0xC7, 0x38, 1, 0xBB]);
    let mut open = Vec::new();
    for (header, expected) in [(&v1, "203.0.113.7:51000"), (&v2, "203.0.113.8:51000")] {
        let mut client = gateway.connect_after(header, "http/1.1").await.unwrap();
        client.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let answer = read_answer(&mut client).await.to_ascii_lowercase();
        assert!(answer.contains(&format!("\r\nx-client: {expected}\r\n")), "{answer}");
        assert!(answer.contains(&format!("\r\nx-client-pingora: {expected}\r\n")), "{answer}");
        open.push(client);
    }
    // Each of the two has its one connection; a second of the same client is refused.
    assert!(gateway.connect_after(&v1, "http/1.1").await.is_err());
    // A trusted proxy that sends no PROXY header is not served.
    assert!(gateway.connect_after(b"", "http/1.1").await.is_err());
}

/// Client address from trusted proxies only.
#[tokio::test]
async fn proxy_headers_of_others_are_not_believed() {
    let (upstream, _) = upstream().await;
    let gateway = behind_a_balancer(upstream, "10.0.0.0/8");
    let v1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 51000 443\r\n";
    assert!(gateway.connect_after(v1, "http/1.1").await.is_err());
    eventually("its place is free", || gateway.connections.open() == 0).await;
    let mut client = gateway.connect("http/1.1").await;
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = read_answer(&mut client).await.to_ascii_lowercase();
    assert!(answer.contains("\r\nx-client: 127.0.0.1:"), "{answer}");
}
