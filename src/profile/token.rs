//! The PBX's token endpoints: what a request for tokens looks like in the shapes that clients use,
//! the one shape in which Passgate itself asks, and where an answer has its tokens (R-F1).

mod answer;
mod ask;
mod read;
mod whoami;

pub use answer::{FoundOwner, FoundTokens, TokenJudgement};
pub use ask::{Shown, TokenAsk};
pub use read::{AskedGrant, BadTokenCall, ReadToken, TokenCall};
pub use whoami::WhoAmI;

use super::credentials::CredentialField;
use super::judge::{Conditions, JsonCondition};

/// An endpoint of the PBX that hands out tokens.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    /// Name for logs, and by which it is asked.
    pub name: String,
    pub(super) paths: Vec<String>,
    pub(super) methods: Vec<String>,
    pub(super) revoke_methods: Vec<String>,
    pub(super) json: bool,
    pub(super) client_in_basic: bool,
    pub(super) fields: TokenFields,
    pub(super) grants: Vec<Grant>,
    pub(super) default_grant: Option<Grant>,
    pub(super) carried: Vec<String>,
    pub(super) places: TokenPlaces,
    pub(super) challenge: Vec<JsonCondition>,
    pub(super) refused: Vec<Conditions>,
}

/// What may be shown for tokens; spelled as in `grant_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grant {
    Password,
    RefreshToken,
    Mfa,
}

/// The names of an endpoint's fields.
#[derive(Debug, Clone)]
pub(super) struct TokenFields {
    pub(super) grant_type: CredentialField,
    pub(super) client_id: CredentialField,
    pub(super) client_secret: CredentialField,
    pub(super) username: CredentialField,
    pub(super) password: CredentialField,
    pub(super) refresh_token: CredentialField,
    pub(super) tenant: Option<CredentialField>,
}

/// JSON pointers (RFC 6901) into an answer.
#[derive(Debug, Clone)]
pub(super) struct TokenPlaces {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) expires_in: String,
    pub(super) owner: Option<OwnerPlaces>,
}

/// Where a user is named: in the answer itself, or in the claims of its token.
#[derive(Debug, Clone)]
pub(super) enum OwnerPlaces {
    Parts { user: Place, tenant: Place },
    Login(Place),
}

/// A place in an answer.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Answer(String),
    /// In the claims of the access token, which is a JWT.
    Claim(String),
}

impl TokenEndpoint {
    /// Its paths, the one that Passgate itself asks at first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// What may be shown for tokens, as in `grant_type`.
    pub fn grant_types(&self) -> impl Iterator<Item = &'static str> {
        self.grants.iter().map(|grant| grant.name())
    }

    /// Whether tokens are asked for by this method.
    pub fn answers_to(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// Whether this method ends the token that it comes with.
    pub fn revokes(&self, method: &str) -> bool {
        self.revoke_methods.iter().any(|known| known == method)
    }

    /// The method by which the PBX is told to end a token, where there is one.
    pub fn revoke_method(&self) -> Option<&str> {
        self.revoke_methods.first().map(String::as_str)
    }

    /// All methods, for `Allow`.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().chain(&self.revoke_methods).map(String::as_str)
    }
}

impl PartialEq for TokenEndpoint {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Grant {
    const ALL: [Self; 3] = [Self::Password, Self::RefreshToken, Self::Mfa];

    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::Mfa => "mfa",
        }
    }
}

impl TokenFields {
    /// The fields, which a client may send in one place only.
    pub(super) fn all(&self) -> impl Iterator<Item = &CredentialField> {
        let fixed = [
            &self.grant_type,
            &self.client_id,
            &self.client_secret,
            &self.username,
            &self.password,
            &self.refresh_token,
        ];
        fixed.into_iter().chain(&self.tenant)
    }
}
