//! Administration of accounts (R-E1): what the admin API and the CLI can do. Nobody chooses or
//! sees a password or a PIN here.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Services, bulk, unclear};
use crate::domain::account::{Account, AccountId, NewAccount, Role};
use crate::domain::campaign::{Audience, CampaignId, CampaignKind};
pub use crate::domain::email_address::{BadEmail, email};
use crate::domain::lockout::pin_counter;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, MailKind};
use crate::ports::{
    AccountChange, AccountQuery, Created, ImportRow, Imported, NewCampaign, SecurityEvent,
    Unavailable,
};

/// An account with what administrators see beside it.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// Until when its login name is locked after failed logins, if it is.
    pub locked_until: Option<Timestamp>,
    /// A new PIN is on its way to the PBX, and its end is not known yet (R-B4).
    pub pin_write_back: bool,
}

impl AccountView {
    /// Of an account that was made this moment.
    pub fn fresh(account: Account) -> Self {
        Self { account, locked_until: None, pin_write_back: false }
    }
}

/// One page of accounts.
#[derive(Debug, Clone)]
pub struct AccountViews {
    /// The accounts.
    pub items: Vec<AccountView>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// Details that an administrator may set; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Address on file; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Name shown to people.
    pub name: Option<String>,
    /// Administration rights.
    pub role: Option<Role>,
}

/// Lists and searches.
pub async fn list(services: &Services, query: &AccountQuery) -> Result<AccountViews, Unavailable> {
    let page = services.accounts.list(query).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for account in page.items {
        items.push(view(services, account).await?);
    }
    Ok(AccountViews { items, next_cursor: page.next_cursor })
}

/// One account by id.
pub async fn by_id(services: &Services, id: AccountId) -> Result<Option<AccountView>, Unavailable> {
    match services.accounts.by_id(id).await? {
        Some(account) => view(services, account).await.map(Some),
        None => Ok(None),
    }
}

/// One account by login name.
pub async fn by_login(
    services: &Services,
    login: &LoginName,
) -> Result<Option<AccountView>, Unavailable> {
    match services.accounts.find(login).await? {
        Some(account) => view(services, account).await.map(Some),
        None => Ok(None),
    }
}

/// Makes an account unless the login name is taken.
pub async fn create(services: &Services, new: NewAccount) -> Result<Created, Unavailable> {
    let created = services.accounts.create(fresh_id(services), new, services.clock.now()).await?;
    if let Created::New(account) = &created {
        record(services, "account_created", account);
    }
    Ok(created)
}

/// The same, with the welcome mail to its address, which is queued in the same step.
pub async fn create_welcomed(
    services: &Services,
    new: NewAccount,
    to: &str,
) -> Result<Created, Unavailable> {
    let (id, now) = (fresh_id(services), services.clock.now());
    let mail = services.new_mail(MailKind::Welcome, &to_be(id, &new, now), to, None);
    let created = services.accounts.create_with_mail(id, new, mail, now).await?;
    if let Created::New(account) = &created {
        record(services, "account_created", account);
        let event = SecurityEvent::of("welcome_requested", "admin", &account.login);
        services.audit.record(event.with_result("queued"));
    }
    Ok(created)
}

/// The account as it will be.
fn to_be(id: AccountId, new: &NewAccount, now: Timestamp) -> Account {
    let NewAccount { login, email, name, role } = new.clone();
    Account {
        id,
        login,
        email,
        name,
        role,
        disabled: false,
        password: None,
        initial_password: None,
        previous_password: None,
        pin: None,
        pin_refused: false,
        bounced: None,
        epoch: 0,
        last_login_at: None,
        created_at: now,
    }
}

/// Sets e-mail, name or role; `None` if there is no such account.
pub async fn set_details(
    services: &Services,
    id: AccountId,
    details: Details,
) -> Result<Option<AccountView>, Unavailable> {
    let Details { email, name, role } = details;
    let change = AccountChange::Details { email, name, role };
    let Some(account) = services.accounts.change(id, change, None).await? else { return Ok(None) };
    record(services, "account_changed", &account);
    view(services, account).await.map(Some)
}

/// Clears the failures that lock the account's name (and the page that asks for its PIN).
pub async fn unlock(
    services: &Services,
    id: AccountId,
) -> Result<Option<AccountView>, Unavailable> {
    let Some(account) = services.accounts.by_id(id).await? else { return Ok(None) };
    let name = account.login.to_string();
    services.attempts.unlock(&name).await?;
    services.attempts.unlock(&pin_counter(&account.login)).await?;
    services.attempts.unlock(&unclear::counter(&name, None)).await?;
    record(services, "account_unlocked", &account);
    view(services, account).await.map(Some)
}

/// Switches an account off, which ends its sessions at once, or on again.
pub async fn set_disabled(
    services: &Services,
    id: AccountId,
    disabled: bool,
) -> Result<Option<AccountView>, Unavailable> {
    let change = AccountChange::Disabled(disabled);
    let Some(account) = services.accounts.change(id, change, None).await? else { return Ok(None) };
    if disabled {
        services.sessions.end_all(id, None).await?;
    }
    let event = if disabled { "account_disabled" } else { "account_enabled" };
    record(services, event, &account);
    view(services, account).await.map(Some)
}

/// Deletes an account for good; `false` if there was none.
pub async fn delete(services: &Services, id: AccountId) -> Result<bool, Unavailable> {
    // Switched off first: no login can slip in between the end of its sessions and of itself.
    let off = AccountChange::Disabled(true);
    let Some(account) = services.accounts.change(id, off, None).await? else { return Ok(false) };
    services.sessions.end_all(id, None).await?;
    let deleted = services.accounts.delete(id).await?;
    record(services, "account_deleted", &account);
    Ok(deleted)
}

