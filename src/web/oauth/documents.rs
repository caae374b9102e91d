//! The two documents that applications find by themselves.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::answers::{OAuthError, public};
use super::{Endpoints, JWKS};

/// Where everything is. The issuer is the public URL on every host: tokens name it, too.
pub(super) async fn metadata(
    State(endpoints): State<Arc<Endpoints>>,
) -> Result<Response, OAuthError> {
    let Endpoints { settings, prefix, .. } = &*endpoints;
    let Some(token_path) = &settings.token_path else { return Err(OAuthError::NOT_FOUND) };
    let at = |path: &str| format!("{}{path}", settings.issuer);
    let methods = ["client_secret_basic", "client_secret_post"];
    let mut document = json!({
        "issuer": settings.issuer,
        "token_endpoint": at(token_path),
        "revocation_endpoint": at(&format!("{prefix}/oauth/revoke")),
        "introspection_endpoint": at(&format!("{prefix}/oauth/introspect")),
        "service_documentation": at(&format!("{prefix}/help")),
        "grant_types_supported": settings.grant_types,
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
    });
    if settings.signs {
        document["jwks_uri"] = at(JWKS).into();
    }
    Ok(public(&document))
}

/// The keys that our tokens are verified with.
pub(super) async fn jwks(State(endpoints): State<Arc<Endpoints>>) -> Response {
    let services = &endpoints.services;
    public(&services.signer.jwks(services.clock.now()))
}
