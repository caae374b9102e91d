//! Sessions: a first level in memory over a durable second level.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::account::AccountId;
use crate::domain::session::{LiveSession, SessionId, SessionRecord};

/// Sessions. The hot path asks [`Self::cached`] first, which never waits.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The session, if the first level has it. May have ended: ask its standing.
    fn cached(&self, id: &SessionId) -> Option<Arc<LiveSession>>;

    /// The session from the durable level (and now in the first). Checks at each load that the
    /// account's epoch is still the session's; a session of an older epoch is not found. Also to
    /// be asked before a session is declared expired: another node may have seen its user.
    async fn find(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, Unavailable>;

    /// Stores a new session.
    async fn open(&self, record: SessionRecord) -> Result<Arc<LiveSession>, Unavailable>;

    /// Writes the session's jar back, if the session still exists.
    async fn save_jar(&self, session: &LiveSession) -> Result<(), Unavailable>;

    /// Ends one session; `None` if it did not exist. Its WebSockets are closed.
    async fn end(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, Unavailable>;

    /// Ends all sessions of an account, but for `except`.
    async fn end_all(
        &self,
        account: AccountId,
        except: Option<SessionId>,
    ) -> Result<usize, Unavailable>;

    /// The account's sessions, latest first.
    async fn of_account(&self, account: AccountId) -> Result<Vec<SessionRecord>, Unavailable>;

    /// The sessions in the first level, for the sweep that ends those whose time or phase is over.
    fn live(&self) -> Vec<Arc<LiveSession>>;

    /// Writes back what is only in memory (last-seen times). Called once a minute and at the end.
    async fn flush(&self) -> Result<(), Unavailable>;

    /// Deletes portal sessions last seen before `idle_before` or created before `created_before`,
    /// and families of tokens that have ended by `now`, however much they are used.
    async fn purge(
        &self,
        idle_before: Timestamp,
        created_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<u64, Unavailable>;

    /// How many portal sessions there are.
    async fn count(&self) -> Result<u64, Unavailable>;

    /// The families of an account above the `most` that were used last.
    async fn surplus_families(
        &self,
        account: AccountId,
        most: usize,
    ) -> Result<Vec<SessionId>, Unavailable>;

    /// How many families of tokens there are.
    async fn count_families(&self) -> Result<u64, Unavailable>;
}