/// Ends all sessions of an account; how many there were, `None` if there is no such account.
pub async fn sign_out_all(
    services: &Services,
    id: AccountId,
) -> Result<Option<usize>, Unavailable> {
    let Some(account) = services.accounts.by_id(id).await? else { return Ok(None) };
    let ended = services.sessions.end_all(id, None).await?;
    record(services, "account_signed_out", &account);
    Ok(Some(ended))
}

/// A readable line of an import file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLine {
    /// Canonical login name.
    pub login: LoginName,
    /// Address; `None` keeps what is on file.
    pub email: Option<String>,
    /// Name; empty keeps what is on file.
    pub name: String,
    /// Rights; `None` keeps what is on file.
    pub role: Option<Role>,
}

/// A line that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFailure {
    /// Line of the file, the header being line 1.
    pub line: u64,
    /// Why, in words for the person who wrote the file.
    pub reason: String,
}

/// How to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportMode {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Import the good lines although others failed.
    pub partial: bool,
    /// E-mail the new accounts the link that sets them up.
    pub send_welcome: bool,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// New accounts.
    pub created: u64,
    /// Accounts whose details changed.
    pub updated: u64,
    /// Accounts that were already so.
    pub unchanged: u64,
    /// Lines that failed.
    pub failed: Vec<ImportFailure>,
    /// Whether the good lines are in the store now.
    pub applied: bool,
    /// The welcome mails of the new accounts, if they were asked for.
    pub welcome: Option<Welcomes>,
}

/// The welcome mails of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcomes {
    /// Their campaign; `None` for a dry run, or if there is no new account.
    pub campaign: Option<CampaignId>,
    /// New accounts with an address.
    pub total: u64,
    /// New accounts without one.
    pub without_email: u64,
}

/// Imports the good lines in one transaction; the campaign of their welcome mails begins in it, too. If some failed, nothing is imported unless the mode
/// says so. A dry run counts what the good lines would do.
pub async fn import(
    services: &Services,
    lines: Vec<ImportLine>,
    failed: Vec<ImportFailure>,
    mode: ImportMode,
) -> Result<ImportReport, Unavailable> {
    if !failed.is_empty() && !mode.partial && !mode.dry_run {
        return Ok(ImportReport { failed, ..ImportReport::default() });
    }
    let rows: Vec<_> = lines
        .into_iter()
        .map(|line| ImportRow {
            id: fresh_id(services),
            mail: MailId(Uuid::from_bytes(services.random.bytes())),
            login: line.login,
            email: line.email,
            name: line.name,
            role: line.role,
        })
        .collect();
    let has_email: Vec<bool> = rows.iter().map(|row| row.email.is_some()).collect();
    let welcome = mode.send_welcome.then(|| {
        let id = services.campaign_id();
        let new = services.new_campaign(CampaignKind::Welcome, Audience::Imported(id));
        NewCampaign { id, ..new }
    });
    let campaign = welcome.as_ref().map(|welcome| welcome.id);
    let now = services.clock.now();
    let done = services.accounts.import(rows, welcome, now, mode.dry_run).await?;
    let welcomes = |with_email: bool| {
        let outcomes = done.iter().zip(&has_email);
        outcomes
            .filter(|(done, email)| **done == Imported::Created && **email == with_email)
            .count() as u64
    };
    let (total, without_email) = (welcomes(true), welcomes(false));
    let count = |kind: Imported| done.iter().filter(|outcome| **outcome == kind).count() as u64;
    let report = ImportReport {
        created: count(Imported::Created),
        updated: count(Imported::Updated),
        unchanged: count(Imported::Unchanged),
        failed,
        applied: !mode.dry_run,
        welcome: mode.send_welcome.then(|| Welcomes {
            campaign: campaign.filter(|_| !mode.dry_run && total + without_email > 0),
            total,
            without_email,
        }),
    };
    if report.applied {
        services.audit.record(SecurityEvent {
            event: "accounts_imported",
            channel: "admin",
            login: String::new(),
            client: None,
            result: "ok",
        });
        if report.welcome.is_some_and(|welcome| welcome.campaign.is_some()) {
            bulk::record(services, "campaign_started", "admin");
        }
    }
    Ok(report)
}

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name must have at most 200 characters and no control characters")]
pub struct BadName;

/// Checks a name shown to people.
pub fn name(text: &str) -> Result<String, BadName> {
    let text = text.trim();
    let good = text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(BadName) }
}

async fn view(services: &Services, account: Account) -> Result<AccountView, Unavailable> {
    let name = account.login.to_string();
    let locked_until = services.attempts.locked_until(&name, services.clock.now()).await?;
    let pin_write_back = services.credentials.entry(account.id).await?.is_some();
    Ok(AccountView { account, locked_until, pin_write_back })
}

fn fresh_id(services: &Services) -> AccountId {
    AccountId(uuid::Builder::from_random_bytes(services.random.bytes()).into_uuid())
}

fn record(services: &Services, event: &'static str, account: &Account) {
    services.audit.record(SecurityEvent::of(event, "admin", &account.login));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_text() {
        assert_eq!(name("  Jane Doe "), Ok("Jane Doe".to_owned()));
        assert_eq!(name("a\nb"), Err(BadName));
        assert_eq!(name(&"x".repeat(201)), Err(BadName));
    }
}
