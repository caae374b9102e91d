//! `{prefix}/help`: what changes, when, and what a portal password needs (R-A7). For everybody,
//! signed in or not; everything on it comes from the configuration.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Time;
use minijinja::context;
use minijinja::value::Value;

use super::visit::Visit;
use super::{Pages, choosing, password};
use crate::domain::rollout::{Phase, Schedule};

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let tenant = tenant(&pages, &visit);
    let rollout = &pages.services.policies.rollout;
    let schedule = tenant.as_deref().map_or(&rollout.everyone, |tenant| rollout.schedule(tenant));
    let now = pages.services.clock.now();
    let phase = schedule.phase(now);
    let texts = pages.look.texts();
    let tenant_name = tenant.as_deref().unwrap_or_default();
    let zone = pages.look.zone(tenant_name);
    let context = context! {
        now => texts.get(match phase {
            Phase::Quiet => "help.now_quiet",
            Phase::Warn => "help.now_warn",
            Phase::Force => "help.now_force",
            Phase::Reject => "help.now_reject",
        }),
        days_left => schedule.days_left(now),
        phases => phases(&pages, tenant_name, schedule, now),
        zone => zone.iana_name(),
        differs => tenant.is_none() && !rollout.tenants.is_empty(),
        rules => password::rules_of(&pages, tenant_name),
        pin_length => choosing::pin_length(&pages),
        questions => questions(&pages, phase),
    };
    visit.page(&pages, StatusCode::OK, "help.html", context).done()
}

/// Whose dates are shown: the user's, else those of the tenant that the host names.
fn tenant(pages: &Pages, visit: &Visit) -> Option<String> {
    if let Some((session, _)) = visit.session() {
        return Some(session.record().login.tenant().to_owned());
    }
    let visitor = visit.visitor.as_ref()?;
    (pages.login_names.tenant_of)(&visitor.host)
}

/// The dated phases in their order; one without a date never begins.
fn phases(pages: &Pages, tenant: &str, schedule: &Schedule, now: Timestamp) -> Vec<Value> {
    let running = schedule.phase(now);
    [
        (Phase::Warn, "warn", schedule.warn),
        (Phase::Force, "force", schedule.force),
        (Phase::Reject, "reject", schedule.reject),
    ]
    .into_iter()
    .filter_map(|(phase, name, begins)| {
        let begins = begins?;
        let state = match phase {
            _ if begins > now => "to_come",
            _ if phase == running => "running",
            _ => "completed",
        };
        let texts = pages.look.texts();
        Some(context! {
            state,
            state_name => texts.get(&format!("help.{state}")),
            title => texts.get(&format!("help.{name}.title")),
            text => texts.get(&format!("help.{name}.text")),
            date => date(pages, tenant, begins),
        })
    })
    .collect()
}

/// On the clock of the rollout; the time of day only where it says something.
fn date(pages: &Pages, tenant: &str, at: Timestamp) -> String {
    let texts = pages.look.texts();
    let local = at.to_zoned(pages.look.zone(tenant).clone());
    let date = texts.moment("language.date", &local);
    if local.time() == Time::midnight() {
        return date;
    }
    let time = texts.moment("language.time", &local);
    texts.fill("message.other_day", &[("time", &time), ("date", &date)])
}

/// The questions that arise under this configuration, with their answers.
fn questions(pages: &Pages, phase: Phase) -> Vec<Value> {
    let (texts, settings) = (pages.look.texts(), pages.look.settings());
    let by_mail = |with: &'static str, without: &'static str| {
        if settings.sends_mail { with } else { without }
    };
    let set = match phase {
        Phase::Quiet | Phase::Warn => "set.before",
        Phase::Force => "set.force",
        Phase::Reject => by_mail("set.reject", "ask_support"),
    };
    let mut rows = vec![
        ("why", "why.answer"),
        ("voicemail", "voicemail.answer"),
        ("phones", "phones.answer"),
        ("set", set),
        ("forgot", by_mail("forgot.answer", "ask_support")),
        ("login_name", by_mail("login_name.answer", "ask_support")),
    ];
    if settings.sends_mail {
        rows.push(("no_mail", "no_mail.answer"));
    }
    rows.extend([("signed_out", "signed_out.answer"), ("asked", "asked.answer")]);
    let life = texts.span(pages.services.policies.links.reset);
    let values = [("support", pages.look.support()), ("life", life.as_str())];
    rows.into_iter()
        .map(|(question, answer)| {
            context! {
                question => texts.get(&format!("faq.{question}.question")),
                answer => texts.fill(&format!("faq.{answer}"), &values),
            }
        })
        .collect()
}
