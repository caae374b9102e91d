//! Asking the PBX on a user's behalf.

use std::net::IpAddr;

use super::{Outage, Services};
use crate::domain::language::Language;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{PortalAnswer, PortalLogin, PortalSession, Unavailable};

/// What the PBX said to a PIN. An answer that its profile does not know is an outage, not one of
/// these.
pub(super) enum PinVerdict {
    Accepted(PortalSession),
    Challenged(PortalSession),
    Refused,
}

/// Who asks, as the PBX is told; and in which language mails about it are written.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub client: IpAddr,
    pub user_agent: &'a str,
    pub host: &'a str,
    pub language: Option<&'a Language>,
}

impl Services {
    /// Tries a PIN at the PBX, on a fresh session there.
    pub(super) async fn try_pin(
        &self,
        login: &LoginName,
        pin: &Secret,
        carried: &[(String, String)],
        asker: Asker<'_>,
    ) -> Result<PinVerdict, Outage> {
        let request = PortalLogin {
            login,
            pin,
            carried,
            user_agent: asker.user_agent,
            client: asker.client,
            host: asker.host,
            server: None,
        };
        match self.portal.log_in(request).await.map_err(Outage::Pbx)? {
            PortalAnswer::Accepted(pbx) => Ok(PinVerdict::Accepted(pbx)),
            PortalAnswer::Challenge(pbx) => Ok(PinVerdict::Challenged(pbx)),
            PortalAnswer::Refused => Ok(PinVerdict::Refused),
            PortalAnswer::Unknown { detail } => {
                Err(Outage::Unclear(Unavailable::new("pbx", detail)))
            }
        }
    }

    /// Signs out of a PBX session that nobody will use. Best effort: the PBX ends it by itself.
    pub(super) async fn leave(&self, pbx: &PortalSession, asker: Asker<'_>) {
        let signed_out =
            self.portal.sign_out(&pbx.jar, pbx.server, asker.user_agent, asker.host).await;
        if let Err(error) = signed_out {
            tracing::warn!(%error, "a PBX session that nobody uses was left open");
        }
    }
}
