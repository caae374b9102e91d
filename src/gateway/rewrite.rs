//! Redirects of the PBX become redirects within the portal, and `Origin` and `Referer` speak the
//! PBX's own name where the configuration fixes one.

use std::borrow::Cow;

/// The names by which the PBX calls itself.
#[derive(Debug, Clone, Default)]
pub struct OwnNames {
    names: Vec<Authority>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

impl OwnNames {
    /// `servers` as configured (`http://127.0.0.1:9080`); `names` are `upstream.aliases` and a
    /// fixed `upstream.host`, each a host name with or without a port. What cannot be read as one
    /// is left out: the configuration has been checked before.
    pub fn new<'a>(
        servers: impl IntoIterator<Item = &'a str>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let servers = servers.into_iter().filter_map(|server| {
            let parts = split(server)?;
            let default = if parts.scheme_is_https { 443 } else { 80 };
            let (host, port) = host_and_port(parts.authority)?;
            Some(Authority { host: host.to_ascii_lowercase(), port: port.or(Some(default)) })
        });
        let names = names.into_iter().filter_map(|name| {
            let (host, port) = host_and_port(name)?;
            Some(Authority { host: host.to_ascii_lowercase(), port })
        });
        Self { names: servers.chain(names).collect() }
    }

    /// A `Location` or `Content-Location` of the PBX as the browser gets it: an absolute reference
    /// to the host the browser asked for (`request_host`, on any port), to a PBX server or to an
    /// alias becomes a path of this origin. Relative references and foreign hosts are left alone.
    pub fn location<'v>(&self, value: &'v str, request_host: &str) -> Cow<'v, str> {
        let Some(parts) = split(value.trim_ascii()) else { return Cow::Borrowed(value) };
        if !self.is_own(parts.authority, request_host) {
            return Cow::Borrowed(value);
        }
        // A path that begins with `//` would name a host once more.
        let path = parts.rest.trim_start_matches(['/', '\\']);
        let begun = parts.rest.len() - path.len();
        if begun == 1 && parts.rest.starts_with('/') {
            Cow::Borrowed(parts.rest)
        } else {
            Cow::Owned(format!("/{path}"))
        }
    }

    /// A `Refresh` field (`5; url=…`) likewise.
    pub fn refresh<'v>(&self, value: &'v str, request_host: &str) -> Cow<'v, str> {
        let Some((before, target, after)) = refresh_target(value) else {
            return Cow::Borrowed(value);
        };
        match self.location(target, request_host) {
            same if same == target => Cow::Borrowed(value),
            path => Cow::Owned(format!("{before}{path}{after}")),
        }
    }

    fn is_own(&self, authority: &str, request_host: &str) -> bool {
        let Some((host, port)) = host_and_port(authority) else { return false };
        if host_and_port(request_host).is_some_and(|(public, _)| host.eq_ignore_ascii_case(public))
        {
            return true;
        }
        // A PBX that was not told its port writes none, or that of the scheme.
        self.names.iter().any(|own| {
            host.eq_ignore_ascii_case(&own.host)
                && (own.port.is_none() || port == own.port || matches!(port, None | Some(80 | 443)))
        })
    }
}

/// An `Origin` or `Referer` of the browser as the PBX gets it when `upstream.host` is fixed: one
/// that names `request_host` names `upstream_origin` (`http://pbx.internal`) instead; all others
/// are left alone.
pub fn for_upstream<'v>(value: &'v str, request_host: &str, upstream_origin: &str) -> Cow<'v, str> {
    match (split(value), host_and_port(request_host)) {
        (Some(parts), Some((public, _)))
            if host_and_port(parts.authority)
                .is_some_and(|(host, _)| host.eq_ignore_ascii_case(public)) =>
        {
            Cow::Owned(format!("{}{}", upstream_origin.trim_end_matches('/'), parts.rest))
        }
        _ => Cow::Borrowed(value),
    }
}

/// Host and port of an authority; the brackets of an IPv6 address stay. `None` for user
/// information, an empty host or a port that is none.
pub fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after_bracket..].rfind(':') {
        Some(at) => {
            let at = after_bracket + at;
            let digits = &authority[at + 1..];
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let port = if digits.is_empty() { None } else { Some(digits.parse().ok()?) };
            (&authority[..at], port)
        }
        None => (authority, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ok = match plain {
        Some(address) => {
            address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
        }
        None => !host.contains([':', '@', '[', ']', '/', '\\', '?', '#', ' ', '%']),
    };
    (ok && !host.is_empty()).then_some((host, port))
}

struct Parts<'v> {
    scheme_is_https: bool,
    authority: &'v str,
    /// Path, query and fragment.
    rest: &'v str,
}

/// Splits an absolute http(s) reference or a scheme-relative one; `None` for everything else.
fn split(value: &str) -> Option<Parts<'_>> {
    let (scheme_is_https, after) = if let Some(after) = value.strip_prefix("//") {
        (true, after)
    } else {
        let (scheme, after) = value.split_once("://")?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        (https, after)
    };
    let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    Some(Parts { scheme_is_https, authority, rest })
}

