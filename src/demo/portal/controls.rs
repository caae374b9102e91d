//! How tests and the demo steer the portal: faults, and the same controls over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::json;

use super::fields::Fields;
use super::{State, answer};

/// What happens to a request.
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
    /// It is carried out, and the connection is closed without an answer.
    CarriedOutThenClose,
    /// It is carried out and never answered; the connection stays open.
    CarriedOutThenHang,
    /// It is carried out and answered with this status, as by a proxy that lost patience.
    CarriedOutThen(u16),
    /// An update of a subscriber is answered with 202 and carried out after this time; other
    /// requests are answered as usual.
    Later(Duration),
}

/// The faults in force, by path prefix and perhaps method.
#[derive(Default)]
pub struct Faults(Mutex<BTreeMap<(String, Option<String>), Failure>>);

impl Faults {
    pub(super) fn set(&self, method: Option<&str>, prefix: &str, failure: Failure) {
        let method = method.map(str::to_uppercase);
        self.0.lock().insert((prefix.to_lowercase(), method), failure);
    }

    /// Of the faults that fit, the one with the longest prefix, and of these the one that names
    /// the method.
    pub(super) fn of(&self, method: &str, path: &str) -> Failure {
        let faults = self.0.lock();
        let fitting = faults.iter().filter(|((prefix, only), _)| {
            path.starts_with(prefix.as_str()) && only.as_deref().is_none_or(|only| only == method)
        });
        let nearest = fitting.max_by_key(|((prefix, only), _)| (prefix.len(), only.is_some()));
        nearest.map_or(Failure::None, |(_, fault)| *fault)
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
            let failure = failure(&fields);
            if let Some(failure) = failure {
                let method = fields.value("method").filter(|method| !method.is_empty());
                state.faults.set(method, fields.value("path").unwrap_or("/"), failure);
            }
            done(failure.is_some())
        }
        _ => answer::plain(StatusCode::NOT_FOUND, "no such control"),
    }
}

/// The fault that the parameters `kind`, `status` and `ms` describe.
fn failure(fields: &Fields) -> Option<Failure> {
    let status = || u16::try_from(fields.number("status", 500)).ok();
    let time = || Duration::from_millis(fields.number("ms", 2000));
    match fields.value("kind")? {
        "none" => Some(Failure::None),
        "status" => status().map(Failure::Status),
        "hang" => Some(Failure::Hang),
        "close" => Some(Failure::Close),
        "slow" => Some(Failure::Slow(time())),
        "carried_out_then_close" => Some(Failure::CarriedOutThenClose),
        "carried_out_then_hang" => Some(Failure::CarriedOutThenHang),
        "carried_out_then_status" => status().map(Failure::CarriedOutThen),
        "later" => Some(Failure::Later(time())),
        _ => None,
    }
}
