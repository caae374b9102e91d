//! The PBX's token endpoints, as something one can ask on a user's behalf.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::Unavailable;
use crate::domain::api_client::ClientCredentials;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;

/// A request for tokens, built anew from its fields: the client's bytes are never sent on.
#[derive(Clone, Copy)]
pub struct PbxTokenRequest<'a> {
    /// Which: the name of one of the profile's `[[token]]`.
    pub endpoint: &'a str,
    /// What is shown for them.
    pub grant: PbxGrant<'a>,
    /// The application that asks.
    pub client: Option<&'a ClientCredentials>,
    /// Fields that go along as they came (scope, format, a second factor's code …). May be secret.
    pub carried: &'a [(String, String)],
    /// The client's `User-Agent`.
    pub user_agent: &'a str,
    /// The client's address, passed on as `X-Forwarded-For`.
    pub client_address: IpAddr,
    /// The public host name of the request.
    pub host: &'a str,
    /// The PBX server to use; `None` lets the driver choose.
    pub server: Option<usize>,
}

/// What is shown to the PBX for tokens.
#[derive(Debug, Clone, Copy)]
pub enum PbxGrant<'a> {
    /// A login name and the legacy credential.
    Password {
        /// Whose.
        login: &'a LoginName,
        /// The PIN.
        pin: &'a Secret,
        /// The second call after a challenge: both come again, with the code in `carried`.
        continued: bool,
    },
    /// A refresh token of the PBX.
    Refresh(&'a Secret),
}

/// What the PBX said to a request for tokens. `Debug` shows no field of its answer.
#[derive(Clone)]
pub enum PbxTokenAnswer {
    /// Here they are.
    Granted(Box<PbxTokens>),
    /// A second factor is asked for: a successful answer without a token, to be handed on as it is.
    Challenge(Map<String, Value>),
    /// The user's credential or the refresh token is wrong.
    Refused,
    /// The client's id or secret is wrong.
    BadClient,
    /// Another error of RFC 6749 §5.2, cleaned.
    Rejected {
        /// One of the RFC's codes.
        error: String,
        /// Printable ASCII, at most 200 characters, nothing of a stack trace.
        description: Option<String>,
    },
    /// No shape that is known: an outage, never a refusal.
    Unknown {
        /// For the operator's log: the status, never a body.
        detail: String,
    },
}

/// Tokens of the PBX.
#[derive(Clone)]
pub struct PbxTokens {
    /// The whole answer, tokens included.
    pub fields: Map<String, Value>,
    /// The access token.
    pub access: Secret,
    /// The refresh token, where one was given.
    pub refresh: Option<Secret>,
    /// How long the access token lasts, where the answer or the token itself says so.
    pub expires_in: Option<Duration>,
    /// Whose they are, as far as the answer says.
    pub owner: Option<LoginName>,
    /// The PBX server that gave them (index into `upstream.servers`).
    pub server: usize,
}

impl fmt::Debug for PbxTokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PbxTokenRequest")
            .field("endpoint", &self.endpoint)
            .field("grant", &self.grant)
            .field("client", &self.client)
            .field("client_address", &self.client_address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PbxTokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(tokens) => f.debug_tuple("Granted").field(tokens).finish(),
            Self::Challenge(_) => f.write_str("Challenge(…)"),
            Self::Refused => f.write_str("Refused"),
            Self::BadClient => f.write_str("BadClient"),
            Self::Rejected { error, .. } => f.debug_tuple("Rejected").field(error).finish(),
            Self::Unknown { detail } => f.debug_tuple("Unknown").field(detail).finish(),
        }
    }
}

impl fmt::Debug for PbxTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PbxTokens")
            .field("owner", &self.owner)
            .field("expires_in", &self.expires_in)
            .field("refresh", &self.refresh)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Asks the PBX for tokens, and about them.
#[async_trait]
pub trait TokenIssuer: Send + Sync {
    /// Asks for tokens, once. Fails only when the PBX cannot be asked or its answer was lost.
    async fn ask(&self, request: PbxTokenRequest<'_>) -> Result<PbxTokenAnswer, Unavailable>;

    /// Whose bearer this is (R-F5, R-F6). `None`: the PBX does not accept it (401, 403).
    async fn owner(
        &self,
        bearer: &Secret,
        user_agent: &str,
        client: IpAddr,
        host: &str,
    ) -> Result<Option<LoginName>, Unavailable>;

    /// Whether [`TokenIssuer::owner`] can be asked at all (the profile has `[[whoami]]`).
    fn knows_owners(&self) -> bool;

    /// Tells the PBX that a token is no longer wanted, where the profile says how. Best effort.
    async fn forget(&self, endpoint: &str, access: &Secret, server: usize);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Security: no token is in a log, in whatever field the PBX puts it.
    #[test]
    fn tokens_are_not_printed() {
        let Value::Object(fields) = json!({ "access_token": "t0ken", "uid": "1001@acme" }) else {
            unreachable!()
        };
        let challenge = PbxTokenAnswer::Challenge(fields.clone());
        let granted = PbxTokenAnswer::Granted(Box::new(PbxTokens {
            fields,
            access: Secret::new("t0ken"),
            refresh: Some(Secret::new("t0ken")),
            expires_in: None,
            owner: None,
            server: 0,
        }));
        let asked = PbxTokenRequest {
            endpoint: "v1",
            grant: PbxGrant::Refresh(&Secret::new("t0ken")),
            client: None,
            carried: &[("passcode".into(), "t0ken".into())],
            user_agent: "",
            client_address: [127, 0, 0, 1].into(),
            host: "",
            server: None,
        };
        for printed in [format!("{challenge:?}"), format!("{granted:?}"), format!("{asked:?}")] {
            assert!(!printed.contains("t0ken"), "{printed}");
        }
    }
}
