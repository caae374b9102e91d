//! An account: one user of the portal, as Passgate knows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::initial_password::StoredInitial;
use super::login_name::LoginName;

/// Stable identity of an account; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub Uuid);

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the account may do in Passgate's administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Only their own account.
    #[default]
    User,
    /// The users of their tenant.
    Manager,
}

/// The argon2id hash of a portal password, in PHC string form.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// PHC string: `$argon2id$v=19$m=…`.
    pub phc: String,
    /// When it was set.
    pub set_at: Timestamp,
}

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredPassword(set_at: {})", self.set_at)
    }
}

/// A voicemail PIN sealed by the vault; opaque outside of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPin(pub Vec<u8>);

impl std::fmt::Debug for SealedPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedPin(…)")
    }
}

/// That an address takes no mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// When that was found out.
    pub at: Timestamp,
    /// Why, for operators: the mail server's words, or an administrator's.
    pub reason: String,
}

/// One user of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Identity, also the `sub` of tokens.
    pub id: AccountId,
    /// Canonical login name.
    pub login: LoginName,
    /// Address on file, if any.
    pub email: Option<String>,
    /// Set when the address on file takes no mail: nothing is sent there until another one is on
    /// file, or an administrator lifts it.
    pub bounced: Option<Bounce>,
    /// Name shown to people; may be empty.
    pub name: String,
    /// Administration rights.
    pub role: Role,
    /// Disabled accounts cannot log in by any door; their sessions end at once.
    pub disabled: bool,
    /// The portal password; `None` while only the PIN exists.
    pub password: Option<StoredPassword>,
    /// The hash that the present password replaced: an old app that repeats it counts once (R-C5).
    pub previous_password: Option<StoredPassword>,
    /// A one-time initial password that is out (R-E1). It changes no state: an account with nothing
    /// but this is still one without a portal password.
    pub initial_password: Option<StoredInitial>,
    /// The PIN that is replayed to the PBX.
    pub pin: Option<SealedPin>,
    /// Set when the PBX refused the stored PIN: replay stops until a PIN that works is known (R-B6).
    pub pin_refused: bool,
    /// Counts credential changes and disabling. Sessions carry the value they were opened under and
    /// end when it moves on.
    pub epoch: u64,
    /// Last completed login by any door.
    pub last_login_at: Option<Timestamp>,
    /// When Passgate first knew the account.
    pub created_at: Timestamp,
}

/// The account's state as the administration shows it (interfaces: `state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// No portal password yet.
    PinOnly,
    /// Has a portal password; the PIN never logs in again (R-A5).
    Password,
    /// Switched off by an administrator.
    Disabled,
}

impl Account {
    /// The state shown to administrators; `disabled` outranks the credential.
    pub fn state(&self) -> AccountState {
        match (self.disabled, &self.password) {
            (true, _) => AccountState::Disabled,
            (false, Some(_)) => AccountState::Password,
            (false, None) => AccountState::PinOnly,
        }
    }

    /// Where mails to the user can go: the address on file, unless it takes none.
    pub fn reachable_at(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.bounced.is_none())
    }

    /// Puts another address on file, or none; what was known of the one before says nothing of it.
    pub fn put_on_file(&mut self, email: Option<String>) {
        if self.email != email {
            self.bounced = None;
        }
        self.email = email;
    }
}

/// What is known when an account is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Canonical login name.
    pub login: LoginName,
    /// Address on file, if any.
    pub email: Option<String>,
    /// Name shown to people; may be empty.
    pub name: String,
    /// Administration rights.
    pub role: Role,
}
