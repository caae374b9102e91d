//! The use-cases, one file each. No HTTP, no SQL: a flow reads from top to bottom as the policy
//! that it is, and reaches the world through ports only.

pub mod account_security;
pub mod accounts;
pub mod api;
mod app_notice;
mod attempt;
pub mod bounces;
pub mod bulk;
pub mod campaigns;
pub mod challenge;
pub mod client_guesses;
pub mod courier;
pub mod current_pin;
pub mod initial_password;
pub mod kept_form;
mod known_pins;
mod lock_notice;
pub mod login;
pub mod mails;
mod memory;
mod opening;
pub mod own_email;
pub mod own_sessions;
mod pbx;
pub mod post;
mod proof;
pub mod public_forms;
pub mod redeem;
pub mod rejection;
mod replay;
pub mod set_password;
pub mod sign_out;
mod standing;
pub mod sweep;
pub mod tokens;
mod turns;
mod unclear;
pub mod write_back;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::grant::GrantKind;
use crate::domain::lockout::LockoutPolicy;
use crate::domain::mail::{AddressLimit, MailLimit};
use crate::domain::password_policy::PasswordPolicy;
use crate::domain::pin_policy::PinPolicy;
use crate::domain::reminders::ReminderPlan;
use crate::domain::rollout::Rollout;
use crate::domain::session::SessionPolicy;
use crate::ports::{
    AccountStore, AttemptStore, AuditLog, CampaignStore, Clock, CodeStore, Composer,
    CredentialStore, HashError, KeptForms, MailTransport, Outbox, PasswordHasher, Portal, Random,
    SessionStore, Subscribers, TokenIssuer, TokenSigner, TokenStore, Unavailable, Vault,
};

pub use memory::{KnownToken, Memory};
pub use opening::Opened;
pub use turns::Turns;

/// Everything that flows need: the ports, and the configured rules.
#[derive(Clone)]
pub struct Services {
    /// Accounts.
    pub accounts: Arc<dyn AccountStore>,
    /// Changes of credentials.
    pub credentials: Arc<dyn CredentialStore>,
    /// One-time codes.
    pub codes: Arc<dyn CodeStore>,
    /// Forms that were sent too late.
    pub kept_forms: Arc<dyn KeptForms>,
    /// Mails on their way.
    pub outbox: Arc<dyn Outbox>,
    /// The same mail for many accounts.
    pub campaigns: Arc<dyn CampaignStore>,
    /// Writing and handing over mails; `None` when e-mail is off.
    pub mail: Option<MailOffice>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Failed logins.
    pub attempts: Arc<dyn AttemptStore>,
    /// Security events.
    pub audit: Arc<dyn AuditLog>,
    /// Password hashing.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Sealed values.
    pub vault: Arc<dyn Vault>,
    /// The PBX.
    pub portal: Arc<dyn Portal>,
    /// The PBX's token endpoints.
    pub issuer: Arc<dyn TokenIssuer>,
    /// Tokens of applications.
    pub tokens: Arc<dyn TokenStore>,
    /// Signing access tokens.
    pub signer: Arc<dyn TokenSigner>,
    /// The PBX's records of its users.
    pub subscribers: Arc<dyn Subscribers>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What this process remembers for a while.
    pub memory: Arc<Memory>,
    /// Attempts under way.
    pub turns: Arc<Turns>,
    /// The mark of this process, on what it is in the middle of.
    pub process: Uuid,
    /// The configured rules.
    pub policies: Policies,
}

/// What it takes to send mails.
#[derive(Clone)]
pub struct MailOffice {
    /// Writes them.
    pub composer: Arc<dyn Composer>,
    /// Hands them over.
    pub transport: Arc<dyn MailTransport>,
}

/// The configured rules.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Phases.
    pub rollout: Rollout,
    /// Lives of sessions.
    pub session: SessionPolicy,
    /// Limits of failed logins.
    pub lockout: LockoutPolicy,
    /// Rules for new passwords.
    pub password: PasswordPolicy,
    /// Rules of tenants that have their own.
    pub tenant_passwords: HashMap<String, PasswordPolicy>,
    /// Rules for new voicemail PINs.
    pub pin: PinPolicy,
    /// What else the rollout asks for.
    pub rules: RolloutRules,
    /// The same of tenants that have their own.
    pub tenant_rules: HashMap<String, RolloutRules>,
    /// When reminders go out.
    pub reminders: ReminderPlan,
    /// How long links live.
    pub links: LinkLives,
    /// How many mails with a link one account, and one address, gets.
    pub mails_per_account: MailLimit,
    /// How many public forms (forgotten password and the like) one client address may send;
    /// `None`: not limited.
    pub public_forms_per_address: Option<FormLimit>,
    /// Public forms answer the same whether an account was found or not (R-D6).
    pub uniform_disclosure: bool,
    /// Host name of the public URL, for what is asked of the PBX without a browser.
    pub public_host: String,
    /// Tokens of applications.
    pub tokens: TokenPolicy,
    /// Whether a PIN that the PBX accepts makes an account (`directory.create_on_first_login`).
    pub create_on_first_login: bool,
}