/// What stands before, in and after the address of a `Refresh` field.
fn refresh_target(value: &str) -> Option<(&str, &str, &str)> {
    let delay = value.find([';', ','])? + 1;
    let mut at = delay + blanks(&value[delay..]);
    if value.get(at..at + 3).is_some_and(|word| word.eq_ignore_ascii_case("url")) {
        let equals = at + 3 + blanks(&value[at + 3..]);
        if value[equals..].starts_with('=') {
            at = equals + 1 + blanks(&value[equals + 1..]);
        }
    }
    let target = &value[at..];
    let (begin, length) = match target.chars().next()? {
        quote @ ('"' | '\'') => (1, target[1..].find(quote).unwrap_or(target.len() - 1)),
        _ => (0, target.trim_ascii_end().len()),
    };
    let (begin, end) = (at + begin, at + begin + length);
    Some((&value[..begin], &value[begin..end], &value[end..]))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_ascii_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> OwnNames {
        OwnNames::new(
            ["http://127.0.0.1:9080", "https://pbx.internal"],
            ["old-name.example", "odd.example:8001"],
        )
    }

    const PUBLIC: &str = "portal.example.com:8443";

    /// R-G1: `Location` that names the public host, the servers or an alias.
    #[test]
    fn own_names_become_paths() {
        for (value, expected) in [
            ("https://portal.example.com/portal/home", "/portal/home"),
            ("http://portal.example.com:8080/portal/home?x#y", "/portal/home?x#y"),
            ("HTTP://Portal.Example.COM./x", "/x"),
            ("//portal.example.com/x", "/x"),
            ("http://127.0.0.1:9080/x", "/x"),
            ("http://127.0.0.1/x", "/x"),
            ("https://pbx.internal:443/x", "/x"),
            ("http://pbx.internal/x", "/x"),
            ("http://old-name.example:1234/x", "/x"),
            ("http://odd.example:8001/x", "/x"),
            ("https://portal.example.com", "/"),
            ("https://portal.example.com?x=1", "/?x=1"),
            ("https://portal.example.com#top", "/#top"),
            (" https://portal.example.com/x", "/x"),
        ] {
            assert_eq!(names().location(value, PUBLIC), expected, "{value}");
        }
    }

    #[test]
    fn relative_and_foreign_locations_are_left_alone() {
        for value in [
            "/portal/home",
            "home",
            "?x=http://portal.example.com/",
            "",
            "../x",
            "https://login.other.example/x",
            "https://portal.example.com.evil.example/",
            "https://portal.example.com@evil.example/",
            "https://evil.example/portal.example.com",
            "http://127.0.0.1:9999/x",
            "http://odd.example:9/x",
            "mailto:a@portal.example.com",
            "javascript://portal.example.com/",
            "https://portal.example.com:x/",
            "sip:1001@x",
            "https://portal.example.com\\@evil.example/x",
        ] {
            let location = names().location(value, PUBLIC);
            // A backslash ends the authority for browsers: what is left must be a path of ours.
            if value.contains('\\') {
                assert_eq!(location, "/@evil.example/x");
            } else {
                assert_eq!(location, value);
            }
        }
    }

    /// A path of several slashes must not become another host.
    #[test]
    fn a_path_never_becomes_a_host() {
        for (value, expected) in [
            ("http://127.0.0.1:9080//evil.example/x", "/evil.example/x"),
            ("http://127.0.0.1:9080/\\evil.example", "/evil.example"),
            ("http://127.0.0.1:9080\\\\evil.example", "/evil.example"),
        ] {
            assert_eq!(names().location(value, PUBLIC), expected, "{value}");
        }
    }

    #[test]
    fn refresh_is_rewritten_like_location() {
        for (value, expected) in [
            ("5; url=http://127.0.0.1:9080/x", "5; url=/x"),
            ("0;URL = 'https://portal.example.com/x'", "0;URL = '/x'"),
            ("0,url=\"http://pbx.internal/x\"; y", "0,url=\"/x\"; y"),
            ("5;http://pbx.internal/x", "5;/x"),
            ("5; url=/x", "5; url=/x"),
            ("5; url=https://other.example/x", "5; url=https://other.example/x"),
            ("5", "5"),
            ("5;", "5;"),
            ("5; url=", "5; url="),
            ("5; url='", "5; url='"),
        ] {
            assert_eq!(names().refresh(value, PUBLIC), expected, "{value}");
        }
    }

    #[test]
    fn origin_and_referer_follow_a_fixed_host() {
        let upstream = "http://pbx.internal";
        for (value, expected) in [
            ("https://portal.example.com:8443", "http://pbx.internal"),
            ("https://portal.example.com/portal/x?y", "http://pbx.internal/portal/x?y"),
            ("https://other.example", "https://other.example"),
            ("null", "null"),
        ] {
            assert_eq!(for_upstream(value, PUBLIC, upstream), expected, "{value}");
        }
    }

    #[test]
    fn authorities() {
        assert_eq!(host_and_port("a.example:80"), Some(("a.example", Some(80))));
        assert_eq!(host_and_port("a.example:"), Some(("a.example", None)));
        assert_eq!(host_and_port("[2001:db8::1]:443"), Some(("[2001:db8::1]", Some(443))));
        assert_eq!(host_and_port("[2001:db8::1]"), Some(("[2001:db8::1]", None)));
        for bad in ["", ":80", "u@a", "a:b", "a:99999", "::1", "[::1", "a b", "a%2fb"] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }
}
