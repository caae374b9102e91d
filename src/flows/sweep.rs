//! What happens to live sessions while nobody asks: the end of their time, and of their phase,
//! reaches open WebSockets within a minute (R-A6, R-C4).

use super::Services;
use crate::domain::session::Standing;
use crate::ports::Unavailable;

/// Ends what is over, closes the connections of what is held back, writes last-seen times, and
/// forgets what the stores no longer need. Called every few seconds.
pub async fn sweep(services: &Services) -> Result<(), Unavailable> {
    let now = services.clock.now();
    let policies = &services.policies;
    for session in services.sessions.live() {
        let phase = policies.rollout.phase(session.record().login.tenant(), now);
        match session.standing(&policies.session, phase, now) {
            Standing::Full { .. } => {}
            Standing::Ended => {
                services.sessions.end(&session.record().id).await?;
            }
            Standing::Held | Standing::Challenge | Standing::PinNeeded => session.close_watched(),
        }
    }
    services.sessions.flush().await?;
    let idle_before = now - policies.session.idle;
    let created_before = policies.session.absolute.map(|life| now - life);
    services.sessions.purge(idle_before, created_before).await?;
    services.attempts.purge(&policies.lockout, now).await
}
