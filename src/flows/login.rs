//! The login. The policy is its lines: throttle → find the account → check the credential →
//! decide by phase → log in at the PBX → open the session → record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

use super::attempt::{Attempted, Guarded, Judged, guarded, record};
use super::initial_password::{Typed, check_initial, is_still_out};
use super::memory::{RefusedAs, Tried};
use super::opening::{Opened, Opening};
use super::pbx::{Asker, PinVerdict};
use super::rejection::{Rejection, reject};
use super::replay::{self, Replay};
use super::{Outage, Services};
use crate::domain::account::{Account, AccountId, AccountState, NewAccount, Role, SealedPin};
use crate::domain::language::Language;
use crate::domain::login_decision::{Check, Decision, login_decision};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, Progress};
use crate::ports::{AccountChange, Created, PortalSession, Unavailable, Verified};

/// A login as some door understood it. The client's bytes end here: what goes to the PBX is
/// built anew from these fields.
#[derive(Debug, Clone)]
pub struct LoginAttempt {
    /// What the user typed as login name.
    pub typed: String,
    /// The login name, when the text has the shape of one.
    pub login: Option<LoginName>,
    /// Portal password or PIN: which one is Passgate's business, not the user's.
    pub secret: Secret,
    /// Fields of the portal's form that the profile carries over (language, …).
    pub carried: Vec<(String, String)>,
    /// The door: `portal` or `page`.
    pub channel: &'static str,
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
    /// The language of the page it came from: mails about it are written in it.
    pub language: Option<Language>,
    /// Value of the device cookie, unopened.
    pub device: Option<String>,
    /// The session that this browser has: a login inside a session ends it.
    pub current: Option<Arc<LiveSession>>,
}

/// What became of a login.
#[derive(Debug, Clone)]
pub enum LoginOutcome {
    /// A session was opened; its standing says how far it reaches.
    Opened(Box<Opened>),
    /// Wrong login name or secret. Always the same answer, whatever was wrong.
    Refused,
    /// Too many failures; the answer says how long to wait.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The PIN is right, but the reject phase runs (R-A4).
    TooLate(Rejection),
}

/// Carries out a login. Every refusal takes at least the configured floor, so that its time says
/// nothing about its reason.
pub async fn log_in(services: &Services, attempt: LoginAttempt) -> Result<LoginOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, &attempt).await;
    if !matches!(outcome, Ok(LoginOutcome::Opened(_))) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

/// Lets a refusal take its minimum time.
pub(super) async fn wait_for_floor(begun: Instant, floor: Duration) {
    if let Some(rest) = floor.checked_sub(begun.elapsed()) {
        tokio::time::sleep(rest).await;
    }
}

async fn judged(services: &Services, attempt: &LoginAttempt) -> Result<LoginOutcome, Outage> {
    let who = attempted(attempt);
    let judge = async {
        Ok(match check_and_decide(services, attempt).await? {
            passed @ Verdict::Opened(_) if passed.is_unproved() => Judged::Unproved(passed),
            passed @ (Verdict::Opened(_) | Verdict::TooLate(_)) => Judged::Right(passed),
            Verdict::Refused { reason, former } => Judged::Wrong { reason, former },
        })
    };
    let passed = match guarded(services, &who, judge).await? {
        Guarded::Passed(passed) => passed,
        Guarded::Refused => return Ok(LoginOutcome::Refused),
        Guarded::Locked { until } => return Ok(LoginOutcome::Locked { until }),
    };
    match passed {
        Verdict::Opened(opened) => {
            let result = match (is_unproved(&opened), is_replacing(&opened)) {
                (true, _) => "challenge",
                (_, true) => "ok_initial",
                _ => "ok",
            };
            record(services, &who, "login", result);
            Ok(LoginOutcome::Opened(opened))
        }
        Verdict::TooLate(rejection) => {
            record(services, &who, "login", "pin_after_reject");
            Ok(LoginOutcome::TooLate(rejection))
        }
        // It was counted and recorded as what it is.
        Verdict::Refused { .. } => Ok(LoginOutcome::Refused),
    }
}

/// Whether the PBX has only asked its second question so far.
fn is_unproved(opened: &Opened) -> bool {
    opened.session.record().progress == Progress::Challenge
}

/// Whether it was an initial password that opened this session (R-E1).
fn is_replacing(opened: &Opened) -> bool {
    opened.session.record().obtained_with == ObtainedWith::InitialPassword
}

