//! Header hygiene: which of a client's header fields never reach the PBX.
//!
//! Names are judged with `-`, `_` and `.` folded into one, because CGI-style servers (PHP among
//! them) fold them too: `X_Remote_User` and `X.Remote.User` are `X-Remote-User` to the
//! application (oauth2-proxy CVE-2025-64484, Traefik CVE-2026-39858).

use std::fmt;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What the `Connection` fields of a request nominate (RFC 9110 §7.6.1).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ConnectionTokens<'a> {
    nominated: Vec<&'a str>,
    upgrade: bool,
}

/// Why a request's headers cannot be made safe. Always answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefusal {
    /// `Connection` holds something that is not a field name.
    #[error("the Connection header field cannot be read")]
    UnreadableConnection,
    /// `Connection` nominates a field that frames or routes the message.
    #[error("the Connection header field nominates a field that cannot be removed")]
    ProtectedNomination,
    /// `Connection` nominates more fields than any real client does.
    #[error("the Connection header field nominates too many fields")]
    TooManyNominations,
}

const MAX_NOMINATIONS: usize = 16;

impl<'a> ConnectionTokens<'a> {
    /// Reads the values of all `Connection` fields; allocates only when one nominates a field.
    ///
    /// # Errors
    /// [`HeaderRefusal`] for what no honest client sends.
    pub fn read(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, HeaderRefusal> {
        let mut tokens = Self::default();
        for value in values {
            let value =
                std::str::from_utf8(value).map_err(|_| HeaderRefusal::UnreadableConnection)?;
            for token in value.split(',').map(|token| token.trim_matches([' ', '\t'])) {
                tokens.note(token)?;
            }
        }
        Ok(tokens)
    }

    /// Whether the client asks to switch protocols (`Connection: upgrade`).
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    fn note(&mut self, token: &'a str) -> Result<(), HeaderRefusal> {
        const HARMLESS: [&str; 3] = ["", "keep-alive", "close"];
        const PROTECTED: [&str; 6] = [
            "host",
            "content-length",
            "transfer-encoding",
            "content-type",
            "cookie",
            "authorization",
        ];
        if HARMLESS.iter().any(|harmless| token.eq_ignore_ascii_case(harmless)) {
            return Ok(());
        }
        if token.eq_ignore_ascii_case("upgrade") {
            self.upgrade = true;
            return Ok(());
        }
        if !token.bytes().all(is_token_byte) {
            return Err(HeaderRefusal::UnreadableConnection);
        }
        if PROTECTED.iter().any(|protected| folds_to(token, protected)) {
            return Err(HeaderRefusal::ProtectedNomination);
        }
        if self.nominated.len() == MAX_NOMINATIONS {
            return Err(HeaderRefusal::TooManyNominations);
        }
        self.nominated.push(token);
        Ok(())
    }
}

/// Whether the client's field `name` must not reach the PBX: hop-by-hop fields, fields that
/// `Connection` nominates, and everything by which a proxy tells an application who is calling,
/// from where and for what.
///
/// `Transfer-Encoding` and `Content-Length` stay: the engine frames the message by them.
/// `Connection` and `Upgrade` stay if the client asks to switch protocols; the engine rebuilds
/// them.
pub fn must_go(name: &str, tokens: &ConnectionTokens<'_>) -> bool {
    let bytes = name.as_bytes();
    let Some(first) = bytes.first() else { return true };
    if bytes.iter().any(|byte| matches!(byte, b'_' | b'.')) && shadows_a_judged_field(name) {
        return true;
    }
    let listed = match first.to_ascii_lowercase() {
        b'a' => any(name, &["auth-user", "auth-password"]),
        b'c' => {
            (name.eq_ignore_ascii_case("connection") && !tokens.upgrade)
                || any(
                    name,
                    &["client-ip", "client-cert", "client-cert-chain", "cluster-client-ip"],
                )
                || begins(name, "cf-")
        }
        b'f' => any(name, &["forwarded", "forwarded-for", "fastly-client-ip", "front-end-https"]),
        b'h' => begins(name, "http-") || any(name, &["http2-settings"]),
        b'k' => any(name, &["keep-alive"]),
        b'p' => any(name, &["proxy", "php-auth-user", "php-auth-pw"]) || begins(name, "proxy-"),
        b'r' => begins(name, "remote-") || any(name, &["redirect-remote-user", "real-ip"]),
        b's' => begins(name, "ssl-"),
        b't' => any(name, &["te", "trailer", "true-client-ip"]),
        b'u' => any(name, &["upgrade"]) && !tokens.upgrade,
        b'v' => any(name, &["via"]),
        b'w' => any(name, &["wl-proxy-client-ip", "wl-proxy-ssl"]) || begins(name, "webauth-"),
        b'x' => {
            EXACT_X.iter().any(|field| folds_to(name, field))
                || PREFIX_X.iter().any(|prefix| begins(name, prefix))
        }
        _ => false,
    };
    listed || tokens.nominated.iter().any(|nominated| folds_to(name, nominated))
}

/// The names among `headers` that must go, for engines whose header type is edited through their
/// own interface.
pub fn names_that_must_go<'h>(
    headers: &'h HeaderMap,
    tokens: &'h ConnectionTokens<'_>,
) -> impl Iterator<Item = &'h HeaderName> {
    headers.keys().filter(|name| must_go(name.as_str(), tokens))
}

