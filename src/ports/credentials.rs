//! The moments in which a user's credentials change, each one transaction.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::Unavailable;
use crate::domain::account::{Account, AccountId, SealedPin};
use crate::domain::mail::NewMail;
use crate::domain::pin_journal::JournalEntry;

/// A new portal password.
#[derive(Clone)]
pub struct NewPassword {
    /// Its hash, as a PHC string.
    pub phc: String,
    /// When it was set.
    pub at: Timestamp,
    /// The account's epoch when the user was asked: who set another one meanwhile wins.
    pub expected_epoch: u64,
}

/// What happens to the account's journal row in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalStep {
    /// There is none to care for.
    Leave,
    /// It is done: the row goes. It must be held by this process.
    Finish {
        /// The holder's mark.
        holder: Uuid,
    },
    /// Its end is not known: the row becomes pending, held by nobody.
    Pend {
        /// The holder's mark.
        holder: Uuid,
        /// When the background job looks at it.
        next_attempt_at: Timestamp,
    },
}

/// One change of credentials, all or nothing.
#[derive(Clone)]
pub struct CredentialChange {
    /// Whose.
    pub account: AccountId,
    /// The new password. It moves the epoch on, keeps the one before as `previous_password`, makes
    /// an initial password void, and deletes the account's sessions.
    pub password: Option<NewPassword>,
    /// The PIN that the PBX is known to accept; also lifts `pin_refused`.
    pub pin: Option<SealedPin>,
    /// The journal.
    pub journal: JournalStep,
    /// Mails to be queued with it, without limits: they report what was done. Those with a link
    /// ([`NewMail::epoch`]) are stored with the epoch *after* the change.
    pub mails: Vec<NewMail>,
}

impl CredentialChange {
    /// One that changes nothing yet.
    pub fn of(account: AccountId) -> Self {
        let (password, pin) = (None, None);
        Self { account, password, pin, journal: JournalStep::Leave, mails: Vec::new() }
    }
}

/// Answer to beginning a write-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The row is written.
    Yes,
    /// There is a row already: another tab, or one that is still pending.
    Conflict,
    /// The account is gone, switched off, or its epoch has moved on.
    Overtaken,
}

/// Changes of credentials, and the journal of PIN write-backs. Everything here survives a power
/// cut once it was answered.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Makes a change. `None`, and nothing happened, if the account is gone, the journal row is not
    /// held by `holder`, or a password is to be set that was overtaken, or whose account is
    /// switched off. Without a password also a write-back of an account that was switched off
    /// comes to its end.
    async fn commit(&self, change: CredentialChange) -> Result<Option<Account>, Unavailable>;

    /// Writes a journal row in stage `Writing`, if the account is still at `entry.epoch`.
    async fn begin(&self, entry: JournalEntry) -> Result<Begun, Unavailable>;

    /// Deletes the row, if `holder` holds it: everything stays as it was. `false` if not.
    async fn abandon(&self, account: AccountId, holder: Uuid) -> Result<bool, Unavailable>;

    /// The account's row.
    async fn entry(&self, account: AccountId) -> Result<Option<JournalEntry>, Unavailable>;

    /// Takes the row over for `holder` if [`Self::due`] would name it at `now`, and leaves it alone
    /// until `until`. `None` if there is none, or it is worked on.
    async fn claim(
        &self,
        account: AccountId,
        holder: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<JournalEntry>, Unavailable>;

    /// Accounts with a row to look at: whose `next_attempt_at` has come (or lies further ahead than
    /// anybody puts it off: the clock was wrong), or in stage `Writing` with another holder than
    /// `holder` (its process died). Longest due first.
    async fn due(&self, holder: Uuid, now: Timestamp) -> Result<Vec<AccountId>, Unavailable>;

    /// The attempt came to no end: counts it, says when the next is due, and lets go of the row.
    /// Nothing happens if `holder` does not hold it.
    async fn postpone(
        &self,
        account: AccountId,
        holder: Uuid,
        next_attempt_at: Timestamp,
    ) -> Result<(), Unavailable>;

    /// How many rows there are.
    async fn open_write_backs(&self) -> Result<u64, Unavailable>;
}
