//! The jar: the PBX's session cookies, kept on our side of the proxy and never in the browser.

use serde::{Deserialize, Serialize};

/// One cookie of the PBX.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JarCookie {
    /// Cookie name, as the PBX spells it.
    pub name: String,
    /// Opaque value.
    pub value: String,
}

impl std::fmt::Debug for JarCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JarCookie({}=…)", self.name)
    }
}

/// The cookies that make up one PBX session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jar {
    cookies: Vec<JarCookie>,
}

/// At most this many cookies and bytes are kept; a PBX that sends more loses the oldest.
const MAX_COOKIES: usize = 16;
const MAX_BYTES: usize = 3 * 1024;

impl Jar {
    /// No cookies yet: the next request begins a new PBX session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one `Set-Cookie` value. An empty value, `Max-Age=0` or a negative one, and an
    /// `Expires` in the year 1970 remove the cookie. Returns whether anything changed.
    pub fn take(&mut self, set_cookie: &str) -> bool {
        let Some((name, value)) = name_and_value(set_cookie) else { return false };
        let before = self.cookies.clone();
        self.cookies.retain(|cookie| cookie.name != name);
        if !value.is_empty() && !is_removal(set_cookie) {
            self.cookies.push(JarCookie { name: name.to_owned(), value: value.to_owned() });
        }
        while self.cookies.len() > MAX_COOKIES || self.bytes() > MAX_BYTES {
            self.cookies.remove(0);
        }
        self.cookies != before
    }

    /// The `Cookie` header value to send to the PBX; `None` when the jar is empty.
    pub fn header(&self) -> Option<String> {
        if self.cookies.is_empty() {
            return None;
        }
        let pairs: Vec<String> =
            self.cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        Some(pairs.join("; "))
    }

    /// The value of one cookie.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.as_str())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The names it holds, for telling the browser to forget strays of the same name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cookies.iter().map(|cookie| cookie.name.as_str())
    }

    fn bytes(&self) -> usize {
        self.cookies.iter().map(|cookie| cookie.name.len() + cookie.value.len() + 3).sum()
    }
}

/// Name and value of a `Set-Cookie` header, without its attributes.
pub fn name_and_value(set_cookie: &str) -> Option<(&str, &str)> {
    let pair = set_cookie.split(';').next()?;
    let (name, value) = pair.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name, value.trim()))
}

fn is_removal(set_cookie: &str) -> bool {
    set_cookie.split(';').skip(1).any(|attribute| {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match key.trim().to_ascii_lowercase().as_str() {
            "max-age" => value.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0),
            "expires" => value.contains("1970"),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C7 of the jar's rules: a renewed cookie replaces its predecessor.
    #[test]
    fn a_renewed_cookie_replaces_the_old_one() {
        let mut jar = Jar::new();
        assert!(jar.take("PHPSESSID=one; path=/; HttpOnly"));
        assert!(!jar.take("PHPSESSID=one"));
        assert!(jar.take("PHPSESSID=two; Domain=pbx.example"));
        jar.take("lang=en");
        assert_eq!(jar.header().as_deref(), Some("PHPSESSID=two; lang=en"));
        assert_eq!(jar.value("PHPSESSID"), Some("two"));
    }

    #[test]
    fn expired_and_empty_cookies_leave_the_jar() {
        for removal in [
            "a=",
            "a=x; Max-Age=0",
            "a=x; max-age=-1",
            "a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
        ] {
            let mut jar = Jar::new();
            jar.take("a=1");
            assert!(jar.take(removal), "{removal}");
            assert!(jar.is_empty(), "{removal}");
        }
    }

    /// The jar is bounded whatever the PBX sends.
    #[test]
    fn the_jar_is_bounded() {
        let mut jar = Jar::new();
        for i in 0..200 {
            jar.take(&format!("c{i}={}", "x".repeat(100)));
        }
        assert!(jar.cookies.len() <= MAX_COOKIES && jar.bytes() <= MAX_BYTES);
        assert!(jar.value("c199").is_some());
        assert!(!jar.take("no-equals-sign") && !jar.take("=nameless"));
    }
}
