//! The API's subscribers: version 1 by `object` and `action`, version 2 by path.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::server::Call;
use super::users::PortalUser;
use super::{State, answer};

/// How long an update of version 2 without `synchronous=yes` takes to be seen.
const REPLICATION: Duration = Duration::from_millis(150);

/// `/ns-api/?object=subscriber&action=read|list|count|update`.
pub(super) fn version_one(call: &Call, caller: &PortalUser) -> Response<Body> {
    let value = |name| call.fields.value(name);
    if value("object") != Some("subscriber") {
        return problem(StatusCode::NOT_FOUND, "Unknown object.");
    }
    match value("action").unwrap_or("read") {
        "read" | "list" => {
            let tenant = value("domain").map(str::to_lowercase);
            let users = visible(call, caller, tenant.as_deref());
            // Who asks for nobody in particular reads their own record.
            let named = ["user", "uid", "domain"].into_iter().any(|name| value(name).is_some());
            let own = value("action") == Some("read") && !named;
            let users = users.into_iter().filter(|user| {
                (!own || user.login() == caller.login())
                    && value("user").is_none_or(|extension| extension == user.extension)
                    && value("uid").is_none_or(|uid| uid.eq_ignore_ascii_case(&user.login()))
            });
            subscribers(call, &page(call, users).map(|user| user_v1(&user)).collect::<Vec<_>>())
        }
        "count" => {
            let tenant = value("domain").map(str::to_lowercase);
            let total = visible(call, caller, tenant.as_deref()).len();
            answer::json(StatusCode::OK, &json!({ "total": total }))
        }
        "update" => {
            let from_parts = || Some(format!("{}@{}", value("user")?, value("domain")?));
            let login = value("uid").map(str::to_owned).or_else(from_parts).unwrap_or_default();
            let pin = value("pwd").or_else(|| value("subscriber_pin"));
            match Change::checked(call, caller, &login, pin, value("email")) {
                Ok(change) => match call.update_after {
                    Some(time) => accepted(call, change, time),
                    None => {
                        change.apply(&call.state);
                        answer::json(StatusCode::OK, &json!({ "code": 200, "message": "Ok" }))
                    }
                },
                Err(refusal) => refusal.answer(),
            }
        }
        _ => problem(StatusCode::BAD_REQUEST, "Unknown action."),
    }
}

/// `domains/{domain}/users[/{user}]`, GET and PUT. `~` is the caller's own.
pub(super) fn version_two(call: &Call, caller: &PortalUser, resource: &str) -> Response<Body> {
    let mut segments: Vec<&str> = resource.split('/').collect();
    for (place, own) in [(1, caller.tenant.as_str()), (3, caller.extension.as_str())] {
        if let Some(segment) = segments.get_mut(place).filter(|segment| **segment == "~") {
            *segment = own;
        }
    }
    match (call.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", ["domains", domain, "users"]) => {
            let users = visible(call, caller, Some(domain)).into_iter();
            let users: Vec<Value> = page(call, users).map(|user| user_v2(&user)).collect();
            answer::json(StatusCode::OK, &users)
        }
        ("GET" | "HEAD", ["domains", domain, "users", "count"]) => {
            let total = visible(call, caller, Some(domain)).len();
            answer::json(StatusCode::OK, &json!({ "total": total }))
        }
        ("GET" | "HEAD", ["domains", domain, "users", extension]) => {
            let users = visible(call, caller, Some(domain));
            match users.iter().find(|user| user.extension == *extension) {
                Some(user) => answer::json(StatusCode::OK, &user_v2(user)),
                None => problem(StatusCode::NOT_FOUND, "User not found."),
            }
        }
        ("PUT", ["domains", domain, "users", extension]) => {
            let login = format!("{extension}@{domain}");
            let value = |name| call.fields.value(name);
            let pin = value("voicemail-login-pin");
            let email = value("email-address");
            let change = match Change::checked(call, caller, &login, pin, email) {
                Ok(change) => change,
                Err(refusal) => return refusal.answer(),
            };
            let at_once = value("synchronous") == Some("yes");
            match call.update_after.or((!at_once).then_some(REPLICATION)) {
                Some(time) => accepted(call, change, time),
                None => {
                    change.apply(&call.state);
                    let user = call.state.users.find(&login);
                    answer::json(StatusCode::OK, &user.as_ref().map(user_v2))
                }
            }
        }
        _ => problem(StatusCode::NOT_FOUND, "No such resource."),
    }
}

