//! The pages behind the login: home, calls, contacts, voicemail, messages, profile.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use minijinja::{Value, context};

use super::server::Call;
use super::users::PortalUser;
use super::{answer, login};

pub(super) fn respond(call: &Call) -> Response<Body> {
    let user = call.user().and_then(|login| call.state.users.find(&login));
    match call.path.as_str() {
        "/portal/home/checksession" => return check_session(user.as_ref()),
        "/portal/js/poll.js" => {
            let every = call.state.options.poll_every.as_millis();
            let values = context! { every => u64::try_from(every).unwrap_or(u64::MAX) };
            let script = call.state.views.render("poll.js", values);
            let kind = "application/javascript; charset=utf-8";
            return answer::validated(&call.headers, kind, script.into(), "max-age=60");
        }
        _ => {}
    }
    let Some(user) = user else {
        return match known(&call.path) {
            true => login::sign_in_first(),
            false => not_found(call),
        };
    };
    match call.path.as_str() {
        "/portal" => answer::redirect(login::HOME),
        "/portal/home" => {
            let values = context! { calls => rows(CALLS.iter().take(4).map(call_row)), waiting => MESSAGES.len() };
            page(call, &user, "home", "Home", values)
        }
        "/portal/calls" => page(
            call,
            &user,
            "calls",
            "Call History",
            context! { calls => rows(CALLS.iter().map(call_row)) },
        ),
        "/portal/contacts" => contacts(call, &user),
        "/portal/contacts/export" => export(call, &user),
        "/portal/voicemail" => voicemail(call, &user),
        "/portal/messages" => page(call, &user, "messages", "Messages", context! {}),
        "/portal/profile" => profile(call, &user),
        _ => not_found(call),
    }
}

