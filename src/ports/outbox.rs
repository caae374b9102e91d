//! Mails on their way, durable.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::mail::{MailId, MailLimit, MailState, NewMail, Portion, StoredMail};

/// Answer to queueing a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on its way.
    Now,
    /// Not again: this is when the latest one was asked for. Either a moment ago, or the account
    /// had as many as it gets.
    Already {
        /// When.
        asked_at: Timestamp,
        /// Where that one goes: perhaps not where the address on file points by now.
        to: String,
    },
    /// Not now: the address had as many as it gets, over all accounts that share it.
    AddressFull {
        /// When the latest of them was asked for.
        latest: Timestamp,
        /// When there is room for another one.
        until: Timestamp,
    },
}

/// The queue of mails.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Queues a mail that somebody asked for, within the account's limit. What counts are the
    /// account's mails that [count with it](crate::domain::mail::MailKind::counts_with); dropped
    /// ones do not, nor [bulk](crate::domain::mail::Urgency::Bulk) ones that wait for their turn: if
    /// there is one of the same kind to the same address, it is this one from now on, so that who
    /// asks for it gets it at once, and once. The [limit of the address](MailLimit::address) counts
    /// over accounts, whatever the case of its letters; bulk mails neither have it nor count towards
    /// it. Atomic: of parallel calls for one account only one queues. A report of what was done has
    /// no limit.
    async fn enqueue(&self, mail: NewMail, limit: MailLimit) -> Result<Enqueued, Unavailable>;

    /// Takes a portion of the mails that are due at `now`, by urgency, then oldest first: they are
    /// `Sending`, and an attempt is counted. Those that somebody has been sending since `lease` ago
    /// are due again: the process died.
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        portion: Portion,
    ) -> Result<Vec<StoredMail>, Unavailable>;

    /// The mail server has it. Holds whatever was noted meanwhile; the other answers change only a
    /// mail that has not ended.
    async fn sent(&self, id: MailId, now: Timestamp) -> Result<(), Unavailable>;

    /// Not now: it is queued again until `next`. With `counted = false` the attempt is taken back
    /// (the server could not be asked at all).
    async fn retry_later(
        &self,
        id: MailId,
        error: &str,
        next: Timestamp,
        counted: bool,
    ) -> Result<(), Unavailable>;

    /// Never: a dead letter.
    async fn give_up(&self, id: MailId, error: &str, now: Timestamp) -> Result<(), Unavailable>;

    /// Not needed any more.
    async fn drop_mail(&self, id: MailId, now: Timestamp) -> Result<(), Unavailable>;

    /// Mails in `state` (all, if `None`), latest first, at most `limit`, that come after `cursor`
    /// (none, if that mail is gone). Those that are being handed over are among the queued ones, in
    /// one look: between two of them a mail may go either way.
    async fn list(
        &self,
        state: Option<MailState>,
        cursor: Option<MailId>,
        limit: usize,
    ) -> Result<Vec<StoredMail>, Unavailable>;

    /// One mail.
    async fn by_id(&self, id: MailId) -> Result<Option<StoredMail>, Unavailable>;

    /// An administrator wants a dead (or waiting) mail tried again now: its attempts and its age
    /// count from `now`, and somebody waits for it, also if nobody did before. `false` if it is
    /// neither.
    async fn requeue(&self, id: MailId, now: Timestamp) -> Result<bool, Unavailable>;

    /// How many mails are in each state; every state is told, also the empty ones.
    async fn counts(&self) -> Result<Vec<(MailState, u64)>, Unavailable>;

    /// Forgets mails that ended before `ended_before`.
    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable>;
}
