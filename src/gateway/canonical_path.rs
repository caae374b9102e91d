//! One canonical path per request: the same bytes are matched **and** forwarded, so no spelling of
//! a path can mean one thing to the route table and another to the PBX.
//!
//! What has exactly one meaning is normalised (`//`, `/./`, percent-encoded unreserved characters,
//! lower-case hex digits); what could be read in two ways is refused with 400. RFC 3986 §6.2.2
//! gives the equivalences. The result is a fixed point: the canonical form of a canonical path is
//! the path itself.

use std::borrow::Cow;

/// A request target that has one meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical<'a> {
    /// The path, always beginning with `/`, never containing `//`, a dot segment, `;`, `\` or an
    /// encoded form of them.
    pub path: Cow<'a, str>,
    /// What followed the first `?`, as it was sent; `Some("")` for a bare `?`.
    pub query: Option<&'a str>,
    original: &'a str,
}

impl<'a> Canonical<'a> {
    /// Path and query as they are to be forwarded; borrowed when nothing had to be changed.
    pub fn target(&self) -> Cow<'a, str> {
        match (&self.path, self.query) {
            (Cow::Borrowed(_), _) => Cow::Borrowed(self.original),
            (Cow::Owned(path), None) => Cow::Owned(path.clone()),
            (Cow::Owned(path), Some(query)) => Cow::Owned(format!("{path}?{query}")),
        }
    }

    /// Whether the client already sent the canonical form, so that the request line can be
    /// forwarded as it is.
    pub fn is_unchanged(&self) -> bool {
        matches!(self.path, Cow::Borrowed(_))
    }
}

/// Why a request target has no single meaning. Always answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// Neither origin-form nor an absolute-form with a path (`*`, `CONNECT` authority, …).
    #[error("the request target is not a path")]
    NotAPath,
    /// A control byte, a space or a byte above 0x7e, raw or (in the path) percent-encoded.
    #[error("the request target contains a control or non-ASCII byte")]
    ForbiddenByte,
    /// A `#`: a fragment is never sent by a client, and proxies disagree about where it ends.
    #[error("the request target contains a fragment")]
    Fragment,
    /// `..` as a segment, raw or encoded.
    #[error("the path climbs upward")]
    ParentSegment,
    /// `\`, or an encoded `/` or `\`.
    #[error("the path contains a backslash or an encoded separator")]
    EncodedSeparator,
    /// `;`, raw or encoded: path parameters are cut off by some servers and not by others.
    #[error("the path contains parameters")]
    Parameters,
    /// A segment that ends with a dot or a space, which some file systems ignore.
    #[error("a path segment ends with a dot or a space")]
    TrailingDotOrSpace,
    /// `%` that is not followed by two hex digits.
    #[error("the path contains a broken percent-encoding")]
    BrokenEncoding,
    /// An encoded `%` that forms another encoding: decoding it twice changes its meaning.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// Encoded bytes that are not well-formed UTF-8 (overlong forms among them).
    #[error("the path is not valid UTF-8")]
    InvalidUtf8,
}

/// Brings an origin-form request target (`/path?query`) into its canonical form.
///
/// # Errors
/// [`PathRefusal`] when the target could be read in more than one way.
pub fn canonical(target: &str) -> Result<Canonical<'_>, PathRefusal> {
    let bytes = target.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathRefusal::NotAPath);
    }
    let mut ordinary = true;
    let mut end = bytes.len();
    let mut previous = b'/';
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match CLASS[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash => ordinary &= !matches!(previous, b'/' | b'.'),
            Class::Query => {
                end = at;
                break;
            }
            Class::Encode | Class::Percent => ordinary = false,
            Class::Refused(refusal) => return Err(refusal),
        }
        previous = byte;
    }
    ordinary &= previous != b'.';
    let path = &target[..end];
    let query = (end < target.len()).then(|| &target[end + 1..]);
    if let Some(query) = query {
        check_query(query)?;
    }
    let path = if ordinary { Cow::Borrowed(path) } else { normalise(path)? };
    Ok(Canonical { path, query, original: target })
}

/// Splits an absolute-form target (`https://host/path`, RFC 9112 §3.2.2) into its authority and
/// the origin-form that [`canonical`] takes. An origin-form target has no authority.
///
/// # Errors
/// [`PathRefusal::NotAPath`] for other schemes, an empty authority, user information in it, or a
/// missing path.
pub fn split_absolute(target: &str) -> Result<(Option<&str>, &str), PathRefusal> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(PathRefusal::NotAPath)?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(PathRefusal::NotAPath);
    }
    let path = rest.find('/').ok_or(PathRefusal::NotAPath)?;
    let (authority, path) = rest.split_at(path);
    if authority.is_empty() || authority.contains(['@', '?', '#', '\\']) {
        return Err(PathRefusal::NotAPath);
    }
    Ok((Some(authority), path))
}

