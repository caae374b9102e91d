//! Cookies on their way through: ours are found and kept from the PBX, the PBX's session cookies
//! (the jar) are kept from the browser, all others pass.

use std::borrow::Cow;

use memchr::memchr;

/// The session (R-C4).
pub const SESSION: &str = "__Host-passgate";
/// The sealed PBX session of a visitor who is not signed in yet.
pub const VISITOR: &str = "__Host-passgate-visitor";
/// The sealed device cookie: this browser signed in before (R-C5).
pub const DEVICE: &str = "__Host-passgate-device";

/// Every cookie whose name begins so is ours: never forwarded, never taken from the PBX.
const OURS: &str = "__Host-passgate";

/// At most this many different values of one cookie are looked at.
const MAX_CANDIDATES: usize = 4;

/// The value of the cookie `name` in the request's `Cookie` fields (HTTP/2 may send several).
///
/// A name that occurs twice with different values is treated as absent: a sibling domain or an
/// old browser may have planted one of them, and nothing tells which. Callers that can recognise
/// the genuine one (a sealed value, a live session) use [`candidates`].
pub fn find<'h>(headers: impl IntoIterator<Item = &'h [u8]>, name: &str) -> Option<&'h str> {
    match *candidates(headers, name).as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// All different values that the cookie `name` has, up to four; [`find`] for the safe rule. With
/// more than one, the caller accepts a value only if exactly one proves genuine.
pub fn candidates<'h>(headers: impl IntoIterator<Item = &'h [u8]>, name: &str) -> Candidates<'h> {
    let mut found = Candidates { values: [""; MAX_CANDIDATES], count: 0 };
    for header in headers {
        for pair in Pairs::of(header) {
            if pair.name == name.as_bytes()
                && let Ok(value) = std::str::from_utf8(pair.value)
            {
                found.note(value);
            }
        }
    }
    found
}

/// The different values of one cookie.
#[derive(Clone)]
pub struct Candidates<'h> {
    values: [&'h str; MAX_CANDIDATES],
    count: usize,
}

impl<'h> Candidates<'h> {
    /// The values, in the order they were sent.
    pub fn as_slice(&self) -> &[&'h str] {
        &self.values[..self.count]
    }

    fn note(&mut self, value: &'h str) {
        if self.count < MAX_CANDIDATES && !self.as_slice().contains(&value) {
            self.values[self.count] = value;
            self.count += 1;
        }
    }
}

impl std::fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Candidates({})", self.count)
    }
}

/// What of one `Cookie` field may reach the PBX: all but our cookies and those named in `jar`.
/// Borrowed whenever what remains is one piece of what was sent.
pub fn remaining<'h>(header: &'h [u8], jar: &[impl AsRef<str>]) -> Cow<'h, [u8]> {
    let mut kept: Cow<'h, [u8]> = Cow::Borrowed(&[]);
    let mut run: Option<(usize, usize)> = None;
    for pair in Pairs::of(header) {
        if is_ours(pair.name) || jar.iter().any(|name| is_spelling_of(pair.name, name.as_ref())) {
            flush(&mut kept, header, run.take());
            continue;
        }
        run = Some((run.map_or(pair.start, |(start, _)| start), pair.end));
    }
    flush(&mut kept, header, run);
    kept
}

/// The one `Cookie` field to send to the PBX: the jar's cookies (`jar_header`) first, then what
/// [`remaining`] leaves of the client's. `None` when there is nothing to send.
pub fn outgoing<'h>(
    headers: impl IntoIterator<Item = &'h [u8]>,
    jar: &[impl AsRef<str>],
    jar_header: Option<&'h str>,
) -> Option<Cow<'h, [u8]>> {
    let mut out: Cow<'h, [u8]> = Cow::Borrowed(jar_header.unwrap_or("").as_bytes());
    for header in headers {
        append(&mut out, remaining(header, jar));
    }
    (!out.is_empty()).then_some(out)
}

