//! `{prefix}/kept-form`: offers a form that was sent after its session had ended (R-C4). It is sent
//! by its button and by nothing else: the browser is sent on to the form's own place (307), and
//! there the gateway puts the form in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::kept_form::KeptFormToken;
use crate::domain::session::{LiveSession, Standing};
use crate::flows::kept_form::{Kept, offered, take};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::kept_form::{Decision, decide, forget, recall};
use crate::web::next_page;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let session = match full_session(&pages, &visit) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    match found(&pages, &visit, &session).await {
        Ok(Some((_, kept))) => page(&pages, &visit, &session, &kept, StatusCode::OK, None).done(),
        Ok(None) => nothing(&pages, &visit).done(),
        Err(kind) => visit.error(&pages, kind),
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let session = match full_session(&pages, &visit) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let (token, kept) = match found(&pages, &visit, &session).await {
        Ok(Some(found)) => found,
        Ok(None) => return nothing(&pages, &visit).done(),
        Err(kind) => return visit.error(&pages, kind),
    };
    if !visit.vouched(&pages, &session, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), |status, message| {
            page(&pages, &visit, &session, &kept, status, Some(message))
        });
    }
    match form.text("action") {
        "send" => {
            let services = &pages.services;
            let decision = Decision { token, target: kept.form.target };
            let id = &session.record().id;
            let decided = decide(services.vault.as_ref(), id, &decision, services.clock.now());
            visit
                .sent_on(&decision.target)
                .cookie(decided)
                .cookies(forget(&visit.headers))
                .cookies(next_page::forget(&visit.headers))
                .done()
        }
        "discard" => {
            let services = Arc::clone(&pages.services);
            let account = session.record().account;
            let taken = carried_out(async move { take(&services, &token, account).await }).await;
            match taken {
                Ok(_) => nothing(&pages, &visit).message(&pages, Message::FormDiscarded).done(),
                Err(kind) => visit.error(&pages, kind),
            }
        }
        _ => visit.error(&pages, ErrorKind::BadRequest),
    }
}

fn full_session(pages: &Pages, visit: &Visit) -> Result<Arc<LiveSession>, Box<Response>> {
    match visit.session() {
        Some((session, Standing::Full { .. })) => Ok(Arc::clone(session)),
        Some((_, standing)) => Err(Box::new(visit.elsewhere(pages, standing))),
        None => Err(Box::new(visit.to_login(pages))),
    }
}

async fn found(
    pages: &Pages,
    visit: &Visit,
    session: &LiveSession,
) -> Result<Option<(KeptFormToken, Kept)>, ErrorKind> {
    let Some(token) = recall(&visit.headers) else { return Ok(None) };
    let (services, account) = (Arc::clone(&pages.services), session.record().account);
    let asked = token.clone();
    let kept = carried_out(async move { offered(&services, &asked, account).await }).await?;
    Ok(kept.map(|kept| (token, kept)))
}

/// Used, thrown away, too old, or somebody else's: on to where the login would have led.
fn nothing(pages: &Pages, visit: &Visit) -> Reply {
    let home = &pages.look.settings().home;
    let own = pages.look.page("kept-form");
    let next = next_page::recall(&visit.headers).filter(|next| *next != own);
    visit
        .onward(next.as_ref().unwrap_or(home))
        .cookies(forget(&visit.headers))
        .cookies(next_page::forget(&visit.headers))
}

fn page(
    pages: &Pages,
    visit: &Visit,
    session: &LiveSession,
    kept: &Kept,
    status: StatusCode,
    message: Option<Value>,
) -> Reply {
    let now = pages.services.clock.now();
    let at = pages.look.moment(kept.sent_at, now, session.record().login.tenant());
    let context = context! { target => kept.form.target.as_str(), at, message };
    visit.page(pages, status, "kept_form.html", context)
}
