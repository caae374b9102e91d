//! Forms that were sent too late, sealed, until their users have signed in again.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::kept_form::{KeptFormId, SealedForm};

/// The forms that are kept: the latest of each account and in all, see `domain::kept_form`.
#[async_trait]
pub trait KeptForms: Send + Sync {
    /// Keeps a form. Older ones that are too many go.
    async fn keep(&self, form: SealedForm) -> Result<(), Unavailable>;

    /// The form with this id, whatever its age.
    async fn find(&self, id: &KeptFormId) -> Result<Option<SealedForm>, Unavailable>;

    /// Takes a form out: of several who ask at the same time, one gets it.
    async fn take(&self, id: &KeptFormId) -> Result<Option<SealedForm>, Unavailable>;

    /// Forgets forms that were kept before `kept_before`.
    async fn purge(&self, kept_before: Timestamp) -> Result<(), Unavailable>;
}
