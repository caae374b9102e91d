//! `{prefix}/security`: the first portal password with the PIN as proof, or another one with the
//! present one as proof; another e-mail address; the account's sessions.

mod email;
mod sessions;

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
use crate::domain::session::{LiveSession, Standing};
use crate::flows::own_email::may_change;
use crate::flows::own_sessions::{self, OwnSession};
use crate::web::answers::{ErrorKind, Refusal};
use crate::web::flash;
use crate::web::form::Form;
use crate::web::notice::Message;

pub(super) async fn show(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    let (_, shown) = match begin(&pages, &visit).await {
        Ok(begun) => begun,
        Err(answer) => return answer,
    };
    let left = visit.flash(&pages);
    let message = left.as_ref().map(|left| {
        let texts = pages.look.texts();
        let title = match left.message {
            Message::PasswordSet | Message::Saved { .. } => texts.get("message.done_title"),
            Message::PasswordChanged => texts.get("message.changed_title"),
            Message::EmailConfirmed { .. } => texts.get("message.email_confirmed_title"),
            Message::ConfirmSent { .. } => texts.get("message.email_asked_title"),
            _ => "",
        };
        visit.shown(&pages, left, title)
    });
    let part = match left.as_ref().map(|left| &left.message) {
        Some(Message::PasswordSet | Message::PasswordChanged) => Part::JustSet,
        _ => Part::Password,
    };
    let reply = shown.page(&pages, &visit, StatusCode::OK, part, message);
    match left {
        Some(_) => reply.cookie(flash::remove()).done(),
        None => reply.done(),
    }
}

/// One address for all forms of the page: what it is about is told by its fields.
pub(super) async fn submit(State(pages): State<Arc<Pages>>, visit: Visit, form: Form) -> Response {
    if visit.comes_from_elsewhere() {
        return visit.error(&pages, ErrorKind::Forbidden);
    }
    let (session, shown) = match begin(&pages, &visit).await {
        Ok(begun) => begun,
        Err(answer) => return answer,
    };
    let part = if form.has("session") || form.has("others") {
        Part::Sessions
    } else if form.has("email") {
        Part::Email { typed: "" }
    } else {
        Part::Password
    };
    let draw = |status, message| shown.page(&pages, &visit, status, part, Some(message));
    if !visit.vouched(&pages, &session, form.text("csrf")) {
        return visit.refuse(&pages, &Refusal::Said(Message::Stale), draw);
    }
    match part {
        Part::Sessions => sessions::submit(&pages, &visit, &session, &shown.sessions, &form).await,
        Part::Email { .. } => email::submit(&pages, &visit, &session, &shown, &form).await,
        Part::Password | Part::JustSet => {
            let then = pages.look.page("security");
            let account = &shown.account;
            password::change(&pages, &visit, account, &session, &form, &then, draw).await
        }
    }
}

/// Which part of the page a message belongs to.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Password,
    /// The password was saved a moment ago.
    JustSet,
    /// With the address that was typed.
    Email {
        typed: &'a str,
    },
    Sessions,
}

/// What the page is drawn from.
struct Shown {
    account: Account,
    sessions: Vec<OwnSession>,
    changes_email: bool,
}

/// The session that asks, and what its page shows; `Err` is the answer without them.
async fn begin(pages: &Pages, visit: &Visit) -> Result<(Arc<LiveSession>, Shown), Response> {
    let session = match visit.session() {
        Some((session, Standing::Full { .. })) => session,
        Some((_, standing)) => return Err(visit.elsewhere(pages, standing)),
        None => return Err(visit.to_login(pages)),
    };
    let account = password::account(pages, visit, session).await?;
    let sessions = own_sessions::list(&pages.services, session).await.map_err(|unavailable| {
        tracing::warn!(error = %unavailable, "a page could not do its work");
        visit.error(pages, ErrorKind::StoreDown)
    })?;
    let changes_email = may_change(session, &account);
    Ok((Arc::clone(session), Shown { account, sessions, changes_email }))
}

impl Shown {
    fn page(
        &self,
        pages: &Pages,
        visit: &Visit,
        status: StatusCode,
        part: Part<'_>,
        message: Option<Value>,
    ) -> Reply {
        let account = &self.account;
        let zone = pages.look.settings().time_zone.clone();
        let texts = pages.look.texts();
        let set_on = account
            .password
            .as_ref()
            .map(|password| texts.moment("language.date", &password.set_at.to_zoned(zone)));
        let (rows, more) = sessions::drawn(pages, &self.sessions);
        let (at, typed) = match part {
            Part::Password | Part::JustSet => ("password", ""),
            Part::Email { typed } => ("email", typed),
            Part::Sessions => ("sessions", ""),
        };
        let context = context! {
            message,
            just_set => matches!(part, Part::JustSet),
            at,
            typed,
            set_on,
            login => account.login.to_string(),
            has_password => account.password.is_some(),
            days_left => days_left(pages, account),
            rules => password::rules(pages, account),
            email => account.email.as_deref(),
            email_bounced => account.bounced.is_some(),
            mails => pages.services.mail.is_some(),
            changes_email => self.changes_email,
            sessions => rows,
            more,
            others => self.sessions.iter().any(|session| !session.current),
            apps => self.sessions.iter().any(|session| session.app.is_some()),
        };
        visit.page(pages, status, "security.html", context)
    }
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
