//! Mails: asking for one, and handing one over.
//!
//! The secret of a link is made at the moment of hand-over, and only its hash is kept: nobody finds
//! a working link in the store or in a backup. A mail that is tried again gets a new one; those
//! that may have arrived before stay valid.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{MailOffice, Outage, Services, bounces};
use crate::domain::account::Account;
use crate::domain::language::Language;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{
    KEEP_TRYING, MailId, MailKind, NewMail, StoredMail, Urgency, retry_after,
};
use crate::domain::one_time_code::{IssuedCode, OneTimeCode, Purpose};
use crate::ports::{Enqueued, Letter, SendError, Unavailable};

/// Answer to asking for a mail with a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// It is on its way.
    Now {
        /// Asked for at this moment.
        at: Timestamp,
    },
    /// One was asked for before, and no further one is sent now.
    Already {
        /// When it was asked for.
        at: Timestamp,
        /// Where it went, or goes.
        to: String,
    },
    /// The address had as many as it gets, over all accounts that share it.
    AddressFull {
        /// When the latest of them was asked for.
        latest: Timestamp,
        /// When there is room for another one.
        until: Timestamp,
    },
    /// There is no address on file.
    NoAddress,
    /// E-mail is off (`mail.url` is empty).
    Off,
}

/// While the mail server cannot be used, it is asked again after this time.
const OUTAGE_PAUSE: Duration = Duration::from_secs(30);

/// Asks for a mail with a link to the account's address on file. Answers without waiting for the
/// mail server: its troubles are not the user's.
pub async fn request(
    services: &Services,
    account: &Account,
    kind: MailKind,
    language: Option<&Language>,
) -> Result<Requested, Outage> {
    match account.reachable_at() {
        Some(to) => request_to(services, account, kind, to, language).await,
        None if services.mail.is_none() => Ok(Requested::Off),
        None => Ok(Requested::NoAddress),
    }
}

/// The same, to an address that need not be on file.
pub(super) async fn request_to(
    services: &Services,
    account: &Account,
    kind: MailKind,
    to: &str,
    language: Option<&Language>,
) -> Result<Requested, Outage> {
    if services.mail.is_none() {
        return Ok(Requested::Off);
    }
    let mail = services.new_mail(kind, account, to, language);
    let at = mail.asked_at;
    let limit = services.policies.mails_per_account;
    Ok(match services.outbox.enqueue(mail, limit).await? {
        Enqueued::Now => Requested::Now { at },
        Enqueued::Already { asked_at, to } => Requested::Already { at: asked_at, to },
        Enqueued::AddressFull { latest, until } => Requested::AddressFull { latest, until },
    })
}

/// What came of the try to hand a mail over.
pub(super) enum HandedOver {
    /// What the mail would say is no longer so.
    NotNeeded,
    Asked(Result<(), SendError>),
}

/// Hands a mail over, if it still says what is so.
pub(super) async fn hand_over(
    services: &Services,
    office: &MailOffice,
    stored: &StoredMail,
) -> Result<HandedOver, Unavailable> {
    let mail = &stored.mail;
    let account = match services.accounts.by_id(mail.account).await? {
        Some(account) if still_wanted(services, mail, &account) => account,
        _ => return Ok(HandedOver::NotNeeded),
    };
    let now = services.clock.now();
    let logins = match mail.kind {
        MailKind::LoginNames => login_names(services, &account, &mail.to).await?,
        _ => Vec::new(),
    };
    let mut letter = Letter {
        id: mail.id,
        kind: mail.kind,
        account: &account,
        logins: &logins,
        to: &mail.to,
        language: mail.language.as_ref(),
        code: None,
        valid_until: None,
        asked_at: mail.asked_at,
        lock: mail.lock,
        schedule: *services.policies.rollout.schedule(account.login.tenant()),
        now,
    };
    let code = OneTimeCode(services.random.bytes());
    if let Some(purpose) = mail.kind.purpose() {
        let life = match purpose {
            Purpose::Welcome => services.policies.links.welcome,
            Purpose::Reset | Purpose::ConfirmEmail => services.policies.links.reset,
        };
        let issued = IssuedCode::new(&code, purpose, &account, &mail.to, life, now);
        letter.code = Some(&code);
        letter.valid_until = Some(issued.expires_at);
        services.codes.issue(issued).await?;
    }
    let finished = office.composer.compose(&letter);
    Ok(HandedOver::Asked(office.transport.send(&finished).await))
}