#[derive(Clone, Copy)]
enum Class {
    /// Stays as it is.
    Plain,
    Slash,
    Query,
    Percent,
    /// Not allowed raw by RFC 3986 but harmless: sent on percent-encoded, so that both spellings
    /// are one.
    Encode,
    Refused(PathRefusal),
}

/// What each raw byte of a path means.
const CLASS: [Class; 256] = {
    let mut table = [Class::Refused(PathRefusal::ForbiddenByte); 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'?' => Class::Query,
            b'%' => Class::Percent,
            b'#' => Class::Refused(PathRefusal::Fragment),
            b'\\' => Class::Refused(PathRefusal::EncodedSeparator),
            b';' => Class::Refused(PathRefusal::Parameters),
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Encode,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

/// The query is passed on as it is; bytes that could end the request line or begin a fragment are
/// refused.
fn check_query(query: &str) -> Result<(), PathRefusal> {
    for &byte in query.as_bytes() {
        match byte {
            0..=0x20 | 0x7f => return Err(PathRefusal::ForbiddenByte),
            b'#' => return Err(PathRefusal::Fragment),
            _ => {}
        }
    }
    Ok(())
}

/// The slow way: decodes, re-encodes and joins the segments.
fn normalise(path: &str) -> Result<Cow<'_, str>, PathRefusal> {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len() + 8);
    out.push('/');
    let mut segment = out.len();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match CLASS[usize::from(byte)] {
            Class::Slash => {
                segment = close_segment(&mut out, segment, false)?;
                at += 1;
            }
            Class::Percent => at += push_encoded(&mut out, &bytes[at..])?,
            Class::Encode => {
                push_percent(&mut out, byte);
                at += 1;
            }
            _ => {
                out.push(char::from(byte));
                at += 1;
            }
        }
    }
    close_segment(&mut out, segment, true)?;
    refuse_double_encoding(&out)?;
    Ok(if out == path { Cow::Borrowed(path) } else { Cow::Owned(out) })
}

/// Judges the segment that began at `start`; returns where the next one begins.
fn close_segment(out: &mut String, start: usize, last: bool) -> Result<usize, PathRefusal> {
    match &out[start..] {
        "" => {}
        "." => out.truncate(start),
        ".." => return Err(PathRefusal::ParentSegment),
        segment if segment.ends_with('.') || segment.ends_with("%20") => {
            return Err(PathRefusal::TrailingDotOrSpace);
        }
        _ if last => {}
        _ => out.push('/'),
    }
    Ok(out.len())
}

/// Takes one percent-encoded character (up to four triplets for UTF-8) from the front of `rest`;
/// returns how many bytes it took.
fn push_encoded(out: &mut String, rest: &[u8]) -> Result<usize, PathRefusal> {
    let byte = decoded(rest).ok_or(PathRefusal::BrokenEncoding)?;
    match byte {
        b'/' | b'\\' => return Err(PathRefusal::EncodedSeparator),
        b';' => return Err(PathRefusal::Parameters),
        0..0x20 | 0x7f => return Err(PathRefusal::ForbiddenByte),
        0x80.. => return push_utf8(out, rest, byte),
        b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
        _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
        _ => push_percent(out, byte),
    }
    Ok(3)
}

/// One character outside ASCII: all its bytes must be there, in their shortest form (RFC 3629).
fn push_utf8(out: &mut String, rest: &[u8], lead: u8) -> Result<usize, PathRefusal> {
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Err(PathRefusal::InvalidUtf8),
    };
    let mut character = [0; 4];
    for (index, slot) in character[..length].iter_mut().enumerate() {
        *slot = rest.get(index * 3..).and_then(decoded).ok_or(PathRefusal::InvalidUtf8)?;
    }
    let text = std::str::from_utf8(&character[..length]).map_err(|_| PathRefusal::InvalidUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathRefusal::ForbiddenByte);
    }
    for &byte in text.as_bytes() {
        push_percent(out, byte);
    }
    Ok(length * 3)
}

