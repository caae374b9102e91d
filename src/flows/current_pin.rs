//! The PBX refused the PIN on file (it was changed by phone or by a manager): the user, signed in
//! with the password, is asked once for the current one (R-B6).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::login::{keep_pin, wait_for_floor};
use super::opening::{Opened, Opening};
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, address_key, pin_counter};
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, Progress};
use crate::ports::{PortalSession, Reserved, SecurityEvent};

/// What the form said.
#[derive(Debug, Clone)]
pub struct PinForm {
    /// The session it came in.
    pub session: Arc<LiveSession>,
    /// The current voicemail PIN.
    pub pin: Secret,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum PinOutcome {
    /// The PBX accepted it: the portal is open, under a new token.
    Opened(Box<Opened>),
    /// The PBX refused it.
    Wrong,
    /// Too many wrong ones.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The account is gone or switched off.
    Gone,
}

/// Tries the PIN at the PBX and keeps it if it works. Wrong ones are counted apart from
/// passwords (the password was right), so that a user who forgot the PIN can still sign in.
pub async fn current_pin(services: &Services, form: PinForm) -> Result<PinOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, &form).await;
    if !matches!(outcome, Ok(PinOutcome::Opened(_))) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

async fn judged(services: &Services, form: &PinForm) -> Result<PinOutcome, Outage> {
    let record = form.session.record();
    let account = match services.accounts.by_id(record.account).await? {
        // A session of an earlier password may not become one of the present.
        Some(account) if !account.disabled && account.epoch == record.epoch => account,
        _ => return Ok(PinOutcome::Gone),
    };
    let policy = &services.policies.lockout;
    let subject = AttemptSubject {
        name: pin_counter(&account.login),
        device: None,
        address: address_key(form.client, policy),
    };
    if let Some(until) = services.unclear_until(&subject).await? {
        return Ok(PinOutcome::Locked { until });
    }
    let reservation =
        match services.attempts.reserve(&subject, policy, services.clock.now()).await? {
            Reserved::Allowed(reservation) => reservation,
            Reserved::Locked { until, .. } => return Ok(PinOutcome::Locked { until }),
        };
    let answer = ask_pbx(services, form).await;
    let settle_as = match &answer {
        Ok(Some((_, Progress::Complete))) => AttemptOutcome::Success,
        // A second question proves nothing yet.
        Ok(Some(_)) => AttemptOutcome::NotJudged,
        Ok(None) => AttemptOutcome::Failure,
        Err(_) => AttemptOutcome::NotJudged,
    };
    services.attempts.settle(reservation, settle_as, policy, services.clock.now()).await?;
    if matches!(answer, Err(Outage::Unclear(_))) {
        services.note_unclear(&subject).await?;
    }
    let Some((pbx, progress)) = answer? else { return Ok(PinOutcome::Wrong) };

    if progress == Progress::Complete {
        keep_pin(services, account.id, &form.pin).await?;
    }
    if services.sessions.end(&record.id).await?.is_none() {
        // Ended meanwhile, or answered by another tab.
        return Ok(PinOutcome::Gone);
    }
    let how = Opening {
        obtained_with: ObtainedWith::Password,
        progress,
        client: form.client,
        user_agent: &form.user_agent,
    };
    let opened = services.open_session(&account, pbx, how).await?;
    if progress == Progress::Challenge {
        opened.session.hold_pin(form.pin.clone());
        return Ok(PinOutcome::Opened(Box::new(opened)));
    }
    services
        .audit
        .record(SecurityEvent::of("pin_relinked", "page", &account.login).from_client(form.client));
    Ok(PinOutcome::Opened(Box::new(opened)))
}

async fn ask_pbx(
    services: &Services,
    form: &PinForm,
) -> Result<Option<(PortalSession, Progress)>, Outage> {
    if !services.portal.looks_like_pin(&form.pin) {
        return Ok(None);
    }
    let asker = Asker {
        client: form.client,
        user_agent: &form.user_agent,
        host: &form.host,
        language: None,
    };
    let login = &form.session.record().login;
    match services.try_pin(login, &form.pin, &[], asker).await? {
        PinVerdict::Accepted(pbx) => Ok(Some((pbx, Progress::Complete))),
        PinVerdict::Challenged(pbx) => Ok(Some((pbx, Progress::Challenge))),
        PinVerdict::Refused => Ok(None),
    }
}
