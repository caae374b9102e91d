//! `/livez`, `/readyz` and `/metrics`: no token, and nothing in them that needs one.

use std::future::Future;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::AdminState;
use crate::domain::account::AccountState;
use crate::domain::rollout::Phase;
use crate::ports::Unavailable;
use crate::telemetry::metrics::CONTENT_TYPE as OPENMETRICS;

/// How long a dependency may take to answer before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn livez(headers: HeaderMap) -> Response {
    answer(&headers, StatusCode::OK, "alive", json!({ "alive": true }))
}

/// Asks the store, the session cache and the PBX, all at once.
pub(super) async fn readyz(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    let services = &state.services;
    let (store, cache, pbx) = tokio::join!(
        within("store", services.accounts.ping()),
        within("cache", async { services.sessions.count().await.map(drop) }),
        within("pbx", services.portal.ping()),
    );
    let mut missing = Vec::new();
    let mut checks = Map::new();
    for (name, result) in [("store", store), ("cache", cache), ("pbx", pbx)] {
        if let Err(outage) = &result {
            tracing::warn!(target: "passgate::admin", check = name, %outage, "not ready");
            missing.push(name);
        }
        let word = if result.is_ok() { "ok" } else { "unavailable" };
        checks.insert(name.into(), Value::from(word));
    }
    // Not asked: without its mail server the gateway serves everybody who needs no link.
    let mail = if services.mail.is_some() { "on" } else { "off" };
    checks.insert("mail".into(), Value::from(mail));
    let (status, text) = match missing.is_empty() {
        true => (StatusCode::OK, "ready".to_owned()),
        false => {
            let text = format!("not ready: {} does not answer", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    };
    let body = json!({ "ready": missing.is_empty(), "missing": missing, "checks": checks });
    answer(&headers, status, &text, body)
}

/// The exposition. What only the store knows is read now; without the store the rest is shown.
pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
    let (services, metrics) = (&state.services, &state.metrics);
    let (sessions, accounts, write_backs, outbox) = tokio::join!(
        within("store", services.sessions.count()),
        within("store", services.accounts.count()),
        within("store", services.credentials.open_write_backs()),
        within("store", services.outbox.counts()),
    );
    if let Ok(counts) = outbox {
        metrics.outbox(counts.into_iter().map(|(state, count)| (state.name(), count)));
    }
    if let Ok(open) = write_backs {
        metrics.pin_writebacks_open(open);
    }
    if let Ok(sessions) = sessions {
        metrics.sessions(sessions);
    }
    if let Ok(counts) = accounts {
        for (label, wanted) in [
            ("pin_only", AccountState::PinOnly),
            ("password", AccountState::Password),
            ("disabled", AccountState::Disabled),
        ] {
            let of_state = counts.iter().filter(|(_, state, _)| *state == wanted);
            metrics.accounts(label, of_state.map(|(_, _, count)| count).sum());
        }
    }
    metrics.phase(match services.policies.rollout.everyone.phase(services.clock.now()) {
        Phase::Quiet => 0,
        Phase::Warn => 1,
        Phase::Force => 2,
        Phase::Reject => 3,
    });
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn within<T>(
    what: &'static str,
    asked: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Unavailable::new(what, "no answer within 2 s")),
    }
}

/// JSON, or one line of text for those who ask for it.
fn answer(headers: &HeaderMap, status: StatusCode, text: &str, body: Value) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let no_store = (CACHE_CONTROL, "no-store");
    if accept.starts_with("text/plain") {
        return (status, [no_store], format!("{text}\n")).into_response();
    }
    (status, [no_store], axum::Json(body)).into_response()
}
