//! `/api/v1/keys`: the key ring's keys, never their bytes, and rotation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::AdminState;
use super::problem::Problem;

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its number, which every value that it sealed carries.
    pub id: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it seals new values, or only opens what it sealed.
    pub active: bool,
}

type List = dyn Fn() -> Vec<KeyInfo> + Send + Sync;
type Rotate = dyn Fn() -> Result<KeyInfo, String> + Send + Sync;

/// The running gateway's key ring.
pub struct KeyControl {
    list: Box<List>,
    rotate: Box<Rotate>,
}

impl KeyControl {
    /// `list` gives the keys, oldest first; `rotate` adds one that seals from now on, or says why
    /// it could not.
    pub fn new(
        list: impl Fn() -> Vec<KeyInfo> + Send + Sync + 'static,
        rotate: impl Fn() -> Result<KeyInfo, String> + Send + Sync + 'static,
    ) -> Self {
        Self { list: Box::new(list), rotate: Box::new(rotate) }
    }
}

pub(super) async fn list(State(state): State<AdminState>) -> axum::Json<Value> {
    axum::Json(json!({ "items": (state.keys.list)(), "next_cursor": null }))
}

pub(super) async fn rotate(State(state): State<AdminState>) -> Result<Response, Problem> {
    match (state.keys.rotate)() {
        Ok(key) => Ok((StatusCode::CREATED, axum::Json(key)).into_response()),
        Err(why) => {
            tracing::error!(target: "passgate::admin", %why, "the key ring was not rotated");
            let detail = format!("the key ring was not changed: {why}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        }
    }
}
