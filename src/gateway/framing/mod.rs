//! Strict HTTP/1 framing [RFC 9110, RFC 9112]: what could be read in two ways is not read at all.
//!
//! Two looks at each request. [`HeadScanner`] sees the bytes of an HTTP/1 head before any parser
//! does: line ends, folding, white space, sizes, and the fields that decide where the message
//! ends (Pingora drops `Content-Length` beside `Transfer-Encoding` before the pipeline sees it).
//! [`check`] looks at the parsed header, on h1 and h2, at what needs whole values: Host.

mod h2_heads;
mod head;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri, Version, header};

pub use self::h2_heads::HeaderBlocks;
pub use self::head::{HeadScanner, Progress};

/// Largest header block in bytes, request line included.
pub const MAX_HEAD: usize = 32 * 1024;
/// Most header fields of one request.
pub const MAX_FIELDS: usize = 100;

/// Why a request's framing is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The request line is not `method SP target SP HTTP/1.x`.
    #[error("bad request line")]
    RequestLine,
    /// HTTP/0.9, HTTP/2 in clear text, or nonsense.
    #[error("bad HTTP version")]
    Version,
    /// A line ends in LF alone, or CR stands alone (RFC 9112 §2.2).
    #[error("bare CR or LF")]
    LineEnd,
    /// A header line that continues the one before it (RFC 9112 §5.2).
    #[error("folded header line")]
    Fold,
    /// A field name with a character that is not allowed, or white space before the colon
    /// (RFC 9112 §5.1).
    #[error("bad field name")]
    FieldName,
    /// A field value with a control character.
    #[error("bad field value")]
    FieldValue,
    /// More than [`MAX_HEAD`] bytes.
    #[error("header block too large")]
    TooLarge,
    /// More than [`MAX_FIELDS`] fields.
    #[error("too many header fields")]
    TooManyFields,
    /// `Content-Length` that is not one number, or given twice (RFC 9112 §6.3).
    #[error("bad Content-Length")]
    ContentLength,
    /// `Transfer-Encoding` that is not exactly `chunked`, or comes with HTTP/1.0 (RFC 9112 §6.1).
    #[error("bad Transfer-Encoding")]
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.3).
    #[error("Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// No Host, more than one, or one that is not a host (RFC 9112 §3.2).
    #[error("bad Host")]
    Host,
    /// The target names another host than the Host field.
    #[error("Host differs from the request target")]
    HostMismatch,
    /// The target is neither a path nor an absolute URI (RFC 9112 §3.2).
    #[error("bad request target")]
    Target,
    /// TRACE and CONNECT are not for a gateway like this one.
    #[error("method not allowed")]
    Method,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks a parsed request header, of h1 or h2.
///
/// # Errors
/// What is wrong with it first.
pub fn check(head: &Parts) -> Result<(), Refusal> {
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(Refusal::Method);
    }
    check_size(head)?;
    check_lengths(&head.headers, head.version)?;
    check_host(head)
}

fn check_size(head: &Parts) -> Result<(), Refusal> {
    if head.headers.len() > MAX_FIELDS {
        return Err(Refusal::TooManyFields);
    }
    // As a line of h1: name, colon, space, value, CR LF.
    let fields: usize = head.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if fields + target > MAX_HEAD {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}

fn check_lengths(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Refusal::ContentLength);
    }
    if let Some(length) = length {
        let digits = length.as_bytes();
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::ContentLength);
        }
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(()) };
    if length.is_some() {
        return Err(Refusal::TwoLengths);
    }
    let sound = version == Version::HTTP_11
        && encodings.next().is_none()
        && encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if sound { Ok(()) } else { Err(Refusal::TransferEncoding) }
}

