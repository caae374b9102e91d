//! HTTP/2 abuse, with frames made by hand.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::support::{Gateway, eventually, gateway, read_to_close, soon, upstream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET /held` for localhost, in HPACK: static names, literal values.
fn get_held() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, 5];
    block.extend(b"/held");
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    block
}

async fn h2(gateway: &Gateway) -> TlsStream<TcpStream> {
    let mut client = gateway.connect("h2").await;
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    client
}

/// The payload of the next frame of `kind`.
async fn next(client: &mut TlsStream<TcpStream>, kind: u8) -> Vec<u8> {
    soon("a frame", async {
        loop {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            client.read_exact(&mut payload).await.unwrap();
            if head[3] == kind {
                return payload;
            }
        }
    })
    .await
}

/// h2: ≤ 100 streams, header list ≤ 32 KiB, as announced to every client.
#[tokio::test]
async fn limits_are_announced() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let settings = next(&mut h2(&gateway).await, SETTINGS).await;
    let announced = |id: u16| {
        settings
            .chunks(6)
            .find(|entry| u16::from_be_bytes([entry[0], entry[1]]) == id)
            .map(|entry| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    assert_eq!(announced(3), Some(100), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(announced(6), Some(32 * 1024), "SETTINGS_MAX_HEADER_LIST_SIZE");
}

/// Rapid reset (CVE-2023-44487) survived: the connection ends, others are served.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let (upstream, _) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let mut client = h2(&gateway).await;
    let mut flood = Vec::new();
    for stream in (1..4000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_held()));
        flood.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
    }
    // The write may fail half-way: that is what is wanted.
    let _ = client.write_all(&flood).await;
    read_to_close(&mut client).await;
    eventually("its place is free", || gateway.connections.open() == 0).await;
    let answer = gateway.browser(true).get(gateway.url("/hello")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
}

/// CONTINUATION flood (CVE-2024-27316) survived: the connection ends.
#[tokio::test]
async fn continuation_floods_end_the_connection() {
    let (upstream, noticed) = upstream().await;
    let gateway = gateway(upstream, |_| {});
    let mut client = h2(&gateway).await;
    let mut block = get_held();
    // One literal field of about 1 KiB, again and again.
    let mut field = vec![0x00, 1, b'x', 0x7f, 0x80 | 0x01, 7];
    field.extend(vec![b'y'; 127 + 1 + (7 << 7)]);
    block.extend(&field);
    client.write_all(&frame(HEADERS, END_STREAM, 1, &block)).await.unwrap();
    for _ in 0..4000 {
        if client.write_all(&frame(CONTINUATION, 0, 1, &field)).await.is_err() {
            break;
        }
    }
    read_to_close(&mut client).await;
    eventually("its place is free", || gateway.connections.open() == 0).await;
    assert!(noticed.paths.lock().is_empty());
}
