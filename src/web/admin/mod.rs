//! The administration listener: health, metrics and the REST API (interfaces: "Admin listener").
//! The same router serves the TCP listener (bearer tokens) and the Unix socket in the data
//! directory (no token: its permissions are the check).

mod accounts;
mod auth;
mod campaigns;
mod clock;
mod export;
mod health;
mod import;
mod initial_password;
mod keys;
mod mails;
mod problem;
mod serve;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token_calls;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::{delete, get, post};

pub use auth::Access;
pub use clock::ClockControl;
pub use keys::{KeyControl, KeyInfo};
pub use serve::{AdminListeners, SOCKET_NAME, serve_admin};
pub use tokens::{AdminTokens, Scope, TokenFileError, TokenInfo};

use crate::flows::Services;
use crate::telemetry::Metrics;
use problem::Problem;

/// What the administration needs.
#[derive(Clone)]
pub struct AdminState {
    /// The flows' world.
    pub services: Arc<Services>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Tokens of the TCP listener.
    pub tokens: Arc<AdminTokens>,
    /// The clock, where it can be moved (demo and tests only); else the calls do not exist.
    pub clock: Option<Arc<ClockControl>>,
    /// The key ring.
    pub keys: Arc<KeyControl>,
}

/// Longest JSON body.
const JSON_LIMIT: usize = 64 * 1024;

/// The router for one door.
pub fn admin(state: AdminState, access: Access) -> Router {
    let api = api(&state, access)
        .fallback(|| async { Problem::not_found("the admin API has no such path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method")
        })
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(from_fn_with_state((access, Arc::clone(&state.tokens)), auth::require));
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .nest("/api/v1", api)
        .fallback(|| async { Problem::not_found("nothing is here; see /api/v1/openapi.json") })
        .with_state(state)
}

/// The calls below `/api/v1`, most read first. `openapi.json` describes the same list; a test
/// compares them.
fn api(state: &AdminState, access: Access) -> Router<AdminState> {
    let mut api = Router::new()
        .route("/openapi.json", get(openapi))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route(
            "/accounts/import",
            post(import::import).layer(DefaultBodyLimit::max(import::BODY_LIMIT)),
        )
        .route("/accounts/export", get(export::export))
        .route(
            "/accounts/{account}",
            get(accounts::show).patch(accounts::patch).delete(accounts::delete),
        )
        .route("/accounts/{account}/unlock", post(accounts::unlock))
        .route("/accounts/{account}/disable", post(accounts::disable))
        .route("/accounts/{account}/enable", post(accounts::enable))
        .route("/accounts/{account}/bounce", post(accounts::bounce))
        .route("/accounts/{account}/unbounce", post(accounts::unbounce))
        .route("/accounts/{account}/sign-out", post(accounts::sign_out))
        .route("/accounts/{account}/reset", post(mails::reset))
        .route("/accounts/{account}/welcome", post(mails::welcome))
        .route("/accounts/{account}/initial-password", post(initial_password::issue))
        .route("/campaigns", campaigns::list_and_start())
        .route("/campaigns/{id}", get(campaigns::show))
        .route("/campaigns/{id}/pause", post(campaigns::pause))
        .route("/campaigns/{id}/resume", post(campaigns::resume))
        .route("/campaigns/{id}/cancel", post(campaigns::cancel))
        .route("/outbox", get(mails::list))
        .route("/outbox/{id}/retry", post(mails::retry))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", delete(sessions::end))
        .route("/keys", get(keys::list))
        .route("/keys/rotate", post(keys::rotate));
    // Tokens are made where the data directory is: a stolen token cannot make itself a friend.
    if access == Access::Socket {
        api = api
            .route("/tokens", get(token_calls::list).post(token_calls::create))
            .route("/tokens/{id}", delete(token_calls::revoke));
    }
    if state.clock.is_some() {
        api = api.route("/clock", get(clock::show).post(clock::set));
    }
    api
}

async fn openapi() -> axum::response::Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}
