//! Access tokens of ours: Ed25519 with keys that come from the key ring, so that nodes which share
//! the ring verify each other's tokens, and a rotation of the ring rotates these keys with it.

mod jws;
mod keys;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::jws::Compact;
use self::keys::Keys;
use super::key_ring::KeyRing;
use crate::domain::access_token::{AccessClaims, BadToken, LONGEST_LIFE};
use crate::domain::account::AccountId;
use crate::domain::session::SessionId;
use crate::ports::TokenSigner;

/// Clocks of nodes differ: a token may begin by so much later than now.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// A rotation by another node is noticed within this time also where none of its tokens is seen.
const NOTICE: Duration = Duration::from_secs(60);

/// An unknown key makes the ring be read again, at most this often.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Signs and verifies with the keys of a ring.
pub struct KeyRingSigner {
    ring: Arc<KeyRing>,
    issuer: String,
    keys: ArcSwap<Keys>,
}

/// The claims as they are signed.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    sid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

impl KeyRingSigner {
    /// A signer for the gateway at `public_url`, which is issuer and audience of its tokens.
    pub fn new(ring: Arc<KeyRing>, public_url: &str) -> Self {
        let keys = ArcSwap::from_pointee(Keys::of(&ring));
        Self { ring, issuer: public_url.trim_end_matches('/').to_owned(), keys }
    }

    /// The keys of the ring as it is now.
    fn keys(&self) -> Arc<Keys> {
        let keys = self.keys.load_full();
        if keys.changes == self.ring.changes() {
            return keys;
        }
        let keys = Arc::new(Keys::of(&self.ring));
        self.keys.store(Arc::clone(&keys));
        keys
    }

    fn claims(&self, payload: &[u8], now: Timestamp) -> Result<AccessClaims, BadToken> {
        let claims: Claims = serde_json::from_slice(payload).map_err(|_| BadToken::Misdirected)?;
        if claims.iss != self.issuer || claims.aud != self.issuer {
            return Err(BadToken::Misdirected);
        }
        let read = claims.read().ok_or(BadToken::Misdirected)?;
        let begins = Timestamp::from_second(claims.nbf).map_err(|_| BadToken::Misdirected)?;
        if now >= read.expires_at || read.issued_at.max(begins).duration_since(now) > LEEWAY {
            return Err(BadToken::Expired);
        }
        Ok(read)
    }
}

impl Claims {
    fn of(claims: &AccessClaims, issuer: &str) -> Self {
        let issued_at = claims.issued_at.as_second();
        Self {
            iss: issuer.to_owned(),
            aud: issuer.to_owned(),
            sub: claims.account.0.to_string(),
            client_id: claims.client_id.clone(),
            sid: jws::encode(&claims.family.0),
            scope: claims.scope.clone(),
            iat: issued_at,
            nbf: issued_at,
            exp: claims.expires_at.as_second(),
            jti: claims.token_id(),
        }
    }

    /// `None`: not in the shape of ours.
    fn read(&self) -> Option<AccessClaims> {
        let account = Uuid::parse_str(&self.sub).ok().filter(|id| id.to_string() == self.sub)?;
        Some(AccessClaims {
            account: AccountId(account),
            family: SessionId(jws::decode_array(&self.sid)?),
            client_id: self.client_id.clone(),
            scope: self.scope.clone(),
            issued_at: Timestamp::from_second(self.iat).ok()?,
            expires_at: Timestamp::from_second(self.exp).ok()?,
            id: jws::decode_array(&self.jti)?,
        })
    }
}

impl TokenSigner for KeyRingSigner {
    fn sign(&self, claims: &AccessClaims) -> String {
        self.ring.look_again(NOTICE);
        self.keys().newest().sign(&json!(Claims::of(claims, &self.issuer)).to_string())
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, BadToken> {
        let other = || match self.looks_own(token) {
            true => BadToken::Forged,
            false => BadToken::Foreign,
        };
        let token = Compact::of(token).ok_or_else(other)?;
        let kid = token.kid().ok_or_else(other)?;
        let mut keys = self.keys();
        if keys.find(&kid).is_none() {
            self.ring.look_again(UNKNOWN);
            keys = self.keys();
        }
        let key = keys.find(&kid).ok_or(BadToken::Forged)?;
        let payload = token.payload(key).ok_or(BadToken::Forged)?;
        self.claims(&payload, now)
    }

    fn looks_own(&self, token: &str) -> bool {
        let Some(header) = jws::any_header(token) else { return false };
        let says = |member: &str| header.get(member).and_then(Value::as_str).unwrap_or_default();
        let typ = says("typ").to_ascii_lowercase();
        typ.trim_start_matches("application/") == jws::TYPE
            || self.keys().find(says("kid")).is_some()
    }

    fn jwks(&self, now: Timestamp) -> Value {
        self.ring.look_again(NOTICE);
        // A node that notices a rotation late signs with the key before for a moment.
        let since = now - LONGEST_LIFE - NOTICE * 2;
        let keys = self.keys();
        json!({ "keys": keys.in_use_since(since).map(keys::SigningKey::jwk).collect::<Vec<_>>() })
    }
}
