//! What is known of a token (RFC 7662). What is not the caller's to know does not work, as far as
//! they hear.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::Endpoints;
use super::answers::{OAuthError, fresh};
use super::call::Call;
use super::caller::{Known, known_to};
use crate::domain::grant::GrantKind;
use crate::flows::api::revoke::Described;
use crate::ports::TokenUse;

/// The answer, for this moment only.
pub(super) async fn answer(
    State(endpoints): State<Arc<Endpoints>>,
    call: Call,
) -> Result<Response, OAuthError> {
    let token = call.token.expose();
    let known = known_to(&endpoints.services, &call.shown, token, call.client).await?;
    let body = match known {
        Known::Own(found) => endpoints.describe(&found, token),
        Known::OfOtherClient | Known::OfOtherAccount | Known::Nothing => json!({ "active": false }),
    };
    Ok(fresh(StatusCode::OK, &body))
}

impl Endpoints {
    fn describe(&self, found: &Described, token: &str) -> Value {
        let mut body = json!({
            "active": true,
            "username": found.login.to_string(),
            "sub": found.account.0,
            "exp": found.expires_at.as_second(),
            "iat": found.issued_at.as_second(),
        });
        if let Some(client) = &found.client_id {
            body["client_id"] = client.as_str().into();
        }
        if !found.scope.is_empty() {
            body["scope"] = found.scope.as_str().into();
        }
        if found.usage == TokenUse::Access {
            body["token_type"] = "Bearer".into();
        }
        if found.kind == GrantKind::Jwt {
            body["iss"] = self.settings.issuer.as_str().into();
            body["aud"] = self.settings.issuer.as_str().into();
        }
        if let Ok(claims) = self.services.signer.verify(token, self.services.clock.now()) {
            body["iat"] = claims.issued_at.as_second().into();
            body["nbf"] = claims.issued_at.as_second().into();
            body["jti"] = claims.token_id().into();
        }
        body
    }
}
