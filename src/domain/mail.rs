//! The e-mails that Passgate sends, and what becomes of them.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::AccountId;
use super::language::Language;
use super::one_time_code::Purpose;

/// Identity of a mail, and the local part of its `Message-ID`: the same at every attempt, so that
/// a receiver who gets it twice (a crash between hand-over and noting it) can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailId(pub Uuid);

impl std::fmt::Display for MailId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// A link that sets a portal password, because somebody asked for one.
    Reset,
    /// The same, because a PIN came after its time (R-A4).
    Rejected,
    /// A link for a new user (R-D4).
    Welcome,
    /// A link that confirms the address it went to.
    ConfirmEmail,
    /// The login names that belong to an address (R-D2).
    LoginNames,
    /// The first portal password was set.
    PasswordSet,
    /// The portal password was changed.
    PasswordChanged,
    /// Another address was put on file: told to the one before (R-D5).
    EmailChanged,
    /// The login name was locked after too many failures (R-C5).
    Locked,
    /// What changes for who still signs in with the voicemail PIN, and when (R-A8).
    Reminder,
    /// An app signed in with the voicemail PIN (R-F2).
    AppNotice,
}

impl MailKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Reset,
        Self::Rejected,
        Self::Welcome,
        Self::ConfirmEmail,
        Self::LoginNames,
        Self::PasswordSet,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::Locked,
        Self::Reminder,
        Self::AppNotice,
    ];

    /// In a stable spelling: in the store, in metrics, in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Rejected => "rejected",
            Self::Welcome => "welcome",
            Self::ConfirmEmail => "confirm_email",
            Self::LoginNames => "login_names",
            Self::PasswordSet => "password_set",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::Locked => "locked",
            Self::Reminder => "reminder",
            Self::AppNotice => "app_notice",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What the link in it is good for; `None` for a mail without one.
    pub fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Reset | Self::Rejected | Self::AppNotice => Some(Purpose::Reset),
            Self::Welcome => Some(Purpose::Welcome),
            Self::ConfirmEmail => Some(Purpose::ConfirmEmail),
            Self::LoginNames
            | Self::PasswordSet
            | Self::PasswordChanged
            | Self::EmailChanged
            | Self::Locked
            | Self::Reminder => None,
        }
    }

    /// Whether mails of these kinds count together towards an account's limit. Reports of what the
    /// owner did have none; a lock is what strangers can bring about.
    pub fn counts_with(self, other: Self) -> bool {
        // An app brings these about, every day: they take nobody the links that they ask for.
        if self == Self::AppNotice || other == Self::AppNotice {
            return self == other;
        }
        match self.purpose() {
            Some(purpose) => other.purpose() == Some(purpose),
            None => matches!(self, Self::LoginNames | Self::Locked) && other == self,
        }
    }

    /// Whether a mail of the kind `other` counts towards an address's limit when one of this kind is
    /// asked for. What strangers bring about takes away nothing that somebody asks for.
    pub fn counts_at_address(self, other: Self) -> bool {
        let limited = |kind: Self| kind.counts_with(kind);
        let unasked = |kind: Self| matches!(kind, Self::Locked | Self::AppNotice);
        limited(self) && limited(other) && (!unasked(other) || self == other)
    }
}

/// Who waits for a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody who asked for it, or has to know.
    Prompt,
    /// Nobody: it is one of many that were asked for together, and leaves when no prompt one waits.
    Bulk,
}

/// How many mails may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// At most this many …
    pub most: usize,
    /// … of which so many may be [bulk](Urgency::Bulk) mails.
    pub bulk: usize,
}

impl Portion {
    /// This many, whoever waits for them.
    pub fn of(most: usize) -> Self {
        Self { most, bulk: most }
    }
}

/// A mail to be queued. What it says is made at hand-over, so that no link lies in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// Its identity.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// Whom it is about.
    pub account: AccountId,
    /// For a mail with a link: [`super::account::Account::epoch`] when it was asked for. When the
    /// password was changed before the mail left, it is not sent any more.
    pub epoch: Option<u64>,
    /// The recipient.
    pub to: String,
    /// The address on file when it was asked for.
    pub on_file: Option<String>,
    /// The language of the page where it was asked for; without it, what the brand speaks.
    pub language: Option<Language>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What [`MailKind::Locked`] tells.
    pub lock: Option<Lock>,
    /// Who waits for it.
    pub urgency: Urgency,
}

/// A lock after too many failures, as its owner is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// When the next attempt is possible.
    pub until: Timestamp,
    /// Where the last attempt came from.
    pub client: IpAddr,
}

/// How many mails of the kinds that count together one account gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLimit {
    /// At most this many …
    pub most: u32,
    /// … in this time (`limits.mails_per_account`).
    pub per: Duration,
    /// Who asks again within this time gets no second one: the first is on its way. Unless it goes
    /// elsewhere (a mistyped address was put right), or was given up.
    pub again_after: Duration,
    /// What holds for the address beside it.
    pub address: AddressLimit,
}

/// How many mails that somebody asked for one address gets, over all accounts that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLimit {
    /// At most this many …
    pub most: u32,
    /// … in this time (`limits.mails_per_address`).
    pub per: Duration,
}

impl AddressLimit {
    /// Any number.
    pub const NONE: Self = Self { most: u32::MAX, per: Duration::ZERO };
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailState {
    /// Waiting for its (next) attempt.
    Queued,
    /// Being handed over now; or it was when the process ended.
    Sending,
    /// The SMTP server took it.
    Sent,
    /// Given up: refused for good, or too old. An administrator can have it tried again.
    Dead,
    /// Not needed any more: the password was changed before it left.
    Dropped,
}

impl MailState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Sending, Self::Sent, Self::Dead, Self::Dropped];

    /// In a stable spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A mail as the outbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMail {
    /// What was asked for.
    pub mail: NewMail,
    /// Where it stands.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed; for operators.
    pub last_error: Option<String>,
    /// When it is tried next, while it is queued.
    pub next_attempt_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
}

/// When a mail that failed for the `attempts`-th time is tried again: after one minute, two, four …
/// at most a quarter of an hour later, so that a mail server that comes back finds the queue soon.
pub fn retry_after(attempts: u32) -> Duration {
    let minutes = 1_u64 << attempts.saturating_sub(1).min(10);
    Duration::from_secs(60 * minutes).min(LONGEST_WAIT)
}

/// No mail waits longer between two attempts. One that seems to was put off by a clock that was
/// ahead and has been put right since.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// A mail that could not be handed over for so long is given up.
pub const KEEP_TRYING: Duration = Duration::from_secs(2 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::named(kind.name()), Some(kind));
        }
        for state in MailState::ALL {
            assert_eq!(MailState::named(state.name()), Some(state));
        }
    }

    #[test]
    fn the_waits_grow_and_stay_short_enough() {
        let minutes: Vec<u64> = (1..=7).map(|n| retry_after(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 15, 15, 15]);
        assert_eq!(retry_after(u32::MAX), Duration::from_secs(900));
    }
}
