//! What an access token of ours says (RFC 9068), and how one can be wrong.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::account::AccountId;
use super::session::SessionId;

/// No access token lives longer, whatever is configured.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The claims. Issuer and audience are the public URL, always; the signer adds and checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// `sub`: whose it is.
    pub account: AccountId,
    /// `sid`: the family that it belongs to, and ends with.
    pub family: SessionId,
    /// `client_id`.
    pub client_id: String,
    /// `scope`, as the PBX named it; empty: left out.
    pub scope: String,
    /// `iat`, and `nbf`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`.
    pub id: [u8; 16],
}

impl AccessClaims {
    /// `jti` as it is written.
    pub fn token_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }
}

/// Why a token is none of ours, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not made like ours: another token altogether.
    #[error("not a token of this server")]
    Foreign,
    /// Made like ours, but no key of ours signed it as it is: `alg`, `typ`, `kid`, signature.
    #[error("the signature is not valid")]
    Forged,
    /// Signed by us for something else: `iss` or `aud`.
    #[error("the token is not meant for this server")]
    Misdirected,
    /// Its time is over, or has not come.
    #[error("the token has expired")]
    Expired,
}
