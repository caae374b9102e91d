//! A new portal password where none proves who asks: at force (the PIN just did) and by a link.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::initial_password::is_initial;
use super::login::{stored_pin, wait_for_floor};
use super::opening::{Opened, Opening};
use super::pbx::Asker;
use super::proof::{Proof, prove};
use super::replay::{Replay, replay};
use super::write_back::{self, AtHand, Ended, NewPair};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::email_address::email;
use crate::domain::language::Language;
use crate::domain::mail::{MailKind, NewMail};
use crate::domain::one_time_code::CodeProblem;
use crate::domain::password_policy::{PasswordContext, PasswordProblem};
use crate::domain::pin_policy::PinProblem;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, Progress};
use crate::ports::{
    AccountChange, CredentialChange, JournalStep, NewPassword, PinWriting, PortalSession,
    SecurityEvent, Unavailable,
};

/// Why a password is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The force phase holds a session back (R-A3).
    Forced,
    /// By a reset link (R-D1, R-A4).
    Reset,
    /// By a welcome link (R-D4).
    Welcome,
    /// In the place of a one-time initial password (R-E1).
    Initial,
}

impl Occasion {
    /// Why a session is held back.
    pub fn of(session: &LiveSession) -> Self {
        match session.record().obtained_with {
            ObtainedWith::InitialPassword => Self::Initial,
            ObtainedWith::Pin | ObtainedWith::Password => Self::Forced,
        }
    }
}

/// What the page asks about the voicemail PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinField {
    /// Nothing: it stays as it is.
    Unasked,
    /// The present one, to confirm it: it cannot be changed from here.
    Confirm,
    /// A PIN by the rules, which becomes the PIN: a new one, or the same again.
    New,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The new password.
    pub password: Secret,
    /// The new password again.
    pub confirm: Secret,
    /// The voicemail PIN, if the page asks for one; empty if it was left empty.
    pub pin: Secret,
    /// The PIN again, where a form has that field.
    pub pin_confirm: Option<Secret>,
    /// An address to be put on file, if one was given.
    pub email: Option<String>,
}

/// The form of the force phase.
#[derive(Debug, Clone)]
pub struct HeldForm {
    /// The session it came in.
    pub session: Arc<LiveSession>,
    /// What was chosen.
    pub choice: Choice,
    /// The present PIN, where [`needs_proof`] asks for it.
    pub current: Secret,
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
}

/// What became of the voicemail PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PinFate {
    /// It is as it was.
    Unchanged,
    /// The PBX has the new one.
    Written,
    /// The PBX will have the new one; until then the one before works.
    Pending,
}

/// What became of it all.
#[derive(Debug, Clone)]
pub enum SetOutcome {
    /// Saved, and signed in. All other sessions of the account ended.
    Saved {
        /// The session of this browser.
        opened: Box<Opened>,
        /// The PIN.
        pin: PinFate,
        /// The address that a link to confirm it was sent to.
        confirming: Option<String>,
    },
    /// Saved, but the PBX does not answer now: sign in with the new password in a minute.
    SavedOnly {
        /// The PIN.
        pin: PinFate,
    },
    /// What was chosen breaks these rules. Nothing was changed or counted.
    Against {
        /// By the password.
        password: Vec<PasswordProblem>,
        /// By the PIN.
        pin: Vec<PinProblem>,
    },
    /// The two passwords differ.
    Different,
    /// The two PINs differ.
    PinsDiffer,
    /// The PIN was left empty.
    PinMissing,
    /// The address is none.
    BadEmail,
    /// The present PIN is wrong.
    PinWrong,
    /// Too many wrong ones.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The PBX does not take the new PIN. Nothing was changed; another one may work.
    PinRefused,
    /// It is being saved in another tab at this moment.
    Conflict,
    /// It was set in another tab meanwhile.
    Overtaken,
    /// The link does not work (any more).
    Link(CodeProblem),
    /// The account is gone or switched off; the session ends.
    Gone,
}

