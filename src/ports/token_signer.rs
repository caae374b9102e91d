//! Signing access tokens, and telling our own from others.

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::access_token::{AccessClaims, BadToken};

/// Signs with the newest key of the ring; knows all of them.
pub trait TokenSigner: Send + Sync {
    /// A signed token: JWS compact, `alg` EdDSA, `typ` at+jwt, `kid` of the newest key.
    fn sign(&self, claims: &AccessClaims) -> String;

    /// The claims of a token of ours that is valid at `now`. Nothing in the token chooses how it is
    /// checked: one algorithm, keys of the ring only.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, BadToken>;

    /// Whether a token claims to be one of ours (shape and `typ`), valid or not: what fails
    /// [`Self::verify`] is then not tried as anything else.
    fn looks_own(&self, token: &str) -> bool;

    /// The public keys (RFC 7517): the newest first, and those whose tokens may still live.
    fn jwks(&self, now: Timestamp) -> Value;
}
