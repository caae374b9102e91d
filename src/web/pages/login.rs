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
use crate::domain::next_path::safe_next;
use crate::domain::rollout::Phase;
use crate::domain::session::Standing;
use crate::flows::Opened;
use crate::flows::login::{LoginAttempt, LoginOutcome, log_in};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::csrf::{self, Binding};
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::{cookies, flash};

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
    let vouched = Binding::of_browser(&visit.headers)
        .is_some_and(|binding| csrf::holds(&pages.services, &binding, form.text("csrf")));
    if !vouched {
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
        login: (pages.login_names)(typed, &visitor.host),
        secret,
        carried: Vec::new(),
        channel: "page",
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        device: visitor.device,
        current: visitor.session,
    };
    let services = Arc::clone(&pages.services);
    match carried_out(async move { log_in(&services, attempt).await }).await {
        Ok(LoginOutcome::Opened(opened)) => opened_to(&pages, &visit, &opened, next).done(),
        Ok(LoginOutcome::Refused) => refused(&Refusal::Said(Message::Refused)),
        Ok(LoginOutcome::Locked { until }) => {
            let wait = wait_until(until, pages.services.clock.now());
            refused(&Refusal::Said(Message::Locked { wait }))
        }
        Ok(LoginOutcome::TooLate(_)) => refused(&Refusal::Said(Message::TooLate)),
        Err(kind) => visit.error(&pages, kind),
    }
}

/// How long to wait; at least a second, so that nobody is told to come back at once.
pub(super) fn wait_until(until: Timestamp, now: Timestamp) -> Duration {
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    wait.max(Duration::from_secs(1))
}

/// Leads into a session that was just opened: where its standing belongs, else to the page that
/// was first asked for, else home (R-C3).
pub(super) fn opened_to(
    pages: &Pages,
    visit: &Visit,
    opened: &Opened,
    next: Option<&str>,
) -> Reply {
    let home = &pages.look.settings().home;
    let place = match opened.standing {
        Standing::Full { .. } => next.unwrap_or(home).to_owned(),
        // The PBX's second question stands where the PBX sent its own login.
        Standing::Challenge => opened.landing.as_ref().unwrap_or(home).clone(),
        standing => pages.place_of(standing),
    };
    let [session, device] = cookies::for_opened(opened);
    visit.onward(&place).cookie(session).cookie(device)
}

fn page(pages: &Pages, visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Reply {
    let known = Binding::of_browser(&visit.headers);
    let new = known.is_none();
    let binding = known.unwrap_or_else(|| Binding::new_browser(&pages.services));
    let context = context! {
        form_csrf => csrf::token(&pages.services, &binding),
        login => shown.login,
        next => shown.next,
        message => shown.message.clone(),
        pin_opens => pin_opens(pages),
    };
    let reply = visit.page(pages, status, "login.html", context);
    match binding {
        Binding::Browser(value) if new => reply.cookie(cookies::set(cookies::FORM, &value, None)),
        _ => reply,
    }
}

/// Whether the PIN still opens the portal for most people: then the page says so.
fn pin_opens(pages: &Pages) -> bool {
    let now = pages.services.clock.now();
    pages.services.policies.rollout.everyone.phase(now) < Phase::Reject
}