/// A `Set-Cookie` of the PBX as the browser may have it: without `Domain`, with `Secure`. `None`
/// if it would set one of ours. Cookies of the jar are taken out before by the caller.
pub fn passed_set_cookie(set_cookie: &[u8]) -> Option<Cow<'_, [u8]>> {
    let name = set_cookie_name(set_cookie)?;
    if is_ours(name) {
        return None;
    }
    let is_attribute = |part: &[u8], name: &str| {
        let key = part.split(|byte| *byte == b'=').next().unwrap_or(part);
        key.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    };
    let attributes = || set_cookie.split(|byte| *byte == b';').skip(1);
    let secure = attributes().any(|part| is_attribute(part, "secure"));
    if secure && !attributes().any(|part| is_attribute(part, "domain")) {
        return Some(Cow::Borrowed(set_cookie));
    }
    let mut out = Vec::with_capacity(set_cookie.len() + 8);
    out.extend(set_cookie.split(|byte| *byte == b';').next().unwrap_or_default());
    for part in attributes().filter(|part| !is_attribute(part, "domain")) {
        out.push(b';');
        out.extend_from_slice(part);
    }
    if !secure {
        out.extend_from_slice(b"; Secure");
    }
    Some(Cow::Owned(out))
}

/// The cookie name of a `Set-Cookie` field; `None` for a nameless one, which browsers send back
/// in ways that can imitate any other cookie.
pub fn set_cookie_name(set_cookie: &[u8]) -> Option<&[u8]> {
    let pair = set_cookie.split(|byte| *byte == b';').next()?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let name = pair[..equals].trim_ascii();
    (!name.is_empty()).then_some(name)
}

/// Whether a cookie called `name` belongs in the jar that has the names `jar`.
pub fn is_jar_name(name: &[u8], jar: &[impl AsRef<str>]) -> bool {
    jar.iter().any(|known| is_spelling_of(name, known.as_ref()))
}

/// A `Set-Cookie` value for one of ours; `max_age` in seconds, without it the cookie ends with the
/// browser.
pub fn set_own(name: &str, value: &str, max_age: Option<u64>) -> String {
    let life = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={value}; Path=/{life}; Secure; HttpOnly; SameSite=Lax")
}

/// A `Set-Cookie` value that makes the browser forget one of ours.
pub fn clear_own(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

/// `Set-Cookie` values that make the browser forget the PBX's cookies it holds (sign-out, another
/// account), one for each name in `headers` that is not ours. They were set for the path `/` or
/// for the directory of the page; other paths cannot be known.
pub fn clear_passed<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Vec<Vec<u8>> {
    let mut cleared: Vec<Vec<u8>> = Vec::new();
    for header in headers {
        for pair in Pairs::of(header) {
            if pair.name.is_empty() || is_ours(pair.name) || cleared.len() == 64 {
                continue;
            }
            let line = [pair.name, b"=; Path=/; Max-Age=0; Secure"].concat();
            if !cleared.contains(&line) {
                cleared.push(line);
            }
        }
    }
    cleared
}

/// Ours, also in the spellings that some servers decode to it.
fn is_ours(name: &[u8]) -> bool {
    name.starts_with(OURS.as_bytes())
        || may_begin_alike(name, OURS)
            && CookieName::of(name).take(OURS.len()).eq(CookieName::of(OURS.as_bytes()))
}

/// Whether an application may take `name` for `known`. PHP percent-decoded cookie names for a
/// long time, skips leading blanks, cuts at NUL and `[`, and folds `.` and blanks into `_`; other
/// servers ignore case.
fn is_spelling_of(name: &[u8], known: &str) -> bool {
    may_begin_alike(name, known) && CookieName::of(name).eq(CookieName::of(known.as_bytes()))
}

/// Rules out most names by their first byte: a letter or digit there stands for itself.
fn may_begin_alike(name: &[u8], known: &str) -> bool {
    match (name.first(), known.as_bytes().first()) {
        (Some(one), Some(other)) => {
            !one.is_ascii_alphanumeric() || one.eq_ignore_ascii_case(other)
                // A known name that begins with an encoding is compared in full.
                || *other == b'%'
        }
        _ => name.is_empty() == known.is_empty(),
    }
}

/// A cookie name as a lenient application reads it.
struct CookieName<'n> {
    rest: &'n [u8],
    begun: bool,
}

