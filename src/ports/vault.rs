//! Authenticated encryption under a key ring.

use zeroize::Zeroizing;

/// A sealed value that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Tampered with, cut off, or sealed for another purpose.
    #[error("the sealed value is not valid here")]
    Invalid,
    /// Sealed with a key that is not in the ring.
    #[error("the key {0} is not in the key ring; restore the ring that sealed the data")]
    UnknownKey(u32),
}

/// Seals and opens small values: PINs at rest, cookies in the browser.
pub trait Vault: Send + Sync {
    /// Seals `plain` with the newest key. `purpose` is bound to it: a value sealed for one purpose
    /// (or account) opens for no other.
    fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8>;

    /// Opens what [`Self::seal`] made, with whichever key of the ring sealed it.
    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError>;

    /// A keyed fingerprint: equal inputs are equal, but nobody without the ring can test guesses.
    /// Stable across rotation.
    fn fingerprint(&self, purpose: &str, plain: &[u8]) -> [u8; 16];
}
