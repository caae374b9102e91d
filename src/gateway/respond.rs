//! Writing our own answers: an `http` response goes out through Pingora, on h1 and h2 alike.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

/// Writes a complete answer. `HEAD` gets the headers only.
pub(super) async fn write(session: &mut Session, response: Response<Bytes>) -> pingora::Result<()> {
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 2))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    if !matches!(parts.status.as_u16(), 204 | 304) {
        head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    let bodiless = session.req_header().method == Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// What came of reading a bounded request body.
pub(super) enum BodyRead {
    /// All of it.
    Complete(Bytes),
    /// More than allowed; a bounded rest was read so that the client sees the answer.
    TooLarge,
}

/// How much of an over-long body is read and thrown away, so that the answer arrives before the
/// connection closes.
const DRAINED: usize = 1024 * 1024;

/// Reads a body of at most `limit` bytes within `stall` per piece.
pub(super) async fn read_body(
    session: &mut Session,
    limit: usize,
    stall: Duration,
) -> pingora::Result<BodyRead> {
    let declared = session
        .req_header()
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) && expects_continue(session) {
        // The client waits for our word: it never has to send what we would not take.
        return Ok(BodyRead::TooLarge);
    }
    if expects_continue(session) {
        session.as_downstream_mut().write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    let mut dropped = 0;
    loop {
        let piece = tokio::time::timeout(stall, session.read_request_body()).await;
        let piece =
            piece.map_err(|_| Error::explain(ErrorType::HTTPStatus(408), "body stalled"))?;
        let Some(piece) = piece? else { break };
        if body.len() + piece.len() > limit {
            dropped += body.len() + piece.len();
            body.clear();
        } else if dropped == 0 {
            body.extend_from_slice(&piece);
        } else {
            dropped += piece.len();
        }
        if dropped > DRAINED {
            break;
        }
    }
    if dropped > 0 { Ok(BodyRead::TooLarge) } else { Ok(BodyRead::Complete(body.freeze())) }
}

fn expects_continue(session: &Session) -> bool {
    let head = session.req_header();
    head.version == http::Version::HTTP_11
        && head
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
