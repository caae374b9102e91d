//! A user's own sessions: looking at them, and ending them (R-C8). The PBX is not told: its side of
//! an ended session is out of everybody's reach, for its cookies were in our session's jar alone.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::Services;
use crate::domain::session::{LiveSession, SessionRecord, Standing};
use crate::ports::{SecurityEvent, Unavailable};

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSession {
    /// What it is called in a form. No session can be opened or guessed from it, and it means
    /// nothing in another account.
    pub reference: String,
    /// Browser, as it called itself at the beginning.
    pub user_agent: String,
    /// Address it began from.
    pub client: IpAddr,
    /// Last interaction.
    pub last_seen: Timestamp,
    /// The one that asks.
    pub current: bool,
    /// What an application holds, and not a browser.
    pub app: Option<OwnApp>,
}

/// An application that uses the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnApp {
    /// As the PBX knows it; `None` where it names none (Basic).
    pub client_id: Option<String>,
}

/// The live sessions of the account that `current` belongs to: this one first, then the latest.
pub async fn list(
    services: &Services,
    current: &LiveSession,
) -> Result<Vec<OwnSession>, Unavailable> {
    let records = services.sessions.of_account(current.record().account).await?;
    let own = current.record().id;
    let live = records.into_iter().filter(|record| lives(services, record));
    let mut sessions: Vec<_> = live
        .map(|record| OwnSession {
            reference: reference(services, &record),
            current: record.id == own,
            app: record
                .grant
                .map(|grant| OwnApp { client_id: grant.client.map(|client| client.id) }),
            user_agent: record.user_agent,
            client: record.client,
            last_seen: record.last_seen,
        })
        .collect();
    sessions.sort_by_key(|session| !session.current);
    Ok(sessions)
}

/// Ends the session with this reference; `false` if there is none, or it is the one that asks.
pub async fn end(
    services: &Services,
    current: &LiveSession,
    wanted: &str,
    client: IpAddr,
) -> Result<bool, Unavailable> {
    let own = current.record();
    let records = services.sessions.of_account(own.account).await?;
    let mut others = records.into_iter().filter(|record| record.id != own.id);
    let Some(found) = others.find(|record| reference(services, record) == wanted) else {
        return Ok(false);
    };
    let ended = services.sessions.end(&found.id).await?.is_some();
    if ended {
        note(services, current, client);
    }
    Ok(ended)
}

/// Ends all sessions of the account but this one; how many there were.
pub async fn end_others(
    services: &Services,
    current: &LiveSession,
    client: IpAddr,
) -> Result<usize, Unavailable> {
    let own = current.record();
    let ended = services.sessions.end_all(own.account, Some(own.id)).await?;
    if ended > 0 {
        note(services, current, client);
    }
    Ok(ended)
}

fn note(services: &Services, current: &LiveSession, client: IpAddr) {
    let event = SecurityEvent::of("session_ended", "page", &current.record().login);
    services.audit.record(event.from_client(client));
}

fn lives(services: &Services, record: &SessionRecord) -> bool {
    let now = services.clock.now();
    let policies = &services.policies;
    let phase = policies.rollout.phase(record.login.tenant(), now);
    let session = services.sessions.cached(&record.id);
    let session = session.unwrap_or_else(|| LiveSession::new(record.clone()));
    session.standing(&policies.session, phase, now) != Standing::Ended
}

/// A keyed fingerprint, of the account as well: what one account's page shows names nothing in
/// another's.
fn reference(services: &Services, record: &SessionRecord) -> String {
    let named = [record.account.0.as_bytes().as_slice(), &record.id.0].concat();
    URL_SAFE_NO_PAD.encode(services.vault.fingerprint("own session", &named))
}
