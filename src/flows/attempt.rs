//! What every door has in common, whoever comes: an attempt waits for its turn, is counted before
//! anything is verified, and is settled by what came of it (R-C5). Portal form, own login page and
//! token endpoints go through here, so there is one lockout.

use std::net::IpAddr;

use uuid::Uuid;

use super::lock_notice::tell_owner;
use super::{Outage, Services};
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockScope, address_key};
use crate::domain::login_name::{LoginName, fold};
use crate::domain::mail::Lock;
use crate::ports::{Reserved, SecurityEvent, Unavailable};

use jiff::Timestamp;

/// Who tries to get in, as far as it is counted and written down.
#[derive(Clone, Copy)]
pub(super) struct Attempted<'a> {
    /// What was typed as login name.
    pub typed: &'a str,
    /// The login name, when the text has the shape of one.
    pub login: Option<&'a LoginName>,
    /// Value of the device cookie, unopened.
    pub device: Option<&'a str>,
    /// Client address.
    pub client: IpAddr,
    /// The door.
    pub channel: &'static str,
}

/// What came of an attempt.
pub(super) enum Judged<T> {
    /// Right: failures are forgotten.
    Right(T),
    /// Neither right nor wrong: the attempt counts as nothing.
    Unproved(T),
    /// Wrong.
    Wrong {
        /// For the log and the metrics.
        reason: &'static str,
        /// The fingerprint of a secret that was right once: it counts once per window.
        former: Option<[u8; 16]>,
    },
}

/// What the door hears.
pub(super) enum Guarded<T> {
    /// Right, or neither.
    Passed(T),
    /// Wrong, and counted.
    Refused,
    /// Too many failures; nothing was judged.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
}

/// Lets `judge` judge an attempt, counted and settled. Refusals and locks are recorded here; what
/// passed is recorded by the door, which knows more about it.
pub(super) async fn guarded<T>(
    services: &Services,
    who: &Attempted<'_>,
    judge: impl Future<Output = Result<Judged<T>, Outage>>,
) -> Result<Guarded<T>, Outage> {
    let policy = &services.policies.lockout;
    let now = || services.clock.now();
    let subject = subject(services, who).await?;
    let _turn = services.turns.wait(&subject).await;
    if let Some(until) = services.unclear_until(&subject).await? {
        record(services, who, "login", "locked_unclear");
        return Ok(Guarded::Locked { until });
    }
    let reservation = match services.attempts.reserve(&subject, policy, now()).await? {
        Reserved::Allowed(reservation) => reservation,
        Reserved::Locked { until, scope } => {
            record(services, who, "login", locked_reason(scope));
            return Ok(Guarded::Locked { until });
        }
    };

    let judged = judge.await;
    let settle_as = match &judged {
        Ok(Judged::Right(_)) => AttemptOutcome::Success,
        Ok(Judged::Wrong { former: Some(fingerprint), .. }) => {
            AttemptOutcome::FormerSecret(*fingerprint)
        }
        Ok(Judged::Wrong { .. }) => AttemptOutcome::Failure,
        Ok(Judged::Unproved(_)) | Err(_) => AttemptOutcome::NotJudged,
    };
    let locked = services.attempts.settle(reservation, settle_as, policy, now()).await;
    if matches!(judged, Err(Outage::Unclear(_))) {
        services.note_unclear(&subject).await?;
    }
    match judged? {
        Judged::Right(passed) | Judged::Unproved(passed) => {
            locked?;
            Ok(Guarded::Passed(passed))
        }
        Judged::Wrong { reason, .. } => {
            record(services, who, "login", reason);
            if let Some((scope, until)) = locked? {
                record(services, who, "lockout", locked_reason(scope));
                if let (LockScope::Name, Some(login)) = (scope, who.login) {
                    tell_owner(services, login, Lock { until, client: who.client });
                }
            }
            Ok(Guarded::Refused)
        }
    }
}

async fn subject(services: &Services, who: &Attempted<'_>) -> Result<AttemptSubject, Unavailable> {
    let name = match who.login {
        Some(login) => login.to_string(),
        // Counted like any other name, but perhaps it is a password in the wrong field: nobody who
        // reads the store may learn it.
        None => {
            let typed = fold(who.typed);
            let fingerprint = services.vault.fingerprint("typed name", typed.as_bytes());
            format!("#{}", Uuid::from_bytes(fingerprint).simple())
        }
    };
    let device = match (who.login, who.device) {
        (Some(login), Some(cookie)) => services.device_of(cookie, login).await?,
        _ => None,
    };
    let address = address_key(who.client, &services.policies.lockout);
    Ok(AttemptSubject { name, device, address })
}

/// Writes down what became of an attempt.
pub(super) fn record(
    services: &Services,
    who: &Attempted<'_>,
    event: &'static str,
    result: &'static str,
) {
    // What is no login name may be a password in the wrong field: it is not written down.
    let login = who.login.map_or_else(|| "-".to_owned(), ToString::to_string);
    services.audit.record(SecurityEvent {
        event,
        channel: who.channel,
        login,
        client: Some(who.client),
        result,
    });
}

/// What is locked, for the log and the metrics.
pub(super) fn locked_reason(scope: LockScope) -> &'static str {
    match scope {
        LockScope::Name => "locked_name",
        LockScope::Device => "locked_device",
        LockScope::Address => "locked_address",
    }
}