/// The byte that the triplet at the front of `rest` stands for.
fn decoded(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'%', high, low, ..] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn push_percent(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// `%25` in front of two hex digits (`%252f`, `%2570`) or of `u` (`%25u002f`) becomes another
/// character when a server decodes once more. Looked for in the finished path, where hex digits
/// that were themselves encoded can be seen.
fn refuse_double_encoding(path: &str) -> Result<(), PathRefusal> {
    for (at, _) in path.match_indices("%25") {
        match path.as_bytes()[at + 3..] {
            [b'u' | b'U', ..] => return Err(PathRefusal::DoubleEncoding),
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                return Err(PathRefusal::DoubleEncoding);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What must hold for every input; called by the fuzz target and by the replaying test.
#[doc(hidden)]
#[allow(clippy::panic, reason = "a property that does not hold is a finding")]
pub fn check_properties(input: &str) {
    let Ok(once) = canonical(input) else { return };
    let target = once.target().into_owned();
    let twice = canonical(&target);
    assert!(twice.is_ok(), "{input:?} → {target:?} → {twice:?}");
    let Ok(twice) = twice else { return };
    assert_eq!(once.path, twice.path, "not a fixed point: {input:?}");
    assert_eq!(once.query, twice.query);
    assert!(twice.is_unchanged(), "{input:?}");
    assert!(once.path.starts_with('/') && once.path.is_ascii());
    assert!(!once.path.contains("//") && !once.path.contains([';', '\\', '#', '?', ' ']));
    let decoded = percent_encoding::percent_decode_str(&once.path).collect::<Vec<u8>>();
    assert!(!decoded.iter().any(|byte| *byte < 0x20 || matches!(byte, b'\\' | b';')), "{input:?}");
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(slashes(&decoded), slashes(once.path.as_bytes()), "{input:?}");
    let again = percent_encoding::percent_decode(&decoded).collect::<Vec<u8>>();
    assert_eq!(again, decoded, "decoding twice changes {input:?}");
    assert!(decoded.split(|byte| *byte == b'/').all(|part| part != b"." && part != b".."));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::next_path::safe_next;

    fn path(target: &str) -> String {
        canonical(target).unwrap_or_else(|refusal| panic!("{target}: {refusal}")).path.into_owned()
    }

    /// R-C3: a page that a login may lead to has one canonical path, so that the gateway does not
    /// refuse it afterwards.
    #[test]
    fn where_a_login_may_lead_is_canonical() {
        for next in [
            "/",
            "/portal/home?tab=1&x=%2F%2Fevil.example",
            "/portal/users/edit/1001@abc.11111.service",
            "/a%20b",
            "/portal/caf%C3%A9/",
        ] {
            assert_eq!(safe_next(next), Some(next), "{next}");
            assert!(canonical(next).is_ok(), "{next}");
        }
    }

    /// Security, "Path": one canonical path is matched and forwarded.
    #[test]
    fn what_has_one_meaning_is_normalised() {
        for (sent, expected) in [
            ("/", "/"),
            ("/portal/login", "/portal/login"),
            ("/portal/login/", "/portal/login/"),
            ("//portal//login", "/portal/login"),
            ("///", "/"),
            ("/./portal/./login", "/portal/login"),
            ("/portal/.", "/portal/"),
            ("/portal/%2e/login", "/portal/login"),
            ("/%2E", "/"),
            ("/%70ortal/log%69n", "/portal/login"),
            ("/%70%6f%72%74%61%6c", "/portal"),
            ("/a%7eb%5fc%2dd", "/a~b_c-d"),
            ("/users/1001@abc-company.11111.service", "/users/1001@abc-company.11111.service"),
            ("/users/%2b15550100", "/users/%2B15550100"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%f0%9f%98%80", "/%F0%9F%98%80"),
            ("/a%20b", "/a%20b"),
            ("/100%25", "/100%25"),
            ("/100%25%20done", "/100%25%20done"),
            ("/.well-known/change-password", "/.well-known/change-password"),
            ("/..foo/.bar", "/..foo/.bar"),
            ("/a{b}|c", "/a%7Bb%7D%7Cc"),
            ("/x!$&'()*+,=:@-._~", "/x!$&'()*+,=:@-._~"),
        ] {
            assert_eq!(path(sent), expected, "{sent}");
        }
    }

    /// Security, "Path": what has no single meaning is 400 (Authelia CVE-2021-32637, Oathkeeper
    /// GHSA-p224-6x5r-fjpm, oauth2-proxy CVE-2026-41059, Keycloak CVE-2026-3872).
    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use PathRefusal::*;
        for (sent, expected) in [
            ("", NotAPath),
            ("*", NotAPath),
            ("portal/login", NotAPath),
            ("https://portal.example.com/", NotAPath),
            ("/portal/../login", ParentSegment),
            ("/..", ParentSegment),
            ("/x/%2e%2e/login.php", ParentSegment),
            ("/x/.%2E/login.php", ParentSegment),
            ("/portal%2flogin", EncodedSeparator),
            ("/portal%2Flogin", EncodedSeparator),
            ("/portal%5clogin", EncodedSeparator),
            ("/portal\\login", EncodedSeparator),
            ("/portal/login;jsessionid=1", Parameters),
            ("/portal/..;/login", Parameters),
            ("/portal/login%3bx", Parameters),
            ("/portal/login%00", ForbiddenByte),
            ("/portal/login%00.js", ForbiddenByte),
            ("/portal/login%0d%0a", ForbiddenByte),
            ("/portal/login%7f", ForbiddenByte),
            ("/portal/login%c2%85", ForbiddenByte),
            ("/portal/log in", ForbiddenByte),
            ("/portal/login\t", ForbiddenByte),
            ("/portal/login\u{0}", ForbiddenByte),
            ("/portal/löschen", ForbiddenByte),
            ("/portal/login.", TrailingDotOrSpace),
            ("/portal./login", TrailingDotOrSpace),
            ("/portal/login%2e", TrailingDotOrSpace),
            ("/portal/login%20", TrailingDotOrSpace),
            ("/portal%20/login", TrailingDotOrSpace),
            ("/portal/...", TrailingDotOrSpace),
            ("/portal/%252e%252e/login", DoubleEncoding),
            ("/portal%252flogin", DoubleEncoding),
            ("/portal/lo%2567in", DoubleEncoding),
            ("/portal/%25%32%66login", DoubleEncoding),
            ("/portal/%2%352f", BrokenEncoding),
            ("/portal/%25u002flogin", DoubleEncoding),
            ("/portal/%u0070", BrokenEncoding),
            ("/portal/%", BrokenEncoding),
            ("/portal/%4", BrokenEncoding),
            ("/portal/%zz", BrokenEncoding),
            ("/%c0%ae%c0%ae/login", InvalidUtf8),
            ("/portal%c0%aflogin", InvalidUtf8),
            ("/portal%e0%80%aflogin", InvalidUtf8),
            ("/%ff", InvalidUtf8),
            ("/%80", InvalidUtf8),
            ("/%c3x", InvalidUtf8),
            ("/%c3", InvalidUtf8),
            ("/%ed%a0%80", InvalidUtf8),
            ("/portal/login#/public", Fragment),
            ("/portal/login?x#y", Fragment),
            ("/portal/login?x y", ForbiddenByte),
            ("/portal/login?x\r\ny", ForbiddenByte),
        ] {
            assert_eq!(canonical(sent).err(), Some(expected), "{sent:?}");
        }
    }

    #[test]
    fn the_query_is_left_as_it_is() {
        let plain = canonical("/a?b=%2F&c=//..;x?y").expect("one meaning");
        assert_eq!((plain.path.as_ref(), plain.query), ("/a", Some("b=%2F&c=//..;x?y")));
        assert!(plain.is_unchanged());
        assert!(matches!(plain.target(), Cow::Borrowed("/a?b=%2F&c=//..;x?y")));
        let changed = canonical("//a?b").expect("one meaning");
        assert_eq!(changed.target(), "/a?b");
        assert_eq!(canonical("/a?").expect("one meaning").query, Some(""));
        assert_eq!(canonical("/a").expect("one meaning").query, None);
    }

    /// The ordinary request costs no allocation.
    #[test]
    fn an_ordinary_path_is_borrowed() {
        for sent in ["/", "/portal/home", "/.well-known/x", "/a.b/c", "/caf%C3%A9", "/a%20b"] {
            assert!(canonical(sent).expect("one meaning").is_unchanged(), "{sent}");
        }
    }

    #[test]
    fn absolute_form_is_split_into_authority_and_path() {
        assert_eq!(split_absolute("/a?b"), Ok((None, "/a?b")));
        assert_eq!(split_absolute("HTTPS://h:8443/a?b"), Ok((Some("h:8443"), "/a?b")));
        for bad in
            ["https://h", "https:///a", "https://u@h/a", "ftp://h/a", "*", "h:443", "http://h?x/"]
        {
            assert_eq!(split_absolute(bad), Err(PathRefusal::NotAPath), "{bad}");
        }
    }

    #[test]
    fn replay_the_canonical_form_is_a_fixed_point() {
        use crate::gateway::replay;
        const PIECES: &[&str] = &[
            "/",
            "//",
            ".",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%5C",
            "%25",
            "%32",
            "%66",
            "%70",
            "%c3",
            "%a9",
            "%C0",
            "%af",
            "%e2%80%8b",
            "%",
            "%4",
            ";",
            "\\",
            "#",
            "?",
            " ",
            "%20",
            "%00",
            "a",
            "login",
            "é",
            "{",
            "|",
            "~",
            "+",
            "@",
            ":",
            "u",
            "2",
            "f",
        ];
        replay::pieces(PIECES, 20_000, |input| {
            check_properties(input);
            check_properties(&format!("/{input}"));
        });
    }
}
