//! The reject phase (R-A4): the PIN is right, but its time is over. A link goes to the address on
//! file, and the page says so.

use jiff::Timestamp;

/// What the user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A link to set a portal password was e-mailed.
    Mailed {
        /// The address, masked.
        to: String,
        /// When: now, or when it was asked for before.
        at: Timestamp,
        /// Lead into the reset flow (`reject_action = "redirect"`).
        redirect: bool,
    },
    /// There is no address on file, or e-mail is off: ask support.
    AskSupport,
}