impl<'n> CookieName<'n> {
    fn of(name: &'n [u8]) -> Self {
        Self { rest: name, begun: false }
    }
}

impl Iterator for CookieName<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (byte, taken) = match self.rest {
                [] => return None,
                [b'%', high, low, ..] => match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, 3),
                    _ => (b'%', 1),
                },
                [byte, ..] => (*byte, 1),
            };
            self.rest = &self.rest[taken..];
            match byte {
                0 | b'[' => {
                    self.rest = &[];
                    return None;
                }
                b' ' | b'\t' | b'+' | b'"' if !self.begun => {}
                b'.' | b' ' | b'+' => return Some(b'_'),
                _ => {
                    self.begun = true;
                    return Some(byte.to_ascii_lowercase());
                }
            }
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// One `name=value` of a `Cookie` field, with its place there.
struct Pair<'h> {
    name: &'h [u8],
    value: &'h [u8],
    start: usize,
    end: usize,
}

/// The pairs of a `Cookie` field, separated by `;` (RFC 6265 §5.4). Quotes do not hide a
/// separator, as in browsers and PHP.
struct Pairs<'h> {
    header: &'h [u8],
    at: usize,
}

impl<'h> Pairs<'h> {
    fn of(header: &'h [u8]) -> Self {
        Self { header, at: 0 }
    }
}

impl<'h> Iterator for Pairs<'h> {
    type Item = Pair<'h>;

    fn next(&mut self) -> Option<Pair<'h>> {
        while self.at < self.header.len() {
            let mut start = self.at;
            let mut end =
                memchr(b';', &self.header[start..]).map_or(self.header.len(), |at| start + at);
            self.at = end + 1;
            while start < end && matches!(self.header[start], b' ' | b'\t') {
                start += 1;
            }
            while start < end && matches!(self.header[end - 1], b' ' | b'\t') {
                end -= 1;
            }
            if start == end {
                continue;
            }
            let pair = &self.header[start..end];
            // Without `=` some servers read a name and some a value: as a name it can be dropped.
            let (name, value) = match memchr(b'=', pair) {
                Some(equals) => (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()),
                None => (pair, &pair[pair.len()..]),
            };
            return Some(Pair { name, value, start, end });
        }
        None
    }
}

fn flush<'h>(kept: &mut Cow<'h, [u8]>, header: &'h [u8], run: Option<(usize, usize)>) {
    if let Some((start, end)) = run {
        append(kept, Cow::Borrowed(&header[start..end]));
    }
}

fn append<'h>(kept: &mut Cow<'h, [u8]>, more: Cow<'h, [u8]>) {
    if more.is_empty() {
        return;
    }
    if kept.is_empty() {
        *kept = more;
        return;
    }
    let kept = kept.to_mut();
    kept.reserve(more.len() + 2);
    kept.extend_from_slice(b"; ");
    kept.extend_from_slice(&more);
}

