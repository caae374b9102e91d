//! The list of the account's sessions, and its buttons (R-C8).

use std::sync::Arc;

use axum::response::Response;
use jiff::Timestamp;
use minijinja::context;
use minijinja::value::Value;

use super::super::visit::Visit;
use super::super::{Pages, carried_out};
use crate::domain::session::LiveSession;
use crate::flows::own_sessions::{self, OwnApp, OwnSession};
use crate::web::answers::ErrorKind;
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::{device, minutes};

/// So many are listed; the others are counted.
const MOST: usize = 50;

/// Ends one other session, or all others. One that has ended meanwhile is as good as ended now.
pub(super) async fn submit(
    pages: &Arc<Pages>,
    visit: &Visit,
    session: &Arc<LiveSession>,
    listed: &[OwnSession],
    form: &Form,
) -> Response {
    let Some(client) = visit.visitor.as_ref().map(|visitor| visitor.client) else {
        return visit.error(pages, ErrorKind::Internal);
    };
    let wanted = form.has("session").then(|| form.text("session").to_owned());
    let own = listed.iter().find(|listed| listed.current);
    if wanted.is_some() && wanted.as_ref() == own.map(|own| &own.reference) {
        return visit.lead_on(&pages.look.page("sign-out"));
    }
    let (services, session) = (Arc::clone(&pages.services), Arc::clone(session));
    let ended = carried_out(async move {
        Ok(match wanted {
            Some(one) => {
                own_sessions::end(&services, &session, &one, client).await?;
                1
            }
            None => own_sessions::end_others(&services, &session, client).await?,
        })
    });
    match ended.await {
        Ok(ended) => {
            let message = Message::SignedOutElsewhere { sessions: ended as u64 };
            visit.onward(&pages.look.page("security")).message(pages, message).done()
        }
        Err(kind) => visit.error(pages, kind),
    }
}

/// The rows as the template draws them, and how many more there are.
pub(super) fn drawn(pages: &Pages, sessions: &[OwnSession]) -> (Vec<Value>, usize) {
    let now = pages.services.clock.now();
    let rows = sessions.iter().take(MOST).map(|session| {
        context! {
            device => device(pages, session),
            app => session.app.is_some(),
            address => session.client.to_string(),
            seen => seen(pages, session.last_seen, now),
            current => session.current,
            reference => session.reference.as_str(),
        }
    });
    (rows.collect(), sessions.len().saturating_sub(MOST))
}

/// A browser by its own name, an application by that which the PBX knows it by.
fn device(pages: &Pages, session: &OwnSession) -> String {
    let texts = pages.look.texts();
    let words = device::words(texts, &session.user_agent);
    match &session.app {
        None => words,
        Some(OwnApp { client_id }) => {
            let name = client_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&words);
            texts.fill("security.session_app", &[("app", name)])
        }
    }
}

fn seen(pages: &Pages, at: Timestamp, now: Timestamp) -> String {
    let texts = pages.look.texts();
    let ago = std::time::Duration::try_from(now.duration_since(at)).unwrap_or_default();
    let span = match ago.as_secs() {
        0..90 => return texts.get("security.session_now").to_owned(),
        90..5400 => texts.count("minutes", minutes(ago)),
        5400..172_800 => texts.count("hours", (ago.as_secs() + 1800) / 3600),
        seconds => texts.count("days", seconds / 86_400),
    };
    texts.fill("security.session_seen", &[("span", &span)])
}
