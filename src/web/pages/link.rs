//! `{prefix}/reset` and `{prefix}/welcome`: a new portal password by a link from a mail (R-A4,
//! R-D1, R-D4). Looking at the page changes nothing, however often mail scanners do it; only the
//! form uses the link up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::choosing::{self, Answered};
use super::login::Then;
use super::next_step::{NextStep, Way};
use super::visit::{Reply, Visit};
use super::{Pages, carried_out, password};
use crate::domain::account::Account;
use crate::domain::one_time_code::{CodeProblem, IssuedCode, Purpose};
use crate::domain::secret::Secret;
use crate::flows::redeem::{LinkForm, look_at, redeem};
use crate::flows::set_password::{Occasion, PinField};
use crate::web::answers::{ErrorKind, Part, Refusal};
use crate::web::flash;
use crate::web::form::Form;
use crate::web::notice::Message;

/// Which of the two pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reset,
    Welcome,
}

pub(super) async fn show_reset(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    match visit.query("code") {
        Some(code) => show(&pages, &visit, Kind::Reset, &code).await,
        None => mailbox(&pages, &visit),
    }
}

pub(super) async fn show_welcome(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let code = visit.query("code").unwrap_or_default();
    show(&pages, &visit, Kind::Welcome, &code).await
}

pub(super) async fn submit_reset(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
    form: Form,
) -> Response {
    submit(&pages, &visit, Kind::Reset, &form).await
}

pub(super) async fn submit_welcome(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
    form: Form,
) -> Response {
    submit(&pages, &visit, Kind::Welcome, &form).await
}

/// The link that a page was opened with, if it works; else the answer that says why not.
pub(super) async fn opened_link(
    pages: &Pages,
    visit: &Visit,
    purpose: Purpose,
    code: &str,
) -> Result<(Account, IssuedCode), Response> {
    match look_at(&pages.services, purpose, code).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(problem)) => Err(broken(pages, visit, purpose, problem)),
        Err(unavailable) => {
            tracing::warn!(error = %unavailable, "a page could not do its work");
            Err(visit.error(pages, ErrorKind::StoreDown))
        }
    }
}

/// The page that says why a link does not work.
pub(super) fn broken(
    pages: &Pages,
    visit: &Visit,
    purpose: Purpose,
    problem: CodeProblem,
) -> Response {
    NextStep::of_problem(pages, purpose, problem).page(pages, visit).done()
}

/// The code of a form: in a field of its own; where a client has none, as it stood in the link.
pub(super) fn code_of(visit: &Visit, form: &Form) -> String {
    match form.text("code") {
        "" => visit.query("code").unwrap_or_default(),
        code => code.to_owned(),
    }
}

async fn show(pages: &Pages, visit: &Visit, kind: Kind, code: &str) -> Response {
    let account = match opened_link(pages, visit, kind.purpose(), code).await {
        Ok((account, _)) => account,
        Err(answer) => return answer,
    };
    match choosing::pin_field(pages, visit, &account, kind.occasion()).await {
        Ok(pin) => Drawn { kind, account: &account, code, pin }
            .page(pages, visit, StatusCode::OK, None)
            .done(),
        Err(answer) => answer,
    }
}

async fn submit(pages: &Arc<Pages>, visit: &Visit, kind: Kind, form: &Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(pages, ErrorKind::Forbidden);
    }
    let code = code_of(visit, form);
    let account = match opened_link(pages, visit, kind.purpose(), &code).await {
        Ok((account, _)) => account,
        Err(answer) => return answer,
    };
    let pin = match choosing::pin_field(pages, visit, &account, kind.occasion()).await {
        Ok(pin) => pin,
        Err(answer) => return answer,
    };
    let drawn = Drawn { kind, account: &account, code: &code, pin };
    let draw = |status, message| drawn.page(pages, visit, status, Some(message));
    if !visit.vouched_by_browser(pages, form.text("csrf")) {
        return visit.refuse(pages, &Refusal::Said(Message::Stale), draw);
    }
    let Some(choice) = choosing::choice(form) else {
        return visit.refuse(pages, &Refusal::Incomplete("message.fields_missing"), draw);
    };
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(pages, ErrorKind::Internal);
    };

    let filled_in = LinkForm {
        purpose: kind.purpose(),
        code: Secret::new(&code),
        choice,
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        language: Some(pages.look.language().clone()),
        current: visitor.session,
    };
    let services = Arc::clone(&pages.services);
    let outcome = match carried_out(async move { redeem(&services, filled_in).await }).await {
        Ok(outcome) => outcome,
        Err(kind) => return visit.error(pages, kind),
    };
    let login = account.login.to_string();
    match choosing::answered(pages, visit, outcome, &login, "pin", Then::Home) {
        Answered::Finished(answer) => answer,
        Answered::Link(problem) => broken(pages, visit, kind.purpose(), problem),
        Answered::Gone => broken(pages, visit, kind.purpose(), CodeProblem::Unknown),
        // Whoever was faster, this link is void now.
        Answered::Refused(Refusal::Said(Message::Overtaken)) => {
            broken(pages, visit, kind.purpose(), CodeProblem::Spent)
        }
        Answered::Refused(refusal) => choosing::refuse(pages, visit, &refusal, draw),
    }
}

/// Without a link: one was e-mailed, and this is where `reject_action = "redirect"` leads.
fn mailbox(pages: &Pages, visit: &Visit) -> Response {
    let texts = pages.look.texts();
    let left = visit.flash(pages);
    let (said, hint) = match &left {
        Some(left) => (pages.look.message_text(&left.message), "reset.mailbox_told"),
        None => (texts.get("reset.mailbox_text").to_owned(), "reset.mailbox_hint"),
    };
    let support = pages.look.support();
    let hint = texts.fill(hint, &[("support", support)]);
    let reply = NextStep {
        status: StatusCode::OK,
        good: true,
        title: texts.get("reset.mailbox_title").to_owned(),
        parts: vec![Part::of(said), Part::of(hint)],
        way: Way::Back,
    };
    reply.page(pages, visit).cookies(left.map(|_| flash::remove())).done()
}

/// What the form is drawn from.
struct Drawn<'a> {
    kind: Kind,
    account: &'a Account,
    code: &'a str,
    pin: PinField,
}

impl Drawn<'_> {
    fn page(
        &self,
        pages: &Pages,
        visit: &Visit,
        status: StatusCode,
        message: Option<Value>,
    ) -> Reply {
        let texts = pages.look.texts();
        let (form_csrf, cookie) = visit.browser_token(pages);
        let name = self.kind.name();
        let lead = match self.pin {
            PinField::Unasked => "lead_unasked",
            PinField::Confirm | PinField::New => "lead",
        };
        let context = context! {
            form_csrf,
            message,
            page => name,
            code => self.code,
            title => texts.get(&format!("{name}.title")),
            lead => texts.get(&format!("{name}.{lead}")),
            login => self.account.login.to_string(),
            pin => choosing::drawn(pages, self.pin, self.kind.occasion()),
            rules => password::rules(pages, self.account),
            others_end => self.account.password.is_some(),
        };
        visit.page(pages, status, "link.html", context).cookies(cookie)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Welcome => "welcome",
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Reset => Purpose::Reset,
            Self::Welcome => Purpose::Welcome,
        }
    }

    fn occasion(self) -> Occasion {
        match self {
            Self::Reset => Occasion::Reset,
            Self::Welcome => Occasion::Welcome,
        }
    }
}
