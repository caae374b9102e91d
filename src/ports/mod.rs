//! What the flows need from the world, as small traits. Adapters stand behind them; tests run one
//! contract suite per port against every adapter.

mod accounts;
mod attempts;
mod audit;
mod campaigns;
mod codes;
mod credentials;
mod hasher;
mod kept_forms;
mod mail;
mod outbox;
mod portal;
mod sessions;
mod subscribers;
mod time;
mod token_issuer;
mod token_signer;
mod tokens;
mod vault;

pub use accounts::{
    AccountChange, AccountPage, AccountQuery, AccountStore, Created, ImportRow, Imported,
};
pub use attempts::{AttemptStore, Reservation, Reserved};
pub use audit::{AuditLog, SecurityEvent};
pub use campaigns::{CampaignStore, NewCampaign, Ordered, PlanPart, PlannedMail, Started, Turn};
pub use codes::CodeStore;
pub use credentials::{Begun, CredentialChange, CredentialStore, JournalStep, NewPassword};
pub use hasher::{HashError, PasswordHasher, Verified};
pub use kept_forms::KeptForms;
pub use mail::{Composer, Letter, Mail, MailTransport, SendError};
pub use outbox::{Enqueued, Outbox};
pub use portal::{Portal, PortalAnswer, PortalLogin, PortalSession};
pub use sessions::SessionStore;
pub use subscribers::{OwnSession, PinWriting, PinWritten, Subscribers};
pub use time::{Clock, Random};
pub use token_issuer::{PbxGrant, PbxTokenAnswer, PbxTokenRequest, PbxTokens, TokenIssuer};
pub use token_signer::TokenSigner;
pub use tokens::{NotedToken, Rotated, Rotation, TokenStore, TokenUse};
pub use vault::{Vault, VaultError};

/// Something that Passgate depends on does not answer. Never to be read as "no" (an outage is
/// not a wrong password): it becomes 502 or 503 and is counted as nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} is unavailable: {detail}")]
pub struct Unavailable {
    /// Which dependency: `store`, `pbx`, `hasher` …
    pub what: &'static str,
    /// For the operator's log; never shown to users, never contains secrets.
    pub detail: String,
}

impl Unavailable {
    /// An outage of `what`, explained by `detail`.
    pub fn new(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { what, detail: detail.to_string() }
    }
}
