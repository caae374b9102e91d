//! A request about a token: which token, and who asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Endpoints;
use super::answers::OAuthError;
use crate::domain::api_client::ClientCredentials;
use crate::domain::secret::Secret;
use crate::web::Visitor;
use crate::web::form::{self, Form};

/// Longest body, in bytes.
const LONGEST: usize = 64 * 1024;

/// A request about a token.
pub(super) struct Call {
    pub token: Secret,
    pub shown: Shown,
    /// Client address.
    pub client: IpAddr,
}

/// How whoever asks shows who they are.
pub(super) enum Shown {
    /// An application's id and secret. In HTTP Basic they may be encoded once more (RFC 6749
    /// §2.3.1), and often are not: then there are two readings.
    Client(Vec<ClientCredentials>),
    /// A token of an account.
    Bearer(Secret),
    Nothing,
}

impl FromRequest<Arc<Endpoints>> for Call {
    type Rejection = OAuthError;

    async fn from_request(request: Request, _: &Arc<Endpoints>) -> Result<Self, OAuthError> {
        // The gateway puts it into every request.
        let client = request.extensions().get::<Visitor>().map(|visitor| visitor.client);
        let client = client.ok_or(OAuthError::bad_request("nobody asks"))?;
        if !form::is_form(request.headers()) {
            return Err(OAuthError::BAD_TYPE);
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LONGEST).await.map_err(|_| OAuthError::TOO_LARGE)?;
        let fields = Form::parse(&body)
            .ok_or(OAuthError::bad_request("the form cannot be read, or has a field twice"))?;
        let token = fields.secret("token");
        if token.is_empty() {
            return Err(OAuthError::bad_request("token is missing"));
        }
        Ok(Self { token, shown: shown(&parts.headers, &fields)?, client })
    }
}

fn shown(headers: &HeaderMap, fields: &Form) -> Result<Shown, OAuthError> {
    const TWICE: OAuthError = OAuthError::bad_request("show a client or a bearer, once");
    let in_form = fields.has("client_secret");
    let Some(value) = headers.get(AUTHORIZATION) else {
        let id = fields.text("client_id");
        if id.is_empty() {
            return if in_form { Err(OAuthError::BAD_CLIENT) } else { Ok(Shown::Nothing) };
        }
        let client =
            ClientCredentials { id: id.to_owned(), secret: fields.secret("client_secret") };
        return Ok(Shown::Client(vec![client]));
    };
    let (scheme, value) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(OAuthError::bad_request("the Authorization field cannot be read"))?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() {
        return if in_form { Err(TWICE) } else { Ok(Shown::Bearer(Secret::new(value))) };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(OAuthError::BAD_CLIENT);
    }
    let readings =
        basic(value).ok_or(OAuthError::bad_request("the Basic credentials cannot be read"))?;
    let repeated = |client: &ClientCredentials| {
        let id = fields.text("client_id");
        (id.is_empty() || id == client.id)
            && (!in_form || fields.secret("client_secret").same_as(&client.secret))
    };
    if !readings.iter().any(repeated) {
        return Err(TWICE);
    }
    Ok(Shown::Client(readings))
}

/// Id and secret as they are, and decoded.
fn basic(value: &str) -> Option<Vec<ClientCredentials>> {
    let text = zeroize::Zeroizing::new(String::from_utf8(STANDARD.decode(value).ok()?).ok()?);
    let (id, secret) = text.split_once(':')?;
    let mut readings = vec![ClientCredentials { id: id.to_owned(), secret: Secret::new(secret) }];
    if let (Some(id), Some(secret)) = (form::decode(id), form::decode(secret)) {
        let decoded =
            ClientCredentials { id: id.to_string(), secret: Secret::new(secret.as_str()) };
        readings.extend((decoded != readings[0]).then_some(decoded));
    }
    Some(readings)
}
