//! The form that changes the e-mail address (R-D5).

use std::sync::Arc;

use axum::response::Response;

use super::super::login::wait_until;
use super::super::visit::Visit;
use super::super::{Pages, carried_out};
use super::{Part, Shown};
use crate::domain::session::LiveSession;
use crate::flows::own_email::{EmailForm, EmailOutcome, ask_for_email};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;

/// What is shown again is cut to this many characters: as long as an address can be.
const SHOWN: usize = 254;

/// Sends a link to the new address; the user stays where they are, and signed in.
pub(super) async fn submit(
    pages: &Arc<Pages>,
    visit: &Visit,
    session: &Arc<LiveSession>,
    shown: &Shown,
    form: &Form,
) -> Response {
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(pages, ErrorKind::Internal);
    };
    let typed: String = form.text("email").trim().chars().take(SHOWN).collect();
    let refused = |refusal: &Refusal| {
        visit.refuse(pages, refusal, |status, message| {
            shown.page(pages, visit, status, Part::Email { typed: &typed }, Some(message))
        })
    };
    let filled_in = EmailForm {
        session: Arc::clone(session),
        address: form.text("email").to_owned(),
        current: form.secret("current_password"),
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        language: Some(pages.look.language().clone()),
        device: visitor.device,
    };
    if shown.changes_email
        && pages.services.mail.is_some()
        && (typed.is_empty() || filled_in.current.is_empty())
    {
        return refused(&Refusal::Incomplete("message.fields_missing"));
    }
    let services = Arc::clone(&pages.services);
    let asked = carried_out(async move { ask_for_email(&services, filled_in).await }).await;
    let now = pages.services.clock.now();
    let message = match asked {
        Ok(EmailOutcome::Sent { to }) => {
            let works_for = pages.services.policies.links.reset;
            Message::ConfirmSent { address: to, works_for }
        }
        Ok(EmailOutcome::NotAgain { at }) => {
            let tenant = session.record().login.tenant().to_owned();
            Message::ConfirmNotAgain { at, tenant, told_at: now }
        }
        Ok(EmailOutcome::Same) => Message::EmailSame,
        Ok(EmailOutcome::BadAddress) => return refused(&Refusal::BadEmail),
        Ok(EmailOutcome::PasswordNeeded) => return refused(&Refusal::PasswordNeeded),
        Ok(EmailOutcome::Off) => return refused(&Refusal::NoMail),
        Ok(EmailOutcome::CurrentWrong) => return refused(&Refusal::CurrentWrong),
        Ok(EmailOutcome::Locked { until }) => {
            return refused(&Refusal::Said(Message::Locked { wait: wait_until(until, now) }));
        }
        Ok(EmailOutcome::Gone) => return visit.ended(pages),
        Err(kind) => return visit.error(pages, kind),
    };
    visit.onward(&pages.look.page("security")).message(pages, message).done()
}