impl Services {
    /// What the page asks about the PIN of `account`.
    pub async fn pin_field(
        &self,
        account: &Account,
        occasion: Occasion,
    ) -> Result<PinField, Unavailable> {
        let known = account.pin.is_some() && !account.pin_refused;
        let writable = match self.subscribers.writing() {
            PinWriting::Admin => true,
            PinWriting::OwnSession => known,
            PinWriting::Impossible => false,
        };
        let redeclare = self.policies.rules_for(account.login.tenant()).redeclare_pin;
        Ok(match occasion {
            Occasion::Forced if !redeclare => PinField::Unasked,
            Occasion::Forced if writable => PinField::New,
            Occasion::Forced => PinField::Confirm,
            // Known, or to be read when it is needed.
            Occasion::Reset if known || self.subscribers.reading() => PinField::Unasked,
            // Who was given an initial password may not know the PIN: nobody can confirm it.
            Occasion::Reset | Occasion::Welcome | Occasion::Initial if !writable => {
                PinField::Unasked
            }
            Occasion::Reset | Occasion::Welcome | Occasion::Initial => {
                // One that is still being written is not written over.
                match self.credentials.entry(account.id).await? {
                    Some(_) => PinField::Unasked,
                    None => PinField::New,
                }
            }
        })
    }
}

/// A login this long ago proves nothing any more: somebody else may sit before the open page.
const PROOF_HOLDS: SignedDuration = SignedDuration::from_mins(15);

/// Whether the page asks for the present PIN, too: the login of this session was long ago. Not of
/// somebody with an initial password, who may not know it: their session is short instead.
pub fn needs_proof(services: &Services, session: &LiveSession) -> bool {
    // In both directions: a clock that was put back makes no proof hold longer.
    let since_login = services.clock.now().duration_since(session.record().created_at);
    Occasion::of(session) == Occasion::Forced && since_login.abs() > PROOF_HOLDS
}

/// Sets the password of a session that the force phase holds back, and opens the portal.
pub async fn set_password_held(services: &Services, form: HeldForm) -> Result<SetOutcome, Outage> {
    let begun = Instant::now();
    let outcome = held(services, &form).await;
    if matches!(outcome, Ok(SetOutcome::PinWrong | SetOutcome::Locked { .. })) {
        wait_for_floor(begun, services.policies.lockout.refusal_floor).await;
    }
    outcome
}

async fn held(services: &Services, form: &HeldForm) -> Result<SetOutcome, Outage> {
    let record = form.session.record();
    let account = match services.accounts.by_id(record.account).await? {
        // Another tab was faster, a moment ago: its browser has a new session by now.
        Some(account) if !account.disabled && account.epoch != record.epoch => {
            return Ok(SetOutcome::Overtaken);
        }
        Some(account) if !account.disabled => account,
        _ => return Ok(SetOutcome::Gone),
    };
    let asker = Asker {
        client: form.client,
        user_agent: &form.user_agent,
        host: &form.host,
        language: form.language.as_ref(),
    };
    let occasion = Occasion::of(&form.session);
    // Void: another one was issued, or the account was switched off and on again.
    if occasion == Occasion::Initial && account.initial_password.is_none() {
        return Ok(SetOutcome::Gone);
    }
    let field = services.pin_field(&account, occasion).await?;
    // What needs no proof is checked first: a typing mistake costs the user no attempt.
    let wanted = match wanted(services, &account, &form.choice, field) {
        Ok(wanted) => wanted,
        Err(outcome) => return Ok(outcome),
    };
    let stale = needs_proof(services, &form.session);
    let present = match field {
        PinField::Confirm => Some(&form.choice.pin),
        PinField::New | PinField::Unasked => stale.then_some(&form.current),
    };
    if present.is_some_and(Secret::is_empty) {
        return Ok(SetOutcome::PinMissing);
    }
    if let Some(present) = present {
        match prove(services, &account, present, form.device.as_deref(), asker).await? {
            Proof::Right => {}
            Proof::Wrong => return Ok(SetOutcome::PinWrong),
            Proof::Locked { until } => return Ok(SetOutcome::Locked { until }),
        }
    }
    // The proof may have brought another PIN than the one on file.
    let Some(account) = services.accounts.by_id(account.id).await? else {
        return Ok(SetOutcome::Gone);
    };
    let mut password = is_initial(services, &account, &form.choice.password).await?;
    // Who came with the PIN knows it; a password with it inside would be known to whoever learns
    // the PIN.
    if occasion == Occasion::Forced {
        password.extend(holds_pin(services, &account, &form.choice.password)?);
    }
    if !password.is_empty() {
        return Ok(SetOutcome::Against { password, pin: Vec::new() });
    }
    let jar = form.session.jar();
    let pbx = PortalSession { jar: jar.jar.clone(), server: jar.server, landing: None };
    // Who came with an initial password has none.
    let at_hand = (!pbx.jar.is_empty()).then(|| AtHand { session: pbx.clone(), fresh: !stale });
    let saved = match save(services, &account, wanted, at_hand, "page", asker).await? {
        Ok(saved) => saved,
        Err(outcome) => return Ok(outcome),
    };
    // The PBX session goes over to the new Passgate session while it is fresh; it never belongs to
    // both.
    let kept = !stale && saved.pin != PinFate::Written && !pbx.jar.is_empty();
    services.sessions.end_all(account.id, None).await?;
    if occasion == Occasion::Initial {
        // The login gave no failures back. They were about what is replaced now.
        services.attempts.unlock(&account.login.to_string()).await?;
    }
    if !kept && !pbx.jar.is_empty() {
        services.leave(&pbx, asker).await;
    }
    enter(services, saved, kept.then_some(pbx), asker).await
}

