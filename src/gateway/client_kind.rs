//! Who is asking, a person's browser or a script, and from which origin.

use http::header::{self, HeaderMap, HeaderValue};

use super::rewrite::host_and_port;

/// In which language an answer is understood (interfaces: "Kinds of client").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// A browser that will show the answer: pages and 303.
    Navigation,
    /// A script, image or socket of a page: 401, 403, 429 with problem details, never a redirect.
    Script,
    /// A client of the PBX's API: JSON.
    Api,
    /// It does not say: a command-line client, or a browser older than all these headers.
    Unstated,
}

/// Judges a request by what its client says about itself; `api` tells that the path is one of the
/// PBX's API.
pub fn client_kind(headers: &HeaderMap, api: bool) -> ClientKind {
    if api {
        return ClientKind::Api;
    }
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return match mode.as_bytes() {
            b"navigate" => ClientKind::Navigation,
            _ => ClientKind::Script,
        };
    }
    if headers.contains_key("x-requested-with") || headers.contains_key(header::UPGRADE) {
        return ClientKind::Script;
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return ClientKind::Api;
    }
    let Some(accept) = headers.get(header::ACCEPT) else { return ClientKind::Unstated };
    let accepts = |kind: &str| {
        accept
            .as_bytes()
            .split(|byte| matches!(byte, b',' | b';'))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(kind.as_bytes()))
    };
    if accepts("text/html") || accepts("application/xhtml+xml") {
        ClientKind::Navigation
    } else if accepts("*/*") {
        ClientKind::Unstated
    } else {
        ClientKind::Script
    }
}

/// Where a request was caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// By a page of this origin, or by the user alone (address bar, bookmark).
    SameOrigin,
    /// By a page of another origin, or of one that hides itself.
    OtherOrigin,
    /// The client sends neither `Origin` nor `Sec-Fetch-Site` nor `Referer`: no current browser
    /// does so with POST or WebSocket.
    Unstated,
}

/// Finds out where a request was caused, by what pages cannot forge (OWASP, "Verifying origin with
/// standard headers"; Fetch Metadata). `host` is the request's own `Host`.
pub fn initiator(headers: &HeaderMap, host: &str) -> Initiator {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    // `null` is what a page of ours with `Referrer-Policy: no-referrer` sends, too: only
    // Sec-Fetch-Site can speak for it.
    let named = origin.filter(|origin| *origin != b"null");
    if named.is_some_and(|origin| !is_origin_of(origin, host)) {
        return Initiator::OtherOrigin;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return match site.as_bytes() {
            b"same-origin" | b"none" => Initiator::SameOrigin,
            _ => Initiator::OtherOrigin,
        };
    }
    if origin.is_some() {
        return if named.is_some() { Initiator::SameOrigin } else { Initiator::OtherOrigin };
    }
    match headers.get(header::REFERER).map(HeaderValue::as_bytes) {
        None => Initiator::Unstated,
        Some(referer) if is_page_of(referer, host) => Initiator::SameOrigin,
        Some(_) => Initiator::OtherOrigin,
    }
}

/// Whether a state change or a WebSocket may be believed to be wanted by this origin's own pages.
/// Clients that state nothing are no browsers and cannot be made to send another's cookies.
pub fn same_origin(headers: &HeaderMap, host: &str) -> bool {
    initiator(headers, host) != Initiator::OtherOrigin
}

/// Whether `origin` is exactly `https://HOST`.
fn is_origin_of(origin: &[u8], host: &str) -> bool {
    let Some(authority) = after_scheme(origin) else { return false };
    match (host_and_port(authority), host_and_port(host)) {
        (Some((one, port)), Some((other, other_port))) => {
            one.eq_ignore_ascii_case(other) && port.unwrap_or(443) == other_port.unwrap_or(443)
        }
        _ => false,
    }
}

