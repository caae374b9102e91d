//! Links in mails: looking at them changes nothing, using them works once.

use std::net::IpAddr;
use std::sync::Arc;

use super::set_password::{Choice, SetOutcome};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::one_time_code::{CodeProblem, IssuedCode, Purpose};
use crate::domain::session::LiveSession;
use crate::ports::Unavailable;

/// A link as it was opened: whose it is, if it works.
pub type Link = Result<(Account, IssuedCode), CodeProblem>;

/// Looks at a link. Changes nothing, however often mail scanners do it.
pub async fn look_at(
    _services: &Services,
    _purpose: Purpose,
    _code: &str,
) -> Result<Link, Unavailable> {
    Err(Unavailable::new("flow", "to come"))
}

/// The form behind a link.
#[derive(Debug, Clone)]
pub struct LinkForm {
    /// `Reset` or `Welcome`.
    pub purpose: Purpose,
    /// The code, as it stood in the link.
    pub code: String,
    /// What was chosen.
    pub choice: Choice,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
    /// The session that this browser has, perhaps somebody else's: it ends.
    pub current: Option<Arc<LiveSession>>,
}

/// Sets the password by a link, and opens the portal.
pub async fn redeem(_services: &Services, _form: LinkForm) -> Result<SetOutcome, Outage> {
    Err(Outage::Store(Unavailable::new("flow", "to come")))
}

/// Puts the address that the mail went to on file. `Ok(Ok(address))` when it is there now.
pub async fn confirm_email(
    _services: &Services,
    _code: &str,
    _client: IpAddr,
) -> Result<Result<String, CodeProblem>, Outage> {
    Err(Outage::Store(Unavailable::new("flow", "to come")))
}
