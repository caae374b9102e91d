//! Tokens by login name and password (R-F1, R-F2). The policy is its lines, as at the portal: find
//! the account → check the credential → decide by phase → ask the PBX → open the family.

use std::time::Instant;

use serde_json::{Map, Value};

use super::family::{self, Asker, hand_out};
use super::{Challenge, TokenAsk, TokenOutcome, TokenRefusal};
use crate::domain::account::{Account, AccountState};
use crate::domain::login_decision::{Check, Decision, login_decision};
use crate::domain::login_name::LoginName;
use crate::domain::rollout::Phase;
use crate::domain::secret::Secret;
use crate::domain::session::ObtainedWith;
use crate::flows::app_notice::tell_owner;
use crate::flows::attempt::{Attempted, Guarded, Judged, guarded, record};
use crate::flows::known_pins::KnownPins;
use crate::flows::login::{check_here, create, keep_pin, tried, wait_for_floor};
use crate::flows::memory::RefusedAs;
use crate::flows::pbx::{self, PinVerdict};
use crate::flows::{Outage, Services};
use crate::ports::{
    AccountChange, PbxGrant, PbxTokenAnswer, PbxTokenRequest, PbxTokens, PortalSession,
    SecurityEvent, Unavailable,
};

/// The door's name in log and metrics.
pub(super) const CHANNEL: &str = "api";

/// What came of a request, and its name in the log and the metrics.
type Judgement = Judged<(TokenOutcome, &'static str)>;

/// Carries out a password grant. Every refusal takes at least the configured floor, so that its
/// time says nothing about its reason.
pub async fn issue(services: &Services, ask: &TokenAsk) -> Result<TokenOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, ask).await;
    if !matches!(outcome, Ok(TokenOutcome::Issued(_) | TokenOutcome::Challenge(_))) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

async fn judged(services: &Services, ask: &TokenAsk) -> Result<TokenOutcome, Outage> {
    let who = Attempted {
        typed: &ask.typed,
        login: ask.login.as_ref(),
        device: None,
        client: ask.client_address,
        channel: CHANNEL,
    };
    Ok(match guarded(services, &who, check_and_decide(services, ask)).await? {
        Guarded::Passed((outcome, result)) => {
            record(services, &who, "login", result);
            outcome
        }
        Guarded::Refused => TokenOutcome::Refused(TokenRefusal::Credentials),
        Guarded::Locked { until } => TokenOutcome::Refused(TokenRefusal::Locked { until }),
    })
}

async fn check_and_decide(services: &Services, ask: &TokenAsk) -> Result<Judgement, Outage> {
    let Some(login) = &ask.login else { return Ok(wrong("unknown_name")) };
    let account = services.accounts.find(login).await?;
    let state = account.as_ref().map_or(AccountState::PinOnly, Account::state);
    let phase = services.policies.rollout.phase(login.tenant(), services.clock.now());

    let here = check_here(services, login, account.as_ref(), &ask.secret).await?;
    let (check, left) = match here {
        Some(check) => (check, Left::Nothing),
        None if phase < Phase::Force => match ask_endpoint(services, ask, login).await? {
            Asked::Judged(check, left) => (check, left),
            Asked::Refused(refusal, result) => return Ok(unproved(refusal, result)),
        },
        // An app that polls with the PIN costs no login at the PBX each time (R-C5).
        None if is_remembered(services, account.as_ref(), &ask.secret) => {
            return Ok(unproved(TokenRefusal::PinTooLate, "pin_too_late"));
        }
        None => try_at_portal(services, ask, login).await?,
    };

    match (login_decision(state, check, phase), account, left) {
        (Decision::Replay, Some(account), _) => with_password(services, ask, account).await,
        (Decision::Replace, ..) => Ok(unproved(TokenRefusal::InitialPassword, "initial_password")),
        (Decision::Open { notice }, account, Left::Tokens(tokens)) => {
            with_pin(services, ask, login, account, *tokens, notice).await
        }
        (Decision::Challenge, _, Left::Question(question)) => {
            Ok(Judged::Unproved((TokenOutcome::Challenge(Challenge(question)), "challenge")))
        }
        (Decision::Hold | Decision::TooLate | Decision::Challenge, account, left) => {
            too_late(services, ask, login, account, check, left).await
        }
        (Decision::RefuseFormer, ..) => Ok(Judged::Wrong {
            reason: "former_secret",
            former: Some(services.vault.fingerprint("former", ask.secret.expose().as_bytes())),
        }),
        (Decision::RefuseDisabled, ..) => Ok(wrong("disabled")),
        _ => Ok(wrong("bad_password")),
    }
}