/// Carries a change out after some time, and says so.
fn accepted(call: &Call, change: Change, after: Duration) -> Response<Body> {
    let state = Arc::clone(&call.state);
    tokio::spawn(async move {
        tokio::select! {
            () = state.stop.cancelled() => {}
            () = tokio::time::sleep(after) => change.apply(&state),
        }
    });
    answer::json(StatusCode::ACCEPTED, &json!({ "code": 202, "message": "Accepted" }))
}

/// A permitted change of one subscriber.
struct Change {
    login: String,
    pin: Option<String>,
    email: Option<String>,
}

/// Why a change is not made.
enum Refusal {
    NotAllowed,
    PinNotDigits,
}

impl Change {
    fn checked(
        call: &Call,
        caller: &PortalUser,
        login: &str,
        pin: Option<&str>,
        email: Option<&str>,
    ) -> Result<Self, Refusal> {
        let user = call.state.users.find(login);
        let user = user.filter(|user| sees(caller, user)).ok_or(Refusal::NotAllowed)?;
        let is_pin = |pin: &str| pin.len() >= 4 && pin.bytes().all(|byte| byte.is_ascii_digit());
        if pin.is_some_and(|pin| !is_pin(pin)) {
            return Err(Refusal::PinNotDigits);
        }
        let (pin, email) = (pin.map(str::to_owned), email.map(str::to_owned));
        Ok(Self { login: user.login(), pin, email })
    }

    fn apply(self, state: &State) {
        state.users.change(&self.login, |user| {
            if let Some(pin) = self.pin {
                user.pin = pin;
            }
            if let Some(email) = self.email {
                user.email = (!email.is_empty()).then_some(email);
            }
        });
    }
}

impl Refusal {
    fn answer(&self) -> Response<Body> {
        match self {
            Self::NotAllowed => problem(StatusCode::FORBIDDEN, "Not allowed for this user."),
            Self::PinNotDigits => {
                problem(StatusCode::BAD_REQUEST, "The voicemail PIN must be 4 or more digits.")
            }
        }
    }
}

fn sees(caller: &PortalUser, user: &PortalUser) -> bool {
    caller.login() == user.login() || caller.manages(&user.tenant)
}

fn visible(call: &Call, caller: &PortalUser, tenant: Option<&str>) -> Vec<PortalUser> {
    let mut users = call.state.users.list(tenant);
    users.retain(|user| sees(caller, user));
    users
}

/// The part of a list that `start` and `limit` ask for.
fn page(call: &Call, users: impl Iterator<Item = PortalUser>) -> impl Iterator<Item = PortalUser> {
    let number = |name, default| usize::try_from(call.fields.number(name, default));
    let (start, limit) = (number("start", 0), number("limit", 1000));
    users.skip(start.unwrap_or(usize::MAX)).take(limit.unwrap_or(usize::MAX))
}

fn user_v1(user: &PortalUser) -> Value {
    json!({
        "uid": user.login(),
        "domain": user.tenant,
        "user": user.extension,
        "first_name": user.first_name(),
        "last_name": user.last_name(),
        "subscriber_login": user.login(),
        "subscriber_pin": user.pin,
        "email": user.email.clone().unwrap_or_default(),
        "scope": user.scope,
        "srv_code": user.srv_code,
        "vmail_enabled": if user.srv_code.is_empty() { "yes" } else { "no" },
        "account_status": "standard",
    })
}

fn user_v2(user: &PortalUser) -> Value {
    json!({
        "domain": user.tenant,
        "user": user.extension,
        "name-first-name": user.first_name(),
        "name-last-name": user.last_name(),
        "login-username": user.login(),
        "voicemail-login-pin": user.pin,
        "email-address": user.email.clone().unwrap_or_default(),
        "user-scope": user.scope,
        "service-code": user.srv_code,
        "voicemail-enabled": if user.srv_code.is_empty() { "yes" } else { "no" },
        "account-status": "standard",
    })
}

/// Subscribers as JSON, or as XML when `format=json` is missing.
fn subscribers(call: &Call, users: &[Value]) -> Response<Body> {
    if call.fields.value("format") == Some("json") {
        return answer::json(StatusCode::OK, &users);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>\n");
    for user in users {
        xml.push_str("<subscriber>\n");
        for (name, value) in user.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            xml.push_str(&format!("<{name}>{text}</{name}>\n"));
        }
        xml.push_str("</subscriber>\n");
    }
    xml.push_str("</xml>\n");
    answer::text(StatusCode::OK, "text/xml; charset=UTF-8", xml.into())
}

fn problem(status: StatusCode, message: &str) -> Response<Body> {
    answer::json(status, &json!({ "code": status.as_u16(), "message": message }))
}
