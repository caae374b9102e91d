//! One-time codes, durable and hashed.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::one_time_code::{CodeHash, IssuedCode};

/// The codes that were given out.
#[async_trait]
pub trait CodeStore: Send + Sync {
    /// Keeps a code.
    async fn issue(&self, code: IssuedCode) -> Result<(), Unavailable>;

    /// The code with this hash, whatever became of it: [`IssuedCode::check`] judges.
    async fn find(&self, hash: &CodeHash) -> Result<Option<IssuedCode>, Unavailable>;

    /// Forgets codes that ended before `ended_before`; until then their holders are told why they
    /// do not work.
    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable>;
}
