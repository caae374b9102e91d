//! The use-cases, one file each. No HTTP, no SQL: a flow reads from top to bottom as the policy
//! that it is, and reaches the world through ports only.

pub mod account_security;
pub mod accounts;
pub mod challenge;
pub mod current_pin;
pub mod login;
mod opening;
mod pbx;
pub mod sign_out;
pub mod sweep;
mod unclear;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::lockout::LockoutPolicy;
use crate::domain::password_policy::PasswordPolicy;
use crate::domain::rollout::Rollout;
use crate::domain::session::SessionPolicy;
use crate::ports::{
    AccountStore, AttemptStore, AuditLog, Clock, HashError, PasswordHasher, Portal, Random,
    SessionStore, Unavailable, Vault,
};

pub use opening::Opened;

/// Everything that flows need: the ports, and the configured rules.
pub struct Services {
    /// Accounts.
    pub accounts: Arc<dyn AccountStore>,
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
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The configured rules.
    pub policies: Policies,
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
    /// Whether a PIN that the PBX accepts makes an account (`directory.create_on_first_login`).
    pub create_on_first_login: bool,
}

impl Policies {
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
