//! One-time initial passwords (R-E1): for a user who cannot be reached by e-mail. An administrator
//! who knows whom they are speaking to reads it out; it opens nothing but the page on which it is
//! replaced.

use jiff::Timestamp;

use super::{Outage, Services};
use crate::domain::account::{Account, AccountId, AccountState};
use crate::domain::initial_password::{INITIAL_LIFE, InitialPassword, StoredInitial};
use crate::domain::login_name::LoginName;
use crate::domain::password_policy::PasswordProblem;
use crate::domain::secret::Secret;
use crate::domain::session::ObtainedWith;
use crate::ports::{AccountChange, SecurityEvent, Unavailable, Verified};

/// One that was issued. This is the only place where it is in plain form.
#[derive(Debug, Clone)]
pub struct IssuedInitial {
    /// Whose.
    pub login: LoginName,
    /// In groups, as it is read out.
    pub password: Secret,
    /// From then on it works no more.
    pub expires_at: Timestamp,
    /// Until when the login name is locked after failed logins: it cannot be used before.
    pub locked_until: Option<Timestamp>,
}

/// Why none was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotIssued {
    /// There is no such account.
    Unknown,
    /// The account is switched off.
    Disabled,
    /// The account was given a portal password, or switched off, at this moment.
    Overtaken,
}

/// Issues one, in the place of the one before. The portal password that the user may have stays
/// valid, and so do their sessions: who talks an administrator into this takes nothing away from
/// the owner until the page has been filled in.
pub async fn issue(
    services: &Services,
    id: AccountId,
) -> Result<Result<IssuedInitial, NotIssued>, Outage> {
    let Some(account) = services.accounts.by_id(id).await? else {
        return Ok(Err(NotIssued::Unknown));
    };
    if account.state() == AccountState::Disabled {
        return Ok(Err(NotIssued::Disabled));
    }
    let initial = InitialPassword::of(services.random.bytes());
    let phc = services.hasher.hash(initial.plain()).await?;
    let now = services.clock.now();
    let expires_at = now + INITIAL_LIFE;
    let change = AccountChange::InitialPassword(StoredInitial { phc, expires_at });
    let Some(account) = services.accounts.change(id, change, Some(account.epoch)).await? else {
        return Ok(Err(NotIssued::Overtaken));
    };
    services.audit.record(SecurityEvent::of("initial_password_issued", "admin", &account.login));
    end_replacing(services, id).await?;
    let locked_until = services.attempts.locked_until(&account.login.to_string(), now).await?;
    let (login, password) = (account.login, initial.grouped());
    Ok(Ok(IssuedInitial { login, password, expires_at, locked_until }))
}

/// Ends the sessions that began with the one before.
async fn end_replacing(services: &Services, account: AccountId) -> Result<(), Unavailable> {
    for session in services.sessions.of_account(account).await? {
        if session.obtained_with == ObtainedWith::InitialPassword {
            services.sessions.end(&session.id).await?;
        }
    }
    Ok(())
}

/// What a secret is, beside the initial password of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// It is that one, in time.
    Right,
    /// It has the shape of one, and one is on file: misheard, mistyped or too late. Not to be tried
    /// as a PIN, whatever PINs look like at this PBX.
    Wrong,
    /// It is none.
    SomethingElse,
}

/// Whether a secret has the shape of an initial password, and one is on file: then it is never sent
/// to the PBX as a PIN (R-B5).
pub(super) fn is_meant_as_initial(account: &Account, secret: &Secret) -> bool {
    account.initial_password.is_some() && InitialPassword::parse(secret).is_some()
}

/// Whether a new portal password is the initial password that it shall replace: whoever issued that
/// knows it, so it must not stay.
pub(super) async fn is_initial(
    services: &Services,
    account: &Account,
    password: &Secret,
) -> Result<Vec<PasswordProblem>, Outage> {
    let typed = check_initial(services, account, password).await?;
    Ok((typed == Typed::Right).then_some(PasswordProblem::IsInitial).into_iter().collect())
}

/// Compares a secret with the initial password of an account.
pub(super) async fn check_initial(
    services: &Services,
    account: &Account,
    secret: &Secret,
) -> Result<Typed, Outage> {
    let (Some(stored), Some(typed)) = (&account.initial_password, InitialPassword::parse(secret))
    else {
        return Ok(Typed::SomethingElse);
    };
    if !stored.works_at(services.clock.now()) {
        return Ok(Typed::Wrong);
    }
    Ok(match services.hasher.verify(typed.plain(), &stored.phc).await? {
        Verified::Wrong => Typed::Wrong,
        Verified::Right | Verified::RightButOutdated => Typed::Right,
    })
}

/// Whether the initial password that let somebody in is still the one on file. Another one may have
/// been issued while it was checked, just before the session began.
pub(super) async fn is_still_out(
    services: &Services,
    checked: &Account,
) -> Result<bool, Unavailable> {
    let now = services.accounts.by_id(checked.id).await?;
    Ok(now.is_some_and(|now| now.initial_password == checked.initial_password))
}
