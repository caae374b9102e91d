//! The journal of PIN write-backs (R-B4): what must be known to bring a half-done one to an end.
//!
//! A new PIN is written to the PBX by a request that no transaction can take back, and whose
//! answer may be lost. So it is first written down, durably, what is about to happen:
//!
//! ```text
//!              begin                      commit (new pair)
//!   (no row) ────────▶ Writing ─────────────────────────────▶ (no row)
//!                         │  │ refused: abandon (old pair)        ▲
//!                         │  └───────────────────────────▶ (no row)│
//!                         │ inconclusive                           │ proved
//!                         ▼                                        │
//!                      Pending (the new password is valid, the PIN is still being written)
//! ```

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::{AccountId, SealedPin};

/// How far a write-back got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The write may be under way or done; nothing of ours has changed yet.
    Writing,
    /// Whether the PBX has the new PIN is not known; the new password is valid already and stays so.
    Pending,
}

/// One row. An account has at most one.
#[derive(Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Whose.
    pub account: AccountId,
    /// How far it got.
    pub stage: Stage,
    /// The new password's hash, until it is valid (PHC string).
    pub phc: Option<String>,
    /// [`super::account::Account::epoch`] at the beginning.
    pub epoch: u64,
    /// The PIN before, sealed, if it was known.
    pub old: Option<SealedPin>,
    /// The PIN to be, sealed.
    pub new: SealedPin,
    /// Who works on it: the mark of one process, so that a row left by a dead one is seen as such.
    pub holder: Uuid,
    /// When it began.
    pub began_at: Timestamp,
    /// How often its end was tried in the background.
    pub attempts: u32,
    /// When it is tried next. While somebody works on it: until when they are left alone.
    pub next_attempt_at: Timestamp,
}

impl std::fmt::Debug for JournalEntry {
    /// Without the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalEntry")
            .field("account", &self.account)
            .field("stage", &self.stage)
            .field("epoch", &self.epoch)
            .field("holder", &self.holder)
            .field("began_at", &self.began_at)
            .field("attempts", &self.attempts)
            .field("next_attempt_at", &self.next_attempt_at)
            .finish_non_exhaustive()
    }
}

/// A pending write-back is tried again after half a minute, one minute, two … at most half an hour.
pub fn retry_after(attempts: u32) -> Duration {
    Duration::from_secs(30_u64 << attempts.min(10)).min(LONGEST_WAIT)
}

/// Nobody leaves a row alone for longer. One that is to be was put off by a clock that was ahead and
/// has been put right since.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// A pending write-back that came to no end in this time is given up: the PBX keeps the PIN that
/// it has, and who signs in is asked for it if it is not the one on file (R-B6).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
