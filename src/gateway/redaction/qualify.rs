//! Which answers are read, and what headers lose by it.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::{Redactor, Unreadable};
use crate::gateway::notice::ContentCoding;
use crate::profile::Redaction;

/// Fields that the PBX does not get with a request whose answer is read: it must be whole, and is
/// best not packed.
pub const REQUEST_FIELDS_THAT_GO: [HeaderName; 3] =
    [header::ACCEPT_ENCODING, header::RANGE, header::IF_RANGE];

/// Fields of the answer that are no longer true of it.
pub const RESPONSE_FIELDS_THAT_GO: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// What reads this answer; `None` if it has no body.
///
/// # Errors
/// [`Unreadable`] for parts of an answer, and for codings that we do not unpack.
pub fn begin(
    rule: &Arc<Redaction>,
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Redactor>, Unreadable> {
    let bodiless = status.is_informational() || matches!(status.as_u16(), 204 | 304);
    if *method == Method::HEAD || bodiless {
        return Ok(None);
    }
    if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(header::CONTENT_RANGE) {
        return Err(Unreadable("a part that nobody asked for"));
    }
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let coding = ContentCoding::of(coding)
        .filter(|_| headers.get_all(header::CONTENT_ENCODING).iter().count() <= 1)
        .ok_or(Unreadable("an unknown content coding"))?;
    Ok(Some(Redactor::new(Arc::clone(rule), coding, says_json(headers))))
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let Some((_, subtype)) = kind.split_once('/') else { return false };
    let subtype = subtype.to_ascii_lowercase();
    subtype == "json" || subtype.ends_with("+json")
}

/// A strong `ETag` (RFC 9110 §8.8.1) promises the PBX's very bytes; as a weak one it stays true.
/// `None`: it can stay as it is.
pub fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.as_bytes();
    let strong = !tag.starts_with(b"W/");
    strong.then(|| HeaderValue::from_bytes(&[b"W/", tag].concat()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, method: Method, fields: &[(&'static str, &'static str)]) -> &'static str {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        match begin(&Arc::default(), &method, status, &headers.collect()) {
            Ok(Some(_)) => "read",
            Ok(None) => "passed",
            Err(_) => "refused",
        }
    }

    /// What has no body passes; what cannot be read as a whole is refused.
    #[test]
    fn answers_are_read_whole_or_not_let_through() {
        for (status, method, fields, expected) in [
            (200, Method::GET, &[][..], "read"),
            (200, Method::PUT, &[("content-encoding", "gzip")], "read"),
            (500, Method::GET, &[], "read"),
            (200, Method::HEAD, &[], "passed"),
            (204, Method::GET, &[], "passed"),
            (304, Method::GET, &[], "passed"),
            (101, Method::GET, &[], "passed"),
            (206, Method::GET, &[], "refused"),
            (200, Method::GET, &[("content-range", "bytes 0-1/2")], "refused"),
            (200, Method::GET, &[("content-encoding", "zstd")], "refused"),
            (200, Method::GET, &[("content-encoding", "gzip, br")], "refused"),
        ] {
            assert_eq!(read(status, method, fields), expected, "{status} {fields:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        twice.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(begin(&Arc::default(), &Method::GET, StatusCode::OK, &twice).is_err());
    }

    #[test]
    fn strong_tags_become_weak() {
        let value = HeaderValue::from_static;
        assert_eq!(weakened(&value("\"a\"")), Some(value("W/\"a\"")));
        assert_eq!(weakened(&value("W/\"a\"")), None);
    }
}
