//! `{prefix}/session`: how long the session still lives, for the script that says so before it ends
//! (R-C4). Asking is no interaction; a POST is one, the button "Stay signed in".

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::visit::Visit;
use super::{Pages, answer};
use crate::domain::session::LiveSession;
use crate::web::answers::{ErrorKind, document};

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    match visit.session() {
        Some((session, _)) => lives(&pages, session),
        None => over(&pages),
    }
}

pub(super) async fn stay(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    match visit.session() {
        Some((session, _)) => {
            session.touch(pages.services.clock.now());
            lives(&pages, session)
        }
        None => over(&pages),
    }
}

/// Times in seconds, and the words to be said in the last of them: `{time}` is filled in by the
/// browser, whose clock and zone it is.
fn lives(pages: &Pages, session: &LiveSession) -> Response {
    let texts = pages.look.texts();
    let policy = &pages.services.policies.session;
    let ending = session.ending(policy, pages.services.clock.now());
    let (text, action) = match (ending.can_be_put_off, session.longest_life(policy)) {
        (false, Some(life)) => {
            let life = texts.span(life);
            (texts.fill("session.ends_for_good", &[("life", &life)]), "session.close")
        }
        _ => (texts.get("session.ends").to_owned(), "session.stay"),
    };
    answer(document(
        StatusCode::OK,
        &json!({
            "ends_in": ending.after.as_secs(),
            "warn": pages.look.settings().session_warning.unwrap_or_default().as_secs(),
            "stays": ending.can_be_put_off,
            "text": text,
            "action": texts.get(action),
            "language": texts.get("language.code"),
        }),
    ))
}

fn over(pages: &Pages) -> Response {
    let texts = pages.look.texts();
    answer(document(
        StatusCode::UNAUTHORIZED,
        &json!({
            "text": texts.get("message.session_ended"),
            "action": texts.get("link.sign_in"),
            "language": texts.get("language.code"),
        }),
    ))
}
