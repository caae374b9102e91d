//! The admin API over its Unix socket, as the command line uses it.

use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// One call; the answer's status and JSON (null when there is none).
pub async fn call(socket: &Path, method: &str, path: &str, content: Content<'_>) -> (u16, Value) {
    let stream = UnixStream::connect(socket).await.expect("the admin socket answers");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (media_type, body) = match content {
        Content::None => ("application/json", String::new()),
        Content::Json(value) => ("application/json", value.to_string()),
        Content::Csv(text) => ("text/csv", text.to_owned()),
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "admin")
        .header("content-type", media_type)
        .body(Full::new(bytes::Bytes::from(body)))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub enum Content<'a> {
    None,
    Json(Value),
    Csv(&'a str),
}
