//! Who is asking: from the session cookie to a session and what it may reach right now.
//!
//! This is the hot path: one hash, one look into the first level, no wait.

use std::sync::Arc;

use crate::domain::rollout::Phase;
use crate::domain::session::{LiveSession, ObtainedWith, SessionId, Standing};
use crate::flows::Services;
use crate::ports::Unavailable;

/// A session with its standing at this moment.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The session.
    pub session: Arc<LiveSession>,
    /// What it may reach; never [`Standing::Ended`].
    pub standing: Standing,
}

/// The session of a request, if it has one that still lives. What looks expired in the first
/// level is looked up again in the store: another node may have seen its user since.
pub async fn admit(services: &Services, id: &SessionId) -> Result<Option<Admitted>, Unavailable> {
    if let Some(session) = services.sessions.cached(id)
        && let Some(admitted) = stand(services, session)
    {
        return Ok(Some(admitted));
    }
    match services.sessions.find(id).await? {
        Some(session) => {
            let admitted = stand(services, Arc::clone(&session));
            if admitted.is_none() {
                services.sessions.end(id).await?;
            }
            Ok(admitted)
        }
        None => Ok(None),
    }
}

fn stand(services: &Services, session: Arc<LiveSession>) -> Option<Admitted> {
    let now = services.clock.now();
    let record = session.record();
    // The phase rules hold for sessions obtained with a PIN only: the others skip the look-up.
    let phase = match record.obtained_with {
        ObtainedWith::Pin => services.policies.rollout.phase(record.login.tenant(), now),
        ObtainedWith::Password => Phase::Quiet,
    };
    match session.standing(&services.policies.session, phase, now) {
        Standing::Ended => None,
        standing => Some(Admitted { session, standing }),
    }
}
