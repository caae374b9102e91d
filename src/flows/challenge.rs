//! The PBX's second question (its MFA) was answered: only now the login counts, and the phase
//! decision is taken.

use std::net::IpAddr;
use std::sync::Arc;

use super::login::keep_pin;
use super::opening::{Opened, Opening};
use super::{Outage, Services};
use crate::domain::login_decision::{Check, Decision, login_decision};
use crate::domain::session::{LiveSession, ObtainedWith, Progress};
use crate::ports::{PortalSession, SecurityEvent};

/// Turns a challenged session into one that is logged in, under a new token. `None` when the
/// account or the phase no longer allow it, or the pending session ended while the PBX was judging
/// the answer (another tab, a changed password): it has ended in any case.
pub async fn answered(
    services: &Services,
    session: &Arc<LiveSession>,
    client: IpAddr,
    landing: Option<String>,
) -> Result<Option<Opened>, Outage> {
    let record = session.record();
    let account = services.accounts.by_id(record.account).await?;
    let pending = services.sessions.end(&record.id).await?;
    let (Some(_), Some(account)) = (pending, account) else { return Ok(None) };
    if account.epoch != record.epoch {
        return Ok(None);
    }

    let phase = services.policies.rollout.phase(record.login.tenant(), services.clock.now());
    let check = match record.obtained_with {
        ObtainedWith::Pin => Check::PinAccepted,
        ObtainedWith::Password => Check::PasswordRight,
        // The PBX is not asked before it is replaced.
        ObtainedWith::InitialPassword => Check::InitialRight,
    };
    match login_decision(account.state(), check, phase) {
        Decision::Open { .. } | Decision::Hold | Decision::Replay => {}
        _ => return Ok(None),
    }
    if let Some(pin) = session.take_pin() {
        keep_pin(services, account.id, &pin).await?;
    }
    let jar = session.jar();
    let pbx = PortalSession { jar: jar.jar.clone(), server: jar.server, landing };
    let how = Opening {
        obtained_with: record.obtained_with,
        progress: Progress::Complete,
        client,
        user_agent: &record.user_agent,
    };
    let opened = services.open_session(&account, pbx, how).await?;
    // It is a success only now (R-C5).
    services.attempts.unlock(&record.login.to_string()).await?;
    services.audit.record(
        SecurityEvent::of("login", "portal", &record.login)
            .from_client(client)
            .with_result("ok_challenge"),
    );
    Ok(Some(opened))
}
