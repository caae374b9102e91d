//! Links in mails: looking at them changes nothing, using them works once.

use std::net::IpAddr;
use std::sync::Arc;

use super::initial_password::is_initial;
use super::pbx::Asker;
use super::set_password::{Choice, Occasion, SetOutcome, enter, save, wanted};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::language::Language;
use crate::domain::mail::MailKind;
use crate::domain::one_time_code::{CodeProblem, IssuedCode, OneTimeCode, Purpose};
use crate::domain::secret::Secret;
use crate::domain::session::LiveSession;
use crate::ports::{AccountChange, SecurityEvent, Unavailable};

/// A link as it was opened: whose it is, if it works.
pub type Link = Result<(Account, IssuedCode), CodeProblem>;

/// Looks at a link. Changes nothing, however often mail scanners do it.
pub async fn look_at(
    services: &Services,
    purpose: Purpose,
    code: &str,
) -> Result<Link, Unavailable> {
    let Some(code) = OneTimeCode::parse(code) else { return Ok(Err(CodeProblem::Unknown)) };
    let Some(issued) = services.codes.find(&code.hash()).await? else {
        return Ok(Err(CodeProblem::Unknown));
    };
    let Some(account) = services.accounts.by_id(issued.account).await? else {
        return Ok(Err(CodeProblem::Unknown));
    };
    let checked = issued.check(purpose, &account, services.clock.now());
    Ok(checked.map(|()| (account, issued)))
}

/// The form behind a link.
#[derive(Debug, Clone)]
pub struct LinkForm {
    /// `Reset` or `Welcome`.
    pub purpose: Purpose,
    /// The code, as it stood in the link.
    pub code: Secret,
    /// What was chosen.
    pub choice: Choice,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
    /// The language of the page it came from: mails about it are written in it.
    pub language: Option<Language>,
    /// The session that this browser has, perhaps somebody else's: it ends.
    pub current: Option<Arc<LiveSession>>,
}

/// Sets the password by a link, and opens the portal. Of any number of parallel uses one wins: it
/// moves the account's epoch on, and the code does not fit any more.
pub async fn redeem(services: &Services, form: LinkForm) -> Result<SetOutcome, Outage> {
    let (account, _) = match look_at(services, form.purpose, form.code.expose()).await? {
        Ok(found) => found,
        Err(problem) => return Ok(SetOutcome::Link(problem)),
    };
    let occasion = match form.purpose {
        Purpose::Welcome => Occasion::Welcome,
        Purpose::Reset | Purpose::ConfirmEmail => Occasion::Reset,
    };
    let asker = Asker {
        client: form.client,
        user_agent: &form.user_agent,
        host: &form.host,
        language: form.language.as_ref(),
    };
    let field = services.pin_field(&account, occasion).await?;
    let wanted = match wanted(services, &account, &form.choice, field) {
        Ok(wanted) => wanted,
        Err(outcome) => return Ok(outcome),
    };
    let password = is_initial(services, &account, &form.choice.password).await?;
    if !password.is_empty() {
        return Ok(SetOutcome::Against { password, pin: Vec::new() });
    }
    let saved = match save(services, &account, wanted, None, "link", asker).await? {
        Ok(saved) => saved,
        Err(SetOutcome::Overtaken) => return Ok(SetOutcome::Link(CodeProblem::Spent)),
        Err(outcome) => return Ok(outcome),
    };
    services.sessions.end_all(account.id, None).await?;
    if let Some(current) = &form.current {
        services.sessions.end(&current.record().id).await?;
    }
    // Who reads the owner's mail is the owner: a lock against guessing has done its work.
    services.attempts.unlock(&account.login.to_string()).await?;
    enter(services, saved, None, asker).await
}

/// Puts the address that the mail went to on file, and tells the one before (R-D5). `Ok(Ok(address))` when it is there now.
pub async fn confirm_email(
    services: &Services,
    code: &str,
    client: IpAddr,
    language: Option<&Language>,
) -> Result<Result<String, CodeProblem>, Outage> {
    let (account, issued) = match look_at(services, Purpose::ConfirmEmail, code).await? {
        Ok(found) => found,
        Err(problem) => return Ok(Err(problem)),
    };
    let address = issued.sent_to;
    // To the address before, with the change or not at all: of any number of parallel uses one
    // finds that address still on file.
    let before = account.reachable_at().filter(|_| services.mail.is_some());
    let change = AccountChange::ConfirmedEmail {
        before: account.email.clone(),
        address: address.clone(),
        report: before.map(|to| services.new_mail(MailKind::EmailChanged, &account, to, language)),
    };
    if services.accounts.change(account.id, change, Some(issued.epoch)).await?.is_none() {
        return Ok(Err(CodeProblem::Spent));
    }
    services
        .audit
        .record(SecurityEvent::of("email_confirmed", "link", &account.login).from_client(client));
    Ok(Ok(address))
}
