//! What people ask who cannot sign in (R-D1, R-D2, R-D3): a link for a forgotten portal password,
//! a forgotten login name, the setup of a new user. Everything goes to the address on file and
//! nowhere else; nothing about an account changes until its owner uses a link.

use std::net::IpAddr;
use std::time::Instant;

use jiff::Timestamp;

use super::login::wait_for_floor;
use super::post::{Requested, request};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::email_address::masked;
use crate::domain::language::Language;
use crate::domain::lockout::{AttemptSubject, LockoutPolicy, address_key};
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailKind;
use crate::ports::{Reserved, SecurityEvent};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Stranger {
    /// Client address.
    pub client: IpAddr,
    /// The tenant that the host of the request names, if it names one.
    pub tenant: Option<String>,
    /// The language of the form: the mail is written in it.
    pub language: Option<Language>,
}

/// What a public form is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormOutcome {
    /// A mail is on its way.
    Mailed {
        /// The address, masked where the form did not name it.
        to: String,
        /// When it was asked for: now, or a moment ago.
        at: Timestamp,
        /// What it is.
        kind: MailKind,
        /// The account's tenant, for its clock.
        tenant: String,
    },
    /// Nobody was found, or nobody who can be written to: ask support.
    AskSupport,
    /// Several people share this address: the extension is needed, too.
    ExtensionNeeded,
    /// Uniform disclosure: the same whatever was found.
    Uniform,
    /// Too many forms from this client address, or too many mails to this address on file.
    TooMany {
        /// When the next one is possible.
        until: Timestamp,
    },
}

/// Forgot portal password: a link to the address on file.
pub async fn forgot_password(
    services: &Services,
    login: Option<&LoginName>,
    stranger: &Stranger,
) -> Result<FormOutcome, Outage> {
    answered(services, stranger, async {
        let account = match login {
            Some(login) => services.accounts.find(login).await?,
            None => None,
        };
        match account.filter(|account| !account.disabled) {
            Some(account) => mail(services, &account, MailKind::Reset, stranger, true).await,
            None => Ok(FormOutcome::AskSupport),
        }
    })
    .await
}

/// Forgot login name: the login names of this address, to this address.
pub async fn forgot_login_name(
    services: &Services,
    email: &str,
    extension: &str,
    stranger: &Stranger,
) -> Result<FormOutcome, Outage> {
    answered(services, stranger, async {
        match people(services, email, extension, stranger).await?.as_slice() {
            [] => Ok(FormOutcome::AskSupport),
            // One mail lists them all.
            [first, ..] => mail(services, first, MailKind::LoginNames, stranger, false).await,
        }
    })
    .await
}

/// New user: the welcome link; who has a portal password already gets a reset link instead, in a
/// mail that names the login.
pub async fn new_user(
    services: &Services,
    email: &str,
    extension: &str,
    stranger: &Stranger,
) -> Result<FormOutcome, Outage> {
    answered(services, stranger, async {
        match people(services, email, extension, stranger).await?.as_slice() {
            [] => Ok(FormOutcome::AskSupport),
            [account] => {
                let kind = match account.password {
                    None => MailKind::Welcome,
                    Some(_) => MailKind::Reset,
                };
                mail(services, account, kind, stranger, false).await
            }
            _ => Ok(FormOutcome::ExtensionNeeded),
        }
    })
    .await
}

/// The frame of every form: counted by address, never faster than a refusal, and with the answer
/// that the disclosure allows.
async fn answered(
    services: &Services,
    stranger: &Stranger,
    form: impl Future<Output = Result<FormOutcome, Outage>>,
) -> Result<FormOutcome, Outage> {
    let begun = Instant::now();
    if let Some(until) = too_many(services, stranger).await? {
        return Ok(FormOutcome::TooMany { until });
    }
    let outcome = form.await?;
    wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    Ok(match services.policies.uniform_disclosure {
        true => FormOutcome::Uniform,
        false => outcome,
    })
}

/// Counts a form of this address (`limits.public_forms_per_address`).
async fn too_many(services: &Services, stranger: &Stranger) -> Result<Option<Timestamp>, Outage> {
    let Some(limit) = services.policies.public_forms_per_address else { return Ok(None) };
    let lockout = &services.policies.lockout;
    let Some(address) = address_key(stranger.client, lockout) else { return Ok(None) };
    let policy = LockoutPolicy {
        max_failures: limit.most,
        window: limit.per,
        duration: limit.per,
        ..lockout.clone()
    };
    // A space keeps it apart from everything that can be typed as a login name.
    let subject = AttemptSubject { name: format!("form {address}"), device: None, address: None };
    let now = services.clock.now();
    match services.attempts.reserve(&subject, &policy, now).await? {
        // Never given back: what is counted is the asking.
        Reserved::Allowed(reservation) => {
            drop(reservation);
            Ok(None)
        }
        Reserved::Locked { until, .. } => Ok(Some(until)),
    }
}

/// The people with this address (and extension, if one is given) in one tenant. Nobody, if it is
/// found in more than one tenant: whose mail it would be is not for a form to decide.
async fn people(
    services: &Services,
    email: &str,
    extension: &str,
    stranger: &Stranger,
) -> Result<Vec<Account>, Outage> {
    let mut found = services.accounts.by_email(email).await?;
    let extension = extension.trim();
    found.retain(|account| {
        !account.disabled
            && account.reachable_at().is_some()
            && stranger.tenant.as_deref().is_none_or(|tenant| tenant == account.login.tenant())
            && (extension.is_empty() || account.login.extension() == extension)
    });
    let first = found.first().map(|account| account.login.tenant().to_owned());
    let collides = found.iter().any(|account| Some(account.login.tenant()) != first.as_deref());
    Ok(if collides { Vec::new() } else { found })
}

async fn mail(
    services: &Services,
    account: &Account,
    kind: MailKind,
    stranger: &Stranger,
    hide: bool,
) -> Result<FormOutcome, Outage> {
    let (at, address, result) =
        match request(services, account, kind, stranger.language.as_ref()).await? {
            Requested::Now { at } => (at, account.email.clone().unwrap_or_default(), "queued"),
            Requested::Already { at, to } => (at, to, "not_again"),
            Requested::AddressFull { until, .. } => return Ok(FormOutcome::TooMany { until }),
            Requested::NoAddress | Requested::Off => return Ok(FormOutcome::AskSupport),
        };
    let event = SecurityEvent::of("link_mailed", "page", &account.login);
    services.audit.record(event.from_client(stranger.client).with_result(result));
    let to = if hide { masked(&address) } else { address };
    let tenant = account.login.tenant().to_owned();
    Ok(FormOutcome::Mailed { to, at, kind, tenant })
}
