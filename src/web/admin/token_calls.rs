//! `/api/v1/tokens`, on the Unix socket only.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AdminState;
use super::problem::{Json, Problem};
use super::tokens::{Scope, TokenFileError};
use crate::flows::accounts;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    scope: Scope,
    #[serde(default)]
    name: String,
}

pub(super) async fn list(State(state): State<AdminState>) -> axum::Json<Value> {
    axum::Json(json!({ "items": state.tokens.list(), "next_cursor": null }))
}

/// The answer holds the token, once.
pub(super) async fn create(
    State(state): State<AdminState>,
    Json(body): Json<NewToken>,
) -> Result<Response, Problem> {
    let name = accounts::name(&body.name).map_err(|why| Problem::unprocessable(why.to_string()))?;
    let services = &state.services;
    let (info, token) = state
        .tokens
        .create(body.scope, &name, &*services.random, services.clock.now())
        .map_err(|error| failed(&error))?;
    let body = json!({
        "id": info.id,
        "scope": info.scope,
        "name": info.name,
        "created_at": info.created_at,
        "token": token.expose(),
    });
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

pub(super) async fn revoke(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match state.tokens.revoke(&id).map_err(|error| failed(&error))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("there is no token {id}"))),
    }
}

fn failed(error: &TokenFileError) -> Problem {
    tracing::error!(target: "passgate::admin", %error, "the tokens cannot be written down");
    let detail = format!("the tokens cannot be written down: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
