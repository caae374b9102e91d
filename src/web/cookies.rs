//! The cookies that Passgate gives to browsers. All carry the `__Host-` prefix (RFC 6265bis): a
//! sibling domain cannot set or shadow them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::domain::session::SessionToken;
use crate::flows::Opened;

/// The session: base64url of the [`SessionToken`].
pub const SESSION: &str = "__Host-passgate";
/// This browser signed in before: a sealed value that only the login flow opens.
pub const DEVICE: &str = "__Host-passgate-device";
/// A message for the next page, sealed (see [`super::flash`]).
pub const FLASH: &str = "__Host-passgate-flash";
/// The page first asked for (see [`super::next_page`]).
pub(super) const NEXT: &str = "__Host-passgate-next";
/// A form that was sent too late and is kept (see [`super::kept_form`]).
pub(super) const KEPT: &str = "__Host-passgate-kept";
/// That it is to be sent now, sealed.
pub const SEND: &str = "__Host-passgate-send";
/// Random value that the forms of people who are not signed in are bound to.
pub const FORM: &str = "__Host-passgate-form";

/// Browsers keep no cookie longer than 400 days (RFC 6265bis, section 5.5).
const LONGEST_LIFE: u32 = 400 * 86_400;

/// The `Set-Cookie` values for a session that was just opened: the session cookie, which goes
/// when the browser closes (the server ends it long before), and the device cookie, which stays.
pub fn for_opened(opened: &Opened) -> impl Iterator<Item = HeaderValue> {
    let session = set(SESSION, &URL_SAFE_NO_PAD.encode(opened.token.0), None);
    let device = opened.device.as_ref().map(|device| set(DEVICE, device, Some(LONGEST_LIFE)));
    [Some(session), device].into_iter().flatten()
}

/// The `Set-Cookie` value that removes the session cookie. The device cookie stays: it protects
/// the user from strangers' guesses after signing out, too.
pub fn remove_session() -> HeaderValue {
    remove(SESSION)
}

/// Reads the value of the session cookie; `None` if it is not one of ours.
pub fn session_token(value: &str) -> Option<SessionToken> {
    let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
    Some(SessionToken(bytes.try_into().ok()?))
}

/// A `Set-Cookie` value: `Secure`, `HttpOnly`, `SameSite=Lax`, for the whole origin; `life` in
/// seconds, `None` until the browser closes.
pub(super) fn set(name: &str, value: &str, life: Option<u32>) -> HeaderValue {
    let mut text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax");
    if let Some(seconds) = life {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    // Names are constants and values base64url: always a header value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A `Set-Cookie` value that removes a cookie of this origin. A name that cannot stand in a
/// header is one that no browser has.
pub(super) fn remove(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of one cookie of a request. A name that occurs with different values is treated as
/// absent: nothing tells which one is ours.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = pairs(headers).filter(|(other, _)| *other == name).map(|(_, value)| value);
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// The names of all cookies of a request.
pub(super) fn names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    pairs(headers).map(|(name, _)| name)
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        // One by one: a cookie of another script that is not ASCII hides none of ours.
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-C4, ASVS 3.4: what the session cookie must say; and only its own form is read back.
    #[test]
    fn the_session_cookie_is_host_bound_and_read_back() {
        let token = SessionToken([7; 32]);
        let header = set(SESSION, &URL_SAFE_NO_PAD.encode(token.0), None);
        let text = header.to_str().unwrap();
        let (pair, attributes) = text.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        let value = pair.strip_prefix("__Host-passgate=").unwrap();
        assert!(session_token(value).is_some_and(|read| read == token));
        for bad in ["", "x", &value[1..], &format!("{value}A"), &format!("{value}=")] {
            assert!(session_token(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-passgate-form=x=y; lone"));
        headers.append(COOKIE, HeaderValue::from_bytes(b"x=caf\xc3\xa9; y=\xff; b=2").unwrap());
        assert_eq!(value(&headers, FORM), Some("x=y"));
        assert_eq!(value(&headers, "b"), Some("2"));
        assert_eq!(value(&headers, SESSION), None);
        assert_eq!(names(&headers).collect::<Vec<_>>(), ["a", FORM, "x", "b"]);
        headers.append(COOKIE, HeaderValue::from_static("b=3"));
        assert_eq!(value(&headers, "b"), None, "nothing tells which one is ours");
    }
}
