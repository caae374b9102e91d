//! Mails: asking for one, and handing over those that are due.

use jiff::Timestamp;

use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::mail::MailKind;
use crate::ports::Unavailable;

/// Answer to asking for a mail with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// It is on its way.
    Now {
        /// Asked for at this moment.
        at: Timestamp,
    },
    /// One was asked for before, and no further one is sent now.
    Already {
        /// When it was asked for.
        at: Timestamp,
    },
    /// There is no address on file.
    NoAddress,
    /// E-mail is off (`mail.url` is empty).
    Off,
}

/// Asks for a mail with a link to the account's address on file.
pub async fn request(
    _services: &Services,
    _account: &Account,
    _kind: MailKind,
) -> Result<Requested, Outage> {
    Err(Outage::Store(Unavailable::new("flow", "to come")))
}

/// Hands over at most `most` mails that are due; returns how many were tried. Called every second,
/// with what `mail.rate` leaves.
pub async fn deliver(_services: &Services, _most: usize) -> Result<usize, Unavailable> {
    Ok(0)
}
