//! The page first asked for: remembered in a cookie over the login (R-C3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cookies;
use super::next_path::safe_next;

/// Name of the cookie.
pub const COOKIE: &str = "__Host-passgate-next";

/// Longest path that is remembered, in bytes.
const LONGEST: usize = 1024;

/// The `Set-Cookie` value that remembers a path for ten minutes; `None` for one that is no path
/// of this origin or too long.
pub fn remember(path: &str) -> Option<String> {
    let path = safe_next(path).filter(|path| path.len() <= LONGEST)?;
    Some(cookies::set_own(COOKIE, &URL_SAFE_NO_PAD.encode(path), Some(600)))
}

/// The path in a cookie value. A cookie can be planted, so it is checked like any other input.
pub fn recall(value: &str) -> Option<String> {
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    safe_next(&decoded).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_origin_are_remembered() {
        let cookie = remember("/portal/history?page=2").unwrap();
        let value = cookie.split(['=', ';']).nth(1).unwrap();
        assert_eq!(recall(value).as_deref(), Some("/portal/history?page=2"));
        assert_eq!(remember("//evil.example"), None);
        assert_eq!(recall(&URL_SAFE_NO_PAD.encode("//evil.example")), None);
        assert_eq!(recall("%%%"), None);
    }
}
