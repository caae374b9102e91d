//! The signing keys, each made from a key of the ring.

use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _, Signature};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::jws;
use crate::adapters::key_ring::{DerivedKey, KeyRing};

const PURPOSE: &str = "passgate: Ed25519 seed for access tokens, 1";

/// A key's name: so much of its thumbprint.
const KID: usize = 16;

/// The keys of a ring, as it was at one moment.
pub(super) struct Keys {
    /// [`KeyRing::changes`] of that moment.
    pub changes: u64,
    newest: SigningKey,
    /// Newest first, with the moment when each gave way.
    retired: Vec<(SigningKey, Timestamp)>,
}

/// One of them.
pub(super) struct SigningKey {
    kid: String,
    /// The header of its tokens, encoded.
    header: String,
    pair: Ed25519KeyPair,
    created_at: Timestamp,
}

impl Keys {
    #[allow(clippy::expect_used, reason = "a ring without keys is neither made nor read")]
    pub fn of(ring: &KeyRing) -> Self {
        let changes = ring.changes();
        let mut keys = ring.derive(PURPOSE).into_iter().map(|key| SigningKey::of(&key));
        let newest = keys.next().expect("a ring has a key");
        let mut given_way = newest.created_at;
        let retired = keys
            .map(|key| {
                let at = std::mem::replace(&mut given_way, key.created_at);
                (key, at)
            })
            .collect();
        Self { changes, newest, retired }
    }

    pub fn newest(&self) -> &SigningKey {
        &self.newest
    }

    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.in_use_since(Timestamp::MIN).find(|key| key.kid == kid)
    }

    /// The newest, and those that signed at `since` or later.
    pub fn in_use_since(&self, since: Timestamp) -> impl Iterator<Item = &SigningKey> {
        let retired = self.retired.iter().filter(move |(_, given_way)| *given_way >= since);
        std::iter::once(&self.newest).chain(retired.map(|(key, _)| key))
    }
}

impl SigningKey {
    #[allow(clippy::expect_used, reason = "any 32 bytes are a seed")]
    fn of(derived: &DerivedKey) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*derived.secret).expect("32 bytes");
        let mut kid = jws::encode(&Sha256::digest(thumbprint_of(&pair)));
        kid.truncate(KID);
        let header = json!({ "alg": jws::ALGORITHM, "typ": jws::TYPE, "kid": kid });
        let header = jws::encode(header.to_string().as_bytes());
        Self { kid, header, pair, created_at: derived.created_at }
    }

    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A token with this payload.
    pub fn sign(&self, payload: &str) -> String {
        let mut token = format!("{}.{}", self.header, jws::encode(payload.as_bytes()));
        let signature = self.signature(&token);
        token.push('.');
        token.push_str(&jws::encode(signature.as_ref()));
        token
    }

    pub fn signature(&self, signed: &str) -> Signature {
        self.pair.sign(signed.as_bytes())
    }

    /// The public half (RFC 8037).
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": jws::encode(self.public()),
            "kid": self.kid,
            "use": "sig",
            "alg": jws::ALGORITHM,
        })
    }
}

/// What is hashed for a key's thumbprint (RFC 7638).
fn thumbprint_of(pair: &Ed25519KeyPair) -> String {
    let x = jws::encode(pair.public_key().as_ref());
    format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
}
