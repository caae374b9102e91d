//! Visitors who are not signed in: the PBX's anonymous session travels in a sealed cookie, so that
//! the browser never holds a PBX session id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cookies;
use crate::domain::jar::Jar;
use crate::ports::Vault;

/// The purpose that the seal is bound to.
const PURPOSE: &str = "visitor";

/// The jar in a visitor's cookie; an empty one when there is none or it is not ours.
pub fn open(vault: &dyn Vault, value: Option<&str>) -> Jar {
    value
        .and_then(|value| URL_SAFE_NO_PAD.decode(value).ok())
        .and_then(|sealed| vault.open(PURPOSE, &sealed).ok())
        .and_then(|plain| serde_json::from_slice(&plain).ok())
        .unwrap_or_default()
}

/// The `Set-Cookie` value that carries a visitor's jar (at most 3 KB: the jar is bounded).
pub fn seal(vault: &dyn Vault, jar: &Jar) -> String {
    let plain = serde_json::to_vec(jar).unwrap_or_default();
    cookies::set_own(cookies::VISITOR, &URL_SAFE_NO_PAD.encode(vault.seal(PURPOSE, &plain)), None)
}
