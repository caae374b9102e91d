//! How applications are answered: JSON, and errors in the words of RFC 6749 §5.2. Descriptions are
//! for developers, in English: the RFC allows ASCII only.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, PRAGMA, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::ports::Unavailable;
use crate::web::answers;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
    /// What `WWW-Authenticate` says.
    challenge: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl OAuthError {
    pub const NOT_FOUND: Self =
        Self::of(StatusCode::NOT_FOUND, "invalid_request", "there is no such endpoint");
    pub const BAD_METHOD: Self =
        Self::of(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "this method is not served");
    pub const BAD_TYPE: Self = Self::of(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "the body must be application/x-www-form-urlencoded",
    );
    pub const TOO_LARGE: Self =
        Self::of(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large");
    pub const BAD_CLIENT: Self = Self {
        challenge: Some("Basic realm=\"oauth\", charset=\"UTF-8\""),
        ..Self::of(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "send the client_id and client_secret that the token was issued to",
        )
    };
    pub const BAD_BEARER: Self = Self {
        challenge: Some("Bearer realm=\"oauth\", error=\"invalid_token\""),
        ..Self::of(StatusCode::UNAUTHORIZED, "invalid_token", "the bearer token is not valid")
    };
    pub const NOT_ITS_OWN: Self = Self::of(
        StatusCode::FORBIDDEN,
        "unauthorized_client",
        "the token belongs to another account than the bearer token",
    );

    pub const fn bad_request(description: &'static str) -> Self {
        Self::of(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub const fn too_many(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::of(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many wrong client secrets from this address",
            )
        }
    }

    const fn of(status: StatusCode, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description, challenge: None, retry_after: None }
    }
}

impl From<Unavailable> for OAuthError {
    fn from(outage: Unavailable) -> Self {
        tracing::error!(error = %outage, "a request about a token could not be judged");
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..Self::of(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "try again in a moment",
            )
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = fresh(self.status, &body);
        if let Some(challenge) = self.challenge {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

/// A document about one moment: nobody keeps it.
pub(super) fn fresh(status: StatusCode, body: &Value) -> Response {
    let mut response = document(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// A document for everybody, from whatever page.
pub(super) fn public(body: &Value) -> Response {
    let mut response = document(body);
    for (name, value) in [
        (CACHE_CONTROL, "public, max-age=300"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn document(body: &Value) -> Response {
    let mut response = Response::new(body.to_string().into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A status alone.
pub(super) fn status(status: StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    protect(response.headers_mut());
    response
}

/// What every answer of ours carries.
pub(super) fn protect(headers: &mut HeaderMap) {
    answers::protect(headers);
}
