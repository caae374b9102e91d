//! `{prefix}/sign-out`: POST ends the session (R-C6); GET only asks, so that no link or picture
//! on another site can sign anybody out.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;

use super::visit::Visit;
use super::{Pages, carried_out};
use crate::flows::sign_out::sign_out;
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::{cookies, kept_form, next_page};

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    match visit.session() {
        Some(_) => visit.page(&pages, StatusCode::OK, "sign_out.html", context! {}).done(),
        None => visit.lead_on(&pages.look.settings().login_page),
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let Some((session, _)) = visit.session() else {
        return visit.lead_on(&pages.look.settings().login_page);
    };
    if !visit.vouched(&pages, session, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), |status, message| {
            visit.page(&pages, status, "sign_out.html", context! { message })
        });
    }
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(&pages, ErrorKind::Internal);
    };
    let services = Arc::clone(&pages.services);
    let session = Arc::clone(session);
    let ended =
        carried_out(
            async move { sign_out(&services, &session, visitor.client, &visitor.host).await },
        );
    if let Err(kind) = ended.await {
        return visit.error(&pages, kind);
    }
    // The PBX's other cookies go one by one: clearing all of them would take the device cookie,
    // which protects this user from strangers' guesses.
    let mut reply = visit.onward(&pages.look.settings().login_page);
    for name in cookies::names(&visit.headers).filter(|name| !name.starts_with(cookies::SESSION)) {
        reply = reply.cookie(cookies::remove(name));
    }
    reply
        .cookies(next_page::forget(&visit.headers))
        .cookies(kept_form::forget(&visit.headers))
        .cookie(cookies::remove_session())
        .message(&pages, Message::SignedOut)
        .header("clear-site-data", "\"cache\"")
        .done()
}
