//! Every form carries a token that only a page of ours can have put there (ASVS 5.0 V3.5): a keyed
//! fingerprint of the session id, or of a random cookie for people who are not signed in. A fresh
//! salt makes each token look different, so that compressed pages give nothing away (BREACH).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::cookies;
use crate::domain::session::SessionId;
use crate::flows::Services;

const SALT: usize = 16;

/// What a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// This session, and no other.
    Session(SessionId),
    /// The browser that holds this value of the form cookie.
    Browser(String),
}

impl Binding {
    /// The browser's form cookie, if it has a plausible one.
    pub fn of_browser(headers: &HeaderMap) -> Option<Self> {
        cookies::value(headers, cookies::FORM)
            .filter(|value| value.len() == 22)
            .map(|value| Self::Browser(value.to_owned()))
    }

    /// A new form cookie's value.
    pub fn new_browser(services: &Services) -> Self {
        Self::Browser(URL_SAFE_NO_PAD.encode(services.random.bytes::<16>()))
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Session(id) => [b"s", id.0.as_slice()].concat(),
            Self::Browser(value) => [b"b", value.as_bytes()].concat(),
        }
    }
}

/// A fresh token for a form.
pub(super) fn token(services: &Services, binding: &Binding) -> String {
    let salt = services.random.bytes::<SALT>();
    let token = [salt.as_slice(), &mac(services, &salt, binding)].concat();
    URL_SAFE_NO_PAD.encode(token)
}

/// Whether a form's token was made for this binding.
pub(super) fn holds(services: &Services, binding: &Binding, token: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
    let Some((salt, claimed)) = bytes.split_at_checked(SALT) else { return false };
    mac(services, salt, binding).as_slice().ct_eq(claimed).into()
}

fn mac(services: &Services, salt: &[u8], binding: &Binding) -> [u8; 16] {
    services.vault.fingerprint("csrf", &[salt, &binding.bytes()].concat())
}
