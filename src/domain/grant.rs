//! What an application holds instead of a cookie: a family of tokens, which began with one login
//! and ends as a whole.
//!
//! A family is a [session](super::session): it belongs to an account, was obtained with a PIN or a
//! password, stands or falls with the phase and the account's epoch, and is listed and ended like
//! any other. What differs is what the client shows ([`GrantKind`]), what the PBX is shown
//! ([`PbxAccess`]), and how long it lives: until a fixed moment, however much it is used.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::api_client::ClientCredentials;
use super::secret::Secret;

/// The answer of a refresh is not repeated later than this, whatever is configured.
pub const LONGEST_REUSE_GRACE: Duration = Duration::from_secs(5 * 60);

/// What the client of a grant shows with its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantKind {
    /// A signed token of ours, with a refresh token of ours (R-F3).
    Jwt,
    /// The PBX's own tokens, which we know by their hashes.
    Pass,
    /// Login name and password with every request (HTTP Basic, R-F4).
    Basic,
}

impl GrantKind {
    /// In a stable spelling: in the store, in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Pass => "pass",
            Self::Basic => "basic",
        }
    }
}

/// What makes a session a family of tokens. It does not change during its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What the client shows.
    pub kind: GrantKind,
    /// The profile's token endpoint that it came from; empty for Basic.
    pub endpoint: String,
    /// The application, as the PBX accepted it: refresh, revocation and introspection must name the
    /// same one (R-F3).
    pub client: Option<ClientCredentials>,
    /// The end of the family, however often it is refreshed.
    pub expires_at: Timestamp,
}

/// What the PBX knows an application by. Changes when the PBX's token is renewed.
#[derive(Clone, PartialEq, Eq)]
pub struct PbxAccess {
    /// The `Authorization` that its requests are forwarded with; empty in mode `pass`, where the
    /// client shows the PBX's token itself.
    pub authorization: Secret,
    /// The PBX's refresh token.
    pub refresh: Option<Secret>,
    /// Until when the PBX takes it; `None` where it did not say.
    pub expires_at: Option<Timestamp>,
    /// The other members of the PBX's answer: ours keep them (R-F3).
    pub fields: Map<String, Value>,
}

impl std::fmt::Debug for PbxAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PbxAccess").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// SHA-256 of a token (or of a whole `Authorization` for Basic): what is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of a token as it stands in the request.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}
