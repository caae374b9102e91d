//! `/api/v1/sessions`: those of one account, and the end of one.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::AdminState;
use super::accounts::find;
use super::problem::{Problem, Query};
use super::tokens::hex;
use crate::domain::session::{ObtainedWith, SessionId, SessionRecord};
use crate::ports::SecurityEvent;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    /// Id or login name.
    account: String,
}

pub(super) async fn list(
    State(state): State<AdminState>,
    Query(query): Query<SessionsQuery>,
) -> Result<axum::Json<Value>, Problem> {
    let account = find(&state, &query.account).await?.account.id;
    let sessions = state.services.sessions.of_account(account).await?;
    let items: Vec<Value> = sessions.iter().map(body).collect();
    Ok(axum::Json(json!({ "items": items, "next_cursor": null })))
}

pub(super) async fn end(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found("there is no such session");
    let id = session_id(&id).ok_or_else(unknown)?;
    let ended = state.services.sessions.end(&id).await?.ok_or_else(unknown)?;
    let event = SecurityEvent::of("session_ended", "admin", &ended.record().login);
    state.services.audit.record(event);
    Ok(StatusCode::NO_CONTENT)
}

/// The id is the hash of the cookie's value: it names a session and opens none.
fn body(session: &SessionRecord) -> Value {
    let grant = session.grant.as_ref();
    json!({
        "kind": grant.map_or("portal", |grant| grant.kind.name()),
        "client_id": grant.and_then(|grant| grant.client.as_ref()).map(|client| &client.id),
        "id": hex(&session.id.0),
        "account": session.account,
        "login": session.login.to_string(),
        "obtained_with": match session.obtained_with {
            ObtainedWith::Pin => "pin",
            ObtainedWith::Password => "password",
            ObtainedWith::InitialPassword => "initial_password",
        },
        "client": session.client,
        "user_agent": session.user_agent,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen,
    })
}

fn session_id(text: &str) -> Option<SessionId> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut id = [0; 32];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(SessionId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_64_hexadecimal_digits() {
        let id = SessionId(std::array::from_fn(|index| index as u8 * 7));
        assert_eq!(session_id(&hex(&id.0)), Some(id));
        for bad in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"0".repeat(66)] {
            assert_eq!(session_id(bad), None, "{bad}");
        }
    }
}
