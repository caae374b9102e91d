//! The PBX's records of its users, through its API or with a user's own session, as the profile
//! describes them.

mod access;
mod api;
mod own_page;
mod verdict;

use std::sync::Arc;

use async_trait::async_trait;

use self::access::Access;
use self::api::Api;
use super::upstream::{Upstream, UpstreamSettings};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{Clock, OwnSession, PinWriting, PinWritten, Subscribers, Unavailable};
use crate::profile::Profile;

pub use access::AdminAccess;

/// Reads and writes voicemail PINs by the profile.
pub struct PbxSubscribers {
    profile: Arc<Profile>,
    upstream: Arc<Upstream>,
    /// `None`: Passgate has no access of its own.
    api: Option<Api>,
}

impl PbxSubscribers {
    /// Checks the settings; connects to nothing yet.
    pub fn new(
        profile: Arc<Profile>,
        upstream: UpstreamSettings,
        admin: AdminAccess,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let upstream = Arc::new(Upstream::new(upstream)?);
        let access = Access::new(admin, profile.subscriber().token_path(), clock)?;
        let api =
            access.map(|access| Api::new(Arc::clone(&profile), Arc::clone(&upstream), access));
        Ok(Self { profile, upstream, api })
    }

    async fn write(
        &self,
        login: &LoginName,
        pin: &Secret,
        own: Option<OwnSession<'_>>,
    ) -> PinWritten {
        match (self.writing(), &self.api, self.profile.subscriber().own_page(), own) {
            (PinWriting::Admin, Some(api), ..) => api.write_pin(login, pin).await,
            (PinWriting::OwnSession, _, Some(page), Some(own)) => {
                own_page::write_pin(&self.profile, &self.upstream, page, &own, pin).await
            }
            (PinWriting::OwnSession, _, _, None) => {
                let detail = "a PIN is written with the user's own session, and there is none";
                PinWritten::NotAsked(Unavailable::new("pbx", detail))
            }
            _ => {
                let detail = "there is no way to write a PIN";
                PinWritten::NotAsked(Unavailable::new("pbx", detail))
            }
        }
    }
}

#[async_trait]
impl Subscribers for PbxSubscribers {
    fn writing(&self) -> PinWriting {
        let subscriber = self.profile.subscriber();
        if self.api.is_some() && !subscriber.writes().is_empty() {
            PinWriting::Admin
        } else if subscriber.own_page().is_some() {
            PinWriting::OwnSession
        } else {
            PinWriting::Impossible
        }
    }

    fn reading(&self) -> bool {
        self.api.is_some() && !self.profile.subscriber().reads().is_empty()
    }

    async fn write_pin(
        &self,
        login: &LoginName,
        pin: &Secret,
        own: Option<OwnSession<'_>>,
    ) -> PinWritten {
        let written = self.write(login, pin, own).await;
        match &written {
            PinWritten::Done => tracing::debug!(%login, "voicemail PIN: written"),
            PinWritten::Later => tracing::debug!(%login, "voicemail PIN: to be written"),
            PinWritten::Refused { detail } => {
                tracing::warn!(%login, %detail, "voicemail PIN: the PBX refuses the new one");
            }
            PinWritten::NotAsked(outage) => {
                tracing::warn!(%login, %outage, "voicemail PIN: the PBX was not asked to write it");
            }
            PinWritten::Unclear(outage) => {
                tracing::warn!(%login, %outage, "voicemail PIN: written or not, it is not known");
            }
        }
        written
    }

    async fn read_pin(&self, login: &LoginName) -> Result<Option<Secret>, Unavailable> {
        let Some(api) = self.api.as_ref().filter(|_| self.reading()) else {
            return Err(Unavailable::new("pbx", "there is no way to read a PIN"));
        };
        api.read_pin(login).await.inspect_err(|outage| {
            tracing::warn!(%login, %outage, "voicemail PIN: it cannot be read");
        })
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        match &self.api {
            Some(api) => api.ping().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod broken_tests;
#[cfg(test)]
#[cfg(feature = "demo")]
mod demo_tests;