enum Verdict {
    Opened(Box<Opened>),
    TooLate(Rejection),
    Refused { reason: &'static str, former: Option<[u8; 16]> },
}

impl Verdict {
    /// Whether it is no whole login: a second question that is not answered yet, or an initial
    /// password, which works more than once. Were failures forgotten for these, their holder could
    /// guess the rest (codes at the API, the portal password) without end.
    fn is_unproved(&self) -> bool {
        matches!(self, Self::Opened(opened) if is_unproved(opened) || is_replacing(opened))
    }
}

async fn check_and_decide(services: &Services, attempt: &LoginAttempt) -> Result<Verdict, Outage> {
    let Some(login) = &attempt.login else {
        return Ok(Verdict::Refused { reason: "unknown_name", former: None });
    };
    let account = services.accounts.find(login).await?;
    let state = account.as_ref().map_or(AccountState::PinOnly, Account::state);
    let (check, pbx) = match check_here(services, login, account.as_ref(), &attempt.secret).await? {
        Some(check) => (check, None),
        None => try_pin(services, attempt, login).await?,
    };

    let phase = services.policies.rollout.phase(login.tenant(), now(services));
    match (login_decision(state, check, phase), account, pbx) {
        (Decision::Replay, Some(account), _) => replay(services, attempt, account).await,
        (Decision::Replace, Some(account), _) => open_to_replace(services, attempt, account).await,
        (Decision::Open { .. } | Decision::Hold, account, Some(pbx)) => {
            open_with_pin(services, attempt, login, account, pbx, Progress::Complete).await
        }
        (Decision::Challenge, account, Some(pbx)) => {
            open_with_pin(services, attempt, login, account, pbx, Progress::Challenge).await
        }
        (Decision::TooLate, account, Some(pbx)) => {
            services.leave(&pbx, asker(attempt)).await;
            too_late(services, attempt, login, account, check).await
        }
        (Decision::RefuseFormer, _, _) => Ok(Verdict::Refused {
            reason: "former_secret",
            former: Some(services.vault.fingerprint("former", attempt.secret.expose().as_bytes())),
        }),
        (Decision::RefuseDisabled, ..) => Ok(Verdict::Refused { reason: "disabled", former: None }),
        _ => Ok(Verdict::Refused { reason: "bad_password", former: None }),
    }
}

/// What a secret is, as far as that can be said without the PBX; `None`: it may be the PIN. What
/// cannot be a PIN is never sent there (R-B5).
pub(super) async fn check_here(
    services: &Services,
    login: &LoginName,
    account: Option<&Account>,
    secret: &Secret,
) -> Result<Option<Check>, Outage> {
    let initial = match account {
        Some(account) => check_initial(services, account, secret).await?,
        None => Typed::SomethingElse,
    };
    let policies = &services.policies;
    Ok(Some(match (account, account.map(Account::state)) {
        (_, Some(AccountState::Disabled)) => Check::PasswordWrong,
        _ if initial == Typed::Right => Check::InitialRight,
        (Some(account), Some(AccountState::Password)) => {
            check_password(services, account, secret).await?
        }
        (Some(_), _) if initial == Typed::Wrong => Check::PinRefused,
        (None, _) if !policies.create_on_first_login || !login.is_plain() => Check::PinRefused,
        _ if !services.portal.looks_like_pin(secret) => Check::PinRefused,
        _ => return Ok(None),
    }))
}

/// Checks a portal password. What is wrong but was once right is told apart, because an app that
/// nobody told about the change must not lock its owner out (R-C5).
pub(super) async fn check_password(
    services: &Services,
    account: &Account,
    secret: &Secret,
) -> Result<Check, Outage> {
    let Some(password) = &account.password else { return Ok(Check::PasswordWrong) };
    let tried = tried(services, account, secret);
    // An app that polls with a secret that was refused costs no second hash (R-C5).
    let window = services.policies.lockout.window;
    match services.memory.refused(&tried, window, now(services)) {
        Some(RefusedAs::Former) => return Ok(Check::FormerSecret),
        Some(RefusedAs::Wrong) => return Ok(Check::PasswordWrong),
        Some(RefusedAs::TooLate) | None => {}
    }
    match services.hasher.verify(secret, &password.phc).await? {
        Verified::Right => return Ok(Check::PasswordRight),
        Verified::RightButOutdated => {
            if let Err(error) = rehash(services, account, secret).await {
                tracing::warn!(%error, "a password keeps its outdated hash until the next login");
            }
            return Ok(Check::PasswordRight);
        }
        Verified::Wrong => {}
    }
    // It is wrong, and stays so when the rest cannot be found out: else guesses would not be
    // counted while the hasher is busy.
    let former = match is_former(services, account, secret).await {
        Ok(former) => former,
        Err(error) => {
            tracing::warn!(%error, "a wrong password was not compared with former ones");
            return Ok(Check::PasswordWrong);
        }
    };
    let (check, refused) = match former {
        true => (Check::FormerSecret, RefusedAs::Former),
        false => (Check::PasswordWrong, RefusedAs::Wrong),
    };
    services.memory.keep_refused(tried, refused, now(services));
    Ok(check)
}

/// Under which a refused secret is remembered.
pub(super) fn tried(services: &Services, account: &Account, secret: &Secret) -> Tried {
    Tried {
        account: account.id,
        epoch: account.epoch,
        secret: services.vault.fingerprint("tried secret", secret.expose().as_bytes()),
    }
}

async fn is_former(
    services: &Services,
    account: &Account,
    secret: &Secret,
) -> Result<bool, Outage> {
    if stored_pin(services, account)?.is_some_and(|pin| pin.same_as(secret)) {
        return Ok(true);
    }
    let Some(previous) = &account.previous_password else { return Ok(false) };
    Ok(services.hasher.verify(secret, &previous.phc).await? != Verified::Wrong)
}

/// Only while the password is still the one that was verified: a change that was faster stays.
async fn rehash(services: &Services, account: &Account, secret: &Secret) -> Result<(), Outage> {
    let phc = services.hasher.hash(secret).await?;
    let change = AccountChange::Rehash { phc };
    services.accounts.change(account.id, change, Some(account.epoch)).await?;
    Ok(())
}

/// Tries a PIN at the PBX on a fresh session.
async fn try_pin(
    services: &Services,
    attempt: &LoginAttempt,
    login: &LoginName,
) -> Result<(Check, Option<PortalSession>), Outage> {
    let carried = &attempt.carried;
    match services.try_pin(login, &attempt.secret, carried, asker(attempt)).await? {
        PinVerdict::Accepted(pbx) => Ok((Check::PinAccepted, Some(pbx))),
        PinVerdict::Challenged(pbx) => Ok((Check::PinChallenged, Some(pbx))),
        PinVerdict::Refused => Ok((Check::PinRefused, None)),
    }
}

/// The password is right: logs in at the PBX with the PIN from the vault.
async fn replay(
    services: &Services,
    attempt: &LoginAttempt,
    account: Account,
) -> Result<Verdict, Outage> {
    let (carried, channel) = (&attempt.carried, attempt.channel);
    let replayed = replay::replay(services, &account, carried, channel, asker(attempt)).await?;
    let Replay { pbx, progress, unproved } = replayed;
    let verdict = open(services, attempt, account, pbx, ObtainedWith::Password, progress).await?;
    if let (Some(pin), Verdict::Opened(opened)) = (unproved, &verdict) {
        opened.session.hold_pin(pin);
    }
    Ok(verdict)
}

/// The initial password is right: opens a session without one at the PBX, which reaches only the
/// page where it is replaced (R-E1).
async fn open_to_replace(
    services: &Services,
    attempt: &LoginAttempt,
    account: Account,
) -> Result<Verdict, Outage> {
    let (pbx, with) = (PortalSession::none(), ObtainedWith::InitialPassword);
    let checked = account.clone();
    let verdict = open(services, attempt, account, pbx, with, Progress::Complete).await?;
    if let Verdict::Opened(opened) = &verdict
        && !is_still_out(services, &checked).await?
    {
        services.sessions.end(&opened.session.record().id).await?;
        return Ok(Verdict::Refused { reason: "bad_password", former: None });
    }
    Ok(verdict)
}

/// The PBX accepted the PIN (or asks its second question): makes the account if it is new and
/// keeps the PIN for later replay.
async fn open_with_pin(
    services: &Services,
    attempt: &LoginAttempt,
    login: &LoginName,
    account: Option<Account>,
    pbx: PortalSession,
    progress: Progress,
) -> Result<Verdict, Outage> {
    let account = match account {
        Some(account) => account,
        None => create(services, login).await?,
    };
    // Made, and given a password, by somebody else while the PBX was asked (R-A5).
    if account.state() != AccountState::PinOnly {
        services.leave(&pbx, asker(attempt)).await;
        return Ok(Verdict::Refused { reason: "bad_password", former: None });
    }
    if progress == Progress::Complete {
        keep_pin(services, account.id, &attempt.secret).await?;
    }
    let verdict = open(services, attempt, account, pbx, ObtainedWith::Pin, progress).await?;
    if let (Progress::Challenge, Verdict::Opened(opened)) = (progress, &verdict) {
        opened.session.hold_pin(attempt.secret.clone());
    }
    Ok(verdict)
}

/// The PIN is right, but its time is over (R-A4). It is kept like after every login that the PBX
/// accepted: the password that the mail will set is followed by a replay.
async fn too_late(
    services: &Services,
    attempt: &LoginAttempt,
    login: &LoginName,
    account: Option<Account>,
    check: Check,
) -> Result<Verdict, Outage> {
    let account = match account {
        Some(account) => account,
        None => create(services, login).await?,
    };
    if account.state() != AccountState::PinOnly {
        return Ok(Verdict::Refused { reason: "bad_password", former: None });
    }
    if check == Check::PinAccepted {
        keep_pin(services, account.id, &attempt.secret).await?;
    }
    Ok(Verdict::TooLate(reject(services, &account, attempt.channel, asker(attempt)).await?))
}

/// Makes the account of a login name whose PIN the PBX accepted.
pub(super) async fn create(services: &Services, login: &LoginName) -> Result<Account, Outage> {
    let id = AccountId(Uuid::from_bytes(services.random.bytes()));
    let new = NewAccount {
        login: login.clone(),
        email: None,
        name: String::new(),
        role: Role::default(),
    };
    match services.accounts.create(id, new, now(services)).await? {
        Created::New(account) | Created::Exists(account) => Ok(account),
    }
}

async fn open(
    services: &Services,
    attempt: &LoginAttempt,
    account: Account,
    pbx: PortalSession,
    obtained_with: ObtainedWith,
    progress: Progress,
) -> Result<Verdict, Outage> {
    if let Some(current) = &attempt.current {
        services.sessions.end(&current.record().id).await?;
    }
    let how = Opening {
        obtained_with,
        progress,
        client: attempt.client,
        user_agent: &attempt.user_agent,
    };
    let opened = services.open_session(&account, pbx, how).await?;
    let at = now(services);
    services.accounts.change(account.id, AccountChange::LoggedIn { at }, None).await?;
    Ok(Verdict::Opened(Box::new(opened)))
}

/// Seals a PIN that the PBX accepted into the account.
pub(super) async fn keep_pin(
    services: &Services,
    account: AccountId,
    pin: &Secret,
) -> Result<(), Outage> {
    let change = AccountChange::Pin(sealed_pin(services, account, pin));
    services.accounts.change(account, change, None).await?;
    Ok(())
}

/// A PIN as it is kept: sealed for this account.
pub(super) fn sealed_pin(services: &Services, account: AccountId, pin: &Secret) -> SealedPin {
    SealedPin(services.vault.seal(&pin_purpose(account), pin.expose().as_bytes()))
}

/// The PIN on file, opened. A ring that cannot open it is an outage, not a missing PIN.
pub(super) fn stored_pin(
    services: &Services,
    account: &Account,
) -> Result<Option<Secret>, Unavailable> {
    account.pin.as_ref().map(|pin| services.open_pin(account.id, pin)).transpose()
}

impl Services {
    /// Opens a PIN that was sealed for this account.
    pub(super) fn open_pin(
        &self,
        account: AccountId,
        SealedPin(sealed): &SealedPin,
    ) -> Result<Secret, Unavailable> {
        let plain = self
            .vault
            .open(&pin_purpose(account), sealed)
            .map_err(|error| Unavailable::new("vault", error))?;
        let text = std::str::from_utf8(&plain).map_err(|error| Unavailable::new("vault", error))?;
        Ok(Secret::new(text))
    }
}

fn pin_purpose(account: AccountId) -> String {
    format!("pin:{account}")
}

fn asker(attempt: &LoginAttempt) -> Asker<'_> {
    Asker {
        client: attempt.client,
        user_agent: &attempt.user_agent,
        host: &attempt.host,
        language: attempt.language.as_ref(),
    }
}

fn attempted(attempt: &LoginAttempt) -> Attempted<'_> {
    Attempted {
        typed: &attempt.typed,
        login: attempt.login.as_ref(),
        device: attempt.device.as_deref(),
        client: attempt.client,
        channel: attempt.channel,
    }
}

fn now(services: &Services) -> Timestamp {
    services.clock.now()
}
