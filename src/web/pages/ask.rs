//! `{prefix}/forgot-password`, `{prefix}/forgot-login-name` and `{prefix}/new-user`: what people ask
//! who cannot sign in (R-D1, R-D2, R-D3). The answer goes to the address on file; the page says so,
//! or whom to ask.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::login::wait_until;
use super::next_step::{NextStep, Way};
use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::mail::MailKind;
use crate::flows::public_forms::{
    FormOutcome, Stranger, forgot_login_name, forgot_password, new_user,
};
use crate::web::answers::{ErrorKind, Part, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ForgotPassword,
    ForgotLoginName,
    NewUser,
}

pub(super) async fn show_forgot_password(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
) -> Response {
    Asked::ForgotPassword.show(&pages, &visit)
}

pub(super) async fn show_forgot_login_name(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
) -> Response {
    Asked::ForgotLoginName.show(&pages, &visit)
}

pub(super) async fn show_new_user(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    Asked::NewUser.show(&pages, &visit)
}

pub(super) async fn submit_forgot_password(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
    form: Form,
) -> Response {
    Asked::ForgotPassword.submit(&pages, &visit, &form).await
}

pub(super) async fn submit_forgot_login_name(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
    form: Form,
) -> Response {
    Asked::ForgotLoginName.submit(&pages, &visit, &form).await
}

pub(super) async fn submit_new_user(
    State(pages): State<Arc<Pages>>,
    visit: Visit,
    form: Form,
) -> Response {
    Asked::NewUser.submit(&pages, &visit, &form).await
}

/// What was typed, to be shown again.
#[derive(Debug, Clone, Default)]
struct Typed {
    login: String,
    email: String,
    extension: String,
}

impl Typed {
    /// What is shown again is cut to this many characters.
    const SHOWN: usize = 255;

    fn of(form: &Form) -> Self {
        let text = |name| form.text(name).trim().chars().take(Self::SHOWN).collect();
        Self { login: text("login"), email: text("email"), extension: text("extension") }
    }