/// What must hold for every `Cookie` field; called by the fuzz target and by the replaying test.
#[doc(hidden)]
pub fn check_properties(header: &[u8]) {
    let jar = ["PHPSESSID", "CAKE_PHP"];
    let once = remaining(header, &jar);
    assert_eq!(remaining(&once, &jar), once, "not a fixed point");
    assert!(find([once.as_ref()], SESSION).is_none());
    assert!(find([once.as_ref()], "PHPSESSID").is_none());
    let kept = |header: &[u8]| -> Vec<Vec<u8>> {
        Pairs::of(header)
            .filter(|pair| !is_ours(pair.name) && !is_jar_name(pair.name, &jar))
            .map(|pair| header[pair.start..pair.end].to_vec())
            .collect()
    };
    assert_eq!(kept(header), kept(&once), "a cookie was lost, added or changed");
    if let Some(sent) = outgoing([header], &jar, Some("PHPSESSID=ours")) {
        assert_eq!(find([sent.as_ref()], "PHPSESSID"), Some("ours"));
    }
    if let Some(set) = passed_set_cookie(header) {
        let again = passed_set_cookie(&set).map(Cow::into_owned);
        assert_eq!(again.as_deref(), Some(set.as_ref()), "not a fixed point");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(header: &str) -> String {
        let left = remaining(header.as_bytes(), &["PHPSESSID", "CAKEPHP", "cake_sid"]);
        String::from_utf8(left.into_owned()).expect("text")
    }

    #[test]
    fn one_cookie_is_found() {
        for (header, expected) in [
            ("__Host-passgate=abc", Some("abc")),
            ("a=1; __Host-passgate=abc; b=2", Some("abc")),
            ("a=1;__Host-passgate=abc;b=2", Some("abc")),
            (" ;; __Host-passgate = abc ;", Some("abc")),
            ("__Host-passgate=a=b", Some("a=b")),
            ("__Host-passgate=", Some("")),
            ("__Host-passgate=abc; __Host-passgate=abc", Some("abc")),
            ("__host-passgate=abc", None),
            ("__Host-passgate-device=abc", None),
            ("x__Host-passgate=abc", None),
            ("a=\"; __Host-passgate2=x\"", None),
            ("", None),
        ] {
            assert_eq!(find([header.as_bytes()], SESSION), expected, "{header}");
        }
        let crumbs: [&[u8]; 2] = [b"a=1", b"__Host-passgate=abc"];
        assert_eq!(find(crumbs, SESSION), Some("abc"));
    }

    /// Security, "Browser": own cookies survive cookie tossing: with two values neither is
    /// believed blindly, but both can be tried.
    #[test]
    fn two_different_values_are_not_one_session() {
        let header: &[u8] = b"__Host-passgate=planted; __Host-passgate=genuine";
        assert_eq!(find([header], SESSION), None);
        assert_eq!(candidates([header], SESSION).as_slice(), ["planted", "genuine"]);
        let many: Vec<u8> = (0..9).flat_map(|n| format!("s={n};").into_bytes()).collect();
        assert_eq!(candidates([many.as_slice()], "s").as_slice().len(), MAX_CANDIDATES);
        assert_eq!(format!("{:?}", candidates([header], SESSION)), "Candidates(2)");
    }

    /// R-G1, decision 4: client-sent jar cookies are dropped, ours are never forwarded.
    #[test]
    fn our_cookies_and_the_jars_are_stripped() {
        for (header, expected) in [
            ("lang=en", "lang=en"),
            ("__Host-passgate=abc", ""),
            ("__Host-passgate=abc; lang=en; tz=1", "lang=en; tz=1"),
            ("lang=en; tz=1; __Host-passgate=abc", "lang=en; tz=1"),
            ("lang=en; __Host-passgate=abc; tz=1", "lang=en; tz=1"),
            ("__Host-passgate-visitor=x; a=1; PHPSESSID=evil; b=2; CAKEPHP=evil", "a=1; b=2"),
            ("PHPSESSID=evil", ""),
            ("phpsessid=evil; %50HPSESSID=evil; PHPSESSID[]=evil; PHPSESSID%00x=evil", ""),
            ("cake.sid=evil; cake%20sid=evil; cake+sid=evil; %20cake_sid=evil", ""),
            ("PHPSESSID; \"PHPSESSID=evil; __host-passgate=x; __Host%2dpassgate=x", ""),
            ("a=\"x; PHPSESSID=evil; y\"", "a=\"x; y\""),
            (
                "XPHPSESSID=1; PHPSESSIDX=2; =nameless; bare",
                "XPHPSESSID=1; PHPSESSIDX=2; =nameless; bare",
            ),
        ] {
            assert_eq!(left(header), expected, "{header}");
        }
    }

    /// The ordinary request costs no allocation.
    #[test]
    fn one_piece_is_borrowed() {
        for header in ["a=1; b=2", "__Host-passgate=x; a=1; b=2", "a=1; b=2; __Host-passgate=x"] {
            assert!(matches!(remaining(header.as_bytes(), &["P"]), Cow::Borrowed(_)), "{header}");
        }
        let only_ours: &[u8] = b"__Host-passgate=x";
        let sent = outgoing([only_ours], &["P"], Some("P=1"));
        assert!(matches!(sent, Some(Cow::Borrowed(b"P=1"))));
    }

    #[test]
    fn the_jar_and_the_rest_make_one_field() {
        let crumbs: [&[u8]; 3] = [b"__Host-passgate=x; P=evil", b"a=1", b"b=2; P=evil; c=3"];
        let text = |sent: Option<Cow<'_, [u8]>>| {
            sent.map(|sent| String::from_utf8_lossy(&sent).into_owned())
        };
        assert_eq!(
            text(outgoing(crumbs, &["P"], Some("P=1"))).as_deref(),
            Some("P=1; a=1; b=2; c=3")
        );
        assert_eq!(text(outgoing(crumbs, &["P"], None)).as_deref(), Some("a=1; b=2; c=3"));
        assert_eq!(text(outgoing([crumbs[0]], &["P"], None)), None);
    }

    /// R-G1: "Set-Cookie loses Domain and gains Secure".
    #[test]
    fn a_passed_cookie_loses_its_domain_and_gains_secure() {
        for (set, expected) in [
            ("a=1", Some("a=1; Secure")),
            ("a=1; path=/; HttpOnly", Some("a=1; path=/; HttpOnly; Secure")),
            ("a=1; Domain=pbx.example; Path=/x", Some("a=1; Path=/x; Secure")),
            ("a=1;DOMAIN = .pbx.example;secure", Some("a=1;secure")),
            ("a=1; Secure; SameSite=None", Some("a=1; Secure; SameSite=None")),
            ("a=domain=x; domain", Some("a=domain=x; Secure")),
            (
                "a=; expires=Thu, 01-Jan-1970 00:00:01 GMT",
                Some("a=; expires=Thu, 01-Jan-1970 00:00:01 GMT; Secure"),
            ),
            ("__Host-passgate=evil; Path=/; Secure", None),
            ("__host-passgate-visitor=evil", None),
            ("=__Host-passgate=evil", None),
            ("__Host-passgate", None),
        ] {
            let passed = passed_set_cookie(set.as_bytes());
            let passed = passed.map(|passed| String::from_utf8_lossy(&passed).into_owned());
            assert_eq!(passed.as_deref(), expected, "{set}");
        }
    }

    /// Security, "Sessions": `__Host-`, Secure, HttpOnly, SameSite=Lax.
    #[test]
    fn our_own_cookies_are_strict() {
        assert_eq!(
            set_own(SESSION, "abc", None),
            "__Host-passgate=abc; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            set_own(DEVICE, "abc", Some(60)),
            "__Host-passgate-device=abc; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(clear_own(SESSION).starts_with("__Host-passgate=; Path=/; Max-Age=0; Secure"));
    }

    /// R-C6: passed cookies are removed at sign-out.
    #[test]
    fn the_browsers_other_cookies_are_forgotten() {
        let header: &[u8] = b"lang=en; __Host-passgate=x; tz=1; lang=de";
        let cleared = clear_passed([header]);
        assert_eq!(
            cleared,
            [
                b"lang=; Path=/; Max-Age=0; Secure".to_vec(),
                b"tz=; Path=/; Max-Age=0; Secure".to_vec(),
            ]
        );
    }

    #[test]
    fn replay_nothing_is_lost_or_added() {
        use crate::gateway::replay;
        const PIECES: &[&str] = &[
            "__Host-passgate",
            "PHPSESSID",
            "CAKE_PHP",
            "cake.php",
            "=",
            ";",
            "; ",
            " ",
            "a",
            "b",
            "%50HPSESSID",
            "%",
            "%00",
            "[",
            "]",
            "\"",
            ",",
            "Domain=x",
            "Secure",
            "+",
            "\t",
            "é",
        ];
        replay::pieces(PIECES, 20_000, |header| check_properties(header.as_bytes()));
    }
}
