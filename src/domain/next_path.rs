//! `next`: where a login may lead. Only a path of this origin, in a spelling that every browser,
//! proxy and portal reads the same way, so that a link to our login page cannot be made to end
//! somewhere else (open redirects).

/// Longer ones are not kept.
const LONGEST: usize = 2048;

/// `next` itself if it is safe to redirect to, `None` otherwise.
///
/// Safe means: printable ASCII only; begins with one `/`; the path has no backslash, no empty or
/// dot segment (also not `..;x` or encoded) and no encoded slash, backslash or control character;
/// there is no fragment.
/// What is merely unusual is refused too: the user then lands on the home page.
pub fn safe_next(next: &str) -> Option<&str> {
    if next.len() > LONGEST || !next.starts_with('/') || !next.bytes().all(may_stand_in_location) {
        return None;
    }
    let path = next.split('?').next().unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    if decoded.matches('/').count() != path.matches('/').count() {
        return None;
    }
    if decoded.contains('%') || decoded.chars().any(|c| c.is_control() || looks_like_a_slash(c)) {
        return None;
    }
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(';').next().unwrap_or_default().trim_end();
        let last = segments.peek().is_none();
        if matches!(name, "." | "..") || (name.is_empty() && !(last && segment.is_empty())) {
            return None;
        }
    }
    Some(next)
}

/// What browsers keep as it is: no space, tab, line break, quote, angle bracket or backslash.
fn may_stand_in_location(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\\\"<>^`{|}#".contains(&byte)
}

/// Characters that some software folds into a slash, a backslash or a dot.
fn looks_like_a_slash(c: char) -> bool {
    matches!(
        c,
        '\\' | '\u{2044}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29F5}'
            | '\u{29F8}'
            | '\u{29F9}'
            | '\u{FE68}'
            | '\u{FF0F}'
            | '\u{FF3C}'
            | '\u{FF0E}'
            | '\u{2024}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-C3: the user lands on the page first asked for.
    #[test]
    fn paths_of_this_origin_are_kept() {
        for good in [
            "/",
            "/portal/home",
            "/portal/users/",
            "/portal/cdr?from=2018-11-05&to=2018-11-06",
            "/portal/search?q=a//b&u=https://example.com/",
            "/portal/caf%C3%A9/a%20b",
            "/account/security",
            "/~user/@me:1,2;v=1",
            "/.well-known/x",
            "/portal/home?tab=1&x=%2F%2Fevil.example",
            "/portal/users/edit/1001@abc.11111.service",
            "/portal/home?next=https://evil.example/",
            "/%40evil.example",
        ] {
            assert_eq!(safe_next(good), Some(good), "{good:?}");
        }
    }

    /// security.md "Browser": `next` against a corpus of open redirects.
    #[test]
    fn nothing_leads_to_another_origin() {
        for bad in [
            "",
            "evil.example",
            "https://evil.example/",
            "https:evil.example",
            "HTTPS:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "/\\/evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\n//evil.example",
            " //evil.example",
            "\t//evil.example",
            "\0//evil.example",
            "/%09/evil.example",
            "/%0a/evil.example",
            "/%0d%0aLocation:%20https://evil.example",
            "/%00/evil.example",
            "/%7f/evil.example",
            "/%2f/evil.example",
            "/%2Fevil.example",
            "/%2f%2fevil.example",
            "/%5cevil.example",
            "/%5C%5Cevil.example",
            "/%252fevil.example",
            "/./evil.example/",
            "/.//evil.example",
            "/..//evil.example",
            "/a/..//evil.example",
            "/a/../../evil.example",
            "/%2e%2e//evil.example",
            "/%2e/x",
            "/..;/evil",
            "/a/..;x=1/b",
            "/.;/x",
            "/;/evil.example",
            "/a//b",
            "//evil.example/%2f..",
            "//user@evil.example",
            "/ /evil.example",
            "/%20/evil.example",
            "/x y",
            "/\u{ff0f}evil.example",
            "/\u{2215}evil.example",
            "/%EF%BC%8Fevil.example",
            "/%E2%88%95evil.example",
            "/%e2%81%84/evil.example",
            "/%ef%bc%bcevil.example",
            "/%ef%bc%8e%ef%bc%8e/x",
            "/%c0%af/evil.example",
            "/%ff",
            "/<script>",
            "/\"onmouseover=x",
            "/caf\u{e9}",
            "〱evil.example",
            "?next=//evil.example",
            "#//evil.example",
            ".evil.example",
            "@evil.example",
            "/%",
            "/%zz",
            "/portal#//evil.example",
            "/;@evil.example",
            "/%c0%afevil.example",
            "/%ef%bc%8f%c0%afevil",
            "/\u{200b}/evil.example",
            "/\u{ad}/evil.example",
            "//evil%E3%80%82example",
            "/portal\u{7f}",
            "\u{feff}/portal",
            "%2f%2fevil.example",
            "https:///evil.example",
            "/./\\evil.example",
            "~",
            "*",
        ] {
            assert_eq!(safe_next(bad), None, "{bad:?}");
        }
        assert_eq!(safe_next(&format!("/{}", "a".repeat(3000))), None);
    }

    /// Whatever passes, the parser that browsers share (WHATWG) reads as a path of our origin.
    #[test]
    fn what_passes_stays_in_the_origin() {
        const PIECES: [&str; 24] = [
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
        let base = url::Url::parse("https://portal.example.com/account/login").unwrap();
        let mut passed = 0;
        for number in 0..PIECES.len().pow(4) {
            let next = (0..4).fold(String::from("/"), |next, place| {
                next + PIECES[number / PIECES.len().pow(place) % PIECES.len()]
            });
            if let Some(next) = safe_next(&next) {
                assert_eq!(base.join(next).unwrap().origin(), base.origin(), "{next:?}");
                passed += 1;
            }
        }
        assert!(passed > 500, "only {passed} inputs passed: the test shows nothing");
    }
}
