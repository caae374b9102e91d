//! Answers of the portal: pages, redirects, JSON, files; validators, ranges and compression.

use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::sessions::hex;

/// Marks an answer whose body is in memory and may be compressed.
#[derive(Clone)]
struct Text(Bytes);

pub(super) fn html(page: String) -> Response<Body> {
    text(StatusCode::OK, "text/html; charset=UTF-8", page.into())
}

pub(super) fn plain(status: StatusCode, message: &str) -> Response<Body> {
    text(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(message.as_bytes()))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    text(status, "application/json", body.into())
}

pub(super) fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body.clone()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.extensions_mut().insert(Text(body));
    response
}

/// `302 Found`, which is all these portals know.
pub(super) fn redirect(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Adds a `Set-Cookie` with the `Domain` and without the `Secure` that PBXs send.
pub(super) fn set_cookie(
    response: &mut Response<Body>,
    asked: &HeaderMap,
    name: &str,
    value: &str,
    more: &str,
) {
    let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let domain = if host.is_empty() || host.starts_with('[') {
        String::new()
    } else {
        format!("; domain={host}")
    };
    let cookie = format!("{name}={value}; path=/{domain}{more}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The value of a cookie that the client sent; the last one of that name, as PHP before 5.5 reads it.
pub(super) fn cookie<'a>(asked: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = asked.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
    let mut named = texts.filter_map(|pair| pair.trim().split_once('='));
    named.rfind(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A file or page with a validator: answers `If-None-Match` with 304 and one byte range with 206.
pub(super) fn validated(
    asked: &HeaderMap,
    kind: &'static str,
    body: Bytes,
    caching: &'static str,
) -> Response<Body> {
    let etag = format!("\"{}\"", &hex(&Sha256::digest(&body))[..16]);
    let matches = asked.get(header::IF_NONE_MATCH).is_some_and(|sent| {
        let sent = String::from_utf8_lossy(sent.as_bytes()).into_owned();
        sent.trim() == "*" || sent.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
    });
    let length = body.len();
    let mut response = if matches {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else if let Some((from, to)) = range(asked, length) {
        let mut response = Response::new(Body::from(body.slice(from..=to)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Ok(value) = HeaderValue::from_str(&format!("bytes {from}-{to}/{length}")) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    } else {
        text(StatusCode::OK, kind, body)
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// First and last byte of a single, satisfiable `Range`; anything else is ignored (RFC 9110 §14.2).
fn range(asked: &HeaderMap, length: usize) -> Option<(usize, usize)> {
    let range = asked.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (from, to) = range.split_once('-')?;
    let last = length.checked_sub(1)?;
    match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to && from <= last => Some((from, to.min(last))),
        (Ok(from), Err(_)) if to.is_empty() && from <= last => Some((from, last)),
        (Err(_), Ok(count)) if from.is_empty() && count > 0 => {
            Some((length.saturating_sub(count), last))
        }
        _ => None,
    }
}

/// Compresses an in-memory text answer if the client takes gzip.
pub(super) fn compress(asked: &HeaderMap, response: &mut Response<Body>) {
    let Some(Text(body)) = response.extensions_mut().remove::<Text>() else { return };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let takes_gzip = asked.get_all(header::ACCEPT_ENCODING).iter().any(|field| {
        let field = String::from_utf8_lossy(field.as_bytes()).to_lowercase();
        field.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            name.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00")
        })
    });
    if !takes_gzip || body.len() < 256 {
        return;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let Ok(packed) = encoder.write_all(&body).and_then(|()| encoder.finish()) else { return };
    *response.body_mut() = Body::from(packed);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let weak = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok());
    if let Some(Ok(weak)) = weak.map(|etag| HeaderValue::from_str(&format!("W/{etag}"))) {
        headers.insert(header::ETAG, weak);
    }
}
