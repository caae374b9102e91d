//! The reject phase (R-A4): the PIN is right, but its time is over. A link goes to the address on
//! file, and the page says so.

use jiff::Timestamp;

use super::pbx::Asker;
use super::post::{Requested, request};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::email_address::masked;
use crate::domain::mail::MailKind;
use crate::ports::SecurityEvent;

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
    /// So many mails were asked for this address lately that none was sent now.
    NotNow {
        /// The address, masked.
        to: String,
        /// When there is room for one.
        until: Timestamp,
    },
    /// There is no address on file, or e-mail is off: ask support.
    AskSupport,
}

/// Mails the link, if it can be mailed.
pub(super) async fn reject(
    services: &Services,
    account: &Account,
    channel: &'static str,
    asker: Asker<'_>,
) -> Result<Rejection, Outage> {
    let (to, at, result) =
        match request(services, account, MailKind::Rejected, asker.language).await? {
            Requested::Now { at } => (account.email.clone(), at, "queued"),
            Requested::Already { at, to } => (Some(to), at, "not_again"),
            Requested::AddressFull { until, .. } => {
                let to = masked(account.email.as_deref().unwrap_or_default());
                return Ok(Rejection::NotNow { to, until });
            }
            Requested::NoAddress | Requested::Off => return Ok(Rejection::AskSupport),
        };
    let event = SecurityEvent::of("link_mailed", channel, &account.login).from_client(asker.client);
    services.audit.record(event.with_result(result));
    let to = masked(to.as_deref().unwrap_or_default());
    let redirect = services.policies.rules_for(account.login.tenant()).redirect_at_reject;
    Ok(Rejection::Mailed { to, at, redirect })
}