/// What trying a PIN left in our hands.
enum Left {
    Nothing,
    Session(PortalSession),
    Tokens(Box<PbxTokens>),
    Question(Map<String, Value>),
}

enum Asked {
    Judged(Check, Left),
    /// It is not about the PIN.
    Refused(TokenRefusal, &'static str),
}

/// While PINs are let in, the PBX's token endpoint itself judges the PIN.
async fn ask_endpoint(
    services: &Services,
    ask: &TokenAsk,
    login: &LoginName,
) -> Result<Asked, Outage> {
    Ok(match ask_pbx(services, ask, login, &ask.secret).await? {
        Said::Granted(tokens) => Asked::Judged(Check::PinAccepted, Left::Tokens(tokens)),
        Said::Question(question) => Asked::Judged(Check::PinChallenged, Left::Question(question)),
        Said::PinRefused => Asked::Judged(Check::PinRefused, Left::Nothing),
        Said::Other(refusal, result) => Asked::Refused(refusal, result),
    })
}

/// Later, it is tried at the portal: no token is made that nobody may use.
async fn try_at_portal(
    services: &Services,
    ask: &TokenAsk,
    login: &LoginName,
) -> Result<(Check, Left), Outage> {
    Ok(match services.try_pin(login, &ask.secret, &[], asker(ask)).await? {
        PinVerdict::Accepted(pbx) => (Check::PinAccepted, Left::Session(pbx)),
        PinVerdict::Challenged(pbx) => (Check::PinChallenged, Left::Session(pbx)),
        PinVerdict::Refused => (Check::PinRefused, Left::Nothing),
    })
}

enum Said {
    Granted(Box<PbxTokens>),
    Question(Map<String, Value>),
    PinRefused,
    Other(TokenRefusal, &'static str),
}

async fn ask_pbx(
    services: &Services,
    ask: &TokenAsk,
    login: &LoginName,
    pin: &Secret,
) -> Result<Said, Outage> {
    let request = PbxTokenRequest {
        endpoint: &ask.endpoint,
        grant: PbxGrant::Password { login, pin, continued: ask.continued },
        client: ask.client.as_ref(),
        carried: &ask.carried,
        user_agent: &ask.user_agent,
        client_address: ask.client_address,
        host: &ask.host,
        server: None,
    };
    Ok(match services.issuer.ask(request).await.map_err(Outage::Pbx)? {
        PbxTokenAnswer::Granted(tokens) => Said::Granted(tokens),
        PbxTokenAnswer::Challenge(question) => Said::Question(question),
        PbxTokenAnswer::Refused => Said::PinRefused,
        PbxTokenAnswer::BadClient => Said::Other(TokenRefusal::BadClient, "bad_client"),
        PbxTokenAnswer::Rejected { error, description } => {
            Said::Other(TokenRefusal::Rejected { error, description }, "rejected")
        }
        PbxTokenAnswer::Unknown { detail } => {
            return Err(Outage::Unclear(Unavailable::new("pbx", detail)));
        }
    })
}

/// The password is right: asks the PBX with the PIN from the vault.
async fn with_password(
    services: &Services,
    ask: &TokenAsk,
    account: Account,
) -> Result<Judgement, Outage> {
    let mut pins = KnownPins::of(services, &account, CHANNEL, ask.client_address)?;
    while let Some(pin) = pins.next().await? {
        match ask_pbx(services, ask, &account.login, &pin).await? {
            Said::Granted(tokens) => {
                pins.accepted().await?;
                let grant = if ask.continued { "mfa" } else { "password" };
                return hand_over(services, ask, &account, *tokens, grant).await;
            }
            Said::Question(question) => {
                // Half a login forgets no failure: else its codes could be guessed without end.
                let outcome = TokenOutcome::Challenge(Challenge(question));
                return Ok(Judged::Unproved((outcome, "challenge")));
            }
            // The PBX accepted the PIN when it asked for the code.
            Said::PinRefused if ask.continued => return Ok(wrong("bad_code")),
            Said::PinRefused => pins.refused().await?,
            Said::Other(refusal, result) => return Ok(unproved(refusal, result)),
        }
    }
    Ok(Judged::Right((TokenOutcome::Refused(TokenRefusal::PinUnknown), "pin_unknown")))
}

/// The PBX gave tokens for the PIN: makes the account if it is new and keeps the PIN.
async fn with_pin(
    services: &Services,
    ask: &TokenAsk,
    login: &LoginName,
    account: Option<Account>,
    tokens: PbxTokens,
    notice: bool,
) -> Result<Judgement, Outage> {
    let account = match account {
        Some(account) => account,
        None => create(services, login).await?,
    };
    // Made, and given a password, by somebody else while the PBX was asked (R-A5).
    if account.state() != AccountState::PinOnly {
        family::forget(services, &ask.endpoint, tokens);
        return Ok(wrong("bad_password"));
    }
    // A PBX may know a user by other names, too: a PIN opens no account by one of them (R-A5).
    if let Some(owner) = tokens.owner.as_ref().filter(|owner| *owner != login)
        && !pin_opens(services, owner).await?
    {
        family::forget(services, &ask.endpoint, tokens);
        return Ok(wrong("other_name"));
    }
    keep_pin(services, account.id, &ask.secret).await?;
    if notice {
        tell_owner(services, &account);
    }
    hand_over(services, ask, &account, tokens, "pin").await
}

/// Whether the account that the PBX names, if there is one, is still opened by a PIN.
async fn pin_opens(services: &Services, owner: &LoginName) -> Result<bool, Outage> {
    let account = services.accounts.find(owner).await?;
    let state = account.as_ref().map_or(AccountState::PinOnly, Account::state);
    let phase = services.policies.rollout.phase(owner.tenant(), services.clock.now());
    Ok(state == AccountState::PinOnly && phase < Phase::Force)
}

/// Opens the family. `grant` names what the tokens were obtained by.
async fn hand_over(
    services: &Services,
    ask: &TokenAsk,
    account: &Account,
    tokens: PbxTokens,
    grant: &'static str,
) -> Result<Judgement, Outage> {
    let with = if grant == "pin" { ObtainedWith::Pin } else { ObtainedWith::Password };
    let asker = Asker {
        endpoint: &ask.endpoint,
        client: ask.client.as_ref(),
        client_address: ask.client_address,
        user_agent: &ask.user_agent,
    };
    let Some(issued) = hand_out(services, asker, account, with, tokens).await? else {
        return Ok(unproved(TokenRefusal::Credentials, "overtaken"));
    };
    let at = services.clock.now();
    services.accounts.change(account.id, AccountChange::LoggedIn { at }, None).await?;
    let event = SecurityEvent::of("token_issued", CHANNEL, &account.login);
    services.audit.record(event.from_client(ask.client_address).with_result(grant));
    Ok(Judged::Right((TokenOutcome::Issued(Box::new(issued)), "ok")))
}

/// The PIN is right, but its time is over: its owner is told how to go on. It is kept like after
/// every login that the PBX accepted.
async fn too_late(
    services: &Services,
    ask: &TokenAsk,
    login: &LoginName,
    account: Option<Account>,
    check: Check,
    left: Left,
) -> Result<Judgement, Outage> {
    if let Left::Session(pbx) = left {
        services.leave(&pbx, asker(ask)).await;
    }
    let account = match account {
        Some(account) => account,
        None => create(services, login).await?,
    };
    if account.state() != AccountState::PinOnly {
        return Ok(wrong("bad_password"));
    }
    tell_owner(services, &account);
    if check != Check::PinAccepted {
        return Ok(unproved(TokenRefusal::PinTooLate, "pin_too_late"));
    }
    keep_pin(services, account.id, &ask.secret).await?;
    let tried = tried(services, &account, &ask.secret);
    services.memory.keep_refused(tried, RefusedAs::TooLate, services.clock.now());
    Ok(Judged::Right((TokenOutcome::Refused(TokenRefusal::PinTooLate), "pin_too_late")))
}

/// Whether this PIN was found right, and too late, in this window.
fn is_remembered(services: &Services, account: Option<&Account>, secret: &Secret) -> bool {
    let window = services.policies.lockout.window;
    account.is_some_and(|account| {
        let tried = tried(services, account, secret);
        let refused = services.memory.refused(&tried, window, services.clock.now());
        refused == Some(RefusedAs::TooLate)
    })
}

fn wrong(reason: &'static str) -> Judgement {
    Judged::Wrong { reason, former: None }
}

fn unproved(refusal: TokenRefusal, result: &'static str) -> Judgement {
    Judged::Unproved((TokenOutcome::Refused(refusal), result))
}

fn asker(ask: &TokenAsk) -> pbx::Asker<'_> {
    pbx::Asker {
        client: ask.client_address,
        user_agent: &ask.user_agent,
        host: &ask.host,
        language: None,
    }
}
