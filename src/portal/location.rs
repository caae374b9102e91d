//! Redirects of the PBX, reduced to paths where they name the portal itself.

use url::Url;

/// Resolves a `Location` against the URL that was asked. Where it leads to one of `names` (host
/// names without port, by which the portal is known) the answer is path and query, else the whole
/// URL, so that a path-shaped expression cannot match a foreign place. `None`: unreadable.
pub(super) fn resolve<'a>(
    asked: &Url,
    location: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let target = asked.join(location).ok()?;
    let host = target.host_str()?;
    let known = matches!(target.scheme(), "http" | "https")
        && (Some(host) == asked.host_str()
            || names.into_iter().any(|name| without_port(name).eq_ignore_ascii_case(host)));
    if !known {
        return Some(target.into());
    }
    Some(match target.query() {
        Some(query) => format!("{}?{query}", target.path()),
        None => target.path().to_owned(),
    })
}

/// The same as a place to send the browser to: a path of our own origin or nothing.
pub(super) fn landing(resolved: &str) -> Option<String> {
    let ours = resolved.starts_with('/') && !resolved.starts_with("//");
    ours.then(|| resolved.to_owned())
}

/// A host name without its port; IPv6 addresses keep their brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-G1: redirects that name the portal by any of its names become paths; foreign ones never.
    #[test]
    fn locations_are_reduced() {
        let asked = Url::parse("http://10.0.0.5:9080/portal/login").unwrap();
        let names = ["portal.example.com:8443", "pbx.internal"];
        for (location, expected) in [
            ("/portal/home", "/portal/home"),
            ("home?x=1#f", "/portal/home?x=1"),
            ("http://10.0.0.5/portal/home", "/portal/home"),
            ("https://portal.example.com:8443/portal/home", "/portal/home"),
            ("https://PBX.internal/x", "/x"),
            ("//pbx.internal/x", "/x"),
            ("https://evil.example/portal/home", "https://evil.example/portal/home"),
            ("//evil.example/portal/home", "http://evil.example/portal/home"),
            ("/\\evil.example/", "http://evil.example/"),
            ("javascript:alert(1)", "javascript:alert(1)"),
        ] {
            let resolved = resolve(&asked, location, names).unwrap_or_else(|| location.into());
            assert_eq!(resolved, expected, "{location}");
        }
        assert_eq!(landing("/portal/home").as_deref(), Some("/portal/home"));
        for foreign in ["//evil", "http://evil/", "javascript:x", ""] {
            assert_eq!(landing(foreign), None, "{foreign}");
        }
    }
}
