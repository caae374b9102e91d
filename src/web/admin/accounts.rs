//! `/api/v1/accounts`: list, show, make, change, unlock, switch off and on, delete.

use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::problem::{Json, Problem, Query};
use super::{AdminState, mails};
use crate::domain::account::{AccountId, AccountState, Bounce, NewAccount, Role};
use crate::domain::login_name::LoginName;
use crate::flows::accounts::{self as flow, AccountView};
use crate::flows::bounces::{self, NotMarked};
use crate::ports::{AccountQuery, Created};

/// An account as the API shows it. There is no field for a hash or a PIN.
#[derive(Debug, Serialize)]
pub(super) struct AccountBody {
    id: AccountId,
    login: String,
    tenant: String,
    extension: String,
    email: Option<String>,
    bounced: Option<BounceBody>,
    name: String,
    role: Role,
    state: AccountState,
    locked_until: Option<Timestamp>,
    password_set_at: Option<Timestamp>,
    initial_password_expires_at: Option<Timestamp>,
    pin_write_back: Option<&'static str>,
    last_login_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// That the address on file takes no mail.
#[derive(Debug, Serialize)]
struct BounceBody {
    at: Timestamp,
    reason: String,
}

impl From<AccountView> for AccountBody {
    fn from(AccountView { account, locked_until, pin_write_back }: AccountView) -> Self {
        Self {
            id: account.id,
            login: account.login.to_string(),
            tenant: account.login.tenant().to_owned(),
            extension: account.login.extension().to_owned(),
            state: account.state(),
            email: account.email,
            bounced: account.bounced.map(|Bounce { at, reason }| BounceBody { at, reason }),
            name: account.name,
            role: account.role,
            locked_until,
            password_set_at: account.password.map(|password| password.set_at),
            initial_password_expires_at: account.initial_password.map(|initial| initial.expires_at),
            pin_write_back: pin_write_back.then_some("pending"),
            last_login_at: account.last_login_at,
            created_at: account.created_at,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    tenant: Option<String>,
    q: Option<String>,
    state: Option<AccountState>,
    cursor: Option<String>,
    limit: Option<usize>,
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

pub(super) async fn list(
    State(state): State<AdminState>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(USUAL_PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {LARGEST_PAGE}")));
    }
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let query = AccountQuery {
        tenant: given(query.tenant).map(|tenant| crate::domain::login_name::fold(&tenant)),
        text: given(query.q).map(|text| text.trim().to_owned()),
        state: query.state,
        cursor: given(query.cursor),
        limit,
    };
    let page = flow::list(&state.services, &query).await?;
    let items: Vec<AccountBody> = page.items.into_iter().map(Into::into).collect();
    Ok(axum::Json(json!({ "items": items, "next_cursor": page.next_cursor })).into_response())
}

pub(super) async fn show(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<AccountBody>, Problem> {
    Ok(axum::Json(find(&state, &key).await?.into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBody {
    login: String,
    email: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: Role,
    /// Also e-mail them the link that sets the account up.
    #[serde(default)]
    send_welcome: bool,
}

/// The answer to making an account.
#[derive(Debug, Serialize)]
struct Made {
    #[serde(flatten)]
    account: AccountBody,
    /// `queued`, if a welcome was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    welcome_mail: Option<&'static str>,
}

pub(super) async fn create(
    State(state): State<AdminState>,
    Json(body): Json<NewBody>,
) -> Result<Response, Problem> {
    let new = NewAccount {
        login: LoginName::parse(&body.login).map_err(unprocessable)?,
        email: body.email.map(|text| flow::email(&text)).transpose().map_err(unprocessable)?,
        name: flow::name(&body.name).map_err(unprocessable)?,
        role: body.role,
    };
    let created = match body.send_welcome {
        true => {
            let to = mails::welcome_address(&state, &new)?;
            flow::create_welcomed(&state.services, new, &to).await?
        }
        false => flow::create(&state.services, new).await?,
    };
    match created {
        Created::New(account) => {
            let id = account.id;
            let welcome_mail = body.send_welcome.then_some("queued");
            let account = AccountView::fresh(account).into();
            let body = Made { account, welcome_mail };
            let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
            if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/accounts/{id}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        Created::Exists(account) => {
            let detail = format!("{} exists already", account.login);
            Err(Problem::new(StatusCode::CONFLICT, detail).with_members(json!({"id": account.id})))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchBody {
    /// Absent leaves it, `null` removes it.
    #[serde(default, deserialize_with = "present")]
    email: Option<Option<String>>,
    name: Option<String>,
    role: Option<Role>,
}

pub(super) async fn patch(
    State(state): State<AdminState>,
    Path(key): Path<String>,
    Json(body): Json<PatchBody>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let email = match body.email {
        Some(Some(text)) => Some(Some(flow::email(&text).map_err(unprocessable)?)),
        other => other,
    };
    let name = body.name.map(|text| flow::name(&text)).transpose().map_err(unprocessable)?;
    let details = flow::Details { email, name, role: body.role };
    let id = find(&state, &key).await?.account.id;
    changed(&key, flow::set_details(&state.services, id, details).await?)
}

pub(super) async fn delete(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = find(&state, &key).await?.account.id;
    match flow::delete(&state.services, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(&key)),
    }
}

pub(super) async fn unlock(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let id = find(&state, &key).await?.account.id;
    changed(&key, flow::unlock(&state.services, id).await?)
}

pub(super) async fn disable(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let id = find(&state, &key).await?.account.id;
    changed(&key, flow::set_disabled(&state.services, id, true).await?)
}

pub(super) async fn enable(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let id = find(&state, &key).await?.account.id;
    changed(&key, flow::set_disabled(&state.services, id, false).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BouncedBody {
    /// The address that is meant; refused if another one is on file by now.
    address: Option<String>,
    reason: Option<String>,
}

pub(super) async fn bounce(
    State(state): State<AdminState>,
    Path(key): Path<String>,
    Json(body): Json<BouncedBody>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let account = find(&state, &key).await?.account;
    let reason = body.reason.filter(|reason| !reason.trim().is_empty());
    let reason = reason.as_deref().unwrap_or("marked by an administrator");
    let marked = bounces::mark(&state.services, &account, body.address.as_deref(), reason).await?;
    let (status, why, detail) = match marked {
        Ok(()) => return changed(&key, flow::by_id(&state.services, account.id).await?),
        Err(NotMarked::NoAddress) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_address",
            "the account has no e-mail address on file",
        ),
        Err(NotMarked::OtherAddress) => {
            (StatusCode::CONFLICT, "other_address", "another e-mail address is on file by now")
        }
    };
    Err(Problem::new(status, detail).with_members(json!({ "reason": why })))
}

pub(super) async fn unbounce(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<AccountBody>, Problem> {
    let account = find(&state, &key).await?.account;
    bounces::lift(&state.services, &account).await?;
    changed(&key, flow::by_id(&state.services, account.id).await?)
}

pub(super) async fn sign_out(
    State(state): State<AdminState>,
    Path(key): Path<String>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    let id = find(&state, &key).await?.account.id;
    match flow::sign_out_all(&state.services, id).await? {
        Some(ended) => Ok(axum::Json(json!({ "ended": ended }))),
        None => Err(unknown(&key)),
    }
}

/// Finds an account by its id or its login name.
pub(super) async fn find(state: &AdminState, key: &str) -> Result<AccountView, Problem> {
    let found = if let Ok(id) = Uuid::parse_str(key) {
        flow::by_id(&state.services, AccountId(id)).await?
    } else if let Ok(login) = LoginName::parse(key) {
        flow::by_login(&state.services, &login).await?
    } else {
        None
    };
    found.ok_or_else(|| unknown(key))
}

fn changed(key: &str, view: Option<AccountView>) -> Result<axum::Json<AccountBody>, Problem> {
    view.map(|view| axum::Json(view.into())).ok_or_else(|| unknown(key))
}

fn unknown(key: &str) -> Problem {
    Problem::not_found(format!("there is no account {key}"))
}

fn unprocessable(error: impl std::fmt::Display) -> Problem {
    Problem::unprocessable(error.to_string())
}

/// Tells `null` from an absent member.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}
