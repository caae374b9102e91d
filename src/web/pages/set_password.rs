//! `{prefix}/set-password`: the only page that the force phase leaves to a session that was
//! obtained with the PIN (R-A3), and the only one that an initial password leads to (R-E1).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::choosing::{self, Answered};
use super::login::Then;
use super::visit::{Reply, Visit};
use super::{Pages, carried_out, password};
use crate::domain::account::Account;
use crate::domain::one_time_code::CodeProblem;
use crate::domain::session::{LiveSession, Standing};
use crate::flows::set_password::{HeldForm, Occasion, PinField, needs_proof, set_password_held};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;

/// A typed address that is shown again is cut to this many characters.
const SHOWN: usize = 255;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let session = match visit.session() {
        Some((session, Standing::Held)) => session,
        // Not held back (yet, or any more): the same can be done at leisure.
        Some((_, Standing::Full { .. })) => return visit.lead_on(&pages.look.page("security")),
        Some((_, standing)) => return visit.elsewhere(&pages, standing),
        None => return visit.to_login(&pages),
    };
    match Asked::of(&pages, &visit, session).await {
        Ok(asked) => asked.page(&pages, &visit, StatusCode::OK, None, "").done(),
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
    let asked = match Asked::of(&pages, &visit, session).await {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let email: String = form.text("email").chars().take(SHOWN).collect();
    let draw = |status, message| asked.page(&pages, &visit, status, Some(message), &email);
    if !visit.vouched(&pages, session, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), draw);
    }
    let Some(choice) = choosing::choice(&form) else {
        return visit.refuse(&pages, &Refusal::Incomplete("message.fields_missing"), draw);
    };
    let current = form.secret(asked.present_pin());
    // A field that was overlooked costs no attempt.
    if asked.proof && current.is_empty() {
        return visit.refuse(&pages, &Refusal::PinMissing { field: asked.present_pin() }, draw);
    }
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(&pages, ErrorKind::Internal);
    };

    let filled_in = HeldForm {
        session: Arc::clone(session),
        choice,
        current,
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        language: Some(pages.look.language().clone()),
        device: visitor.device,
    };
    let services = Arc::clone(&pages.services);
    let saved = carried_out(async move { set_password_held(&services, filled_in).await });
    let outcome = match saved.await {
        Ok(outcome) => outcome,
        Err(kind) => return visit.error(&pages, kind),
    };
    let login = asked.account.login.to_string();
    let then = Then::FirstAsked(None);
    match choosing::answered(&pages, &visit, outcome, &login, asked.present_pin(), then) {
        Answered::Finished(answer) => answer,
        Answered::Gone => visit.ended(&pages),
        Answered::Refused(refusal) => choosing::refuse(&pages, &visit, &refusal, draw),
        // There is none here.
        Answered::Link(CodeProblem::Unknown | CodeProblem::Spent | CodeProblem::Expired) => {
            visit.error(&pages, ErrorKind::Internal)
        }
    }
}

/// What the page asks of this user.
struct Asked {
    account: Account,
    occasion: Occasion,
    pin: PinField,
    /// The present PIN, beside the new one.
    proof: bool,
    /// An address to be put on file.
    email: bool,
}

impl Asked {
    /// `Err` is the answer when it cannot be found out.
    async fn of(pages: &Pages, visit: &Visit, session: &LiveSession) -> Result<Self, Response> {
        let account = password::account(pages, visit, session).await?;
        let occasion = Occasion::of(session);
        let pin = choosing::pin_field(pages, visit, &account, occasion).await?;
        let services = &pages.services;
        // A PIN that is confirmed is the present one: it is not asked for twice.
        let proof = pin != PinField::Confirm && needs_proof(services, session);
        let email = account.reachable_at().is_none() && services.mail.is_some();
        Ok(Self { account, occasion, pin, proof, email })
    }

    /// The field in which the present PIN is typed.
    fn present_pin(&self) -> &'static str {
        match self.pin {
            PinField::Confirm => "pin",
            PinField::New | PinField::Unasked => "current_password",
        }
    }

    fn page(
        &self,
        pages: &Pages,
        visit: &Visit,
        status: StatusCode,
        message: Option<Value>,
        email: &str,
    ) -> Reply {
        let lead = match self.pin {
            _ if self.occasion == Occasion::Initial => "set_password.lead_initial",
            PinField::Unasked => "set_password.lead_unasked",
            PinField::Confirm | PinField::New => "set_password.lead",
        };
        let context = context! {
            message,
            lead => pages.look.texts().get(lead),
            login => self.account.login.to_string(),
            pin => choosing::drawn(pages, self.pin, self.occasion),
            proof => self.proof,
            asks_email => self.email,
            email,
            rules => password::rules(pages, &self.account),
        };
        visit.page(pages, status, "set_password.html", context)
    }
}
