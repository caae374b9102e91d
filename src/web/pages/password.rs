//! Portal passwords on pages: the rules that are shown, the rules that are broken, and the change
//! with the present credential as proof.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use minijinja::context;
use minijinja::value::Value;

use super::login::{Then, opened_to, wait_until};
use super::visit::{Reply, Visit};
use super::{Pages, carried_out};
use crate::domain::account::Account;
use crate::domain::password_policy::{PasswordProblem, Rule};
use crate::domain::session::LiveSession;
use crate::flows::account_security::{PasswordForm, PasswordOutcome, set_password};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::form::Form;
use crate::web::notice::Message;
use crate::web::texts::Texts;

/// The account of a session, read anew for every page; `Err` is the answer without one.
pub(super) async fn account(
    pages: &Pages,
    visit: &Visit,
    session: &LiveSession,
) -> Result<Account, Response> {
    match pages.services.accounts.by_id(session.record().account).await {
        Ok(Some(account)) if !account.disabled => Ok(account),
        Ok(_) => Err(visit.ended(pages)),
        Err(unavailable) => {
            tracing::warn!(error = %unavailable, "a page could not do its work");
            Err(visit.error(pages, ErrorKind::StoreDown))
        }
    }
}

/// The rules for this account, as the template and its script use them: `kind`, `amount`, `text`.
pub(super) fn rules(pages: &Pages, account: &Account) -> Value {
    rules_of(pages, account.login.tenant())
}

/// The same of a tenant; of everybody, if there is none of this name.
pub(super) fn rules_of(pages: &Pages, tenant: &str) -> Value {
    let texts = pages.look.texts();
    let policy = pages.services.policies.password_for(tenant);
    let rows = policy.rules().into_iter().filter_map(|rule| {
        let (kind, key, least) = match rule {
            Rule::MinLength(least) => ("length", "rules.length", least),
            Rule::MinCapitals(least) => ("capitals", "rules.capitals", least),
            Rule::MinDigits(least) => ("digits", "rules.digits", least),
            // Nobody comes near the first by accident, and only the server can tell the others:
            // they are said when they are broken.
            Rule::MaxLength(_) | Rule::NotPersonal | Rule::NotCommon => return None,
        };
        Some(context! { kind, least, text => texts.count(key, least as u64) })
    });
    rows.collect::<Vec<_>>().into()
}

/// Carries out a form that sets or changes the password of `account`; `draw` draws its page again
/// with a message, and a success leads to `then`.
pub(super) async fn change(
    pages: &Arc<Pages>,
    visit: &Visit,
    account: &Account,
    session: &Arc<LiveSession>,
    form: &Form,
    then: &str,
    draw: impl FnOnce(StatusCode, Value) -> Reply,
) -> Response {
    let Some(visitor) = visit.visitor.clone() else {
        return visit.error(pages, ErrorKind::Internal);
    };
    let filled_in = PasswordForm {
        session: Arc::clone(session),
        current: form.secret("current_password"),
        new: form.secret("password"),
        confirm: form.secret("confirm"),
        client: visitor.client,
        user_agent: visitor.user_agent,
        host: visitor.host,
        language: Some(pages.look.language().clone()),
        device: visitor.device,
    };
    if filled_in.current.is_empty() || filled_in.new.is_empty() || filled_in.confirm.is_empty() {
        return visit.refuse(pages, &Refusal::Incomplete("message.fields_missing"), draw);
    }
    let services = Arc::clone(&pages.services);
    let refusal = match carried_out(async move { set_password(&services, filled_in).await }).await {
        Ok(PasswordOutcome::Saved { opened, first }) => {
            let message = if first { Message::PasswordSet } else { Message::PasswordChanged };
            let then = Then::Page(then);
            return opened_to(pages, visit, &opened, then).message(pages, message).done();
        }
        Ok(PasswordOutcome::Gone) => return visit.ended(pages),
        Ok(PasswordOutcome::CurrentWrong) => match account.password {
            Some(_) => Refusal::CurrentWrong,
            None => Refusal::CurrentPinWrong { field: "current_password" },
        },
        Ok(PasswordOutcome::Locked { until }) => {
            let wait = wait_until(until, pages.services.clock.now());
            Refusal::Said(Message::Locked { wait })
        }
        Ok(PasswordOutcome::Against(problems)) => {
            Refusal::Against { password: sentences(pages, problems), pin: Vec::new() }
        }
        Ok(PasswordOutcome::Different) => Refusal::Different,
        Ok(PasswordOutcome::Overtaken) => Refusal::Said(Message::Overtaken),
        Err(kind) => return visit.error(pages, kind),
    };
    visit.refuse(pages, &refusal, draw)
}

/// The rules that a password breaks, each as a sentence.
pub(super) fn sentences(pages: &Pages, problems: Vec<PasswordProblem>) -> Vec<String> {
    problems.into_iter().map(|problem| sentence(pages.look.texts(), problem)).collect()
}

fn sentence(texts: &Texts, problem: PasswordProblem) -> String {
    let count = |key: &str, amount: usize| texts.count(key, amount as u64);
    match problem {
        PasswordProblem::TooShort(least) => count("problem.too_short", least),
        PasswordProblem::TooLong(most) => count("problem.too_long", most),
        PasswordProblem::TooFewCapitals(least) => count("problem.capitals", least),
        PasswordProblem::TooFewDigits(least) => count("problem.digits", least),
        PasswordProblem::IsLoginName => texts.get("problem.login_name").to_owned(),
        PasswordProblem::IsExtension => texts.get("problem.extension").to_owned(),
        PasswordProblem::IsEmail => texts.get("problem.email").to_owned(),
        PasswordProblem::IsPin => texts.get("problem.pin").to_owned(),
        PasswordProblem::TooCommon => texts.get("problem.common").to_owned(),
        PasswordProblem::LooksLikePin => texts.get("problem.pin_shape").to_owned(),
        PasswordProblem::IsInitial => texts.get("problem.initial").to_owned(),
    }
}
