//! Who is asking: from the session cookie to a session and what it may reach right now.
//!
//! This is the hot path: one hash, one look into the first level, no wait.

use std::sync::Arc;

use crate::domain::session::{LiveSession, SessionId, Standing};
use crate::flows::Services;
use crate::ports::Unavailable;
use crate::telemetry::Metrics;
use crate::web::cookies::session_token;

/// A session with its standing at this moment.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The session.
    pub session: Arc<LiveSession>,
    /// What it may reach; never [`Standing::Ended`].
    pub standing: Standing,
}

/// The session that one of the presented cookie values names. Of several values, planted by a
/// sibling domain or left by an old browser, only one may name a live session.
pub async fn admit_any(
    services: &Services,
    metrics: &Metrics,
    presented: &[&str],
) -> Result<Option<Admitted>, Unavailable> {
    let mut found = None;
    for value in presented {
        let Some(token) = session_token(value) else { continue };
        if let Some(admitted) = admit(services, metrics, &token.id()).await?
            && found.replace(admitted).is_some()
        {
            return Ok(None);
        }
    }
    Ok(found)
}

/// The session of a request, if it has one that still lives. What looks expired in the first
/// level is looked up again in the store: another node may have seen its user since.
async fn admit(
    services: &Services,
    metrics: &Metrics,
    id: &SessionId,
) -> Result<Option<Admitted>, Unavailable> {
    if let Some(session) = services.sessions.cached(id)
        && let Some(admitted) = stand(services, session)
    {
        metrics.session_cache_hit();
        return Ok(Some(admitted));
    }
    metrics.session_cache_miss();
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

/// Whether a session that was admitted before still reaches the portal.
pub(super) fn reaches_portal(services: &Services, session: &Arc<LiveSession>) -> bool {
    stand(services, Arc::clone(session))
        .is_some_and(|admitted| matches!(admitted.standing, Standing::Full { .. }))
}

/// What a session reaches at this moment; `None` if it has ended.
pub(super) fn stand(services: &Services, session: Arc<LiveSession>) -> Option<Admitted> {
    match services.standing(&session) {
        Standing::Ended => None,
        standing => Some(Admitted { session, standing }),
    }
}
