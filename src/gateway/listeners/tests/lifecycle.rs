//! The graceful stop.

use std::time::Duration;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::{eventually, gateway, read_answer, read_to_close, soon, upstream};

/// A graceful stop finishes running responses, closes idle connections and accepts no new ones.
#[tokio::test]
async fn running_responses_are_finished() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let mut idle = gateway.connect("http/1.1").await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_answer(&mut idle).await;
    let (h1, h2) = (gateway.browser(false), gateway.browser(true));
    let held = [h1, h2].map(|browser| {
        let url = gateway.url("/held");
        tokio::spawn(async move { browser.get(url).send().await.unwrap().text().await.unwrap() })
    });
    eventually("both are running", || noticed.paths.lock().len() == 3).await;

    gateway.stop.cancel();
    assert_eq!(read_to_close(&mut idle).await, "");
    eventually("the port is closed", || {
        std::net::TcpStream::connect_timeout(&gateway.https, Duration::from_secs(1)).is_err()
    })
    .await;
    assert!(!gateway.serving.is_finished(), "the running requests are waited for");
    noticed.release.notify_waiters();
    for held in held {
        assert_eq!(soon("the held answer", held).await.unwrap(), "held until released");
    }
    soon("the gateway ends", gateway.serving).await.unwrap();
    assert!(TcpStream::connect(gateway.https).await.is_err());
}

/// WebSockets are closed at the end of the grace period.
#[tokio::test]
async fn websockets_end_with_the_grace_period() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |settings| settings.grace = Duration::from_millis(200));
    let stream = gateway.connect("http/1.1").await;
    let (mut socket, _) =
        tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    gateway.stop.cancel();
    let end = soon("the client sees the end", socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    soon("the gateway ends", gateway.serving).await.unwrap();
    assert_eq!(gateway.connections.open(), 0);
    eventually("the upstream sees the end", || *noticed.closed_sockets.lock() == 1).await;
}
