//! A new portal password where none proves who asks: at force (the PIN just did) and by a link.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Opened, Outage, Services};
use crate::domain::account::Account;
use crate::domain::one_time_code::CodeProblem;
use crate::domain::password_policy::PasswordProblem;
use crate::domain::pin_policy::PinProblem;
use crate::domain::secret::Secret;
use crate::domain::session::LiveSession;
use crate::ports::Unavailable;

/// Why a password is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The force phase holds a session back (R-A3).
    Forced,
    /// By a reset link (R-D1, R-A4).
    Reset,
    /// By a welcome link (R-D4).
    Welcome,
}

/// What the page asks about the voicemail PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinField {
    /// Nothing: it stays as it is.
    Unasked,
    /// The present one, to confirm it: it cannot be changed from here.
    Confirm,
    /// A PIN by the rules, which becomes the PIN: a new one, or the same again.
    New,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The new password.
    pub password: Secret,
    /// The new password again.
    pub confirm: Secret,
    /// The voicemail PIN, if the page asks for one; empty if it was left empty.
    pub pin: Secret,
    /// The PIN again, where a form has that field.
    pub pin_confirm: Option<Secret>,
    /// An address to be put on file, if one was given.
    pub email: Option<String>,
}

/// The form of the force phase.
#[derive(Debug, Clone)]
pub struct HeldForm {
    /// The session it came in.
    pub session: Arc<LiveSession>,
    /// What was chosen.
    pub choice: Choice,
    /// The present PIN, where [`needs_proof`] asks for it.
    pub current: Secret,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
    /// Value of the device cookie, unopened.
    pub device: Option<String>,
}

/// What became of the voicemail PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinFate {
    /// It is as it was.
    Unchanged,
    /// The PBX has the new one.
    Written,
    /// The PBX will have the new one; until then the one before works.
    Pending,
}

/// What became of it all.
#[derive(Debug, Clone)]
pub enum SetOutcome {
    /// Saved, and signed in. All other sessions of the account ended.
    Saved {
        /// The session of this browser.
        opened: Box<Opened>,
        /// The PIN.
        pin: PinFate,
        /// The address that a link to confirm it was sent to.
        confirming: Option<String>,
    },
    /// Saved, but the PBX does not answer now: sign in with the new password in a minute.
    SavedOnly {
        /// The PIN.
        pin: PinFate,
    },
    /// What was chosen breaks these rules. Nothing was changed or counted.
    Against {
        /// By the password.
        password: Vec<PasswordProblem>,
        /// By the PIN.
        pin: Vec<PinProblem>,
    },
    /// The two passwords differ.
    Different,
    /// The two PINs differ.
    PinsDiffer,
    /// The PIN was left empty.
    PinMissing,
    /// The address is none.
    BadEmail,
    /// The present PIN is wrong.
    PinWrong,
    /// Too many wrong ones.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The PBX does not take the new PIN. Nothing was changed; another one may work.
    PinRefused,
    /// It is being saved in another tab at this moment.
    Conflict,
    /// It was set in another tab meanwhile.
    Overtaken,
    /// The link does not work (any more).
    Link(CodeProblem),
    /// The account is gone or switched off; the session ends.
    Gone,
}

impl Services {
    /// What the page asks about the PIN of `account`.
    pub async fn pin_field(
        &self,
        _account: &Account,
        _occasion: Occasion,
    ) -> Result<PinField, Unavailable> {
        Err(Unavailable::new("flow", "to come"))
    }
}

/// Whether the page asks for the present PIN, too: the login of this session was long ago, and
/// somebody else may sit before it.
pub fn needs_proof(_services: &Services, _session: &LiveSession) -> bool {
    false
}

/// Sets the password of a session that the force phase holds back, and opens the portal.
pub async fn set_password_held(
    _services: &Services,
    _form: HeldForm,
) -> Result<SetOutcome, Outage> {
    Err(Outage::Store(Unavailable::new("flow", "to come")))
}
