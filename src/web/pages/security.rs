//! `{prefix}/security`: the first portal password with the PIN as proof, or another one with the
//! present one as proof.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::visit::{Reply, Visit};
use super::{Pages, password};
use crate::domain::account::Account;
use crate::domain::rollout::Phase;
use crate::domain::session::Standing;
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::flash;
use crate::web::form::Form;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let session = match visit.session() {
        Some((session, Standing::Full { .. })) => session,
        Some((_, standing)) => return visit.elsewhere(&pages, standing),
        None => return visit.to_login(&pages),
    };
    let account = match password::account(&pages, &visit, session).await {
        Ok(account) => account,
        Err(answer) => return answer,
    };
    let left = visit.flash(&pages);
    let message = left.as_ref().map(|left| {
        let texts = pages.look.texts();
        let title = match left.message {
            Message::PasswordSet | Message::Saved { .. } => texts.get("message.done_title"),
            Message::PasswordChanged => texts.get("message.changed_title"),
            Message::EmailConfirmed { .. } => texts.get("message.email_confirmed_title"),
            _ => "",
        };
        visit.shown(&pages, left, title)
    });
    let reply = page(&pages, &visit, &account, StatusCode::OK, message);
    match left {
        Some(_) => reply.cookie(flash::remove()).done(),
        None => reply.done(),
    }
}

pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let session = match visit.session() {
        Some((session, Standing::Full { .. })) => session,
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
    let then = pages.look.page("security");
    password::change(&pages, &visit, &account, session, &form, &then, draw).await
}

fn page(
    pages: &Pages,
    visit: &Visit,
    account: &Account,
    status: StatusCode,
    message: Option<Value>,
) -> Reply {
    let zone = pages.look.settings().time_zone.clone();
    let format = pages.look.texts().get("language.date");
    let set_on = account
        .password
        .as_ref()
        .map(|password| password.set_at.to_zoned(zone).strftime(format).to_string());
    let context = context! {
        message,
        set_on,
        login => account.login.to_string(),
        has_password => account.password.is_some(),
        days_left => days_left(pages, account),
        rules => password::rules(pages, account),
    };
    visit.page(pages, status, "security.html", context)
}

/// How long the PIN still opens the portal, while that is worth saying.
fn days_left(pages: &Pages, account: &Account) -> Option<u32> {
    let now = pages.services.clock.now();
    let schedule = pages.services.policies.rollout.schedule(account.login.tenant());
    match (account.password.is_some(), schedule.phase(now)) {
        (false, Phase::Warn | Phase::Force) => schedule.days_left(now),
        _ => None,
    }
}