/// Whether a password holds the PIN on file. To be asked only when whoever asks is known to know
/// the PIN: else anybody could find it out by asking which passwords are refused for it.
pub(super) fn holds_pin(
    services: &Services,
    account: &Account,
    password: &Secret,
) -> Result<Vec<PasswordProblem>, Unavailable> {
    let Some(pin) = stored_pin(services, account)? else { return Ok(Vec::new()) };
    let context = PasswordContext { pin: Some(&pin), ..PasswordContext::default() };
    let policy = services.policies.password_for(account.login.tenant());
    let mut problems = policy.check(password, &context);
    problems.retain(|problem| *problem == PasswordProblem::IsPin);
    Ok(problems)
}

/// A choice that keeps the rules.
pub(super) struct Wanted<'a> {
    password: &'a Secret,
    /// The PIN that the account is to have, if the page asked for one.
    pin: Option<&'a Secret>,
    /// An address to be confirmed.
    email: Option<String>,
}

/// Checks a choice against all rules that need nobody's answer.
pub(super) fn wanted<'a>(
    services: &Services,
    account: &Account,
    choice: &'a Choice,
    field: PinField,
) -> Result<Wanted<'a>, SetOutcome> {
    if !choice.password.same_as(&choice.confirm) {
        return Err(SetOutcome::Different);
    }
    let pin = Some(&choice.pin).filter(|_| field != PinField::Unasked);
    if pin.is_some_and(Secret::is_empty) {
        return Err(SetOutcome::PinMissing);
    }
    if let (Some(pin), Some(again)) = (pin, &choice.pin_confirm)
        && !pin.same_as(again)
    {
        return Err(SetOutcome::PinsDiffer);
    }
    let email = match choice.email.as_deref().map(str::trim) {
        // Asked for only where there is none that takes mail: an address is changed with the password
        // as proof.
        Some(typed)
            if !typed.is_empty() && account.reachable_at().is_none() && services.mail.is_some() =>
        {
            Some(email(typed).map_err(|_| SetOutcome::BadEmail)?)
        }
        _ => None,
    };
    let context = PasswordContext {
        login: Some(&account.login),
        email: email.as_deref().or(account.email.as_deref()),
        pin,
    };
    let policy = services.policies.password_for(account.login.tenant());
    let mut password = policy.check(&choice.password, &context);
    if services.portal.looks_like_pin(&choice.password) {
        password.push(PasswordProblem::LooksLikePin);
    }
    let pin_problems = match (field, pin) {
        (PinField::New, Some(pin)) => services.policies.pin.check(pin, account.login.extension()),
        _ => Vec::new(),
    };
    if !password.is_empty() || !pin_problems.is_empty() {
        return Err(SetOutcome::Against { password, pin: pin_problems });
    }
    let pin = pin.filter(|_| field == PinField::New);
    Ok(Wanted { password: &choice.password, pin, email })
}

