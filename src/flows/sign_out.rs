//! Signing out (R-C6): the Passgate session ends first and for certain, the PBX session as well
//! as it can be.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Outage, Services};
use crate::domain::session::LiveSession;
use crate::ports::SecurityEvent;

/// Ends a session here and at the PBX. A PBX that does not answer changes nothing for the user.
pub async fn sign_out(
    services: &Services,
    session: &Arc<LiveSession>,
    client: IpAddr,
    host: &str,
) -> Result<(), Outage> {
    services.sessions.end(&session.record().id).await?;
    let record = session.record();
    services
        .audit
        .record(SecurityEvent::of("sign_out", "portal", &record.login).from_client(client));
    let jar = session.jar();
    if !jar.jar.is_empty() {
        let at_pbx = services.portal.sign_out(&jar.jar, jar.server, &record.user_agent, host).await;
        if let Err(error) = at_pbx {
            tracing::warn!(%error, "signed out here, but the PBX was not told");
        }
    }
    Ok(())
}