fn is_page_of(referer: &[u8], host: &str) -> bool {
    let end = after_scheme(referer)
        .and_then(|rest| rest.find(['/', '?', '#', '\\']))
        .map_or(referer.len(), |at| "https://".len() + at);
    is_origin_of(&referer[..end], host)
}

fn after_scheme(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let (scheme, rest) = text.split_at_checked("https://".len())?;
    scheme.eq_ignore_ascii_case("https://").then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), value.parse().expect("header value"))
        });
        pairs.collect()
    }

    #[test]
    fn kinds_of_client() {
        use ClientKind::*;
        let html = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        for (fields, api, expected) in [
            (&[html][..], false, Navigation),
            (&[html], true, Api),
            (&[("sec-fetch-mode", "navigate"), html], false, Navigation),
            (&[("sec-fetch-mode", "cors"), html], false, Script),
            (&[("sec-fetch-mode", "no-cors")], false, Script),
            (&[("sec-fetch-mode", "websocket")], false, Script),
            (&[("x-requested-with", "XMLHttpRequest"), html], false, Script),
            (&[("upgrade", "websocket")], false, Script),
            (&[("accept", "application/json")], false, Script),
            (&[("accept", "image/png")], false, Script),
            (&[("authorization", "Bearer x"), html], false, Api),
            (&[("accept", "*/*")], false, Unstated),
            (&[], false, Unstated),
        ] {
            assert_eq!(client_kind(&headers(fields), api), expected, "{fields:?}");
        }
    }

    /// Security, "Browser": the portal's own login and sign-out by Origin/Sec-Fetch-Site, Origin
    /// check for WebSocket.
    #[test]
    fn requests_of_other_origins_are_recognised() {
        use Initiator::*;
        for (fields, expected) in [
            (&[][..], Unstated),
            (&[("origin", "https://portal.example.com:8443")], SameOrigin),
            (&[("origin", "https://PORTAL.example.com:8443")], SameOrigin),
            (
                &[("origin", "https://portal.example.com:8443"), ("sec-fetch-site", "same-origin")],
                SameOrigin,
            ),
            (&[("origin", "null"), ("sec-fetch-site", "same-origin")], SameOrigin),
            (&[("sec-fetch-site", "none")], SameOrigin),
            (&[("referer", "https://portal.example.com:8443/portal/login")], SameOrigin),
            (&[("referer", "https://portal.example.com:8443")], SameOrigin),
            (&[("origin", "https://portal.example.com")], OtherOrigin),
            (&[("origin", "https://portal.example.com:9000")], OtherOrigin),
            (&[("origin", "http://portal.example.com:8443")], OtherOrigin),
            (&[("origin", "https://evil.example")], OtherOrigin),
            (&[("origin", "https://portal.example.com:8443.evil.example")], OtherOrigin),
            (&[("origin", "https://portal.example.com:8443@evil.example")], OtherOrigin),
            (&[("origin", "null")], OtherOrigin),
            (&[("origin", "null"), ("sec-fetch-site", "cross-site")], OtherOrigin),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], OtherOrigin),
            (&[("sec-fetch-site", "same-site")], OtherOrigin),
            (&[("sec-fetch-site", "cross-site")], OtherOrigin),
            (&[("sec-fetch-site", "")], OtherOrigin),
            (&[("referer", "https://evil.example/https://portal.example.com:8443/")], OtherOrigin),
            (&[("referer", "https://portal.example.com:8443\\@evil.example")], SameOrigin),
        ] {
            let headers = headers(fields);
            assert_eq!(initiator(&headers, "portal.example.com:8443"), expected, "{fields:?}");
            assert_eq!(same_origin(&headers, "portal.example.com:8443"), expected != OtherOrigin);
        }
        let default_port = headers(&[("origin", "https://portal.example.com")]);
        assert!(same_origin(&default_port, "portal.example.com:443"));
        assert!(same_origin(&default_port, "portal.example.com"));
    }
}