/// The 404 page, which needs no session.
pub(super) fn not_found(call: &Call) -> Response<Body> {
    let values = context! { title => "Not found", message => "There is no such page." };
    let page = call.state.views.render("plain.html", values);
    answer::text(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", page.into())
}

fn known(path: &str) -> bool {
    const PAGES: &[&str] = &[
        "/portal",
        "/portal/home",
        "/portal/calls",
        "/portal/contacts",
        "/portal/contacts/export",
        "/portal/voicemail",
        "/portal/messages",
        "/portal/profile",
    ];
    PAGES.contains(&path)
}

/// What the pages' script asks every few seconds (five minutes on real portals).
fn check_session(user: Option<&PortalUser>) -> Response<Body> {
    match user {
        Some(_) => answer::plain(StatusCode::OK, "ok"),
        None => answer::plain(StatusCode::UNAUTHORIZED, "expired"),
    }
}

fn render(call: &Call, user: &PortalUser, name: &str, title: &str, values: Value) -> String {
    let session = call.state.sessions.read(&call.session);
    let shared = context! {
        title,
        active => name,
        language => session.language.unwrap_or_else(|| "en".into()),
        user => context! {
            name => user.display_name.clone(),
            first => user.first_name(),
            extension => user.extension.clone(),
            tenant => user.tenant.clone(),
            login => user.login(),
            email => user.email.clone(),
            scope => user.scope.clone(),
        },
    };
    call.state.views.render(&format!("{name}.html"), context! { ..values, ..shared })
}

fn page(call: &Call, user: &PortalUser, name: &str, title: &str, values: Value) -> Response<Body> {
    let mut response = answer::html(render(call, user, name, title, values));
    let no_cache = http::HeaderValue::from_static("no-cache, must-revalidate");
    response.headers_mut().insert(http::header::CACHE_CONTROL, no_cache);
    response
}

/// The one page with a validator and ranges: nothing in it changes from one visit to the next.
fn contacts(call: &Call, user: &PortalUser) -> Response<Body> {
    let contacts = rows(colleagues(call, user).into_iter().map(|person| {
        context! { extension => person.extension, name => person.display_name, email => person.email }
    }));
    let values = context! { contacts };
    let page = render(call, user, "contacts", "Contacts", values);
    answer::validated(&call.headers, "text/html; charset=UTF-8", page.into(), "no-cache")
}

fn export(call: &Call, user: &PortalUser) -> Response<Body> {
    let rows = colleagues(call, user).into_iter().map(|contact| {
        format!(
            "{},{},{}\n",
            contact.extension,
            contact.display_name,
            contact.email.unwrap_or_default()
        )
    });
    let table = format!("Extension,Name,Email\n{}", rows.collect::<String>());
    answer::validated(&call.headers, "text/csv; charset=utf-8", table.into(), "no-cache")
}

/// The mailbox opens with the PIN, whatever opened the portal.
fn voicemail(call: &Call, user: &PortalUser) -> Response<Body> {
    let pin = call.fields.value("data[Voicemail][pin]");
    let opened = pin.is_some_and(|pin| !user.pin.is_empty() && pin.trim() == user.pin);
    let error = (pin.is_some() && !opened).then_some("That PIN does not open this mailbox.");
    let messages = opened.then(|| rows(MESSAGES.iter().map(message_row)));
    page(call, user, "voicemail", "Voicemail", context! { opened, error, messages })
}

fn profile(call: &Call, user: &PortalUser) -> Response<Body> {
    if call.method != "POST" {
        return page(call, user, "profile", "Profile", context! {});
    }
    let value = |name| call.fields.value(name).map(str::trim).filter(|value| !value.is_empty());
    let pin = value("data[Profile][vmail_pin]");
    let error = pin
        .is_some_and(|pin| pin.len() < 4 || !pin.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some("The voicemail PIN must be at least four digits.");
    if error.is_none() {
        call.state.users.change(&user.login(), |user| {
            if let Some(name) = value("data[Profile][name]") {
                user.display_name = name.to_owned();
            }
            if let Some(email) = value("data[Profile][email]") {
                user.email = Some(email.to_owned());
            }
            if let Some(pin) = pin {
                user.pin = pin.to_owned();
            }
        });
    }
    let saved = error.is_none();
    let user = call.state.users.find(&user.login()).unwrap_or_else(|| user.clone());
    page(call, &user, "profile", "Profile", context! { saved, error })
}

fn rows(rows: impl Iterator<Item = Value>) -> Value {
    rows.collect()
}

fn colleagues(call: &Call, user: &PortalUser) -> Vec<PortalUser> {
    let mut people = call.state.users.list(Some(&user.tenant));
    people.retain(|person| person.srv_code.is_empty());
    people
}

/// One line of the call history.
struct CallEntry {
    direction: &'static str,
    party: &'static str,
    number: &'static str,
    when: &'static str,
    length: &'static str,
}

const fn call(
    direction: &'static str,
    party: &'static str,
    number: &'static str,
    when: &'static str,
    length: &'static str,
) -> CallEntry {
    CallEntry { direction, party, number, when, length }
}

fn call_row(entry: &CallEntry) -> Value {
    let CallEntry { direction, party, number, when, length } = *entry;
    context! { direction, party, number, when, length }
}

const CALLS: &[CallEntry] = &[
    call("in", "Harbour Supplies", "(212) 555-0143", "Today, 9:12 am", "4:31"),
    call("out", "Nora Feld", "(646) 555-0188", "Today, 8:57 am", "1:05"),
    call("missed", "Unknown caller", "(917) 555-0119", "Yesterday, 5:48 pm", "0:00"),
    call("in", "Main Street Dental", "(212) 555-0172", "Yesterday, 3:20 pm", "12:44"),
    call("out", "Airport Taxi", "(718) 555-0105", "Yesterday, 1:02 pm", "0:52"),
    call("in", "Nora Feld", "(646) 555-0188", "Monday, 4:36 pm", "7:18"),
    call("missed", "Harbour Supplies", "(212) 555-0143", "Monday, 11:09 am", "0:00"),
    call("out", "Lakeside Printing", "(914) 555-0160", "Monday, 10:15 am", "3:27"),
];

/// One message in the mailbox.
struct VoiceMessage {
    from: &'static str,
    number: &'static str,
    when: &'static str,
    length: &'static str,
}

fn message_row(message: &VoiceMessage) -> Value {
    let VoiceMessage { from, number, when, length } = *message;
    context! { from, number, when, length }
}

const MESSAGES: &[VoiceMessage] = &[
    VoiceMessage {
        from: "Harbour Supplies",
        number: "(212) 555-0143",
        when: "Today, 8:02 am",
        length: "0:42",
    },
    VoiceMessage {
        from: "Main Street Dental",
        number: "(212) 555-0172",
        when: "Yesterday, 5:51 pm",
        length: "1:17",
    },
];
