//! The API's access and refresh tokens.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::json;
use sha2::Sha256;

use super::sessions::random_hex;
use super::users::PortalUser;

/// Tokens kept; beyond it the expired ones are dropped.
const MAX_TOKENS: usize = 100_000;

/// What a token stands for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// Login name of the user.
    pub(super) user: String,
    /// The client that it was given to.
    pub(super) client: String,
    pub(super) access: String,
    pub(super) refresh: String,
    expires: Instant,
}

/// What an access token looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// 32 hexadecimal digits.
    Hex,
    /// Claims, signed with a key of this portal.
    Jwt,
}

pub(super) struct Tokens {
    known: Mutex<HashMap<String, Grant>>,
    key: String,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { known: Mutex::default(), key: random_hex(32) }
    }
}

impl Tokens {
    pub(super) fn issue(
        &self,
        user: &PortalUser,
        client: &str,
        life: Duration,
        form: Form,
    ) -> Grant {
        let grant = Grant {
            user: user.login(),
            client: client.into(),
            access: match form {
                Form::Hex => random_hex(16),
                Form::Jwt => self.jwt(user, life),
            },
            refresh: random_hex(16),
            expires: Instant::now() + life,
        };
        let mut tokens = self.known.lock();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, grant| grant.expires > now);
        }
        tokens.insert(grant.access.clone(), grant.clone());
        tokens.insert(grant.refresh.clone(), grant.clone());
        grant
    }

    /// The grant behind a live access token.
    pub(super) fn access(&self, token: &str) -> Option<Grant> {
        let tokens = self.known.lock();
        let grant = tokens.get(token).filter(|grant| grant.access == token)?;
        (grant.expires > Instant::now()).then(|| grant.clone())
    }

    /// Takes a refresh token, which ends it and its access token.
    pub(super) fn take_refresh(&self, token: &str, client: &str) -> Option<Grant> {
        let mut tokens = self.known.lock();
        let known = tokens.get(token);
        known.filter(|grant| grant.refresh == token && grant.client == client)?;
        let grant = tokens.remove(token)?;
        tokens.remove(&grant.access);
        Some(grant)
    }

    /// Ends an access token and what renews it. `false`: there is none.
    pub(super) fn end(&self, token: &str) -> bool {
        let mut tokens = self.known.lock();
        let Some(grant) = tokens.get(token).filter(|grant| grant.access == token).cloned() else {
            return false;
        };
        tokens.remove(&grant.access);
        tokens.remove(&grant.refresh).is_some()
    }

    /// HS256 (RFC 7519), as such a PBX signs for itself.
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    #[allow(clippy::disallowed_methods, reason = "the example PBX has a clock of its own")]
    fn jwt(&self, user: &PortalUser, life: Duration) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": "ns-api",
            "sub": user.login(),
            "jti": random_hex(16),
            "user": user.extension,
            "domain": user.tenant,
            "user_scope": user.scope,
            "iat": now.as_secs(),
            "exp": (now + life).as_secs(),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed =
            format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "HS256" })), part(&claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()).expect("any key will do");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    pub(super) fn clear(&self) {
        self.known.lock().clear();
    }
}
