//! Framing at the socket: what is refused never reaches the upstream.

use tokio::io::AsyncWriteExt;

use super::support::{gateway, read_answer, read_to_close, upstream};

const GOOD: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// 400 for CL+TE, differing CL, bad TE, HTTP/1.0+TE, bare LF, obs-fold, missing or double Host,
/// space before colon, Host ≠ absolute-form; on a fresh connection and on a kept one.
#[tokio::test]
async fn what_has_two_readings_is_refused() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let post = |fields: &str| {
        format!(
            "POST /bad HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n0\r\n\r\nGET /bad HTTP/1.1\r\n"
        )
    };
    let heads = [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6\r\n"),
        post("Transfer-Encoding: xchunked\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n"),
        post("Transfer-Encoding : chunked\r\n"),
        post("X: a\r\n Content-Length: 5\r\n"),
        post("Host: localhost\r\n"),
        "POST /bad HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .into(),
        "GET /bad HTTP/1.1\nHost: localhost\n\n".into(),
        "GET /bad HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n".into(),
        "GET /bad HTTP/1.1\r\n\r\n".into(),
        "GET https://evil.example/bad HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
        "GET /bad\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
    ];
    for head in heads {
        let mut client = gateway.connect("http/1.1").await;
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to_close(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer:?}");

        let mut client = gateway.connect("http/1.1").await;
        client.write_all(GOOD.as_bytes()).await.unwrap();
        read_answer(&mut client).await;
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to_close(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "second request {head:?}: {answer:?}");
    }
    assert!(noticed.paths.lock().iter().all(|path| path == "/hello"), "nothing bad got through");
    // Nor did anything bad reach the pipeline.
    assert_eq!(gateway.records.connections.lock().len(), noticed.paths.lock().len());
}

/// Header block ≤ 32 KiB and 100 fields.
#[tokio::test]
async fn large_heads_are_refused() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    for fields in ["X: y\r\n".repeat(101), format!("X: {}\r\n", "y".repeat(33_000))] {
        let mut client = gateway.connect("http/1.1").await;
        let head = format!("GET /bad HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to_close(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    }
    assert!(noticed.paths.lock().is_empty());
}

/// A large head that is sound passes, whole and in pieces, with the body behind it.
#[tokio::test]
async fn large_sound_heads_pass() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let padding = "y".repeat(20_000);
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\nContent-Length: 9\r\n\r\nthe body."
    );
    let mut client = gateway.connect("http/1.1").await;
    for size in [request.len(), 4096, 999] {
        for piece in request.as_bytes().chunks(size) {
            client.write_all(piece).await.unwrap();
            client.flush().await.unwrap();
        }
        let answer = read_answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("the body."), "{answer}");
    }
}
