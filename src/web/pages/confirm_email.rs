//! `{prefix}/confirm-email`: the link that proves that an address is read by its owner (R-A3,
//! R-D5). The page has a button, because mail scanners follow links, too.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::link::{broken, code_of, opened_link};
use super::next_step::{NextStep, Way};
use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::account::Account;
use crate::domain::one_time_code::{IssuedCode, Purpose};
use crate::domain::session::Standing;
use crate::flows::redeem::confirm_email;
use crate::web::answers::{ErrorKind, Part, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let code = visit.query("code").unwrap_or_default();
    match opened_link(&pages, &visit, Purpose::ConfirmEmail, &code).await {
        Ok(link) => page(&pages, &visit, &link, &code, StatusCode::OK, None).done(),
        Err(answer) => answer,
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let code = code_of(&visit, &form);
    let link = match opened_link(&pages, &visit, Purpose::ConfirmEmail, &code).await {
        Ok(link) => link,
        Err(answer) => return answer,
    };
    if !visit.vouched_by_browser(&pages, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), |status, message| {
            page(&pages, &visit, &link, &code, status, Some(message))
        });
    }
    let Some(client) = visit.visitor.as_ref().map(|visitor| visitor.client) else {
        return visit.error(&pages, ErrorKind::Internal);
    };
    let services = Arc::clone(&pages.services);
    let language = pages.look.language().clone();
    let confirmed =
        carried_out(async move { confirm_email(&services, &code, client, Some(&language)).await })
            .await;
    match confirmed {
        Ok(Ok(address)) => done(&pages, &visit, &link.0, address),
        Ok(Err(problem)) => broken(&pages, &visit, Purpose::ConfirmEmail, problem),
        Err(kind) => visit.error(&pages, kind),
    }
}

/// To the page where the account's owner finds the address, if that is who is signed in here.
fn done(pages: &Pages, visit: &Visit, account: &Account, address: String) -> Response {
    let own = visit.session().is_some_and(|(session, standing)| {
        matches!(standing, Standing::Full { .. }) && session.record().account == account.id
    });
    let message = Message::EmailConfirmed { address };
    if own {
        return visit.onward(&pages.look.page("security")).message(pages, message).done();
    }
    let step = NextStep {
        status: StatusCode::OK,
        good: true,
        title: pages.look.texts().get("message.email_confirmed_title").to_owned(),
        parts: vec![Part::of(pages.look.message_text(&message))],
        way: Way::Portal,
    };
    step.page(pages, visit).done()
}

fn page(
    pages: &Pages,
    visit: &Visit,
    (account, issued): &(Account, IssuedCode),
    code: &str,
    status: StatusCode,
    message: Option<Value>,
) -> Reply {
    let (form_csrf, cookie) = visit.browser_token(pages);
    let context = context! {
        form_csrf,
        message,
        code,
        address => issued.sent_to.as_str(),
        login => account.login.to_string(),
    };
    visit.page(pages, status, "confirm_email.html", context).cookies(cookie)
}
