//! Which answers are pages that something can be put into, and what their headers lose.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::ContentCoding;
use crate::gateway::charset::{charset_of, hides_ascii};

/// Fields that the PBX does not get with a request whose answer may be changed: the answer must be
/// whole and fresh, or a notice would stay away or stay on (R-A2). Without `Accept-Encoding` most
/// pages need not be unpacked.
pub const REQUEST_FIELDS_THAT_GO: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

/// Fields of the answer that are no longer true of a changed page. Besides, `Cache-Control`
/// becomes `no-store`.
pub const RESPONSE_FIELDS_THAT_GO: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::EXPIRES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Whether a request may be answered with a page that a person looks at: not parts of pages that
/// scripts fetch, not images, not frames inside a page.
pub fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::POST) || headers.contains_key(header::UPGRADE) {
        return false;
    }
    if let Some(destination) = headers.get("sec-fetch-dest") {
        return matches!(destination.as_bytes(), b"document" | b"frame");
    }
    if headers.contains_key("x-requested-with") {
        return false;
    }
    match headers.get(header::ACCEPT).map(|accept| accept.to_str()) {
        None => true,
        Some(Ok(accept)) => {
            ["text/html", "application/xhtml+xml", "*/*", "text/*"].iter().any(|kind| {
                accept.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case(kind))
            })
        }
        Some(Err(_)) => false,
    }
}

/// Whether this answer to a request that [`wants_page`] is a whole HTML page which we can unpack
/// and whose character set contains ASCII.
pub fn injectable(method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
    *method != Method::HEAD
        && status == StatusCode::OK
        && is_html(headers)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !is_attachment(headers)
        && headers.get_all(header::CONTENT_ENCODING).iter().count() <= 1
        && ContentCoding::of(headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes))
            .is_some()
}

fn is_html(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str())
    else {
        return false;
    };
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/html")
        && !charset_of(content_type).is_some_and(hides_ascii)
}

fn is_attachment(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_DISPOSITION).is_some_and(|value| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        !kind.trim_ascii().eq_ignore_ascii_case(b"inline")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), value.parse().expect("header value"))
        });
        pairs.collect()
    }

    #[test]
    fn whole_html_pages_qualify_and_nothing_else() {
        let html = ("content-type", "text/html; charset=utf-8");
        let ok = |fields: &[_]| injectable(&Method::GET, StatusCode::OK, &headers(fields));
        assert!(ok(&[html]) && ok(&[("content-type", "TEXT/HTML")]));
        assert!(ok(&[html, ("content-encoding", "gzip")]));
        assert!(ok(&[html, ("content-disposition", "inline; filename=x.html")]));
        assert!(ok(&[("content-type", "text/html; charset=\"iso-8859-1\"")]));
        for fields in [
            &[][..],
            &[("content-type", "application/json")],
            &[("content-type", "text/htmlx")],
            &[("content-type", "application/xhtml+xml")],
            &[("content-type", "text/html; charset=UTF-16LE")],
            &[("content-type", "text/html;charset='utf-7'")],
            &[html, ("content-encoding", "zstd")],
            &[html, ("content-encoding", "gzip, br")],
            &[html, ("content-disposition", "attachment; filename=x.html")],
            &[html, ("content-range", "bytes 0-1/2")],
        ] {
            assert!(!ok(fields), "{fields:?}");
        }
        assert!(!injectable(&Method::HEAD, StatusCode::OK, &headers(&[html])));
        for status in [204, 206, 302, 304, 404, 500] {
            let status = StatusCode::from_u16(status).expect("status");
            assert!(!injectable(&Method::GET, status, &headers(&[html])), "{status}");
        }
    }

    /// R-A2: every portal *page*; fragments that scripts fetch stay as they are.
    #[test]
    fn only_what_a_person_looks_at_wants_a_page() {
        let get = |fields: &[_]| wants_page(&Method::GET, &headers(fields));
        let navigation = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(get(&[]) && get(&[navigation]) && get(&[("accept", "*/*")]));
        assert!(get(&[("sec-fetch-dest", "document")]) && get(&[("sec-fetch-dest", "frame")]));
        assert!(wants_page(&Method::POST, &headers(&[navigation])));
        for fields in [
            &[("sec-fetch-dest", "empty"), navigation][..],
            &[("sec-fetch-dest", "iframe"), navigation],
            &[("sec-fetch-dest", "image")],
            &[("x-requested-with", "XMLHttpRequest"), navigation],
            &[("accept", "application/json")],
            &[("upgrade", "websocket")],
        ] {
            assert!(!get(fields), "{fields:?}");
        }
        assert!(!wants_page(&Method::HEAD, &headers(&[navigation])));
        assert!(!wants_page(&Method::PUT, &headers(&[navigation])));
    }
}
