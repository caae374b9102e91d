//! `/api/v1/accounts/{account}/reset` and `/welcome`, and `/api/v1/outbox`: a link for a user, and
//! what became of it. No answer holds a link.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::AdminState;
use super::accounts::find;
use super::problem::{Problem, Query};
use crate::domain::account::NewAccount;
use crate::domain::mail::{MailId, MailState};
use crate::flows::mails::{self as flow, MailView, NotRetried, NotSent, UserLink};

/// A mail as the API shows it. There is no field for its link.
#[derive(Debug, Serialize)]
struct MailBody {
    id: String,
    kind: &'static str,
    login: Option<String>,
    to: String,
    state: &'static str,
    attempts: u32,
    last_error: Option<String>,
    asked_at: Timestamp,
    next_attempt_at: Option<Timestamp>,
}

impl From<MailView> for MailBody {
    fn from(MailView { stored, login }: MailView) -> Self {
        let waiting = stored.state == MailState::Queued;
        Self {
            id: stored.mail.id.to_string(),
            kind: stored.mail.kind.name(),
            login: login.map(|login| login.to_string()),
            to: stored.mail.to,
            state: shown(stored.state),
            attempts: stored.attempts,
            last_error: stored.last_error,
            asked_at: stored.mail.asked_at,
            next_attempt_at: waiting.then_some(stored.next_attempt_at),
        }
    }
}

/// What is being handed over is a matter of seconds, and either outcome is still possible: for
/// people it is queued.
fn shown(state: MailState) -> &'static str {
    match state {
        MailState::Sending => MailState::Queued.name(),
        other => other.name(),
    }
}

pub(super) async fn reset(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    send(&state, &key, UserLink::Reset).await
}

pub(super) async fn welcome(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    send(&state, &key, UserLink::Welcome).await
}

async fn send(state: &AdminState, key: &str, link: UserLink) -> Result<Response, Problem> {
    let account = find(state, key).await?.account;
    let asked = flow::send(&state.services, &account, link).await?;
    let asked = asked.map_err(not_sent)?;
    let body = json!({
        "mail": if asked.already { "already" } else { "queued" },
        "kind": link.kind().name(),
        "login": account.login.to_string(),
        "to": asked.to,
        "asked_at": asked.at,
    });
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

/// Where the welcome of a new account goes, asked before it is made: all or nothing.
pub(super) fn welcome_address(state: &AdminState, new: &NewAccount) -> Result<String, Problem> {
    match (&state.services.mail, &new.email) {
        (None, _) => Err(mail_off()),
        (_, None) => Err(not_sent(NotSent::NoAddress)),
        (Some(_), Some(to)) => Ok(to.clone()),
    }
}

fn not_sent(why: NotSent) -> Problem {
    let (status, reason, detail) = match why {
        NotSent::Disabled => (
            StatusCode::CONFLICT,
            "disabled",
            "the account is switched off, so a link would not work: enable it first",
        ),
        NotSent::HasPassword => (
            StatusCode::CONFLICT,
            "has_password",
            "the account has a portal password already: send a reset link instead",
        ),
        NotSent::NoAddress => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_address",
            "the account has no e-mail address on file: set one first",
        ),
        NotSent::Bounced => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bounced",
            "the address on file takes no mail: set another one, or lift the mark if it does again",
        ),
        NotSent::AddressFull { until } => {
            let detail = format!(
                "so many mails were asked for to this address (limits.mails_per_address) that the \
                 next one can be asked for at {until}"
            );
            let members = json!({ "reason": "address_full", "until": until });
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with_members(members);
        }
        NotSent::Off => return mail_off(),
    };
    Problem::new(status, detail).with_members(json!({ "reason": reason }))
}

pub(super) fn mail_off() -> Problem {
    let detail = "e-mail is off: set mail.url in the configuration, then restart";
    Problem::new(StatusCode::CONFLICT, detail).with_members(json!({ "reason": "mail_off" }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutboxQuery {
    state: Option<ShownState>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// The states that can be asked for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShownState {
    Queued,
    Sent,
    Dead,
    Dropped,
}

impl From<ShownState> for MailState {
    fn from(state: ShownState) -> Self {
        match state {
            ShownState::Queued => Self::Queued,
            ShownState::Sent => Self::Sent,
            ShownState::Dead => Self::Dead,
            ShownState::Dropped => Self::Dropped,
        }
    }
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

pub(super) async fn list(
    State(state): State<AdminState>,
    Query(query): Query<OutboxQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(USUAL_PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {LARGEST_PAGE}")));
    }
    let cursor = query.cursor.filter(|text| !text.is_empty()).map(|text| mail_id(&text));
    let cursor = match cursor {
        Some(None) => return Err(Problem::bad_request("this cursor is of no page")),
        Some(cursor) => cursor,
        None => None,
    };
    let wanted = query.state.map(MailState::from);
    let page = flow::list(&state.services, wanted, cursor, limit).await?;
    let items: Vec<MailBody> = page.items.into_iter().map(Into::into).collect();
    let next_cursor = page.next_cursor.map(|id| id.to_string());
    Ok(axum::Json(json!({ "items": items, "next_cursor": next_cursor })).into_response())
}

pub(super) async fn retry(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("there is no such mail");
    let id = mail_id(&id).ok_or_else(unknown)?;
    match flow::retry(&state.services, id).await?.ok_or_else(unknown)? {
        Ok(view) => Ok(axum::Json(MailBody::from(view)).into_response()),
        Err(NotRetried::Off) => Err(mail_off()),
        Err(NotRetried::Bounced) => Err(not_sent(NotSent::Bounced)),
        Err(NotRetried::Is(now)) => {
            let detail = match now {
                MailState::Sent => "the mail server has this mail already",
                MailState::Dropped => {
                    "this mail is not needed any more: what it was for has changed since"
                }
                _ => "this mail is being handed over at this moment",
            };
            let members = json!({ "reason": now.name() });
            Err(Problem::new(StatusCode::CONFLICT, detail).with_members(members))
        }
    }
}

fn mail_id(text: &str) -> Option<MailId> {
    Uuid::parse_str(text).ok().map(MailId)
}