/// Removes from `headers` all that must go.
///
/// # Errors
/// [`HeaderRefusal`] when the `Connection` fields make that impossible; nothing is removed then.
pub fn strip_request_headers(headers: &mut HeaderMap) -> Result<(), HeaderRefusal> {
    let doomed: Vec<HeaderName> = {
        let values = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
        let tokens = ConnectionTokens::read(values)?;
        names_that_must_go(headers, &tokens).cloned().collect()
    };
    for name in doomed {
        headers.remove(name);
    }
    Ok(())
}

/// Our own word to the PBX about the client.
#[derive(Debug, Clone, Copy)]
pub struct Forwarding<'a> {
    /// The client, see [`super::client_address`].
    pub client: IpAddr,
    /// Whether the client reached us over TLS.
    pub https: bool,
    /// The `Host` the client asked for.
    pub host: &'a str,
}

impl Forwarding<'_> {
    /// `X-Forwarded-For`, `-Proto` and `-Host` (R-G1). A host that cannot stand in a header field
    /// is left out.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let proto = HeaderValue::from_static(if self.https { "https" } else { "http" });
        let client = address_value(self.client);
        let host = HeaderValue::from_str(self.host).ok();
        client
            .map(|value| (X_FORWARDED_FOR, value))
            .into_iter()
            .chain([(X_FORWARDED_PROTO, proto)])
            .chain(host.map(|value| (X_FORWARDED_HOST, value)))
    }
}

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whole names, folded.
const EXACT_X: &[&str] = &[
    "x-real-ip",
    "x-realip",
    "x-client-ip",
    "x-clientip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-http-host-override",
    "x-host",
    "x-host-override",
    "x-proto",
    "x-scheme",
    "x-url-scheme",
    "x-path",
    "x-path-info",
    "x-rewrite-url",
    "x-rewrite-uri",
    "x-user",
    "x-user-id",
    "x-user-name",
    "x-username",
    "x-user-email",
    "x-user-groups",
    "x-user-roles",
    "x-auth-user",
    "x-auth-username",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-name",
    "x-auth-role",
    "x-auth-roles",
    "x-groups",
    "x-email",
    "x-login",
    "x-proxy-user",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-wl-proxy-ssl",
    "x-sendfile-type",
    "x-accel-mapping",
    "x-middleware-subrequest",
];

/// Families of names, folded.
const PREFIX_X: &[&str] = &[
    "x-forward",
    "x-original-",
    "x-remote-",
    "x-authenticated",
    "x-authentik-",
    "x-auth-request-",
    "x-webauth-",
    "x-client-cert",
    "x-client-verify",
    "x-client-dn",
    "x-ssl-",
    "x-envoy-",
    "x-appengine-",
    "x-goog-authenticated-",
    "x-ms-client-principal",
    "x-vouch-",
    "x-pomerium-",
    "x-token-user",
    "x-passgate-",
];

/// Fields that we, the engine or the PBX decide by. Spelled with `_` or `.` they would be seen by
/// the application only.
const JUDGED: &[&str] = &[
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "content-encoding",
    "content-length",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "set-cookie",
    "transfer-encoding",
    "user-agent",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-requested-with",
    "x-xsrf-token",
];

fn shadows_a_judged_field(name: &str) -> bool {
    JUDGED.iter().any(|field| folds_to(name, field))
}

fn any(name: &str, fields: &[&str]) -> bool {
    fields.iter().any(|field| folds_to(name, field))
}

/// Whether `name` is `field` after folding; `field` may itself be unfolded.
fn folds_to(name: &str, field: &str) -> bool {
    name.len() == field.len() && begins(name, field)
}

fn begins(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name.bytes().zip(prefix.bytes()).all(|(one, other)| fold(one) == fold(other))
}

fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        _ => byte.to_ascii_lowercase(),
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The address as a header value, written through a buffer on the stack.
fn address_value(address: IpAddr) -> Option<HeaderValue> {
    struct Line {
        text: [u8; 64],
        length: usize,
    }
    impl fmt::Write for Line {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let end = self.length + part.len();
            let space = self.text.get_mut(self.length..end).ok_or(fmt::Error)?;
            space.copy_from_slice(part.as_bytes());
            self.length = end;
            Ok(())
        }
    }
    let mut line = Line { text: [0; 64], length: 0 };
    fmt::Write::write_fmt(&mut line, format_args!("{address}")).ok()?;
    HeaderValue::from_bytes(&line.text[..line.length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(name: &str) -> bool {
        must_go(name, &ConnectionTokens::default())
    }

    /// Security: "Client-supplied identity and forwarding headers never reach the PBX … in
    /// `-`/`_`/`.` spellings".
    #[test]
    fn identity_and_forwarding_fields_go_in_every_spelling() {
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded-Uri",
            "X-Forwarded-User",
            "X-Forwarded-Preferred-Username",
            "X-Forwarded-Anything",
            "Forwarded",
            "X-Real-IP",
            "Remote-User",
            "Remote-Addr",
            "Remote-Groups",
            "X-Remote-User",
            "X-Authenticated-User",
            "X-Original-URL",
            "X-Original-URI",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "True-Client-IP",
            "CF-Connecting-IP",
            "Client-IP",
            "Via",
            "Proxy",
            "Proxy-Authorization",
            "X-Auth-Request-User",
            "X-WebAuth-User",
            "SSL-Client-Verify",
            "X-SSL-Client-CN",
            "X-Client-Cert",
            "X-Passgate-Account",
            "HTTP-X-Real-IP",
        ] {
            for spelling in [
                name.to_owned(),
                name.to_ascii_lowercase(),
                name.to_ascii_uppercase(),
                name.replace('-', "_"),
                name.replace('-', "."),
                name.replacen('-', "_", 1),
                name.replacen('-', ".", 1),
            ] {
                assert!(goes(&spelling), "{spelling}");
            }
        }
    }

    #[test]
    fn hop_by_hop_fields_go() {
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Upgrade",
            "HTTP2-Settings",
        ] {
            assert!(goes(name), "{name}");
        }
        let switching = ConnectionTokens::read([b"Upgrade".as_slice()]).expect("readable");
        assert!(switching.upgrade());
        assert!(!must_go("Connection", &switching) && !must_go("Upgrade", &switching));
        assert!(must_go("TE", &switching));
    }

    /// What browsers and apps really send stays.
    #[test]
    fn ordinary_fields_stay() {
        for name in [
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Authorization",
            "Cache-Control",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "DNT",
            "Expect",
            "Host",
            "If-None-Match",
            "Origin",
            "Pragma",
            "Priority",
            "Range",
            "Referer",
            "Sec-CH-UA",
            "Sec-Fetch-Mode",
            "Sec-WebSocket-Key",
            "Transfer-Encoding",
            "Upgrade-Insecure-Requests",
            "User-Agent",
            "X-API-Key",
            "X-Auth-Token",
            "X-CSRF-Token",
            "X-Requested-With",
            "X-User-Agent",
            "X_Custom_Field",
            "Content-Disposition",
            "traceparent",
            "x-request-id",
        ] {
            assert!(!goes(name), "{name}");
        }
    }

    /// A `_` spelling of a field that we decide by would be seen by the PBX only.
    #[test]
    fn shadows_of_judged_fields_go() {
        for name in [
            "Content_Length",
            "Content_Type",
            "Transfer_Encoding",
            "Transfer.Encoding",
            "X_Requested_With",
            "Sec_Fetch_Site",
            "X.API.Key",
            "User_Agent",
            "Set_Cookie",
            "X-Auth_Token",
        ] {
            assert!(goes(name), "{name}");
        }
    }

    /// Security: "also via `Connection:`".
    #[test]
    fn what_connection_nominates_goes() {
        let sent: [&[u8]; 2] = [b"keep-alive, X-Private-Hop", b"close ,\tX-Other"];
        let tokens = ConnectionTokens::read(sent).expect("readable");
        assert!(must_go("x-private-hop", &tokens) && must_go("X_Private_Hop", &tokens));
        assert!(must_go("x-other", &tokens) && !must_go("accept", &tokens));
        for (value, refusal) in [
            ("Host", HeaderRefusal::ProtectedNomination),
            ("close, Cookie", HeaderRefusal::ProtectedNomination),
            ("content_length", HeaderRefusal::ProtectedNomination),
            ("Transfer-Encoding", HeaderRefusal::ProtectedNomination),
            ("\"X-Forwarded-For\"", HeaderRefusal::UnreadableConnection),
            ("X Y", HeaderRefusal::UnreadableConnection),
            ("caf\u{e9}", HeaderRefusal::UnreadableConnection),
            ("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", HeaderRefusal::TooManyNominations),
        ] {
            assert_eq!(ConnectionTokens::read([value.as_bytes()]), Err(refusal), "{value}");
        }
    }

    #[test]
    fn stripping_leaves_only_what_may_pass_and_ours_are_added() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "portal.example.com"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x_forwarded_for", "6.6.6.7"),
            ("x.real.ip", "6.6.6.8"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("accept", "*/*"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_request_headers(&mut headers).expect("readable");
        let ours = Forwarding {
            client: "2001:db8::7".parse().expect("address"),
            https: true,
            host: "portal.example.com",
        };
        headers.extend(ours.headers());
        let mut left: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "accept: */*",
                "host: portal.example.com",
                "x-forwarded-for: 2001:db8::7",
                "x-forwarded-host: portal.example.com",
                "x-forwarded-proto: https",
            ]
        );
    }
}
