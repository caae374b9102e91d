//! Password hashing on a bounded pool.

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::secret::Secret;

/// Answer of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The password is right and its hash is up to date.
    Right,
    /// The password is right; the hash should be made anew with the present parameters (R-B2).
    RightButOutdated,
    /// The password is wrong.
    Wrong,
}

/// Why no answer could be given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HashError {
    /// Too many hashes are waiting: answer 503 with `Retry-After`, count nothing.
    #[error("the password hasher is busy")]
    Busy,
    /// A hash on file cannot be read, or the hasher failed.
    #[error(transparent)]
    Failed(#[from] Unavailable),
}

/// Hashes and verifies portal passwords. Callers pass what the user typed; the hasher normalises
/// to NFC.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A PHC string for a new password.
    async fn hash(&self, password: &Secret) -> Result<String, HashError>;

    /// Checks a password against a PHC string.
    async fn verify(&self, password: &Secret, phc: &str) -> Result<Verified, HashError>;
}
