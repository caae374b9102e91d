//! Login name and secret with every request (HTTP Basic, R-F4): a login like any other, judged
//! once. What passes is a family that lives as long as an access token, so that the hash is paid
//! once and not per request; the PBX is shown the PIN in its place.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Map;
use uuid::Uuid;

use super::bearer::{self, Bearer, family_of};
use super::renew::NotRenewed;
use super::{CHANNEL, Caller};
use crate::domain::account::{Account, AccountState};
use crate::domain::grant::{Grant, GrantKind, PbxAccess, TokenHash};
use crate::domain::lockout::counted_address;
use crate::domain::login_decision::{Check, Decision, login_decision};
use crate::domain::login_name::LoginName;
use crate::domain::rollout::Phase;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, Progress, Standing};
use crate::flows::app_notice::tell_owner;
use crate::flows::attempt::{Attempted, Guarded, Judged, guarded, record};
use crate::flows::login::{check_here, create, keep_pin, stored_pin, tried, wait_for_floor};
use crate::flows::memory::RefusedAs;
use crate::flows::pbx::PinVerdict;
use crate::flows::replay::{Replay, replay};
use crate::flows::tokens::family::NewFamily;
use crate::flows::{KnownToken, Outage, Services};
use crate::ports::{AccountChange, NotedToken, TokenUse};

