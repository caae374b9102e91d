//! Requests through the gateway: h1, h2, WebSocket, and what the pipeline knows about them.

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use super::support::{eventually, gateway, read_answer, read_to_close, soon, upstream};

/// R-G1: TLS, HTTP/1.1 and HTTP/2 by ALPN, through a real upstream; the pipeline knows the client's
/// address and the TLS facts.
#[tokio::test]
async fn h1_and_h2_reach_the_upstream() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    for (h2, version, name) in
        [(false, http::Version::HTTP_11, "Http1"), (true, http::Version::HTTP_2, "Http2")]
    {
        let browser = gateway.browser(h2);
        for _ in 0..3 {
            let answer = browser.get(gateway.url("/hello")).send().await.unwrap();
            assert_eq!(answer.version(), version);
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("x-http"), name);
            assert_eq!(header("x-tls"), "TLSv1_3");
            assert!(header("x-client").starts_with("127.0.0.1:"));
            assert_eq!(header("x-client"), header("x-client-pingora"));
            assert_eq!(answer.text().await.unwrap(), "hello");
        }
        let body = vec![b'a'; 300_000];
        let answer = browser.post(gateway.url("/echo")).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.bytes().await.unwrap(), body);
        // Three requests and one POST: one connection (that of the round before is closing).
        eventually("one connection is left", || gateway.connections.open() == 1).await;
    }
}

/// Bodies of both kinds end where the next request begins, on one connection.
#[tokio::test]
async fn keep_alive_knows_where_requests_begin() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let mut client = gateway.connect("http/1.1").await;
    for request in [
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nfirst",
        "POST /echo?2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        // In pieces: the guard must not depend on where they end.
        for piece in request.as_bytes().chunks(7) {
            client.write_all(piece).await.unwrap();
            client.flush().await.unwrap();
        }
        let answer = read_answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(*noticed.paths.lock(), ["/echo", "/echo?2", "/hello"]);
}

/// No request after an Upgrade without 101 is trusted (CVE-2026-2833).
#[tokio::test]
async fn nothing_follows_a_refused_upgrade() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let mut client = gateway.connect("http/1.1").await;
    let upgrade = "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
    let smuggled = "GET /hello?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(format!("{upgrade}{smuggled}").as_bytes()).await.unwrap();
    read_to_close(&mut client).await;
    let mut client = gateway.connect("http/1.1").await;
    client.write_all(upgrade.as_bytes()).await.unwrap();
    let answer = read_to_close(&mut client).await;
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(!noticed.paths.lock().iter().any(|path| path.contains("smuggled")));
}

/// An idle WebSocket is closed by the kill switch, on both sides, and ends in the `logging` phase.
#[tokio::test]
async fn an_idle_websocket_is_closed_by_its_kill_switch() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let stream = gateway.connect("http/1.1").await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    socket.send(Message::text("are you there")).await.unwrap();
    let echoed = soon("echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(echoed, Message::text("are you there"));
    let connection = gateway.records.connections.lock()[0].clone();
    // Wait until the tunnel has nothing left to do, so that nothing but the switch can wake it.
    eventually("silence", || connection.silent_for().as_millis() > 50).await;

    let switch = connection.kill_switch();
    switch();
    let end = soon("the client sees the end", socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    eventually("the upstream sees the end", || *noticed.closed_sockets.lock() == 1).await;
    eventually("the place is free", || gateway.connections.open() == 0).await;
    eventually("the request is logged", || gateway.records.logged.lock().len() == 1).await;
    drop(connection);
    switch();
}

/// A WebSocket that is silent for longer than every limit stays open.
#[tokio::test]
async fn a_silent_websocket_outlives_the_stall_limit() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.limits = super::support::short());
    let stream = gateway.connect("http/1.1").await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    let connection = gateway.records.connections.lock()[0].clone();
    eventually("a long silence", || connection.silent_for().as_millis() > 1000).await;
    socket.send(Message::text("still here")).await.unwrap();
    let echoed = soon("echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(echoed, Message::text("still here"));
}

/// HTTP→HTTPS redirect (R-G1); nonsense gets 400.
#[tokio::test]
async fn the_plain_listener_only_redirects() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    for (request, expected) in [
        ("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 301 "),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 308 "),
        ("GET /a HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 "),
        ("\x16\x03\x01\x02\x00\x01\x00", "HTTP/1.1 400 "),
    ] {
        let mut client = tokio::net::TcpStream::connect(gateway.http).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_close(&mut client).await;
        assert!(answer.starts_with(expected), "{request:?}: {answer:?}");
    }
    assert!(noticed.paths.lock().is_empty());
}
