//! `/api/v1/campaigns`: the same mail to many accounts, and how far it is.

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::problem::{Json, Problem, Query};
use super::{AdminState, mails};
use crate::domain::account::AccountId;
use crate::domain::campaign::{Audience, CampaignId, CampaignKind, CampaignState, Order, Progress};
use crate::domain::login_name::LoginName;
use crate::flows::campaigns::{self as flow, CampaignView, NotStarted, Selection, Wanted};

/// Longest body: the largest selection.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Accounts that can be picked at once.
const LARGEST_SELECTION: usize = 20_000;

/// The calls of `/campaigns` itself.
pub(super) fn list_and_start() -> MethodRouter<AdminState> {
    get(list).post(start).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// A campaign as the API shows it.
#[derive(Debug, Serialize)]
struct CampaignBody {
    id: Option<String>,
    kind: &'static str,
    state: &'static str,
    audience: &'static str,
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    #[serde(flatten)]
    progress: ProgressBody,
    begun_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// `total` is the sum of those below it, but for the last.
#[derive(Debug, Serialize)]
struct ProgressBody {
    total: u64,
    planned: u64,
    queued: u64,
    sent: u64,
    failed: u64,
    dropped: u64,
    without_email: u64,
}

impl From<Progress> for ProgressBody {
    fn from(progress: Progress) -> Self {
        let total = progress.total();
        let Progress { planned, queued, sent, failed, dropped, without_email } = progress;
        Self { total, planned, queued, sent, failed, dropped, without_email }
    }
}

impl From<CampaignView> for CampaignBody {
    fn from(CampaignView { campaign, progress }: CampaignView) -> Self {
        let (mut tenant, mut before, mut date) = (None, None, None);
        let audience = match campaign.audience {
            Audience::Everybody => "everybody",
            Audience::Tenant(name) => {
                tenant = Some(name);
                "tenant"
            }
            Audience::Selected(_) => "selected",
            Audience::Imported(_) => "imported",
            Audience::Before(point) => {
                (before, date) = (Some(point.ahead.name()), Some(point.date));
                "date"
            }
        };
        Self {
            id: Some(campaign.id.to_string()),
            kind: campaign.kind.name(),
            state: campaign.state.name(),
            audience,
            tenant,
            before,
            date,
            progress: progress.into(),
            begun_at: Some(campaign.begun_at),
            ended_at: campaign.ended_at,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    kind: Kind,
    tenant: Option<String>,
    filter: Option<Filter>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Welcome,
    Reminder,
}

impl From<Kind> for CampaignKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Welcome => Self::Welcome,
            Kind::Reminder => Self::Reminder,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    ids: Option<Vec<Uuid>>,
    logins: Option<Vec<String>>,
    /// There is only one that gets such mails.
    #[serde(rename = "state")]
    _state: Option<OnlyState>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnlyState {
    PinOnly,
}

impl Filter {
    /// The accounts that it picks, if it picks any.
    fn selection(self) -> Result<Option<Selection>, Problem> {
        if self.ids.is_none() && self.logins.is_none() {
            return Ok(None);
        }
        let (ids, logins) = (self.ids.unwrap_or_default(), self.logins.unwrap_or_default());
        match ids.len() + logins.len() {
            0 => return Err(Problem::unprocessable("the filter names no account")),
            1..=LARGEST_SELECTION => {}
            _ => {
                let detail = format!("at most {LARGEST_SELECTION} accounts can be picked at once");
                return Err(Problem::unprocessable(detail));
            }
        }
        let parsed: Result<Vec<_>, _> = logins
            .iter()
            .map(|text| LoginName::parse(text).map_err(|why| format!("{text}: {why}")))
            .collect();
        let logins = parsed.map_err(Problem::unprocessable)?;
        Ok(Some(Selection { ids: ids.into_iter().map(AccountId).collect(), logins }))
    }
}

async fn start(
    State(state): State<AdminState>,
    Json(body): Json<NewBody>,
) -> Result<Response, Problem> {
    let wanted = Wanted {
        kind: body.kind.into(),
        tenant: body.tenant.filter(|tenant| !tenant.trim().is_empty()),
        selection: body.filter.map(Filter::selection).transpose()?.flatten(),
    };
    if body.dry_run {
        return dry_run(&state, wanted).await;
    }
    let view = flow::start(&state.services, wanted).await?.map_err(not_started)?;
    let location = format!("/api/v1/campaigns/{}", view.campaign.id);
    let mut response = (StatusCode::CREATED, axum::Json(CampaignBody::from(view))).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn dry_run(state: &AdminState, wanted: Wanted) -> Result<Response, Problem> {
    let (kind, tenant) = (wanted.kind.name(), wanted.tenant.clone());
    let audience = match (&wanted.selection, &tenant) {
        (Some(_), _) => "selected",
        (None, Some(_)) => "tenant",
        (None, None) => "everybody",
    };
    let progress = flow::dry_run(&state.services, wanted).await?.map_err(not_started)?;
    let body = CampaignBody {
        id: None,
        kind,
        state: "dry_run",
        audience,
        tenant,
        before: None,
        date: None,
        progress: progress.into(),
        begun_at: None,
        ended_at: None,
    };
    Ok(axum::Json(body).into_response())
}

fn not_started(why: NotStarted) -> Problem {
    const SHOWN: usize = 20;
    let some = |names: &[String]| {
        let rest = names.len().saturating_sub(SHOWN);
        let shown = names[..names.len() - rest].join(", ");
        if rest > 0 { format!("{shown} and {rest} others") } else { shown }
    };
    match why {
        NotStarted::Off => mails::mail_off(),
        NotStarted::AtWork(same) => {
            let state = same.state.name();
            let detail = format!(
                "the same campaign is {state} already, since {}: {}; see how far it is, or cancel it",
                same.begun_at, same.id
            );
            let members = json!({ "reason": "at_work", "id": same.id.to_string(), "state": state });
            Problem::new(StatusCode::CONFLICT, detail).with_members(members)
        }
        NotStarted::Unknown(names) => {
            let detail = format!("there is no account {}", some(&names));
            Problem::unprocessable(detail)
                .with_members(json!({ "reason": "unknown_accounts", "accounts": names }))
        }
        NotStarted::OfAnotherTenant(logins) => {
            let names: Vec<String> = logins.iter().map(ToString::to_string).collect();
            let detail = format!("of another tenant: {}", some(&names));
            Problem::unprocessable(detail)
                .with_members(json!({ "reason": "other_tenant", "accounts": names }))
        }
        NotStarted::NoTenant(tenant) => {
            let detail = format!("there is no account of the tenant {tenant}");
            Problem::unprocessable(detail).with_members(json!({ "reason": "unknown_tenant" }))
        }
        NotStarted::NothingAhead => {
            let detail = "there is nothing to remind of: no force or reject date is ahead";
            Problem::unprocessable(detail).with_members(json!({ "reason": "no_date" }))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<ShownState>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShownState {
    Running,
    Paused,
    Cancelled,
    Finished,
}

impl From<ShownState> for CampaignState {
    fn from(state: ShownState) -> Self {
        match state {
            ShownState::Running => Self::Running,
            ShownState::Paused => Self::Paused,
            ShownState::Cancelled => Self::Cancelled,
            ShownState::Finished => Self::Finished,
        }
    }
}

async fn list(
    State(state): State<AdminState>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    const LARGEST_PAGE: usize = 1000;
    let limit = query.limit.unwrap_or(100);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {LARGEST_PAGE}")));
    }
    let cursor = match query.cursor.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            campaign_id(text)
                .ok_or_else(|| Problem::bad_request("the cursor is none that a page ended with"))?,
        ),
    };
    let wanted = query.state.map(Into::into);
    let (views, next) = flow::list(&state.services, wanted, cursor, limit).await?;
    let items: Vec<CampaignBody> = views.into_iter().map(Into::into).collect();
    let next_cursor = next.map(|id| id.to_string());
    Ok(axum::Json(json!({ "items": items, "next_cursor": next_cursor })).into_response())
}

pub(super) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = match campaign_id(&id) {
        Some(known) => flow::by_id(&state.services, known).await?,
        None => None,
    };
    let view = found.ok_or_else(|| unknown(&id))?;
    Ok(axum::Json(CampaignBody::from(view)).into_response())
}

pub(super) async fn pause(state: State<AdminState>, id: Path<String>) -> Result<Response, Problem> {
    told(state, id, Order::Pause).await
}

pub(super) async fn resume(
    state: State<AdminState>,
    id: Path<String>,
) -> Result<Response, Problem> {
    told(state, id, Order::Resume).await
}

pub(super) async fn cancel(
    state: State<AdminState>,
    id: Path<String>,
) -> Result<Response, Problem> {
    told(state, id, Order::Cancel).await
}

async fn told(
    State(state): State<AdminState>,
    Path(id): Path<String>,
    order: Order,
) -> Result<Response, Problem> {
    let known = campaign_id(&id).ok_or_else(|| unknown(&id))?;
    match flow::order(&state.services, known, order).await?.ok_or_else(|| unknown(&id))? {
        Ok(view) => Ok(axum::Json(CampaignBody::from(view)).into_response()),
        Err(is) => {
            let detail = format!("the campaign is {} already", is.name());
            let members = json!({ "reason": is.name() });
            Err(Problem::new(StatusCode::CONFLICT, detail).with_members(members))
        }
    }
}

fn campaign_id(text: &str) -> Option<CampaignId> {
    Uuid::parse_str(text).ok().map(CampaignId)
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no campaign {id}"))
}
