//! Who may call the admin API: a bearer token on the listener, anybody who can open the Unix
//! socket (its owner).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::tokens::{AdminTokens, Scope, TokenInfo};

/// By which door a caller comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The TCP listener: every call of `/api/v1` needs a token.
    Token,
    /// The Unix socket in the data directory: its permissions are the check.
    Socket,
}

/// Checks the caller, and notes what was changed by whom.
pub(super) async fn require(
    State((access, tokens)): State<(Access, Arc<AdminTokens>)>,
    request: Request,
    next: Next,
) -> Response {
    let actor = match caller(access, &tokens, request.method(), request.headers()) {
        Ok(actor) => actor,
        Err(problem) => return problem.into_response(),
    };
    let method = request.method().clone();
    // Nested below `/api/v1`, the path comes without it; the log has it whole.
    let path = format!("/api/v1{}", request.uri().path());
    let mut response = next.run(request).await;
    if !is_read(&method) {
        tracing::info!(
            target: "passgate::admin",
            actor = %crate::telemetry::escape::login(&actor),
            %method,
            path = %crate::telemetry::escape::path(&path),
            status = response.status().as_u16(),
            "administration",
        );
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn caller(
    access: Access,
    tokens: &AdminTokens,
    method: &Method,
    headers: &HeaderMap,
) -> Result<String, Problem> {
    if access == Access::Socket {
        return Ok("socket".into());
    }
    let Some(token) = bearer(headers) else {
        let detail = "a bearer token is needed; make one with `passgate token create`";
        return Err(Problem::unauthorized("Bearer realm=\"passgate\"", detail));
    };
    let Some(info) = tokens.check(token) else {
        let challenge = "Bearer realm=\"passgate\", error=\"invalid_token\"";
        return Err(Problem::unauthorized(challenge, "the token is not valid"));
    };
    match info.scope {
        Scope::Write => Ok(actor(&info)),
        Scope::Read if is_read(method) => Ok(actor(&info)),
        Scope::Read => Err(Problem::forbidden("this token may only read; scope `write` is needed")),
    }
}

fn actor(info: &TokenInfo) -> String {
    format!("token:{}:{}", info.id, info.name)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The token of exactly one `Authorization: Bearer` header (RFC 6750 §2.1); the scheme in any
/// case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
