//! The first steps of the pipeline: who sends it, is it one well-formed request, and which one
//! path does it mean. Whatever is not clear is refused here, before anything depends on it.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use ipnet::IpNet;
use pingora::http::RequestHeader;

use super::canonical_path::{canonical, split_absolute};
use super::client_address::client_address;
use super::{framing, sanitise};

/// Why a request is refused at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryRefusal {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

impl EntryRefusal {
    fn bad_request(why: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why }
    }
}

/// The methods that pass. Method names are case-sensitive (RFC 9110 §9.1): `post` is none.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Checks the head and brings it into its one form: the path is replaced by the canonical one,
/// and headers that are not the client's to send are removed. The same bytes are matched and
/// forwarded from here on.
pub(super) fn sanitise(head: &mut RequestHeader) -> Result<(), EntryRefusal> {
    framing::check(head)
        .map_err(|refusal| EntryRefusal { status: refusal.status(), why: "bad framing" })?;
    if !METHODS.contains(&head.method) {
        return Err(EntryRefusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            why: "this method is not served here",
        });
    }
    if head.headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        // Which of them counts is anybody's guess (RFC 9110 §11.6.2: there is one).
        return Err(EntryRefusal::bad_request("two Authorization fields"));
    }
    canonical_target(head)?;

    let doomed: Vec<HeaderName> = {
        let values = head.headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
        let tokens = sanitise::ConnectionTokens::read(values)
            .map_err(|_| EntryRefusal::bad_request("the Connection header cannot be read"))?;
        sanitise::names_that_must_go(&head.headers, &tokens)
            // Framing and upgrade fields are read by the engine after us; it drops them itself.
            .filter(|name| !engine_reads(name))
            .cloned()
            .collect()
    };
    for name in doomed {
        head.remove_header(&name);
    }
    Ok(())
}

fn engine_reads(name: &HeaderName) -> bool {
    [header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING, header::CONTENT_LENGTH]
        .contains(name)
}

fn canonical_target(head: &mut RequestHeader) -> Result<(), EntryRefusal> {
    let changed = {
        let raw = std::str::from_utf8(head.raw_path())
            .map_err(|_| EntryRefusal::bad_request("the path is not readable"))?;
        let (_, target) = split_absolute(raw)
            .map_err(|_| EntryRefusal::bad_request("the request target is not a path"))?;
        let canonical =
            canonical(target).map_err(|_| EntryRefusal::bad_request("the path is ambiguous"))?;
        (canonical.target() != raw).then(|| canonical.target().into_owned())
    };
    if let Some(target) = changed {
        head.set_raw_path(target.as_bytes())
            .map_err(|_| EntryRefusal::bad_request("the path is not readable"))?;
    }
    Ok(())
}

/// The client behind `peer`.
pub(super) fn client(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let forwarded = headers.get_all(sanitise::X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    client_address(peer, trusted, forwarded)
}

/// The host that a request is sent to: `:authority` on h2, `Host` on h1.
pub(super) fn host(head: &RequestHeader) -> &str {
    head.uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| head.headers.get(header::HOST).and_then(|value| value.to_str().ok()))
        .unwrap_or_default()
}