/// A choice that was saved.
pub(super) struct SavedChoice {
    account: Account,
    pin: PinFate,
    confirming: Option<String>,
}

/// Saves a choice: the password alone, or with a new PIN. `Err` is the outcome of one that was not
/// saved. Who asks has been proved before.
pub(super) async fn save(
    services: &Services,
    account: &Account,
    wanted: Wanted<'_>,
    at_hand: Option<AtHand>,
    channel: &'static str,
    asker: Asker<'_>,
) -> Result<Result<SavedChoice, SetOutcome>, Outage> {
    let phc = services.hasher.hash(wanted.password).await?;
    let password = NewPassword { phc, at: services.clock.now(), expected_epoch: account.epoch };
    let mut mails: Vec<NewMail> = services.report(account, asker.language).into_iter().collect();
    if let Some(address) = &wanted.email {
        mails.push(services.new_mail(MailKind::ConfirmEmail, account, address, asker.language));
    }
    let stored = stored_pin(services, account)?.filter(|_| !account.pin_refused);
    let new_pin = wanted.pin.filter(|pin| !stored.is_some_and(|stored| stored.same_as(pin)));
    let (account, pin) = match new_pin {
        Some(pin) => {
            let pair = NewPair { password, pin, mails };
            match write_back::write(services, account, pair, at_hand, asker).await? {
                Ended::Written(account) => (account, PinFate::Written),
                Ended::Pending(account) => (account, PinFate::Pending),
                Ended::Refused => return Ok(Err(SetOutcome::PinRefused)),
                Ended::Conflict => return Ok(Err(SetOutcome::Conflict)),
                Ended::Overtaken => return Ok(Err(SetOutcome::Overtaken)),
            }
        }
        None => {
            let change = CredentialChange {
                account: account.id,
                password: Some(password),
                pin: None,
                journal: JournalStep::Leave,
                mails,
            };
            match services.credentials.commit(change).await? {
                Some(account) => (account, PinFate::Unchanged),
                None => return Ok(Err(SetOutcome::Overtaken)),
            }
        }
    };
    services.audit.record(
        SecurityEvent::of("password_set", channel, &account.login).from_client(asker.client),
    );
    Ok(Ok(SavedChoice { account, pin, confirming: wanted.email }))
}

/// Opens the portal for an account whose password was just set, on `pbx` or by a replay.
pub(super) async fn enter(
    services: &Services,
    saved: SavedChoice,
    pbx: Option<PortalSession>,
    asker: Asker<'_>,
) -> Result<SetOutcome, Outage> {
    let SavedChoice { account, pin, confirming } = saved;
    let replayed = match pbx {
        Some(pbx) => Ok(Replay { pbx, progress: Progress::Complete, unproved: None }),
        None => replay(services, &account, &[], "page", asker).await,
    };
    let Replay { pbx, progress, unproved } = match replayed {
        Ok(replayed) => replayed,
        // What was saved stays saved.
        Err(outage) => {
            tracing::warn!(%outage, "a password was set, but its owner could not be let in");
            return Ok(SetOutcome::SavedOnly { pin });
        }
    };
    let how = Opening {
        obtained_with: ObtainedWith::Password,
        progress,
        client: asker.client,
        user_agent: asker.user_agent,
    };
    let opened = services.open_session(&account, pbx, how).await?;
    if let Some(unproved) = unproved {
        opened.session.hold_pin(unproved);
    }
    let at = services.clock.now();
    services.accounts.change(account.id, AccountChange::LoggedIn { at }, None).await?;
    Ok(SetOutcome::Saved { opened: Box::new(opened), pin, confirming })
}