fn check_host(head: &Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Host);
    }
    let host = match host {
        Some(host) => {
            let host = host.to_str().map_err(|_| Refusal::Host)?;
            if !is_host(host) {
                return Err(Refusal::Host);
            }
            Some(host)
        }
        None if head.version == Version::HTTP_2 => None,
        None => return Err(Refusal::Host),
    };
    match (host, target_authority(&head.uri, &head.method)?) {
        (None, None) => Err(Refusal::Host),
        (_, Some(authority)) if !is_host(authority) => Err(Refusal::Host),
        (Some(host), Some(authority)) if !same_host(host, authority) => Err(Refusal::HostMismatch),
        _ => Ok(()),
    }
}

/// The authority that the target itself names: `:authority` on h2, absolute-form on h1 (which
/// Pingora leaves inside the path).
fn target_authority<'u>(uri: &'u Uri, method: &Method) -> Result<Option<&'u str>, Refusal> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if target.starts_with('/') || (target == "*" && method == Method::OPTIONS) {
        return Ok(None);
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Target);
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    Ok(Some(&rest[..end]))
}

/// A name, an IPv4 address or a bracketed IPv6 address, with an optional port. No user
/// information, no escapes.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((inside, port)) = rest.split_once(']') else { return false };
            if inside.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port)
        }
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port_is_sound = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let of_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    port_is_sound && !name.is_empty() && name.len() <= 255 && name.bytes().all(of_a_name)
}

fn same_host(one: &str, other: &str) -> bool {
    without_default_port(one).eq_ignore_ascii_case(without_default_port(other))
}

fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":443").unwrap_or(host)
}

