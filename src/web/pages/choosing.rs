//! What the pages share on which a portal password is chosen, and perhaps a voicemail PIN: at
//! force (R-A3), and by a link (R-D1, R-D4).

use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::login::{Then, opened_to, wait_until};
use super::next_step::{NextStep, Way};
use super::visit::{Reply, Visit};
use super::{Pages, password};
use crate::domain::account::Account;
use crate::domain::one_time_code::CodeProblem;
use crate::domain::pin_policy::PinProblem;
use crate::flows::set_password::{Choice, Occasion, PinField, SetOutcome};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::texts::Texts;
use crate::web::{cookies, next_page};

/// What the page asks about the PIN; `Err` is the answer when that cannot be found out.
pub(super) async fn pin_field(
    pages: &Pages,
    visit: &Visit,
    account: &Account,
    occasion: Occasion,
) -> Result<PinField, Response> {
    pages.services.pin_field(account, occasion).await.map_err(|unavailable| {
        tracing::warn!(error = %unavailable, "a page could not do its work");
        visit.error(pages, ErrorKind::StoreDown)
    })
}

/// The PIN field as the templates draw it: `None` for none.
pub(super) fn drawn(pages: &Pages, field: PinField, occasion: Occasion) -> Option<Value> {
    let texts = pages.look.texts();
    match field {
        PinField::Unasked => None,
        PinField::Confirm => Some(context! {
            label => texts.get("choose.pin_confirm"),
            hint => texts.get("choose.pin_confirm_hint"),
        }),
        PinField::New => {
            let length = pin_length(pages);
            let label = match occasion {
                Occasion::Welcome => "choose.pin_first",
                Occasion::Forced | Occasion::Reset | Occasion::Initial => "choose.pin_new",
            };
            Some(context! {
                label => texts.get(label),
                hint => texts.fill("choose.pin_new_hint", &[("length", &length)]),
            })
        }
    }
}

/// How long a new voicemail PIN is.
pub(super) fn pin_length(pages: &Pages) -> String {
    let texts = pages.look.texts();
    let policy = &pages.services.policies.pin;
    let (least, most) = (policy.min_length, policy.max_length);
    if least == most {
        return texts.count("digits", least as u64);
    }
    let values = [("least", &*least.to_string()), ("most", &*most.to_string())];
    texts.fill("choose.pin_length", &values)
}

/// What a form chose; `None` if a password was left empty.
pub(super) fn choice(form: &Form) -> Option<Choice> {
    let (password, confirm) = (form.secret("password"), form.secret("confirm"));
    if password.is_empty() || confirm.is_empty() {
        return None;
    }
    let email = form.text("email").trim();
    Some(Choice {
        password,
        confirm,
        pin: form.secret("pin"),
        pin_confirm: form.has("pin_confirm").then(|| form.secret("pin_confirm")),
        email: (!email.is_empty()).then(|| email.to_owned()),
    })
}

/// What is left to say after [`answered`].
pub(super) enum Answered {
    /// Nothing: this is the answer.
    Finished(Response),
    /// The form is to be mended.
    Refused(Refusal),
    /// The link does not work.
    Link(CodeProblem),
    /// The account is gone.
    Gone,
}

/// From the outcome of a flow to its answer. `login` is shown to password managers, `pin_field`
/// where the page asks for the present PIN.
pub(super) fn answered(
    pages: &Pages,
    visit: &Visit,
    outcome: SetOutcome,
    login: &str,
    present_pin: &'static str,
    then: Then<'_>,
) -> Answered {
    Answered::Refused(match outcome {
        SetOutcome::Saved { opened, pin, confirming } => {
            let message = Message::Saved { pin, confirming };
            let reply = opened_to(pages, visit, &opened, then).message(pages, message);
            return Answered::Finished(reply.done());
        }
        SetOutcome::SavedOnly { pin } => {
            // To our own login page: the portal's own does not answer either.
            let mut reply = visit
                .onward(&pages.look.page("login"))
                .message_to(pages, Message::SavedOnly { pin }, login)
                .cookie(cookies::remove_session());
            if matches!(then, Then::Home) {
                reply = reply.cookies(next_page::forget(&visit.headers));
            }
            return Answered::Finished(reply.done());
        }
        SetOutcome::Link(problem) => return Answered::Link(problem),
        SetOutcome::Gone => return Answered::Gone,
        SetOutcome::Against { password, pin } => Refusal::Against {
            password: password::sentences(pages, password),
            pin: pin.into_iter().map(|problem| sentence(pages.look.texts(), problem)).collect(),
        },
        SetOutcome::Different => Refusal::Different,
        SetOutcome::PinsDiffer => Refusal::PinsDiffer,
        SetOutcome::PinMissing => Refusal::PinMissing { field: "pin" },
        SetOutcome::BadEmail => Refusal::BadEmail,
        SetOutcome::PinWrong => Refusal::CurrentPinWrong { field: present_pin },
        SetOutcome::Locked { until } => {
            let wait = wait_until(until, pages.services.clock.now());
            Refusal::Said(Message::Locked { wait })
        }
        SetOutcome::PinRefused => Refusal::PinRefused,
        SetOutcome::Conflict => Refusal::Conflict,
        SetOutcome::Overtaken => Refusal::Said(Message::Overtaken),
    })
}

/// Says a refusal: on the form again, or, where the form is of no more use, on a page that leads
/// back to the portal.
pub(super) fn refuse(
    pages: &Pages,
    visit: &Visit,
    refusal: &Refusal,
    draw: impl FnOnce(StatusCode, Value) -> Reply,
) -> Response {
    match refusal {
        Refusal::Conflict | Refusal::Said(Message::Overtaken) => {
            visit.refuse(pages, refusal, |status, _| {
                let texts = pages.look.texts();
                let step = NextStep {
                    status,
                    good: false,
                    title: texts.get("choose.elsewhere_title").to_owned(),
                    parts: refusal.parts(&pages.look),
                    way: Way::Portal,
                };
                step.page(pages, visit)
            })
        }
        _ => visit.refuse(pages, refusal, draw),
    }
}

fn sentence(texts: &Texts, problem: PinProblem) -> String {
    match problem {
        PinProblem::TooShort(least) => texts.count("pin_problem.too_short", least as u64),
        PinProblem::TooLong(most) => texts.count("pin_problem.too_long", most as u64),
        PinProblem::NotDigits => texts.get("pin_problem.not_digits").to_owned(),
        PinProblem::TooCommon => texts.get("pin_problem.common").to_owned(),
        PinProblem::Sequence => texts.get("pin_problem.sequence").to_owned(),
        PinProblem::Repeated => texts.get("pin_problem.repeated").to_owned(),
        PinProblem::IsExtension => texts.get("pin_problem.extension").to_owned(),
    }
}
