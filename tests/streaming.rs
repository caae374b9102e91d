//! Long answers and long requests stream through, on HTTP/1.1 and on HTTP/2 (R-G1, R-C4).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Gateway, Pbx, Scripted, Settings, Socket, alice, until};

const MIB: u64 = 1024 * 1024;
/// What "100 MB" means here.
const LARGE: u64 = 100 * MIB;
/// How much memory the process may take on while a large body passes, in KiB.
const BOUND: u64 = 40 * 1024;

/// R-G1: "uploads and downloads stream through": 100 MB down, while the memory stays bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_download_streams() {
    let pbx = Pbx::with(|options| options.recording = false).await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let piece = client.get("/portal/big?bytes=65536").await.body;
        assert_eq!(piece.len(), 65536);
        let (before, _) = gateway.memory();
        let path = format!("/portal/big?bytes={LARGE}");
        let mut answer = client.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.content_length(), Some(LARGE), "{protocol}");
        let mut length = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            assert!(repeats(&piece, length, &chunk), "{protocol}: damaged after {length} bytes");
            length += chunk.len();
        }
        assert_eq!(length as u64, LARGE, "{protocol}");
        assert_growth(&gateway, before, protocol);
    }
}

/// R-G1: the same up: with a length and chunked, as a plain body and as a form's file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_streams() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let [(_, http1), (_, http2)] = gateway.both_protocols();
    let (http1, http2) = (http1.signed_in(&alice()).await, http2.signed_in(&alice()).await);
    let (before, _) = gateway.memory();
    let upload = |client: &Client, kind: &str| {
        client
            .request(Method::POST, "/portal/upload")
            .header("origin", &client.base)
            .header("content-type", kind)
    };
    let binary = "application/octet-stream";
    let body = Upload::of(LARGE, b"", b"");
    let with_length = upload(&http1, binary).header("content-length", LARGE);
    body.send(&http1, with_length, "HTTP/1.1").await;
    body.send(&http2, upload(&http2, binary), "HTTP/2").await;
    assert_growth(&gateway, before, "plain bodies");

    let head =
        b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let body = Upload::of(BOUND * 1024, head, b"\r\n--cut--\r\n");
    let form = upload(&http1, "multipart/form-data; boundary=cut");
    body.send(&http1, form, "a form's file, chunked").await;
    assert_growth(&gateway, before, "a form's file");
}

/// A body in pieces, and what the portal must say of it.
struct Upload {
    pieces: Vec<Bytes>,
    answer: Value,
}

impl Upload {
    fn of(length: u64, head: &'static [u8], tail: &'static [u8]) -> Self {
        let piece = Bytes::from_iter((0..MIB).map(|n| (n % 251) as u8));
        let mut pieces = vec![Bytes::from_static(head)];
        pieces.extend((0..length / MIB).map(|_| piece.clone()));
        pieces.push(Bytes::from_static(tail));
        let mut hash = Sha256::new();
        for piece in &pieces {
            hash.update(piece);
        }
        let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let length: usize = pieces.iter().map(Bytes::len).sum();
        Self { pieces, answer: json!({ "bytes": length, "sha256": sha256 }) }
    }

    async fn send(&self, client: &Client, request: RequestBuilder, what: &str) {
        let pieces = self.pieces.clone().into_iter().map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let answer = client.send(request.body(body)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(said, self.answer, "{what}");
    }
}

/// R-A2, R-G1: a large page streams although it carries a notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_page_with_a_notice_streams() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let (before, _) = gateway.memory();
        let path = format!("/portal/big?type=html&bytes={}", LARGE / 2);
        let mut answer = client.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.content_length(), None, "{protocol}");
        let first = answer.chunk().await.unwrap().unwrap();
        let mut length = first.len();
        let mut beginning = first.to_vec();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            length += chunk.len();
            if beginning.len() < 4096 {
                beginning.extend_from_slice(&chunk);
            }
        }
        let beginning = String::from_utf8_lossy(&beginning).into_owned();
        assert!(beginning.contains("id=\"passgate-notice\""), "{protocol}: {beginning:.1000}");
        assert!(length as u64 > LARGE / 2, "{protocol}");
        assert_growth(&gateway, before, protocol);
    }
}

