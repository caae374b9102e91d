//! The page first asked for: remembered in a cookie over the login, and over whatever else stands
//! before the portal (R-C3, R-A3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use super::cookies;
use crate::domain::next_path::safe_next;

/// Longest path that is remembered, in bytes.
const LONGEST: usize = 1024;
/// How long it is remembered (seconds): the user stands before a form all that time.
const LIFE: u32 = 600;

/// The `Set-Cookie` value that remembers a path; `None` for one that is no path of this origin or
/// too long.
pub fn remember(path: &str) -> Option<HeaderValue> {
    let path = safe_next(path).filter(|path| path.len() <= LONGEST)?;
    Some(cookies::set(cookies::NEXT, &URL_SAFE_NO_PAD.encode(path), Some(LIFE)))
}

/// The path that a request remembers. A cookie can be planted, so it is checked like any other
/// input.
pub fn recall(headers: &HeaderMap) -> Option<String> {
    let value = cookies::value(headers, cookies::NEXT)?;
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    safe_next(&decoded).map(str::to_owned)
}

/// The `Set-Cookie` value that forgets it; `None` where nothing is remembered.
pub fn forget(headers: &HeaderMap) -> Option<HeaderValue> {
    let remembered = cookies::names(headers).any(|name| name == cookies::NEXT);
    remembered.then(|| cookies::remove(cookies::NEXT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn sent(value: &str) -> HeaderMap {
        let cookie = HeaderValue::try_from(format!("a=1; {}={value}", cookies::NEXT));
        [(COOKIE, cookie.unwrap())].into_iter().collect()
    }

    /// R-C3, security.md "Browser": only paths of this origin are remembered, and a planted cookie
    /// leads nowhere else.
    #[test]
    fn only_paths_of_this_origin_are_remembered() {
        let cookie = remember("/portal/history?page=2").unwrap();
        let value = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
        assert_eq!(recall(&sent(&value)).as_deref(), Some("/portal/history?page=2"));
        assert_eq!(remember("//evil.example"), None);
        assert_eq!(remember(&format!("/{}", "a".repeat(LONGEST))), None);
        assert_eq!(recall(&sent(&URL_SAFE_NO_PAD.encode("//evil.example"))), None);
        assert_eq!(recall(&sent("%%%")), None);
        assert_eq!(recall(&HeaderMap::new()), None);
    }

    /// Answers do not remove a cookie that the browser does not have.
    #[test]
    fn only_what_is_remembered_is_forgotten() {
        assert!(forget(&sent("broken")).is_some());
        assert_eq!(forget(&HeaderMap::new()), None);
    }
}
