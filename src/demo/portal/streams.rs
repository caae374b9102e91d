//! Long and odd answers: WebSocket, event stream, uploads and downloads, redirects to itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures::{Stream, StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::server::Call;
use super::sessions::hex;
use super::{answer, api};

/// The pieces that `/portal/big` is made of.
const PIECE: usize = 64 * 1024;
/// Longest download.
const MAX_DOWNLOAD: u64 = 4 * 1024 * 1024 * 1024;

/// Whether the request asks for the WebSocket of portal or API, whose connection must not be read
/// here.
pub(super) fn is_websocket(path: &str, parts: &Parts) -> bool {
    matches!(path, "/portal/socket" | "/ns-api/v2/socket")
        && parts
            .headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers what streams or redirects. `None`: another page was asked for.
///
/// But for the WebSocket and the event stream these paths do not ask who is signed in, so that a
/// proxy that lets a stranger through is seen.
pub(super) async fn respond(call: &Call, mut parts: Parts, body: Body) -> Option<Response<Body>> {
    Some(match call.path.as_str() {
        "/portal/socket" => websocket(call, &mut parts).await,
        "/portal/events" => events(call),
        "/portal/upload" => upload(call, body).await,
        "/portal/big" => big(call),
        "/portal/chunked" => chunked(call),
        "/portal/slow" => slow(call).await,
        "/portal/redirect/absolute" => {
            answer::redirect(&format!("{}/portal/home?from=absolute", call.state.own_url()))
        }
        "/portal/redirect/host" => {
            let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            answer::redirect(&format!(
                "http://{}/portal/home?from=host",
                host.unwrap_or("localhost")
            ))
        }
        "/portal/redirect/alias" => {
            answer::redirect(&format!("{}/portal/home?from=alias", call.state.options.alias))
        }
        "/portal/redirect/relative" => answer::redirect("../home?from=relative"),
        "/portal/redirect/foreign" => answer::redirect("https://www.example.org/elsewhere"),
        "/portal/redirect/refresh" => refresh(call),
        _ => return None,
    })
}

/// The same for applications, which come with a token.
pub(super) async fn respond_to_app(call: &Call, mut parts: Parts) -> Option<Response<Body>> {
    Some(match call.path.as_str() {
        "/ns-api/v2/socket" => websocket(call, &mut parts).await,
        "/ns-api/v2/events" => events(call),
        _ => return None,
    })
}

fn listener(call: &Call) -> Option<String> {
    match call.path.starts_with("/ns-api/") {
        true => api::caller(call).map(|user| user.login()),
        false => call.user(),
    }
}

async fn websocket(call: &Call, parts: &mut Parts) -> Response<Body> {
    let Some(login) = listener(call) else {
        return answer::plain(StatusCode::UNAUTHORIZED, "sign in first");
    };
    let ticks = call.fields.value("ticks") != Some("off");
    let tick_every = ticks.then_some(call.state.options.tick_every);
    let stop = call.state.stop.clone();
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| talk(socket, login, tick_every, stop)),
        Err(rejection) => rejection.into_response(),
    }
}

