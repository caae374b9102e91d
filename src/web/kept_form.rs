//! The cookies of a form that was sent too late (R-C4): which one this browser may be offered, and
//! that its user wants it sent now.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

use super::cookies;
use crate::domain::kept_form::{KeptFormToken, LIFE};
use crate::domain::session::SessionId;
use crate::ports::Vault;

const PURPOSE: &str = "send kept form";
/// So long after the button the form is sent (seconds): the browser is sent on to its place at once.
const MOMENT: u32 = 60;

/// The `Set-Cookie` value that lets this browser be offered the form.
pub fn remember(token: &KeptFormToken) -> HeaderValue {
    let life = u32::try_from(LIFE.as_secs()).unwrap_or(u32::MAX);
    cookies::set(cookies::KEPT, &URL_SAFE_NO_PAD.encode(token.0), Some(life))
}

/// Which form this browser may be offered.
pub fn recall(headers: &HeaderMap) -> Option<KeptFormToken> {
    let bytes = URL_SAFE_NO_PAD.decode(cookies::value(headers, cookies::KEPT)?).ok()?;
    Some(KeptFormToken(bytes.try_into().ok()?))
}

/// The page to be led to after a login, before any other: the one that offers the form.
pub fn page_first(headers: &HeaderMap, prefix: &str) -> Option<String> {
    recall(headers).map(|_| format!("{prefix}/kept-form"))
}

/// The `Set-Cookie` value that forgets it; `None` where there is none.
pub fn forget(headers: &HeaderMap) -> Option<HeaderValue> {
    let remembered = cookies::names(headers).any(|name| name == cookies::KEPT);
    remembered.then(|| cookies::remove(cookies::KEPT))
}

/// What its user decided: this form goes to this place, in this session, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The form.
    pub token: KeptFormToken,
    /// Where it goes: path and query.
    pub target: String,
}

/// The `Set-Cookie` value that carries the decision to the form's place.
pub fn decide(
    vault: &dyn Vault,
    session: &SessionId,
    decision: &Decision,
    now: Timestamp,
) -> HeaderValue {
    let token = URL_SAFE_NO_PAD.encode(decision.token.0);
    let plain = format!("{}\n{token}\n{}", now.as_second(), decision.target);
    let sealed = vault.seal(&purpose(session), plain.as_bytes());
    cookies::set(cookies::SEND, &URL_SAFE_NO_PAD.encode(sealed), Some(MOMENT))
}

/// Reads the value of that cookie; `None` if it is not of this session and this moment.
pub fn decided(
    vault: &dyn Vault,
    session: &SessionId,
    value: &str,
    now: Timestamp,
) -> Option<Decision> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let plain = vault.open(&purpose(session), &sealed).ok()?;
    let mut lines = std::str::from_utf8(&plain).ok()?.splitn(3, '\n');
    let made: i64 = lines.next()?.parse().ok()?;
    if !(-5..=i64::from(MOMENT)).contains(&(now.as_second() - made)) {
        return None;
    }
    let token = URL_SAFE_NO_PAD.decode(lines.next()?).ok()?;
    let token = KeptFormToken(token.try_into().ok()?);
    Some(Decision { token, target: lines.next()?.to_owned() })
}

/// The `Set-Cookie` value that ends the matter.
pub fn done() -> HeaderValue {
    cookies::remove(cookies::SEND)
}

fn purpose(session: &SessionId) -> String {
    format!("{PURPOSE}:{}", URL_SAFE_NO_PAD.encode(session.0))
}