    /// The key of what to say when the field that is needed is empty.
    fn missing(&self, asked: Asked) -> Option<&'static str> {
        match asked {
            Asked::ForgotPassword => self.login.is_empty().then_some("ask.login_missing"),
            Asked::ForgotLoginName | Asked::NewUser => {
                self.email.is_empty().then_some("ask.email_missing")
            }
        }
    }
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::ForgotPassword => "forgot-password",
            Self::ForgotLoginName => "forgot-login-name",
            Self::NewUser => "new-user",
        }
    }

    /// Its section of texts.
    fn key(self) -> &'static str {
        match self {
            Self::ForgotPassword => "forgot_password",
            Self::ForgotLoginName => "forgot_login_name",
            Self::NewUser => "new_user",
        }
    }

    fn show(self, pages: &Pages, visit: &Visit) -> Response {
        if !pages.look.settings().sends_mail {
            return self.off(pages, visit);
        }
        self.page(pages, visit, StatusCode::OK, &Typed::default(), None).done()
    }

    async fn submit(self, pages: &Arc<Pages>, visit: &Visit, form: &Form) -> Response {
        if visit.comes_from_elsewhere() {
            return visit.error(pages, ErrorKind::Forbidden);
        }
        if !pages.look.settings().sends_mail {
            return self.off(pages, visit);
        }
        let typed = Typed::of(form);
        let draw = |status, message| self.page(pages, visit, status, &typed, Some(message));
        if !visit.vouched_by_browser(pages, form.text("csrf")) {
            return visit.refuse(pages, &Refusal::Said(Message::Stale), draw);
        }
        if let Some(key) = typed.missing(self) {
            return visit.refuse(pages, &Refusal::Incomplete(key), draw);
        }
        let Some(visitor) = visit.visitor.clone() else {
            return visit.error(pages, ErrorKind::Internal);
        };
        let stranger = Stranger {
            client: visitor.client,
            tenant: (pages.login_names.tenant_of)(&visitor.host),
            language: Some(pages.look.language().clone()),
        };
        let login = (pages.login_names.read)(&typed.login, &visitor.host);
        let (services, what) = (Arc::clone(&pages.services), typed.clone());
        let outcome = carried_out(async move {
            let Typed { email, extension, .. } = what;
            match self {
                Self::ForgotPassword => forgot_password(&services, login.as_ref(), &stranger).await,
                Self::ForgotLoginName => {
                    forgot_login_name(&services, &email, &extension, &stranger).await
                }
                Self::NewUser => new_user(&services, &email, &extension, &stranger).await,
            }
        });
        match outcome.await {
            Ok(FormOutcome::TooMany { until }) => {
                let retry_after = wait_until(until, pages.services.clock.now());
                visit.error(pages, ErrorKind::TooManyRequests { retry_after })
            }
            Ok(FormOutcome::ExtensionNeeded) => {
                visit.refuse(pages, &Refusal::ExtensionNeeded, draw)
            }
            Ok(outcome) => self.said(pages, visit, &outcome),
            Err(kind) => visit.error(pages, kind),
        }
    }

    /// What is said when all is done that a form can do.
    fn said(self, pages: &Pages, visit: &Visit, outcome: &FormOutcome) -> Response {
        let (texts, support) = (pages.look.texts(), pages.look.support());
        let (good, title, text) = match outcome {
            FormOutcome::Mailed { to, at, kind, tenant } => {
                let links = &pages.services.policies.links;
                let (key, life) = match kind {
                    MailKind::Welcome => ("ask.mailed_welcome", links.welcome),
                    MailKind::LoginNames => ("ask.mailed_login_names", links.reset),
                    _ if self == Self::NewUser => ("ask.mailed_known", links.reset),
                    _ => ("ask.mailed_reset", links.reset),
                };
                let now = pages.services.clock.now();
                let (at, life) = (pages.look.moment(*at, now, tenant), texts.span(life));
                let values = [("address", to.as_str()), ("at", &at), ("life", &life)];
                (true, "ask.mailed_title", texts.fill(key, &values))
            }
            FormOutcome::Uniform => {
                (true, "ask.uniform_title", texts.fill("ask.uniform", &[("support", support)]))
            }
            _ => {
                let key = format!("{}.unknown", self.key());
                (false, "ask.unknown_title", texts.fill(&key, &[("support", support)]))
            }
        };
        let status = if good { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        told(pages, visit, status, title, text)
    }

    /// Without e-mail there is nothing that these pages could do.
    fn off(self, pages: &Pages, visit: &Visit) -> Response {
        let (texts, support) = (pages.look.texts(), pages.look.support());
        let text = texts.fill("ask.off", &[("support", support)]);
        told(pages, visit, StatusCode::NOT_FOUND, &format!("{}.title", self.key()), text)
    }

    fn page(
        self,
        pages: &Pages,
        visit: &Visit,
        status: StatusCode,
        typed: &Typed,
        message: Option<Value>,
    ) -> Reply {
        let texts = pages.look.texts();
        let (form_csrf, cookie) = visit.browser_token(pages);
        let text = |key: &str| texts.get(&format!("{}.{key}", self.key())).to_owned();
        let context = context! {
            form_csrf,
            message,
            page => self.name(),
            title => text("title"),
            lead => text("lead"),
            submit => text("submit"),
            asks_login => self == Self::ForgotPassword,
            login => &typed.login,
            email => &typed.email,
            extension => &typed.extension,
            login_page => &pages.look.settings().login_page,
        };
        visit.page(pages, status, "ask.html", context).cookies(cookie)
    }
}

/// A page, or what a script gets of it, that says one thing.
fn told(pages: &Pages, visit: &Visit, status: StatusCode, title: &str, text: String) -> Response {
    let good = status.is_success();
    if visit.wants_json() && good {
        return visit.told(&text);
    }
    let step = NextStep {
        status,
        good,
        title: pages.look.texts().get(title).to_owned(),
        parts: vec![Part::of(text)],
        way: Way::Back,
    };
    step.page(pages, visit).done()
}
