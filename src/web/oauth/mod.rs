//! What applications ask us beside the PBX's own token endpoints: where everything is (RFC 8414),
//! the public keys (RFC 7517), the end of a token (RFC 7009), and what is known of one (RFC 7662).
//! No cookie is looked at here, so no form token is needed.

mod answers;
mod call;
mod caller;
mod documents;
mod introspect;
mod revoke;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use self::answers::OAuthError;
use super::Visitor;
use crate::flows::Services;

/// Where the documents lie, for every host the same (RFC 8615).
const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";

/// What applications are told about tokens.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// The public URL, no slash at its end: issuer and audience of our tokens, on whatever host.
    pub issuer: String,
    /// The path of the token endpoint that is named first; `None`: the PBX has none.
    pub token_path: Option<String>,
    /// What may be shown there for tokens, as in `grant_type`.
    pub grant_types: Vec<&'static str>,
    /// Tokens are signed by us: there are keys to verify them with.
    pub signs: bool,
}

/// These endpoints.
pub(super) struct OAuth {
    router: Router,
    below: String,
}

/// What each of them works with.
struct Endpoints {
    services: Arc<Services>,
    settings: OAuthSettings,
    prefix: String,
}

impl OAuth {
    pub fn new(services: &Arc<Services>, settings: OAuthSettings, prefix: &str) -> Self {
        let at = |name: &str| format!("{prefix}/oauth/{name}");
        let endpoints =
            Endpoints { services: Arc::clone(services), settings, prefix: prefix.to_owned() };
        let router = Router::new()
            .route(METADATA, get(documents::metadata))
            .route(JWKS, get(documents::jwks))
            .route(&at("revoke"), post(revoke::answer))
            .route(&at("introspect"), post(introspect::answer))
            .fallback(async || OAuthError::NOT_FOUND)
            .method_not_allowed_fallback(async || OAuthError::BAD_METHOD)
            .with_state(Arc::new(endpoints));
        Self { router, below: format!("{prefix}/oauth/") }
    }

    /// Whether a path is one of these.
    pub fn has(&self, path: &str) -> bool {
        path.starts_with(&self.below) || [METADATA, JWKS].contains(&path)
    }

    pub async fn answer(&self, request: Request<Bytes>, visitor: Visitor) -> Response<Bytes> {
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(visitor);
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (mut parts, body) = response.into_parts();
        answers::protect(&mut parts.headers);
        // Every body here is in memory already.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        body.map_or_else(
            |_| answers::status(StatusCode::INTERNAL_SERVER_ERROR),
            |body| Response::from_parts(parts, body),
        )
    }
}