/// Greets, sends every text or binary message back as it is, and ticks.
async fn talk(
    mut socket: WebSocket,
    login: String,
    tick_every: Option<Duration>,
    stop: CancellationToken,
) {
    let greeting = json!({ "type": "hello", "user": login }).to_string();
    if socket.send(Message::Text(greeting.into())).await.is_err() {
        return;
    }
    let mut count = 0_u64;
    loop {
        let tick = async {
            match tick_every {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let sent = tokio::select! {
            () = stop.cancelled() => return,
            () = tick => {
                count += 1;
                let tick = json!({ "type": "tick", "count": count }).to_string();
                socket.send(Message::Text(tick.into())).await
            }
            message = socket.recv() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    socket.send(message).await
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

fn events(call: &Call) -> Response<Body> {
    let Some(login) = listener(call) else {
        return answer::plain(StatusCode::UNAUTHORIZED, "sign in first");
    };
    let every = call.state.options.tick_every;
    let ticks = stream::unfold(0_u64, move |count| {
        let login = login.clone();
        async move {
            if count > 0 {
                tokio::time::sleep(every).await;
            }
            let data = json!({ "count": count, "user": login }).to_string();
            let event = Event::default().event("presence").id(count.to_string()).data(data);
            Some((Ok::<_, Infallible>(event), count + 1))
        }
    });
    Sse::new(ticks.take_until(call.state.stop.clone().cancelled_owned())).into_response()
}

/// Counts and hashes a body as it comes, without keeping it.
async fn upload(call: &Call, body: Body) -> Response<Body> {
    let (mut bytes, mut hash) = (0_u64, Sha256::new());
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            return answer::plain(StatusCode::BAD_REQUEST, "the upload broke off");
        };
        bytes += piece.len() as u64;
        hash.update(&piece);
        call.note.body(&piece);
    }
    let sha256 = hex(&hash.finalize());
    answer::json(StatusCode::OK, &json!({ "bytes": bytes, "sha256": sha256 }))
}

/// `?bytes=N` bytes; with `type=html` as a page.
fn big(call: &Call) -> Response<Body> {
    let length = call.fields.number("bytes", 1_000_000).min(MAX_DOWNLOAD);
    let is_page = call.fields.value("type") == Some("html");
    let head: &[u8] = if is_page {
        b"<!DOCTYPE html>\n<html><head><title>Big page</title></head><body><h1>Big page</h1><pre>\n"
    } else {
        b""
    };
    let tail: &[u8] = if is_page { b"</pre></body></html>\n" } else { b"" };
    let frame = (head.len() + tail.len()) as u64;
    let filling = length.saturating_sub(frame);
    let kind = if is_page { "text/html; charset=UTF-8" } else { "application/octet-stream" };
    let pieces = stream::once(async move { Bytes::from_static(head) })
        .chain(filler(filling))
        .chain(stream::once(async move { Bytes::from_static(tail) }))
        .map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(filling + frame));
    response
}

fn filler(length: u64) -> impl Stream<Item = Bytes> {
    let line = b"0123456789 the quick brown fox jumps over the lazy dog 0123456\n";
    let piece: Bytes = line.iter().copied().cycle().take(PIECE).collect();
    stream::unfold(length, move |left| {
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let next = piece.slice(..size);
        async move { (left > 0).then(|| (next, left - size as u64)) }
    })
}

/// A page in small pieces (`?pieces=N&pause_ms=M`), cut without regard to tags.
fn chunked(call: &Call) -> Response<Body> {
    let count = usize::try_from(call.fields.number("pieces", 20)).unwrap_or(20).clamp(1, 1000);
    let pause = Duration::from_millis(call.fields.number("pause_ms", 0).min(60_000));
    let rows: String =
        (1..=60).map(|row| format!("<tr><td>{row}</td><td>Row {row}</td></tr>\n")).collect();
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>In pieces</title>\
         </head>\n<body class=\"report\">\n<h1>Call report</h1>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    );
    let page = Bytes::from(page);
    let size = page.len().div_ceil(count);
    let pieces: Vec<Bytes> =
        (0..page.len()).step_by(size).map(|at| page.slice(at..page.len().min(at + size))).collect();
    let pieces = stream::iter(pieces).then(move |piece| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok::<_, Infallible>(piece)
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let kind = HeaderValue::from_static("text/html; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn slow(call: &Call) -> Response<Body> {
    let wait = call.fields.number("ms", 2000).min(600_000);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    answer::plain(StatusCode::OK, "done at last\n")
}

fn refresh(call: &Call) -> Response<Body> {
    let mut response = answer::html("<!DOCTYPE html><title>Moving on</title>Moving on…".into());
    let target = format!("0; url={}/portal/home?from=refresh", call.state.own_url());
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert("refresh", target);
    }
    response
}