/// The login names of an address within the account's tenant.
async fn login_names(
    services: &Services,
    account: &Account,
    to: &str,
) -> Result<Vec<LoginName>, Unavailable> {
    let mut found = services.accounts.by_email(to).await?;
    found.retain(|other| other.login.tenant() == account.login.tenant() && !other.disabled);
    Ok(found.into_iter().map(|other| other.login).collect())
}

/// A link of before a new password, or for another address, would not work. A report is sent
/// whatever happened since; a reminder to who still needs it.
fn still_wanted(services: &Services, mail: &NewMail, account: &Account) -> bool {
    let current = mail.epoch.is_none_or(|epoch| epoch == account.epoch);
    let to_whom = match mail.kind {
        MailKind::Reset
        | MailKind::Rejected
        | MailKind::Welcome
        | MailKind::LoginNames
        | MailKind::Locked => account.email.as_deref() == Some(mail.to.as_str()),
        MailKind::Reminder => {
            let schedule = services.policies.rollout.schedule(account.login.tenant());
            account.email.as_deref() == Some(mail.to.as_str())
                && account.password.is_none()
                && schedule.days_left(services.clock.now()).is_some()
        }
        MailKind::AppNotice => {
            account.email.as_deref() == Some(mail.to.as_str()) && account.password.is_none()
        }
        // It replaces the address of that moment, and none that came since.
        MailKind::ConfirmEmail => account.email == mail.on_file,
        MailKind::PasswordSet | MailKind::PasswordChanged | MailKind::EmailChanged => true,
    };
    current && to_whom && !comes_back(mail, account) && !account.disabled
}

/// Whether a mail goes to the address on file, and that takes none. But a link that confirms an
/// address is how its owner says that it takes mail after all.
pub(super) fn comes_back(mail: &NewMail, account: &Account) -> bool {
    let on_file = account.email.as_deref();
    account.bounced.is_some()
        && mail.kind != MailKind::ConfirmEmail
        && on_file.is_some_and(|address| address.eq_ignore_ascii_case(&mail.to))
}

/// Notes what the mail server said of a mail.
pub(super) async fn note(
    services: &Services,
    stored: &StoredMail,
    answer: Result<(), SendError>,
) -> Result<(), Unavailable> {
    let (id, now) = (stored.mail.id, services.clock.now());
    let too_old = stored.mail.asked_at + KEEP_TRYING < now;
    match answer {
        Ok(()) => services.outbox.sent(id, now).await,
        Err(SendError::NoSuchAddress(why)) => {
            tracing::warn!(mail = %id, kind = stored.mail.kind.name(), why, "a mail was refused");
            bounces::found_out(services, &stored.mail.to, &why).await?;
            services.outbox.give_up(id, &why, now).await
        }
        Err(SendError::Never(why)) => {
            tracing::warn!(mail = %id, kind = stored.mail.kind.name(), why, "a mail was refused");
            services.outbox.give_up(id, &why, now).await
        }
        Err(SendError::Outage(why) | SendError::Later(why)) if too_old => {
            tracing::warn!(mail = %id, kind = stored.mail.kind.name(), why, "a mail was given up");
            services.outbox.give_up(id, &why, now).await
        }
        Err(SendError::Outage(why)) => {
            services.outbox.retry_later(id, &why, now + OUTAGE_PAUSE, false).await
        }
        Err(SendError::Later(why)) => {
            let next = now + retry_after(stored.attempts);
            services.outbox.retry_later(id, &why, next, true).await
        }
    }
}

impl Services {
    /// A mail about `account` to `to`, asked for now by somebody who reads `language`.
    pub(super) fn new_mail(
        &self,
        kind: MailKind,
        account: &Account,
        to: &str,
        language: Option<&Language>,
    ) -> NewMail {
        NewMail {
            id: MailId(Uuid::from_bytes(self.random.bytes())),
            kind,
            account: account.id,
            epoch: kind.purpose().map(|_| account.epoch),
            to: to.to_owned(),
            on_file: account.email.clone(),
            language: language.cloned(),
            asked_at: self.clock.now(),
            lock: None,
            urgency: Urgency::Prompt,
        }
    }

    /// The mail that reports a new password to the address on file, if there is one.
    pub(super) fn report(&self, account: &Account, language: Option<&Language>) -> Option<NewMail> {
        let to = account.reachable_at().filter(|_| self.mail.is_some())?;
        let kind = match account.password {
            None => MailKind::PasswordSet,
            Some(_) => MailKind::PasswordChanged,
        };
        Some(self.new_mail(kind, account, to, language))
    }
}
