//! The PBX's own records of its users: reading and writing a voicemail PIN there (R-B4, R-B6).

use std::net::IpAddr;

use async_trait::async_trait;

use super::Unavailable;
use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;

/// By which access a new PIN can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinWriting {
    /// With an access of our own (`[portal.admin]`): for every user, at any time.
    Admin,
    /// With the user's own PBX session: only while a PIN is known that opens one.
    OwnSession,
    /// Not at all.
    Impossible,
}

/// The session at the PBX of the user whose PIN is written; needed for [`PinWriting::OwnSession`].
#[derive(Debug, Clone, Copy)]
pub struct OwnSession<'a> {
    /// Its cookies.
    pub jar: &'a Jar,
    /// The server that holds it.
    pub server: usize,
    /// The `User-Agent` that it was opened with.
    pub user_agent: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The public host name.
    pub host: &'a str,
}

/// What the PBX said to a new PIN.
#[derive(Debug, Clone)]
pub enum PinWritten {
    /// It says that it is done. Still to be proved.
    Done,
    /// It says that it will be done (202).
    Later,
    /// It says no. Nothing was written.
    Refused {
        /// For the operator's log; no secret.
        detail: String,
    },
    /// It was never asked: no connection, no access. Nothing was written.
    NotAsked(Unavailable),
    /// It was asked, and its answer was lost or makes no sense: written or not.
    Unclear(Unavailable),
}

/// Reads and writes voicemail PINs.
#[async_trait]
pub trait Subscribers: Send + Sync {
    /// How PINs can be written.
    fn writing(&self) -> PinWriting;

    /// Whether PINs can be read.
    fn reading(&self) -> bool;

    /// Writes a PIN. Once; never repeated by itself.
    async fn write_pin(
        &self,
        login: &LoginName,
        pin: &Secret,
        own: Option<OwnSession<'_>>,
    ) -> PinWritten;

    /// The PIN that the PBX has now; `None` if there is no such user, or no PIN in the record.
    async fn read_pin(&self, login: &LoginName) -> Result<Option<Secret>, Unavailable>;

    /// For `passgate check --connect`: whether the access works. `Ok` without one.
    async fn ping(&self) -> Result<(), Unavailable>;
}
