//! `{prefix}/set-password`: the only page that the force phase leaves to a session that was
//! obtained with the PIN (R-A3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::visit::{Reply, Visit};
use super::{Pages, password};
use crate::domain::account::Account;
use crate::domain::session::Standing;
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let session = match visit.session() {
        Some((session, Standing::Held)) => session,
        // Not held back (yet, or any more): the same can be done at leisure.
        Some((_, Standing::Full { .. })) => return visit.lead_on(&pages.look.page("security")),
        Some((_, standing)) => return visit.elsewhere(&pages, standing),
        None => return visit.to_login(&pages),
    };
    match password::account(&pages, &visit, session).await {
        Ok(account) => page(&pages, &visit, &account, StatusCode::OK, None).done(),
        Err(answer) => answer,
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let session = match visit.session() {
        Some((session, Standing::Held)) => session,
        // Done in another tab: nothing is left to do here.
        Some((_, standing)) => return visit.elsewhere(&pages, standing),
        None => return visit.to_login(&pages),
    };
    let account = match password::account(&pages, &visit, session).await {
        Ok(account) => account,
        Err(answer) => return answer,
    };
    let draw = |status, message| page(&pages, &visit, &account, status, Some(message));
    if !visit.vouched(&pages, session, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), draw);
    }
    password::change(&pages, &visit, &account, session, &form, None, draw).await
}

fn page(
    pages: &Pages,
    visit: &Visit,
    account: &Account,
    status: StatusCode,
    message: Option<Value>,
) -> Reply {
    let context = context! {
        message,
        login => account.login.to_string(),
        has_password => account.password.is_some(),
        rules => password::rules(pages, account),
    };
    visit.page(pages, status, "set_password.html", context)
}
