//! `{prefix}/current-pin`: the password is right, but the PBX refused the PIN on file; the user
//! is asked once for the current one (R-B6).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::login::{Then, opened_to, wait_until};
use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::session::Standing;
use crate::flows::current_pin::{PinForm, PinOutcome, current_pin};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::flash;
use crate::web::form::Form;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    match visit.session() {
        Some((_, Standing::PinNeeded)) => {
            // A password may just have been set (by a link), and the PIN be the next step.
            let left = visit.flash(&pages);
            let message = left.as_ref().map(|left| visit.shown(&pages, left, ""));
            page(&pages, &visit, StatusCode::OK, message)
                .cookies(left.map(|_| flash::remove()))
                .done()
        }
        Some((_, standing)) => visit.elsewhere(&pages, standing),
        None => visit.to_login(&pages),
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let session = match visit.session() {
        Some((session, Standing::PinNeeded)) => session,
        Some((_, standing)) => return visit.elsewhere(&pages, standing),
        None => return visit.to_login(&pages),
    };
    let refused = |refusal: &Refusal| {
        visit.refuse(&pages, refusal, |status, message| page(&pages, &visit, status, Some(message)))
    };
    if !visit.vouched(&pages, session, form.text("csrf")) {
        return refused(&Refusal::Said(Message::Stale));
    }
    let pin = form.secret("pin");
    if pin.is_empty() {
        return refused(&Refusal::PinMissing { field: "pin" });
    }
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(&pages, ErrorKind::Internal);
    };

    let filled_in = PinForm {
        session: Arc::clone(session),
        pin,
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
    };
    let services = Arc::clone(&pages.services);
    match carried_out(async move { current_pin(&services, filled_in).await }).await {
        Ok(PinOutcome::Opened(opened)) => {
            opened_to(&pages, &visit, &opened, Then::FirstAsked(None)).done()
        }
        Ok(PinOutcome::Wrong) => refused(&Refusal::PinWrong),
        Ok(PinOutcome::Locked { until }) => {
            let wait = wait_until(until, pages.services.clock.now());
            refused(&Refusal::Said(Message::Locked { wait }))
        }
        Ok(PinOutcome::Gone) => visit.ended(&pages),
        Err(kind) => visit.error(&pages, kind),
    }
}

fn page(pages: &Pages, visit: &Visit, status: StatusCode, message: Option<Value>) -> Reply {
    visit.page(pages, status, "current_pin.html", context! { message })
}
