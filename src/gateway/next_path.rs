//! Where a user may be sent after login: only to a path of this origin.

use super::canonical_path::canonical;

const MAX_LENGTH: usize = 2048;

/// `next` if it is a path (with or without query) of this origin that every browser reads as one.
/// Whoever gets `None` sends the user to the portal's home.
pub fn safe_next(next: &str) -> Option<&str> {
    let tail = next.strip_prefix('/')?;
    // `//` and `/\` begin a host for browsers; bytes outside visible ASCII are dropped or folded
    // by some of them before they look.
    let plain = next.len() <= MAX_LENGTH
        && !tail.starts_with(['/', '\\'])
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    // What has no single canonical form could turn into something else on the way.
    (plain && canonical(next).is_ok_and(|target| !target.path.starts_with("//"))).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_origin_pass() {
        for next in [
            "/",
            "/portal/home",
            "/portal/home?tab=1&x=%2F%2Fevil.example",
            "/account/security",
            "/portal/users/edit/1001@abc.11111.service",
            "/a%20b",
            "/.well-known/change-password",
            "/portal/home?next=https://evil.example/",
            "/%40evil.example",
        ] {
            assert_eq!(safe_next(next), Some(next), "{next}");
        }
    }

    /// Security, "Browser": `next` against a corpus of open redirects (caddy-security
    /// CVE-2024-21497, Authelia GHSA-36f2-fcrx-fp4j, Keycloak CVE-2026-3872).
    #[test]
    fn open_redirects_do_not() {
        for next in [
            "",
            " ",
            "portal",
            "https://evil.example",
            "HTTPS://evil.example",
            "http:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\\/evil.example",
            "/\\\\evil.example",
            "//\\evil.example",
            "/ /evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\n/evil.example",
            "/\u{0}/evil.example",
            "/%09/evil.example",
            "/%0a/evil.example",
            "/%0d%0aLocation:%20https://evil.example",
            "/%00/evil.example",
            "/%2f/evil.example",
            "/%2fevil.example",
            "/%5cevil.example",
            "/%5C/evil.example",
            "/..//evil.example",
            "/../evil.example",
            "/..;/evil.example",
            "/.;/evil.example",
            "/%2e%2e//evil.example",
            "/;@evil.example",
            "/%252fevil.example",
            "/%c0%afevil.example",
            "/%ef%bc%8f%c0%afevil",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\u{2215}evil.example",
            "/\u{ff0f}evil.example",
            "\u{2f}\u{2044}evil.example",
            "/\u{200b}/evil.example",
            "/\u{ad}/evil.example",
            "@evil.example",
            "user@evil.example",
            "//user@evil.example",
            "//evil%E3%80%82example",
            "/portal\u{7f}",
            "/portal#//evil.example",
            "#/portal",
            "?next=/portal",
            "./portal",
            "../portal",
            "~",
            "*",
            "/portal/%",
            "mailto:x@evil.example",
            " /portal",
            "/portal ",
            "\u{feff}/portal",
            "%2f%2fevil.example",
            "%2fportal",
            "/./\\evil.example",
        ] {
            assert_eq!(safe_next(next), None, "{next:?}");
        }
        assert_eq!(safe_next(&format!("/{}", "a".repeat(MAX_LENGTH))), None);
    }

    /// Whatever passes, the parser that browsers share (WHATWG) reads as a path of our origin.
    #[test]
    fn what_passes_stays_in_the_origin() {
        use crate::gateway::replay;
        const PIECES: &[&str] = &[
            "/",
            "//",
            "\\",
            ".",
            "..",
            "%2e",
            "%2f",
            "%5c",
            "@",
            ":",
            ";",
            "?",
            "#",
            "evil.example",
            "https:",
            "\t",
            "\n",
            "%09",
            "%00",
            "a",
            "é",
            " ",
            "\u{2215}",
            "%E3%80%82",
        ];
        let base = url::Url::parse("https://portal.example.com/account/login").expect("url");
        let mut passed = 0;
        replay::pieces(PIECES, 20_000, |tail| {
            for next in [tail.to_owned(), format!("/{tail}")] {
                if let Some(next) = safe_next(&next) {
                    let url = base.join(next).expect("a path");
                    assert_eq!(url.origin(), base.origin(), "{next:?}");
                    passed += 1;
                }
            }
        });
        assert!(passed > 500, "only {passed} inputs passed: the test shows nothing");
    }
}
