//! The bearer token of a request.

use http::header::{AUTHORIZATION, HeaderMap};

/// The bearer token that a request presents (RFC 6750 §2.1), if it presents one.
pub fn of(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