/// R-G1: "SSE … stream through": an event arrives while the stream goes on.
#[tokio::test]
async fn an_event_arrives_when_it_happens() {
    let pbx = Pbx::with(|options| options.tick_every = Duration::from_secs(3600)).await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let request =
            client.request(Method::GET, "/portal/events").header("accept", "text/event-stream");
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream", "{protocol}");
        let mut event = String::new();
        while !event.contains("\n\n") {
            // The next event is an hour away: an answer that is held back never gets here.
            let chunk = answer.chunk().await.unwrap().expect("the stream goes on");
            event.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(event.contains("event: presence"), "{protocol}: {event}");
        assert!(event.contains(&alice().login), "{protocol}: {event}");
    }
}

/// R-A6: a stream of events tells nothing more when its session is over, or held back.
#[tokio::test]
async fn events_end_with_the_session() {
    let pbx = Pbx::with(|options| options.tick_every = Duration::from_millis(50)).await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let request =
            client.request(Method::GET, "/portal/events").header("accept", "text/event-stream");
        let mut answer = request.send().await.unwrap();
        assert!(answer.chunk().await.unwrap().is_some(), "{protocol}");
        assert_eq!(client.get("/portal/login/logout").await.status, 303, "{protocol}");
        let end = async { while let Ok(Some(_)) = answer.chunk().await {} };
        let ended = tokio::time::timeout(Duration::from_secs(10), end).await;
        assert!(ended.is_ok(), "{protocol}: the events go on");
    }
}

