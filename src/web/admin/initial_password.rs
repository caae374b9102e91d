//! `/api/v1/accounts/{account}/initial-password`: issues a one-time initial password, and shows it
//! this once (R-E1).

use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::AdminState;
use super::accounts::find;
use super::problem::Problem;
use crate::flows::initial_password::{self as flow, NotIssued};

pub(super) async fn issue(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let id = find(&state, &key).await?.account.id;
    let issued = flow::issue(&state.services, id).await?.map_err(|why| not_issued(why, &key))?;
    let body = json!({
        "login": issued.login.to_string(),
        "initial_password": issued.password.expose(),
        "expires_at": issued.expires_at,
        "locked_until": issued.locked_until,
    });
    let mut response = axum::Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn not_issued(why: NotIssued, key: &str) -> Problem {
    let (reason, detail) = match why {
        NotIssued::Unknown => return Problem::not_found(format!("there is no account {key}")),
        NotIssued::Disabled => (
            "disabled",
            "the account is switched off, so an initial password would not work: enable it first",
        ),
        NotIssued::Overtaken => {
            ("overtaken", "the account was changed at this moment: look at it, then try again")
        }
    };
    Problem::new(StatusCode::CONFLICT, detail).with_members(json!({ "reason": reason }))
}
