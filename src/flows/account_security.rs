//! Setting the first portal password, and changing it: verified by the present credential,
//! which for a user without a password is the voicemail PIN.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::initial_password::is_initial;
use super::login::wait_for_floor;
use super::opening::{Opened, Opening};
use super::pbx::Asker;
use super::proof::{Proof, prove};
use super::set_password::holds_pin;
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::language::Language;
use crate::domain::password_policy::{PasswordContext, PasswordProblem};
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith};
use crate::ports::{CredentialChange, JournalStep, NewPassword, PortalSession, SecurityEvent};

/// What the form said.
#[derive(Debug, Clone)]
pub struct PasswordForm {
    /// The session it came in.
    pub session: Arc<LiveSession>,
    /// The present portal password; the PIN for a user without one.
    pub current: Secret,
    /// The new password.
    pub new: Secret,
    /// The new password again.
    pub confirm: Secret,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
    /// The language of the page it came from: mails about it are written in it.
    pub language: Option<Language>,
    /// Value of the device cookie, unopened: the browser is counted as at its logins (R-C5).
    pub device: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum PasswordOutcome {
    /// Saved. All sessions of the account ended; this is the new one of this browser.
    Saved {
        /// The session that goes on, under a new token.
        opened: Box<Opened>,
        /// Whether it was the account's first portal password.
        first: bool,
    },
    /// The present credential is wrong.
    CurrentWrong,
    /// Too many wrong ones; counted together with logins.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The new password breaks these rules. Nothing was counted.
    Against(Vec<PasswordProblem>),
    /// The two new passwords differ.
    Different,
    /// Somebody else changed the password meanwhile (a second tab).
    Overtaken,
    /// The account is gone or switched off; the session ends.
    Gone,
}

/// Sets or changes the portal password.
pub async fn set_password(
    services: &Services,
    form: PasswordForm,
) -> Result<PasswordOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, &form).await;
    if matches!(outcome, Ok(PasswordOutcome::CurrentWrong | PasswordOutcome::Locked { .. })) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

async fn judged(services: &Services, form: &PasswordForm) -> Result<PasswordOutcome, Outage> {
    let Some(account) = services.accounts.by_id(form.session.record().account).await? else {
        return Ok(PasswordOutcome::Gone);
    };
    if account.disabled {
        return Ok(PasswordOutcome::Gone);
    }
    // What needs no proof is checked first: a typing mistake costs the user no attempt.
    if !form.new.same_as(&form.confirm) {
        return Ok(PasswordOutcome::Different);
    }
    let problems = problems(services, &account, form);
    if !problems.is_empty() {
        return Ok(PasswordOutcome::Against(problems));
    }

    let asker = Asker {
        client: form.client,
        user_agent: &form.user_agent,
        host: &form.host,
        language: form.language.as_ref(),
    };
    let device = form.device.as_deref();
    match prove(services, &account, &form.current, device, asker).await? {
        Proof::Right => {}
        Proof::Wrong => return Ok(PasswordOutcome::CurrentWrong),
        Proof::Locked { until } => return Ok(PasswordOutcome::Locked { until }),
    }
    // Said only after the proof.
    let mut problems = holds_pin(services, &account, &form.new)?;
    problems.extend(is_initial(services, &account, &form.new).await?);
    if !problems.is_empty() {
        return Ok(PasswordOutcome::Against(problems));
    }
    save(services, form, account).await
}

/// What breaks the rules, as far as it tells nothing that the form does not already hold.
fn problems(services: &Services, account: &Account, form: &PasswordForm) -> Vec<PasswordProblem> {
    let context = PasswordContext {
        login: Some(&account.login),
        email: account.email.as_deref(),
        // Without a password the present credential is the PIN, whether the vault has it or not.
        pin: account.password.is_none().then_some(&form.current),
    };
    let policy = services.policies.password_for(account.login.tenant());
    let mut problems = policy.check(&form.new, &context);
    if services.portal.looks_like_pin(&form.new) {
        problems.push(PasswordProblem::LooksLikePin);
    }
    problems
}

async fn save(
    services: &Services,
    form: &PasswordForm,
    account: Account,
) -> Result<PasswordOutcome, Outage> {
    let first = account.password.is_none();
    let phc = services.hasher.hash(&form.new).await?;
    let password = NewPassword { phc, at: services.clock.now(), expected_epoch: account.epoch };
    let change = CredentialChange {
        account: account.id,
        password: Some(password),
        pin: None,
        journal: JournalStep::Leave,
        mails: services.report(&account, form.language.as_ref()).into_iter().collect(),
    };
    let Some(account) = services.credentials.commit(change).await? else {
        return Ok(PasswordOutcome::Overtaken);
    };
    // The PBX session moves over to the new Passgate session: the jar is read before the old one
    // ends, and never belongs to both.
    let record_before = form.session.record();
    let jar = form.session.jar();
    let pbx = PortalSession { jar: jar.jar.clone(), server: jar.server, landing: None };
    services.sessions.end_all(account.id, None).await?;
    let how = Opening {
        obtained_with: ObtainedWith::Password,
        progress: record_before.progress,
        client: form.client,
        user_agent: &form.user_agent,
    };
    let opened = services.open_session(&account, pbx, how).await?;
    services
        .audit
        .record(SecurityEvent::of("password_set", "page", &account.login).from_client(form.client));
    Ok(PasswordOutcome::Saved { opened: Box::new(opened), first })
}
