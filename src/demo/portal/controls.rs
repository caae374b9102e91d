//! How tests and the demo steer the portal: faults, and the same controls over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use super::fields::Fields;
use super::{State, answer};

/// What happens to a request instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing: it is answered.
    None,
    /// It is answered with this status and a PHP-like message.
    Status(u16),
    /// It is never answered; the connection stays open.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// It is answered as usual after this time.
    Slow(Duration),
}

/// The faults in force, by path prefix.
#[derive(Default)]
pub struct Faults(Mutex<BTreeMap<String, Failure>>);

impl Faults {
    pub(super) fn set(&self, prefix: &str, failure: Failure) {
        self.0.lock().insert(prefix.to_lowercase(), failure);
    }

    pub(super) fn of(&self, path: &str) -> Failure {
        let faults = self.0.lock();
        let of_path = faults.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str()));
        of_path.max_by_key(|(prefix, _)| prefix.len()).map_or(Failure::None, |(_, fault)| *fault)
    }

    fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Answers a request under `/__portal/`; parameters as form, query or JSON.
pub(super) async fn respond(state: &State, path: &str, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let fields = Fields::read(parts.uri.query(), &parts.headers, &body);
    let value = |name| fields.value(name).unwrap_or_default();
    let done = |ok: bool| {
        let status = if ok { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        answer::json(status, &json!({ "ok": ok }))
    };
    match (parts.method.as_str(), path) {
        ("GET", "/__portal/record") => {
            let since = fields.number("since", 0);
            let mut requests = state.record.requests();
            requests.retain(|request| request.number > since);
            answer::json(StatusCode::OK, &json!({ "requests": requests }))
        }
        ("GET", "/__portal/logins") => {
            let requests = state.record.requests().into_iter();
            let logins: Vec<_> = requests.flat_map(|request| request.logins).collect();
            answer::json(StatusCode::OK, &json!({ "logins": logins }))
        }
        ("POST", "/__portal/reset") => {
            state.record.clear();
            state.faults.clear();
            state.expire();
            state.users.reset(&state.options.users);
            done(true)
        }
        ("POST", "/__portal/expire") => {
            state.expire();
            done(true)
        }
        ("POST", "/__portal/pin") => {
            let pin = value("pin").to_owned();
            done(state.users.change(value("login"), |user| user.pin = pin))
        }
        ("POST", "/__portal/mfa") => {
            let required = value("required") != "false";
            done(state.users.change(value("login"), |user| user.mfa = required))
        }
        ("POST", "/__portal/fail") => {
            let failure = match value("kind") {
                "none" => Some(Failure::None),
                "status" => u16::try_from(fields.number("status", 500)).ok().map(Failure::Status),
                "hang" => Some(Failure::Hang),
                "close" => Some(Failure::Close),
                "slow" => Some(Failure::Slow(Duration::from_millis(fields.number("ms", 2000)))),
                _ => None,
            };
            if let Some(failure) = failure {
                state.faults.set(fields.value("path").unwrap_or("/"), failure);
            }
            done(failure.is_some())
        }
        _ => answer::plain(StatusCode::NOT_FOUND, "no such control"),
    }
}
