//! Proof of the present credential before another takes its place: the portal password, or the
//! voicemail PIN of a user without one. Wrong ones are counted together with logins (R-C5).

use jiff::Timestamp;

use super::attempt::locked_reason;
use super::initial_password::is_meant_as_initial;
use super::lock_notice::tell_owner;
use super::login::{check_password, keep_pin, stored_pin};
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockScope, address_key};
use crate::domain::login_decision::Check;
use crate::domain::mail::Lock;
use crate::domain::secret::Secret;
use crate::ports::{Reserved, SecurityEvent};

/// Whether the present credential was right.
pub(super) enum Proof {
    Right,
    Wrong,
    Locked { until: Timestamp },
}

/// Checks `secret` as the present credential of `account`. `device` is the device cookie, unopened.
pub(super) async fn prove(
    services: &Services,
    account: &Account,
    secret: &Secret,
    device: Option<&str>,
    asker: Asker<'_>,
) -> Result<Proof, Outage> {
    let policy = &services.policies.lockout;
    let device = match device {
        Some(cookie) => services.device_of(cookie, &account.login).await?,
        None => None,
    };
    let subject = AttemptSubject {
        name: account.login.to_string(),
        device,
        address: address_key(asker.client, policy),
    };
    if let Some(until) = services.unclear_until(&subject).await? {
        return Ok(Proof::Locked { until });
    }
    let now = services.clock.now();
    let reservation = match services.attempts.reserve(&subject, policy, now).await? {
        Reserved::Allowed(reservation) => reservation,
        Reserved::Locked { until, .. } => return Ok(Proof::Locked { until }),
    };
    let checked = check(services, account, secret, asker).await;
    let settle_as = match &checked {
        Ok(Check::PasswordRight | Check::PinAccepted) => AttemptOutcome::Success,
        Ok(Check::FormerSecret) => AttemptOutcome::FormerSecret(
            services.vault.fingerprint("former", secret.expose().as_bytes()),
        ),
        Ok(_) => AttemptOutcome::Failure,
        Err(_) => AttemptOutcome::NotJudged,
    };
    let now = services.clock.now();
    let locked = services.attempts.settle(reservation, settle_as, policy, now).await?;
    if matches!(checked, Err(Outage::Unclear(_))) {
        services.note_unclear(&subject).await?;
    }
    checked?;
    let record = |event, result| {
        let event = SecurityEvent::of(event, "page", &account.login).from_client(asker.client);
        services.audit.record(event.with_result(result));
    };
    if settle_as != AttemptOutcome::Success {
        record("password_set", "bad_password");
    }
    if let Some((scope, until)) = locked {
        record("lockout", locked_reason(scope));
        if scope == LockScope::Name {
            tell_owner(services, &account.login, Lock { until, client: asker.client });
        }
    }
    Ok(if settle_as == AttemptOutcome::Success { Proof::Right } else { Proof::Wrong })
}

async fn check(
    services: &Services,
    account: &Account,
    secret: &Secret,
    asker: Asker<'_>,
) -> Result<Check, Outage> {
    if account.password.is_some() {
        return check_password(services, account, secret).await;
    }
    // One that the PBX has refused is not the present one.
    let stored = stored_pin(services, account)?.filter(|_| !account.pin_refused);
    if stored.is_some_and(|pin| pin.same_as(secret)) {
        return Ok(Check::PinAccepted);
    }
    if is_meant_as_initial(account, secret) || !services.portal.looks_like_pin(secret) {
        return Ok(Check::PinRefused);
    }
    // The PIN may have been changed by phone since it was taken into the vault.
    match services.try_pin(&account.login, secret, &[], asker).await? {
        PinVerdict::Accepted(pbx) => {
            services.leave(&pbx, asker).await;
            keep_pin(services, account.id, secret).await?;
            Ok(Check::PinAccepted)
        }
        PinVerdict::Refused => Ok(Check::PinRefused),
        PinVerdict::Challenged(_) => Ok(Check::PinChallenged),
    }
}