/// What must hold for every head, in whatever pieces of `size` bytes it arrives; called by the fuzz
/// target and by the replaying test.
#[doc(hidden)]
pub fn check_properties(head: &[u8], size: usize) {
    let size = size.max(1);
    let at_once = HeadScanner::new().scan(head);
    let mut scanner = HeadScanner::new();
    let mut in_pieces = scanner.scan(b"");
    for piece in head.chunks(size) {
        in_pieces = scanner.scan(piece);
        if in_pieces.is_err() {
            break;
        }
    }
    assert_eq!(at_once, in_pieces, "{}", head.escape_ascii());

    let (mut one, mut other) = (HeaderBlocks::new(), HeaderBlocks::new());
    one.follow(head);
    for piece in head.chunks(size) {
        other.follow(piece);
    }
    assert_eq!(one.is_partial(), other.is_partial(), "{}", head.escape_ascii());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::replay;

    /// How a head is cut does not change what becomes of it.
    #[test]
    fn replay_heads_mean_the_same_however_they_are_cut() {
        const PIECES: &[&str] = &[
            "GET / HTTP/1.1\r\n",
            "POST http://a/ HTTP/1.0\r\n",
            "Host: a\r\n",
            "Host : a\r\n",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "X: y\n",
            " folded\r\n",
            "Upgrade: websocket\r\n",
            "\r\n",
            "\r",
            "\n",
            "\0",
            ":",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\0\0\u{4}\u{1}\0\0\0\0\u{1}abcd",
        ];
        let mut draw = replay::Draw::seeded(11);
        replay::pieces(PIECES, 20_000, |head| check_properties(head.as_bytes(), draw.below(9)));
    }

    fn parts(
        version: Version,
        method: &str,
        target: &str,
        fields: &[(&'static str, &str)],
    ) -> Parts {
        let uri = if target.contains("://") && version != Version::HTTP_2 {
            // As Pingora does it: the whole absolute form is left in the path.
            match Uri::builder().path_and_query(target).build() {
                Ok(uri) => uri,
                Err(_) => target.parse().unwrap(),
            }
        } else {
            target.parse().unwrap()
        };
        let mut request =
            http::Request::builder().version(version).method(method).uri(uri).body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request.into_parts().0
    }

    fn h1(target: &str, fields: &[(&'static str, &str)]) -> Result<(), Refusal> {
        check(&parts(Version::HTTP_11, "GET", target, fields))
    }

    /// Missing, double or malformed Host → 400.
    #[test]
    fn host_is_one_host() {
        assert_eq!(h1("/", &[("host", "portal.example.com")]), Ok(()));
        assert_eq!(h1("/", &[("host", "portal.example.com:8443")]), Ok(()));
        assert_eq!(h1("/", &[("host", "[2001:db8::1]:443")]), Ok(()));
        assert_eq!(h1("/", &[]), Err(Refusal::Host));
        assert_eq!(h1("/", &[("host", "a"), ("host", "a")]), Err(Refusal::Host));
        for bad in ["", "a b", "a/b", "u@h", "a:b", "a:99999", "[::1", "[x]", "a:1:2", "a,b", "%61"]
        {
            assert_eq!(h1("/", &[("host", bad)]), Err(Refusal::Host), "{bad:?}");
        }
    }

    /// Host ≠ absolute-form → 400; on h2 Host ≠ :authority.
    #[test]
    fn host_and_target_agree() {
        let host = [("host", "portal.example.com")];
        assert_eq!(h1("https://portal.example.com/x", &host), Ok(()));
        assert_eq!(h1("https://PORTAL.example.com:443/x", &host), Ok(()));
        assert_eq!(h1("https://evil.example/x", &host), Err(Refusal::HostMismatch));
        assert_eq!(h1("https://portal.example.com@evil/x", &host), Err(Refusal::Host));
        let h2 = |target: &str, fields: &[(&'static str, &str)]| {
            check(&parts(Version::HTTP_2, "GET", target, fields))
        };
        assert_eq!(h2("https://portal.example.com/x", &[]), Ok(()));
        assert_eq!(h2("https://portal.example.com/x", &host), Ok(()));
        assert_eq!(h2("https://evil.example/x", &host), Err(Refusal::HostMismatch));
    }

    /// CL+TE, differing CL, bad TE, HTTP/1.0+TE → 400.
    #[test]
    fn one_length() {
        let with = |version, fields: &[(&'static str, &str)]| {
            let mut all = vec![("host", "a")];
            all.extend_from_slice(fields);
            check(&parts(version, "POST", "/", &all))
        };
        let h1 = Version::HTTP_11;
        let (cl, te) = ("content-length", "transfer-encoding");
        assert_eq!(with(h1, &[(cl, "5")]), Ok(()));
        assert_eq!(with(h1, &[(te, "Chunked")]), Ok(()));
        assert_eq!(with(h1, &[(cl, "5"), (te, "chunked")]), Err(Refusal::TwoLengths));
        assert_eq!(with(h1, &[(cl, "5"), (cl, "6")]), Err(Refusal::ContentLength));
        for bad in ["+5", "5, 5", "0x5", "", "-1", "99999999999999999999"] {
            assert_eq!(with(h1, &[(cl, bad)]), Err(Refusal::ContentLength), "{bad}");
        }
        for bad in ["gzip, chunked", "xchunked", "identity", "chunked;x=1"] {
            assert_eq!(with(h1, &[(te, bad)]), Err(Refusal::TransferEncoding), "{bad}");
        }
        assert_eq!(with(Version::HTTP_10, &[(te, "chunked")]), Err(Refusal::TransferEncoding));
    }

    /// TRACE and CONNECT refused; header block ≤ 32 KiB and 100 fields.
    #[test]
    fn methods_and_sizes() {
        let host = ("host", "a");
        let refused = |method| check(&parts(Version::HTTP_11, method, "/", &[host]));
        assert_eq!(refused("TRACE"), Err(Refusal::Method));
        assert_eq!(refused("CONNECT"), Err(Refusal::Method));
        let many: Vec<_> = std::iter::once(host).chain((0..100).map(|_| ("x", "1"))).collect();
        assert_eq!(h1("/", &many), Err(Refusal::TooManyFields));
        assert_eq!(h1("/", &many[..100]), Ok(()));
        let large = "a".repeat(MAX_HEAD);
        assert_eq!(h1("/", &[host, ("x", &large)]), Err(Refusal::TooLarge));
        assert_eq!(Refusal::TooLarge.status().as_u16(), 431);
    }
}