/// Login name and secret of a request.
#[derive(Debug, Clone)]
pub struct BasicLogin {
    /// What was sent as login name.
    pub typed: String,
    /// The login name, when the text has the shape of one.
    pub login: Option<LoginName>,
    /// Its spelling for the PBX.
    pub upstream_name: String,
    /// Portal password or PIN.
    pub secret: Secret,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum BasicOutcome {
    /// It is right.
    Known {
        /// The family.
        session: Arc<LiveSession>,
        /// What it may reach.
        standing: Standing,
    },
    /// Wrong login name or secret. Always the same answer, whatever was wrong.
    Refused,
    /// The PIN is right, but its time is over (R-A3, R-A4).
    PinTooLate,
    /// An initial password opens nothing but the page where it is replaced (R-E1).
    InitialPassword,
    /// The PBX asks for a second factor, which has no place here.
    SecondFactor,
    /// The password is right, but no PIN is known that the PBX takes (R-B6).
    PinUnknown,
    /// Too many failures.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
}

/// The family of a login that was judged before, from the same place, and still lives. One keyed
/// hash, one look into memory. Nothing of it where the name was locked: who guesses there would see
/// by it which guess is right.
pub fn cached(services: &Services, login: &BasicLogin, client: IpAddr) -> Option<BasicOutcome> {
    let locked = services.memory.is_locked(&place_of(login, client), services.clock.now());
    if locked { None } else { remembered(services, login, client) }
}

fn remembered(services: &Services, login: &BasicLogin, client: IpAddr) -> Option<BasicOutcome> {
    let now = services.clock.now();
    let known = services.memory.token(&hash_of(services, login, client), now)?;
    living(services, known.session)
}

/// Judges a login unless that was done before.
pub async fn log_in(
    services: &Services,
    login: &BasicLogin,
    caller: Caller<'_>,
) -> Result<BasicOutcome, Outage> {
    if let Some(known) = found(services, login, caller.client).await? {
        return Ok(known);
    }
    let begun = Instant::now();
    let outcome = judged(services, login, caller).await;
    if !matches!(outcome, Ok(BasicOutcome::Known { .. })) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

/// What the PBX is shown of a user.
fn authorization(upstream_name: &str, pin: &Secret) -> Secret {
    let pair = zeroize::Zeroizing::new(format!("{upstream_name}:{}", pin.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// The PBX did not take what it was shown: the PIN was changed elsewhere, perhaps. Whoever shows
/// that PIN is judged anew; for a password another PIN may be known (R-B6).
pub(super) async fn other_access(
    services: &Services,
    session: &Arc<LiveSession>,
    before: &PbxAccess,
) -> Result<PbxAccess, NotRenewed> {
    let record = session.record();
    if record.obtained_with == ObtainedWith::Pin {
        services.sessions.end(&record.id).await.map_err(Outage::Store)?;
        return Err(NotRenewed::Refused);
    }
    let account = services.accounts.by_id(record.account).await.map_err(Outage::Store)?;
    let account = account.filter(|account| !account.disabled);
    let Some(account) = account else { return Err(NotRenewed::Refused) };
    let host = &services.policies.public_host;
    let caller = Caller { client: record.client, user_agent: &record.user_agent, host };
    let Some(pin) = working_pin(services, account, caller).await? else {
        return Err(NotRenewed::Refused);
    };
    let Some(name) = name_in(before) else { return Err(NotRenewed::Refused) };
    let authorization = authorization(&name, &pin);
    if authorization == before.authorization {
        // The PIN is right; it is not the PIN that the PBX refuses here.
        return Err(NotRenewed::Refused);
    }
    Ok(PbxAccess { authorization, ..before.clone() })
}

fn name_in(access: &PbxAccess) -> Option<String> {
    let encoded = access.authorization.expose().strip_prefix("Basic ")?;
    let pair = zeroize::Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (name, _) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(name.to_owned())
}

/// Keyed: nobody with the store alone can try passwords on it. It holds for one client address: from
/// any other one, a guess must be counted, however right it was elsewhere.
fn hash_of(services: &Services, login: &BasicLogin, client: IpAddr) -> TokenHash {
    let (name, address) = (name_of(login), counted_address(client, &[]));
    let credential =
        zeroize::Zeroizing::new(format!("{address:?}\0{name}\0{}", login.secret.expose()));
    let fingerprint = services.vault.fingerprint("basic login", credential.as_bytes());
    TokenHash::of(&Uuid::from_bytes(fingerprint).simple().to_string())
}

/// Who logs in from where.
fn place_of(login: &BasicLogin, client: IpAddr) -> TokenHash {
    TokenHash::of(&format!("{:?}\0{}", counted_address(client, &[]), name_of(login)))
}

/// With its tenant: what was typed may lean on the host's name.
fn name_of(login: &BasicLogin) -> String {
    login.login.as_ref().map_or_else(|| login.typed.clone(), ToString::to_string)
}

fn living(services: &Services, session: Arc<LiveSession>) -> Option<BasicOutcome> {
    match bearer::stand(services, session) {
        Bearer::Known { session, standing } => Some(BasicOutcome::Known { session, standing }),
        // It is a login: it can be judged anew.
        Bearer::Invalid | Bearer::Unknown => None,
    }
}

async fn found(
    services: &Services,
    login: &BasicLogin,
    client: IpAddr,
) -> Result<Option<BasicOutcome>, Outage> {
    let now = services.clock.now();
    if services.memory.is_locked(&place_of(login, client), now) {
        return Ok(None);
    }
    if let Some(known) = remembered(services, login, client) {
        return Ok(Some(known));
    }
    let hash = hash_of(services, login, client);
    let noted = services.tokens.find(&hash).await?.filter(|noted| noted.expires_at > now);
    let Some(noted) = noted else { return Ok(None) };
    let Some(session) = family_of(services, &noted.family, GrantKind::Basic).await? else {
        return Ok(None);
    };
    let known = KnownToken { session: Arc::clone(&session), expires_at: noted.expires_at };
    services.memory.keep_token(hash, known);
    Ok(living(services, session))
}

async fn judged(
    services: &Services,
    login: &BasicLogin,
    caller: Caller<'_>,
) -> Result<BasicOutcome, Outage> {
    let who = Attempted {
        typed: &login.typed,
        login: login.login.as_ref(),
        device: None,
        client: caller.client,
        channel: CHANNEL,
    };
    let judge = async {
        // Twenty requests at once are judged one after the other: by now one of them has passed.
        if let Some(known) = remembered(services, login, caller.client) {
            return Ok(Judged::Right(known));
        }
        check_and_decide(services, login, caller).await
    };
    let outcome = match guarded(services, &who, judge).await? {
        Guarded::Passed(outcome) => {
            services.memory.forget_locked(&place_of(login, caller.client));
            outcome
        }
        Guarded::Refused => return Ok(BasicOutcome::Refused),
        Guarded::Locked { until } => {
            services.memory.keep_locked(place_of(login, caller.client), until);
            return Ok(BasicOutcome::Locked { until });
        }
    };
    let result = match &outcome {
        BasicOutcome::Known { .. } => "ok",
        BasicOutcome::PinTooLate => "pin_too_late",
        BasicOutcome::InitialPassword => "initial_password",
        BasicOutcome::SecondFactor => "challenge",
        BasicOutcome::PinUnknown => "pin_needed",
        BasicOutcome::Refused | BasicOutcome::Locked { .. } => return Ok(outcome),
    };
    record(services, &who, "login", result);
    Ok(outcome)
}

async fn check_and_decide(
    services: &Services,
    attempt: &BasicLogin,
    caller: Caller<'_>,
) -> Result<Judged<BasicOutcome>, Outage> {
    let wrong = |reason| Ok(Judged::Wrong { reason, former: None });
    let Some(login) = &attempt.login else { return wrong("unknown_name") };
    let account = services.accounts.find(login).await?;
    let state = account.as_ref().map_or(AccountState::PinOnly, Account::state);
    let phase = services.policies.rollout.phase(login.tenant(), services.clock.now());
    let check = match check_here(services, login, account.as_ref(), &attempt.secret).await? {
        Some(check) => check,
        // An app that polls with the PIN costs no login at the PBX each time (R-C5).
        None if is_remembered(services, account.as_ref(), &attempt.secret) => {
            return Ok(Judged::Unproved(BasicOutcome::PinTooLate));
        }
        None => try_pin(services, login, &attempt.secret, caller).await?,
    };
    match (login_decision(state, check, phase), account) {
        (Decision::Replay, Some(account)) => {
            let checked = account.clone();
            let Some(pin) = working_pin(services, account, caller).await? else {
                return Ok(Judged::Right(BasicOutcome::PinUnknown));
            };
            open(services, attempt, &checked, ObtainedWith::Password, &pin, caller).await
        }
        (Decision::Open { notice }, account) => {
            let account = match account {
                Some(account) => account,
                None => create(services, login).await?,
            };
            // Made, and given a password, by somebody else while the PBX was asked (R-A5).
            if account.state() != AccountState::PinOnly {
                return wrong("bad_password");
            }
            keep_pin(services, account.id, &attempt.secret).await?;
            if notice {
                tell_owner(services, &account);
            }
            let pin = &attempt.secret;
            open(services, attempt, &account, ObtainedWith::Pin, pin, caller).await
        }
        (Decision::Hold | Decision::TooLate, account) if check == Check::PinAccepted => {
            if let Some(account) = account {
                tell_owner(services, &account);
                let tried = tried(services, &account, &attempt.secret);
                let now = services.clock.now();
                services.memory.keep_refused(tried, RefusedAs::TooLate, now);
            }
            Ok(Judged::Right(BasicOutcome::PinTooLate))
        }
        (Decision::TooLate | Decision::Challenge, _) => {
            Ok(Judged::Unproved(BasicOutcome::SecondFactor))
        }
        // It proves nothing about password or PIN, and works more than once.
        (Decision::Replace, _) => Ok(Judged::Unproved(BasicOutcome::InitialPassword)),
        (Decision::RefuseFormer, _) => Ok(Judged::Wrong {
            reason: "former_secret",
            former: Some(services.vault.fingerprint("former", attempt.secret.expose().as_bytes())),
        }),
        (Decision::RefuseDisabled, _) => wrong("disabled"),
        _ => wrong("bad_password"),
    }
}

/// Tries a PIN at the PBX, once; the session there is not needed.
async fn try_pin(
    services: &Services,
    login: &LoginName,
    pin: &Secret,
    caller: Caller<'_>,
) -> Result<Check, Outage> {
    Ok(match services.try_pin(login, pin, &[], caller.asker()).await? {
        PinVerdict::Accepted(pbx) => {
            services.leave(&pbx, caller.asker()).await;
            Check::PinAccepted
        }
        PinVerdict::Challenged(_) => Check::PinChallenged,
        PinVerdict::Refused => Check::PinRefused,
    })
}

/// Whether this PIN was found right, and too late, in this window.
fn is_remembered(services: &Services, account: Option<&Account>, secret: &Secret) -> bool {
    let Some(account) = account else { return false };
    let (policies, now) = (&services.policies, services.clock.now());
    let tried = tried(services, account, secret);
    let refused = services.memory.refused(&tried, policies.lockout.window, now);
    refused == Some(RefusedAs::TooLate)
        && policies.rollout.phase(account.login.tenant(), now) >= Phase::Force
}

/// The PIN of an account that the PBX takes at this moment: the one on file, or the one that it has
/// on record.
async fn working_pin(
    services: &Services,
    account: Account,
    caller: Caller<'_>,
) -> Result<Option<Secret>, Outage> {
    let Replay { pbx, progress, .. } =
        replay(services, &account, &[], CHANNEL, caller.asker()).await?;
    if progress != Progress::Complete {
        return Ok(None);
    }
    services.leave(&pbx, caller.asker()).await;
    let account = services.accounts.by_id(account.id).await?;
    Ok(account.map(|account| stored_pin(services, &account)).transpose()?.flatten())
}

/// Opens the family of a login that is right, and notes by which credential it is found.
async fn open(
    services: &Services,
    attempt: &BasicLogin,
    account: &Account,
    obtained_with: ObtainedWith,
    pin: &Secret,
    caller: Caller<'_>,
) -> Result<Judged<BasicOutcome>, Outage> {
    let now = services.clock.now();
    let expires_at = now + services.policies.tokens.access;
    let grant = Grant { kind: GrantKind::Basic, endpoint: String::new(), client: None, expires_at };
    let access = PbxAccess {
        authorization: authorization(&attempt.upstream_name, pin),
        refresh: None,
        expires_at: None,
        fields: Map::new(),
    };
    let opened = services.open_family(NewFamily {
        account,
        obtained_with,
        grant,
        access,
        server: 0,
        client_address: caller.client,
        user_agent: caller.user_agent,
    });
    let Some(session) = opened.await? else {
        // The account was changed while it was judged.
        return Ok(Judged::Unproved(BasicOutcome::Refused));
    };
    let hash = hash_of(services, attempt, caller.client);
    let family = session.record().id;
    let noted = NotedToken { hash, usage: TokenUse::Access, family, expires_at };
    // Not noted (it has ended meanwhile): the next request is judged anew.
    services.tokens.note(&[noted], &[]).await?;
    services.memory.keep_token(hash, KnownToken { session: Arc::clone(&session), expires_at });
    services.accounts.change(account.id, AccountChange::LoggedIn { at: now }, None).await?;
    let standing = services.standing(&session);
    Ok(Judged::Right(BasicOutcome::Known { session, standing }))
}
