//! The PBX's portal, as something one can log in to on a user's behalf.

use std::net::IpAddr;

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;

/// A login on a fresh PBX session.
#[derive(Debug, Clone)]
pub struct PortalLogin<'a> {
    /// Whose.
    pub login: &'a LoginName,
    /// The legacy credential (the PIN).
    pub pin: &'a Secret,
    /// Fields of the browser's form that the profile declares as carried over (language, …).
    pub carried: &'a [(String, String)],
    /// The client's `User-Agent`: some PBXs bind sessions to it.
    pub user_agent: &'a str,
    /// The client's address, passed on as `X-Forwarded-For`.
    pub client: IpAddr,
    /// The public host name of the request, for PBXs that tell tenants apart by it.
    pub host: &'a str,
    /// The PBX server to use; `None` lets the driver choose.
    pub server: Option<usize>,
}

/// A session at the PBX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSession {
    /// Its cookies.
    pub jar: Jar,
    /// The server that holds it (index into `upstream.servers`).
    pub server: usize,
    /// Where the PBX sent the browser, as a path of this origin.
    pub landing: Option<String>,
}

/// The PBX's first answer to a login, judged by the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalAnswer {
    /// The credential is right.
    Accepted(PortalSession),
    /// The credential is wrong.
    Refused,
    /// The PBX asks a second question; proves nothing yet.
    Challenge(PortalSession),
    /// No predicate of the profile matched: treated as an outage, never as either answer.
    Unknown {
        /// For the operator's log: status and Location, never a body.
        detail: String,
    },
}

/// Logs in to the PBX and out of it.
#[async_trait]
pub trait Portal: Send + Sync {
    /// Logs in on a fresh PBX session. Fails only when the PBX cannot be asked.
    async fn log_in(&self, login: PortalLogin<'_>) -> Result<PortalAnswer, Unavailable>;

    /// Ends a PBX session.
    async fn sign_out(
        &self,
        jar: &Jar,
        server: usize,
        user_agent: &str,
        host: &str,
    ) -> Result<(), Unavailable>;

    /// Whether a secret could be a legacy credential at all (profile: `legacy_secret`). What
    /// does not is never sent to the PBX, so a mistyped portal password never leaves Passgate.
    fn looks_like_pin(&self, secret: &Secret) -> bool;

    /// Readiness: at least one PBX server answers.
    async fn ping(&self) -> Result<(), Unavailable>;
}

impl PortalSession {
    /// No session at the PBX.
    pub fn none() -> Self {
        Self { jar: Jar::new(), server: 0, landing: None }
    }
}
