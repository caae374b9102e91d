//! `{prefix}/login`: Passgate's own login page, for portals whose form cannot be used, and for
//! everybody who comes to one of our pages without a session.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use minijinja::context;
use minijinja::value::Value;

use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::login_name::LoginName;
use crate::domain::next_path::safe_next;
use crate::domain::rollout::Phase;
use crate::domain::session::Standing;
use crate::flows::Opened;
use crate::flows::login::{LoginAttempt, LoginOutcome, log_in};
use crate::flows::rejection::Rejection;
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::{cookies, flash, kept_form, next_page};

/// A login name that is shown again is cut to this many characters.
const SHOWN: usize = 255;

/// What the page shows besides its empty form.
#[derive(Default)]
struct Shown<'a> {
    login: &'a str,
    next: Option<&'a str>,
    message: Option<Value>,
}

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let wanted = visit.query("next");
    let next = wanted.as_deref().and_then(safe_next);
    match visit.session() {
        // Signed in already, perhaps in another tab.
        Some((_, Standing::Full { .. })) => {
            return visit.lead_on(next.unwrap_or(&pages.look.settings().home));
        }
        Some((_, standing @ (Standing::Held | Standing::PinNeeded))) => {
            return visit.lead_on(&pages.place_of(standing));
        }
        _ => {}
    }
    let left = visit.flash(&pages);
    let message = left.as_ref().map(|flash| visit.shown(&pages, flash, ""));
    let login = left.as_ref().map_or("", |flash| flash.login.as_str());
    let reply = page(&pages, &visit, StatusCode::OK, &Shown { login, next, message });
    match left {
        Some(_) => reply.cookie(flash::remove()).done(),
        None => reply.done(),
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let typed = form.text("login");
    let next = safe_next(form.text("next"));
    let refused = |refusal: &Refusal| {
        let login: String = typed.chars().take(SHOWN).collect();
        visit.refuse(&pages, refusal, |status, message| {
            page(&pages, &visit, status, &Shown { login: &login, next, message: Some(message) })
        })
    };
    if !visit.vouched_by_browser(&pages, form.text("csrf")) {
        return refused(&Refusal::Said(Message::Stale));
    }
    let secret = form.secret("password");
    if typed.trim().is_empty() || secret.is_empty() {
        return refused(&Refusal::Incomplete("message.incomplete"));
    }
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(&pages, ErrorKind::Internal);
    };

    let attempt = LoginAttempt {
        typed: typed.to_owned(),
        login: (pages.login_names.read)(typed, &visitor.host),
        secret,
        carried: Vec::new(),
        channel: "page",
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        language: Some(pages.look.language().clone()),
        device: visitor.device,
        current: visitor.session,
    };
    let tenant = attempt.login.as_ref().map_or("", LoginName::tenant).to_owned();
    let services = Arc::clone(&pages.services);
    match carried_out(async move { log_in(&services, attempt).await }).await {
        Ok(LoginOutcome::Opened(opened)) => {
            opened_to(&pages, &visit, &opened, Then::FirstAsked(next)).done()
        }
        Ok(LoginOutcome::Refused) => refused(&Refusal::Said(Message::Refused)),
        Ok(LoginOutcome::Locked { until }) => {
            let wait = wait_until(until, pages.services.clock.now());
            refused(&Refusal::Said(Message::Locked { wait }))
        }
        Ok(LoginOutcome::TooLate(rejection)) => {
            let message = Message::of_rejection(&rejection, &tenant, &pages.services);
            match rejection {
                Rejection::Mailed { redirect: true, .. } if !visit.wants_json() => {
                    visit.onward(&pages.look.page("reset")).message(&pages, message).done()
                }
                _ => refused(&Refusal::Said(message)),
            }
        }
        Err(kind) => visit.error(&pages, kind),
    }
}

/// How long to wait; at least a second, so that nobody is told to come back at once.
pub(super) fn wait_until(until: Timestamp, now: Timestamp) -> Duration {
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    wait.max(Duration::from_secs(1))
}

/// Where a sign-in leads once nothing stands before the portal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then<'a> {
    /// To the page first asked for: what the form says, else what the browser remembers (R-C3);
    /// home, if that is nothing. Before them all, to a form that was sent too late (R-C4).
    FirstAsked(Option<&'a str>),
    /// To this page.
    Page(&'a str),
    /// Home, whatever was asked for before.
    Home,
}

/// Leads into a session that was just opened: where its standing belongs, and `then` on.
pub(super) fn opened_to(pages: &Pages, visit: &Visit, opened: &Opened, then: Then<'_>) -> Reply {
    let home = &pages.look.settings().home;
    let wanted = match then {
        Then::FirstAsked(next) => {
            kept_form::page_first(&visit.headers, &pages.look.settings().prefix)
                .or_else(|| next.map(str::to_owned))
                .or_else(|| next_page::recall(&visit.headers))
        }
        Then::Page(next) => Some(next.to_owned()),
        Then::Home => None,
    };
    let (place, remembered) = match opened.standing {
        Standing::Full { .. } => {
            (wanted.unwrap_or_else(|| home.clone()), next_page::forget(&visit.headers))
        }
        // The PBX's second question stands where the PBX sent its own login.
        Standing::Challenge => (opened.landing.as_ref().unwrap_or(home).clone(), None),
        // Another page of ours comes first, and may take its time.
        standing => {
            let remembered = match wanted {
                Some(wanted) => next_page::remember(&wanted),
                None => next_page::forget(&visit.headers),
            };
            (pages.place_of(standing), remembered)
        }
    };
    visit.onward(&place).cookies(cookies::for_opened(opened)).cookies(remembered)
}

fn page(pages: &Pages, visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Reply {
    let (form_csrf, cookie) = visit.browser_token(pages);
    let context = context! {
        form_csrf,
        login => shown.login,
        next => shown.next,
        message => shown.message.clone(),
        pin_opens => pin_opens(pages),
    };
    visit.page(pages, status, "login.html", context).cookies(cookie)
}

/// Whether the PIN still opens the portal for most people: then the page says so.
fn pin_opens(pages: &Pages) -> bool {
    let now = pages.services.clock.now();
    pages.services.policies.rollout.everyone.phase(now) < Phase::Reject
}
