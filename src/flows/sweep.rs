//! What happens to live sessions while nobody asks: the end of their time, and of their phase,
//! reaches open WebSockets within a minute (R-A6, R-C4).

use std::time::Duration;

use super::Services;
use crate::domain::kept_form;
use crate::domain::lockout::LockoutPolicy;
use crate::domain::session::Standing;
use crate::ports::Unavailable;

/// How long a code is remembered after its end: who finds the mail a few days later is told that the
/// link ran out, not that there never was one.
const KEEP_CODES: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a mail is remembered after it was sent or given up: administrators look into what did
/// not arrive, and can have a dead one tried again, for a month. It is the longest that the address
/// of a mail is kept beside the one on file.
const KEEP_MAILS: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a token is remembered after its end: what was ended here, and what the PBX takes longer
/// than it said, is not taken for one from before Passgate (R-F6).
const KEEP_TOKENS: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a campaign is remembered after its end. Reminders go out at most a year before a date.
const KEEP_CAMPAIGNS: Duration = Duration::from_secs(400 * 24 * 3600);

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
    services.sessions.purge(idle_before, created_before, now).await?;
    services.tokens.purge(now - KEEP_TOKENS).await?;
    // Public forms are counted in the same place, perhaps over a longer time.
    let forms = policies.public_forms_per_address.map_or(Duration::ZERO, |limit| limit.per);
    let longest =
        LockoutPolicy { window: policies.lockout.window.max(forms), ..policies.lockout.clone() };
    services.attempts.purge(&longest, now).await?;
    services.codes.purge(now - KEEP_CODES).await?;
    services.kept_forms.purge(now - kept_form::LIFE).await?;
    services.outbox.purge(now - KEEP_MAILS).await?;
    services.campaigns.purge(now - KEEP_CAMPAIGNS).await
}