/// R-G1: what the PBX has written is with the client before the PBX goes on; also within a page
/// that a notice is put into.
#[tokio::test]
async fn the_beginning_of_an_answer_does_not_wait_for_its_end() {
    let pbx = Pbx::start().await;
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let scripted = Scripted::start(&pbx, "/portal/report", move |_, mut client| {
        let gate = Arc::clone(&gate);
        async move {
            let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
                         Transfer-Encoding: chunked\r\n\r\n\
                         20\r\n<html><body class=\"a\"><h1>Begin,\r\n";
            client.write_all(begin.as_bytes()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            client.write_all(b"12\r\n end</body></html>\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let mut answer = client.request(Method::GET, "/portal/report").send().await.unwrap();
        let mut page = String::new();
        while !page.contains("<h1>") {
            let chunk = answer.chunk().await.unwrap().expect("the page goes on");
            page.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(page.contains("id=\"passgate-notice\""), "{protocol}: {page}");
        go_on.add_permits(1);
        while let Some(chunk) = answer.chunk().await.unwrap() {
            page.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(page.ends_with("Begin, end</body></html>"), "{protocol}: {page}");
    }
}

/// R-G1: WebSocket: text, binary and large messages, to a signed-in user and nobody else.
#[tokio::test]
async fn a_websocket_echoes_through_a_session() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = gateway.client().signed_in(&alice()).await;
    let own = client.base.clone();
    let mut socket =
        Socket::open(&gateway, &client, "/portal/socket?ticks=off", Some(&own)).await.unwrap();
    let hello = socket.next().await.unwrap().into_text().unwrap();
    assert!(hello.contains(&alice().login), "{hello}");
    let large = Bytes::from(vec![7; 3 * 1024 * 1024]);
    for message in
        [Message::text("hällo"), Message::binary(large), Message::text(""), Message::text("end")]
    {
        socket.send(message.clone()).await;
        assert_eq!(socket.next().await, Some(message));
    }

    for foreign in ["https://evil.example", "null", "http://localhost.evil.example", "https://"] {
        let refused = Socket::open(&gateway, &client, "/portal/socket", Some(foreign)).await.err();
        assert_eq!(refused, Some(403), "{foreign}");
    }
    let stranger = gateway.client();
    let refused = Socket::open(&gateway, &stranger, "/portal/socket", Some(&own)).await.err();
    assert!(matches!(refused, Some(303 | 401 | 403)), "no session: {refused:?}");
    let opened = pbx.0.record().into_iter().filter(|r| r.path == "/portal/socket").count();
    assert_eq!(opened, 1, "only the own page's socket reached the PBX");
}

/// R-G1: graceful stop: who downloads when the gateway is told to stop gets the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_finishes_what_runs() {
    let pbx = Pbx::start().await;
    for number in 0..2 {
        let mut gateway = Gateway::start(&pbx).await;
        let (protocol, client) = gateway.both_protocols().into_iter().nth(number).unwrap();
        let client = client.signed_in(&alice()).await;
        let length = 40 * MIB;
        let path = format!("/portal/big?bytes={length}");
        let mut answer = client.request(Method::GET, &path).send().await.unwrap();
        let mut received = answer.chunk().await.unwrap().unwrap().len();
        gateway.ask_to_stop().await;
        // The buffers on the way hold far less than the rest: it is still running.
        while TcpStream::connect(gateway.https).await.is_ok() {
            tokio::task::yield_now().await;
        }
        while let Some(chunk) = answer.chunk().await.unwrap_or_else(|error| {
            panic!("{protocol}: {error:?} after {received} bytes\n{}", gateway.log())
        }) {
            received += chunk.len();
        }
        assert_eq!(received as u64, length, "{protocol}");
        drop(client);
        assert!(gateway.stopped().await, "{protocol}: {}", gateway.log());
    }
}

/// A client that goes away in the middle of an upload: the PBX sees no complete request, and
/// nothing is left behind.
#[tokio::test]
async fn an_upload_that_breaks_off() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = gateway.client().signed_in(&alice()).await;
    let mut raw = gateway.raw().await;
    let head = format!(
        "POST /portal/upload HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n\
         Cookie: {}\r\nContent-Type: application/octet-stream\r\nContent-Length: 10000000\r\n\r\n",
        client.cookie_header()
    );
    raw.send(head).await;
    raw.send(vec![1; 100_000]).await;
    let upload = || pbx.0.record().into_iter().find(|request| request.path == "/portal/upload");
    until(|| async { upload().is_some_and(|upload| upload.body_len > 0) }).await;
    drop(raw);
    let idle = || async { gateway.metrics().await.contains("passgate_requests_in_flight 0\n") };
    until(idle).await;
    let upload = upload().unwrap();
    assert!(upload.body_len <= 100_000, "{}", upload.body_len);
    assert_ne!(upload.status, Some(200));
    assert_eq!(client.get("/portal/home").await.status, 200);
}

/// `Expect: 100-continue` (RFC 9110 §10.1.1): the body is asked for, also by our own login.
#[tokio::test]
async fn a_client_that_waits_is_told_to_continue() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = gateway.client().signed_in(&alice()).await;
    let form = "data%5BLogin%5D%5Busername%5D=1001%40abc-company.11111.service\
                &data%5BLogin%5D%5Bpassword%5D=48151";
    for (path, kind, body, cookies, expected) in [
        ("/portal/upload", "application/octet-stream", "abc", client.cookie_header(), 200),
        ("/portal/login", "application/x-www-form-urlencoded", form, String::new(), 303),
    ] {
        let mut raw = gateway.raw().await;
        let cookies = if cookies.is_empty() { cookies } else { format!("Cookie: {cookies}\r\n") };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n{cookies}\
             Content-Type: {kind}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        raw.send(head).await;
        let interim = raw.head().await;
        assert!(interim.starts_with("HTTP/1.1 100 "), "{path}: {interim}");
        raw.send(body).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, expected, "{path}: {}", answer.head);
    }
    let uploads = pbx.0.record().into_iter().filter(|request| request.path == "/portal/upload");
    assert_eq!(uploads.map(|request| request.body_len).collect::<Vec<_>>(), [3]);
}

fn assert_growth(gateway: &Gateway, before: u64, what: &str) {
    let (_, highest) = gateway.memory();
    let growth = highest.saturating_sub(before);
    assert!(growth < BOUND, "{what}: the process grew by {growth} KiB");
}

/// Whether `chunk` is what stands at `offset` in the endless repetition of `piece`.
fn repeats(piece: &[u8], offset: usize, mut chunk: &[u8]) -> bool {
    let mut at = offset % piece.len();
    while !chunk.is_empty() {
        let length = chunk.len().min(piece.len() - at);
        if chunk[..length] != piece[at..at + length] {
            return false;
        }
        (at, chunk) = (0, &chunk[length..]);
    }
    true
}
