//! A post of the portal's own login form (R-C1): from a bounded body to a login attempt, and from
//! its outcome to what the portal's page or script expects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use jiff::Timestamp;

use super::{Landing, Sender, add_cookies, landing, see_other};
use crate::domain::login_name::LoginName;
use crate::domain::session::Standing;
use crate::flows::login::{LoginAttempt, LoginOutcome, log_in};
use crate::flows::rejection::Rejection;
use crate::flows::{Opened, Outage, Services};
use crate::gateway::cookies;
use crate::ports::Unavailable;
use crate::profile::{AnswerKind, BadShape, LoginEndpoint, LoginRequest, Profile};
use crate::web::cookies as own_cookies;
use crate::web::flash::{self, Flash};
use crate::web::notice::{Message, Notices};
use crate::web::{kept_form, next_page};

/// A login request: its bounded body and what stands beside it.
pub(in crate::gateway) struct LoginPost<'a> {
    pub(in crate::gateway) endpoint: &'a LoginEndpoint,
    pub(in crate::gateway) headers: &'a HeaderMap,
    pub(in crate::gateway) query: Option<&'a str>,
    pub(in crate::gateway) body: Bytes,
}

/// Where the answers of a login lead.
pub(in crate::gateway) struct LoginPlaces<'a> {
    pub(in crate::gateway) landing: Landing<'a>,
    pub(in crate::gateway) login_page: &'a str,
    pub(in crate::gateway) notices: &'a Notices,
}

/// Why a login was not judged at all.
pub(in crate::gateway) enum NotJudged {
    /// It does not have the profile's shape.
    Shape(BadShape),
    /// Something does not answer: never a wrong password.
    Outage(Outage),
}

/// Carries out the login and says what the browser is to be told.
pub(in crate::gateway) async fn answer(
    services: &Arc<Services>,
    profile: &Profile,
    sender: &Sender,
    post: &LoginPost<'_>,
    places: &LoginPlaces<'_>,
) -> Result<Response<Bytes>, NotJudged> {
    let attempt = attempt(profile, sender, post).map_err(NotJudged::Shape)?;
    let typed = attempt.typed.clone();
    let tenant = attempt.login.as_ref().map_or("", LoginName::tenant).to_owned();
    let task = {
        let services = Arc::clone(services);
        // In a task of its own: a client that disconnects does not leave it half-done.
        tokio::spawn(async move { log_in(&services, attempt).await })
    };
    let outcome = task
        .await
        .map_err(|error| NotJudged::Outage(Outage::Store(Unavailable::new("task", error))))?
        .map_err(NotJudged::Outage)?;

    let now = services.clock.now();
    let mut page = places.login_page.to_owned();
    let message = match outcome {
        LoginOutcome::Opened(opened) => return Ok(signed_in(&opened, post, places)),
        LoginOutcome::Refused => Message::Refused,
        LoginOutcome::Locked { until } => Message::Locked { wait: wait(until, now) },
        LoginOutcome::TooLate(rejection) => {
            if let Rejection::Mailed { redirect: true, .. } = rejection {
                page = format!("{}/reset", places.landing.prefix);
            }
            Message::of_rejection(&rejection, &tenant, services)
        }
    };
    let flash = Flash { message, login: typed };
    Ok(refused(post, places, &page, &flash, || flash::create(&*services.vault, &flash, now)))
}

fn attempt(
    profile: &Profile,
    sender: &Sender,
    post: &LoginPost<'_>,
) -> Result<LoginAttempt, BadShape> {
    // What is not ASCII says nothing that a profile asks for: mostly cookies of other scripts.
    let headers: Vec<(&str, &str)> = post
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let request = LoginRequest { headers: &headers, query: post.query, body: &post.body };
    let read = profile.read_login(post.endpoint, &request)?;
    let host_tenant = read.tenant.or_else(|| profile.tenant_of_host(without_port(&sender.host)));
    Ok(LoginAttempt {
        login: profile.login_name(&read.user, host_tenant.as_deref()).ok(),
        typed: read.user,
        secret: read.secret,
        carried: read.carried,
        channel: "portal",
        client: sender.client,
        user_agent: sender.user_agent.clone(),
        host: sender.host.clone(),
        language: Some(sender.language.clone()),
        device: cookie(post.headers, cookies::DEVICE).map(str::to_owned),
        current: sender.session.clone(),
    })
}

fn signed_in(opened: &Opened, post: &LoginPost<'_>, places: &LoginPlaces<'_>) -> Response<Bytes> {
    let next = kept_form::page_first(post.headers, places.landing.prefix)
        .or_else(|| next_page::recall(post.headers));
    let place = landing(opened, &places.landing, next.clone());
    let mut response = see_other(&place, session_cookies(opened));
    let cookie = match opened.standing {
        // One of our pages stands before it: remembered anew, that may take its time.
        Standing::Held | Standing::PinNeeded => next.as_deref().and_then(next_page::remember),
        Standing::Challenge => None,
        Standing::Full { .. } | Standing::Ended => next_page::forget(post.headers),
    };
    add_cookies(&mut response, cookie);
    response
}

/// The cookies of a session that was just opened; the visitor's are no longer needed.
pub(in crate::gateway) fn session_cookies(opened: &Opened) -> impl Iterator<Item = HeaderValue> {
    let visitor = HeaderValue::try_from(cookies::clear_own(cookies::VISITOR));
    // The cookie's name is a constant: always a header value.
    let visitor = visitor.unwrap_or_else(|_| HeaderValue::from_static(""));
    own_cookies::for_opened(opened).chain([visitor])
}

/// A refusal in the language of who asked: a script gets the profile's own answer, a person is
/// sent to `page` (mostly back to the login form) with a message.
fn refused(
    post: &LoginPost<'_>,
    places: &LoginPlaces<'_>,
    page: &str,
    flash: &Flash,
    cookie: impl FnOnce() -> HeaderValue,
) -> Response<Bytes> {
    let kind = match flash.message {
        Message::Locked { .. } => AnswerKind::Locked,
        Message::TooLate | Message::NoAddress | Message::Mailed { .. } => AnswerKind::SetPassword,
        _ => AnswerKind::Refused,
    };
    let Some(template) = post.endpoint.answer(kind) else {
        return see_other(page, [cookie()]);
    };
    let message = places.notices.message_text(&flash.message);
    let url = format!("{}/login", places.landing.prefix);
    let values = [("message", message.as_str()), ("login", &flash.login), ("url", &url)];
    let mut response = Response::new(Bytes::from(template.render(&values)));
    *response.status_mut() = StatusCode::from_u16(template.status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::from_str(&template.content_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Message::Locked { wait } = flash.message {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    response
}

fn wait(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::from_secs(1))
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookies::find(headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes), name)
}

pub(in crate::gateway) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