/// How tokens are handed out, and how long they live (`[tokens]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPolicy {
    /// Tokens of ours, or the PBX's own: [`GrantKind::Jwt`] or [`GrantKind::Pass`].
    pub kind: GrantKind,
    /// Life of an access token of ours.
    pub access: Duration,
    /// Life of a family, from the login on, however often it is refreshed.
    pub refresh: Duration,
    /// How long the answer of a refresh is repeated for a client that lost it; zero: never.
    pub reuse_grace: Duration,
    /// Until when tokens pass that the PBX issued before Passgate (R-F6); `None`: they never do.
    pub accept_legacy_until: Option<Timestamp>,
}

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormLimit {
    /// At most this many …
    pub most: u32,
    /// … in this time.
    pub per: Duration,
}

/// What a rollout asks for besides its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutRules {
    /// At force, the voicemail PIN is declared anew with the first password (R-A3).
    pub redeclare_pin: bool,
    /// At reject, the user is led into the reset flow instead of back to the login page (R-A4).
    pub redirect_at_reject: bool,
}

/// How long the links in mails work, from the moment that the mail is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLives {
    /// A reset link; also one that confirms an address.
    pub reset: Duration,
    /// A welcome link.
    pub welcome: Duration,
}

impl Default for Policies {
    /// What the configuration says when it says nothing, without dates.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Self {
            rollout: Rollout::default(),
            session: SessionPolicy { idle: minutes(4 * 60), absolute: Some(minutes(7 * 24 * 60)) },
            lockout: LockoutPolicy {
                max_failures: 5,
                window: minutes(15),
                duration: minutes(15),
                max_failures_per_address: 500,
                offices: Vec::new(),
                refusal_floor: Duration::from_millis(500),
                tell_owner: true,
            },
            password: PasswordPolicy::standard(),
            tenant_passwords: HashMap::new(),
            pin: PinPolicy::standard(),
            rules: RolloutRules { redeclare_pin: true, redirect_at_reject: false },
            tenant_rules: HashMap::new(),
            reminders: ReminderPlan::default(),
            links: LinkLives { reset: minutes(60), welcome: minutes(72 * 60) },
            mails_per_account: MailLimit {
                most: 3,
                per: minutes(60),
                again_after: minutes(2),
                address: AddressLimit { most: 10, per: minutes(60) },
            },
            public_forms_per_address: Some(FormLimit { most: 20, per: minutes(10) }),
            uniform_disclosure: false,
            public_host: String::new(),
            tokens: TokenPolicy {
                kind: GrantKind::Jwt,
                access: minutes(60),
                refresh: minutes(30 * 24 * 60),
                reuse_grace: Duration::ZERO,
                accept_legacy_until: None,
            },
            create_on_first_login: true,
        }
    }
}

impl Policies {
    /// The rollout's rules for `tenant`.
    pub fn rules_for(&self, tenant: &str) -> RolloutRules {
        self.tenant_rules.get(tenant).copied().unwrap_or(self.rules)
    }

    /// The password rules that hold for `tenant`.
    pub fn password_for(&self, tenant: &str) -> &PasswordPolicy {
        self.tenant_passwords.get(tenant).unwrap_or(&self.password)
    }
}

/// Why a flow could not be carried out. Never an answer to the user's question: an outage is not
/// a wrong password, and is counted as nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Outage {
    /// The PBX does not answer.
    #[error("the PBX cannot be asked: {0}")]
    Pbx(Unavailable),
    /// The PBX answers, but in no way that its profile knows.
    #[error("the PBX's answer is not known to its profile: {0}")]
    Unclear(Unavailable),
    /// A store of ours does not answer.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// More password hashes are asked for than the machine can make; try again after this time.
    #[error("too many logins at once")]
    Busy(Duration),
}

impl From<HashError> for Outage {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy(Duration::from_secs(2)),
            HashError::Failed(unavailable) => Self::Store(unavailable),
        }
    }
}
