//! Asking for another e-mail address to be put on file (R-D5): proved by the portal password, and
//! confirmed by a link that goes to the new address. Nothing changes until that link is used.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::login::wait_for_floor;
use super::pbx::Asker;
use super::post::{Requested, request_to};
use super::proof::{Proof, prove};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::email_address::email;
use crate::domain::language::Language;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith};
use crate::ports::SecurityEvent;

/// What the form said.
#[derive(Debug, Clone)]
pub struct EmailForm {
    /// The session it came in.
    pub session: Arc<LiveSession>,
    /// The new address, as it was typed.
    pub address: String,
    /// The present portal password.
    pub current: Secret,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailOutcome {
    /// A link is on its way to this address.
    Sent {
        /// The address.
        to: String,
    },
    /// No further link: one was asked for at this moment, or as many as the account gets.
    NotAgain {
        /// When the latest was asked for.
        at: Timestamp,
    },
    /// It is the address on file.
    Same,
    /// It is no address.
    BadAddress,
    /// Nobody proved a portal password in this session: a voicemail PIN neither sets nor changes
    /// the address.
    PasswordNeeded,
    /// E-mail is off.
    Off,
    /// The portal password is wrong.
    CurrentWrong,
    /// Too many wrong ones; counted together with logins.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The account is gone or switched off; the session ends.
    Gone,
}

/// Whether this session may have the address of its account changed.
pub fn may_change(session: &LiveSession, account: &Account) -> bool {
    account.password.is_some() && session.record().obtained_with == ObtainedWith::Password
}

/// Sends a link to the new address.
pub async fn ask_for_email(services: &Services, form: EmailForm) -> Result<EmailOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, &form).await;
    if matches!(outcome, Ok(EmailOutcome::CurrentWrong | EmailOutcome::Locked { .. })) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

async fn judged(services: &Services, form: &EmailForm) -> Result<EmailOutcome, Outage> {
    let account = match services.accounts.by_id(form.session.record().account).await? {
        Some(account) if !account.disabled => account,
        _ => return Ok(EmailOutcome::Gone),
    };
    if !may_change(&form.session, &account) {
        return Ok(EmailOutcome::PasswordNeeded);
    }
    if services.mail.is_none() {
        return Ok(EmailOutcome::Off);
    }
    // What needs no proof is checked first: a typing mistake costs the user no attempt.
    let Ok(address) = email(&form.address) else { return Ok(EmailOutcome::BadAddress) };
    // One that takes no mail may be confirmed anew.
    if account.reachable_at().is_some_and(|on_file| on_file.eq_ignore_ascii_case(&address)) {
        return Ok(EmailOutcome::Same);
    }
    let asker = Asker {
        client: form.client,
        user_agent: &form.user_agent,
        host: &form.host,
        language: form.language.as_ref(),
    };
    match prove(services, &account, &form.current, form.device.as_deref(), asker).await? {
        Proof::Right => {}
        Proof::Wrong => {
            record(services, form, &account, "bad_password");
            return Ok(EmailOutcome::CurrentWrong);
        }
        Proof::Locked { until } => return Ok(EmailOutcome::Locked { until }),
    }
    Ok(
        match request_to(
            services,
            &account,
            MailKind::ConfirmEmail,
            &address,
            form.language.as_ref(),
        )
        .await?
        {
            Requested::Now { .. } => {
                record(services, form, &account, "queued");
                EmailOutcome::Sent { to: address }
            }
            Requested::Already { at, .. } => {
                record(services, form, &account, "not_again");
                EmailOutcome::NotAgain { at }
            }
            Requested::AddressFull { latest, .. } => {
                record(services, form, &account, "not_again");
                EmailOutcome::NotAgain { at: latest }
            }
            Requested::NoAddress | Requested::Off => EmailOutcome::Off,
        },
    )
}

fn record(services: &Services, form: &EmailForm, account: &Account, result: &'static str) {
    services.audit.record(
        SecurityEvent::of("email_asked", "page", &account.login)
            .from_client(form.client)
            .with_result(result),
    );
}
