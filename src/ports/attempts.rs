//! Failed logins, durable.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockScope, LockoutPolicy};

/// An attempt that may be judged now, already counted. Must be settled.
#[derive(Debug)]
#[must_use = "a reservation that is not settled stays counted as a failure"]
pub struct Reservation {
    /// Who is counted.
    pub subject: AttemptSubject,
    /// When it was counted.
    pub at: Timestamp,
}

/// Answer to asking for an attempt.
#[derive(Debug)]
pub enum Reserved {
    /// Go on and settle it afterwards.
    Allowed(Reservation),
    /// Too many failures; nothing was counted.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
        /// What is locked.
        scope: LockScope,
    },
}

/// Counters of failed logins; they survive a restart.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Counts an attempt in advance on all its counters, or says until when it must wait. Atomic:
    /// of fifty parallel calls at most `max_failures` are allowed.
    async fn reserve(
        &self,
        subject: &AttemptSubject,
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> Result<Reserved, Unavailable>;

    /// Ends an attempt. Returns what this failure has locked, if it did, and until when.
    async fn settle(
        &self,
        reservation: Reservation,
        outcome: AttemptOutcome,
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> Result<Option<(LockScope, Timestamp)>, Unavailable>;

    /// Until when a login name is locked, if it is.
    async fn locked_until(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unavailable>;

    /// Clears a login name's counter and those of its devices.
    async fn unlock(&self, name: &str) -> Result<(), Unavailable>;

    /// Forgets counters that have nothing left to say.
    async fn purge(&self, policy: &LockoutPolicy, now: Timestamp) -> Result<(), Unavailable>;
}
