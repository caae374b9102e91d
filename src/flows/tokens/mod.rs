//! Tokens for applications (R-F1 to R-F3, R-F6): the password grant and the refresh grant, as a
//! door like the others. Who comes is judged by the same rules, counted by the same lockout, and
//! what is handed out is a session that falls like any other.

mod answer;
pub(super) mod family;
mod issue;
mod legacy;
mod passed;
mod refresh;
pub(super) mod refresh_token;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::api_client::ClientCredentials;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;

pub use issue::issue;
pub use refresh::refresh;

/// A request for tokens by login name and password, as the profile read it. The client's bytes end
/// here: what goes to the PBX is built anew from these fields.
#[derive(Clone)]
pub struct TokenAsk {
    /// Which of the profile's token endpoints.
    pub endpoint: String,
    /// What was sent as login name.
    pub typed: String,
    /// The login name, when the text has the shape of one.
    pub login: Option<LoginName>,
    /// Portal password or PIN.
    pub secret: Secret,
    /// The second call after the PBX's challenge: login name and secret come again, with the code
    /// in `carried`.
    pub continued: bool,
    /// The application that asks.
    pub client: Option<ClientCredentials>,
    /// Fields that go along as they came. May be secret.
    pub carried: Vec<(String, String)>,
    /// Client address.
    pub client_address: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
}

/// A request for new tokens by a refresh token.
#[derive(Clone)]
pub struct RefreshAsk {
    /// Which of the profile's token endpoints.
    pub endpoint: String,
    /// The refresh token: ours, the PBX's, or neither's.
    pub refresh: Secret,
    /// The application that asks.
    pub client: Option<ClientCredentials>,
    /// Fields that go along as they came. May be secret.
    pub carried: Vec<(String, String)>,
    /// Client address.
    pub client_address: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// Public host name of the request.
    pub host: String,
}

/// What became of a request for tokens.
#[derive(Debug, Clone)]
pub enum TokenOutcome {
    /// Here they are.
    Issued(Box<Issued>),
    /// The PBX asks for a second factor: its answer, to be handed on as it is.
    Challenge(Challenge),
    /// None.
    Refused(TokenRefusal),
}

/// The PBX's question after a second factor. It may hold a token of its own: never printed.
#[derive(Clone)]
pub struct Challenge(pub Map<String, Value>);

/// Tokens that were issued.
#[derive(Clone)]
pub struct Issued {
    /// The PBX's answer. In mode `jwt` without its tokens.
    pub fields: Map<String, Value>,
    /// The access token that the client gets.
    pub access: Secret,
    /// Its refresh token, where there is one.
    pub refresh: Option<Secret>,
    /// How long the access token lasts.
    pub expires_in: Option<Duration>,
    /// Whether they are ours, to be put in the place of the PBX's (mode `jwt`); else `fields` is
    /// the answer as it is.
    pub own: bool,
    /// They were obtained with a PIN while the warn phase runs (R-F2).
    pub pin_notice: Option<PinNotice>,
}

/// What an application is told that still uses a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinNotice {
    /// Since when this is deprecated; `None` where it always was.
    pub warned_at: Option<Timestamp>,
    /// From when on it does not work any more.
    pub forced_at: Option<Timestamp>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Wrong login name or secret. Always the same answer, whatever was wrong.
    Credentials,
    /// The PIN is right, but its time is over.
    PinTooLate,
    /// An initial password opens nothing but the page where it is replaced (R-E1).
    InitialPassword,
    /// The password is right, but no PIN is known that the PBX takes: its owner is asked for it in
    /// the portal (R-B6).
    PinUnknown,
    /// Too many failures.
    Locked {
        /// When the next attempt is possible.
        until: Timestamp,
    },
    /// The client's id or secret is wrong, or not the one that the tokens were issued to.
    BadClient,
    /// The PBX said another error of RFC 6749.
    Rejected {
        /// One of the RFC's codes.
        error: String,
        /// Cleaned.
        description: Option<String>,
    },
    /// The refresh token is not valid (any more).
    RefreshInvalid,
}

impl fmt::Debug for TokenAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAsk")
            .field("endpoint", &self.endpoint)
            .field("login", &self.login)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshAsk")
            .field("endpoint", &self.endpoint)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("expires_in", &self.expires_in)
            .field("own", &self.own)
            .field("pin_notice", &self.pin_notice)
            .finish_non_exhaustive()
    }
}
