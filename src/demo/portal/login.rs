//! Signing in and out, the second factor, and the side doors that portals forget about.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use minijinja::context;
use serde_json::json;

use super::fields::{self, Credentials};
use super::server::Call;
use super::users::{MFA_CODE, PortalUser};
use super::{FailureShape, LoginAttempt, LoginResult, answer};

/// Where a signed-in user lands.
pub(super) const HOME: &str = "/portal/home";
/// The login page.
pub(super) const LOGIN: &str = "/portal/login";

const USER: &str = "data[Login][username]";
const SECRET: &str = "data[Login][password]";
const TOKEN: &str = "data[_Token][key]";
const SIDE_DOOR_USERS: &[&str] = &[USER, "data[User][username]", "username", "login", "user"];
const SIDE_DOOR_SECRETS: &[&str] = &[SECRET, "data[User][password]", "password", "pin"];

/// Looks for a credential on whatever page was asked for. `None`: there is none, or it was right and
/// the page itself is shown.
pub(super) fn credentials_anywhere(call: &mut Call) -> Option<Response<Body>> {
    let side_door = is_side_door(&call.path);
    let found = if side_door {
        call.fields.credentials(SIDE_DOOR_USERS, SIDE_DOOR_SECRETS)
    } else {
        call.fields.credentials(&[USER], &[SECRET])
    };
    let credentials = found.or_else(|| fields::basic(&call.headers))?;
    let at_login_page = matches!(call.path.as_str(), "/portal/login" | "/portal/login/index");
    // The form's own shape needs the form's token; CakePHP never looks at it in the others.
    let needs_token = at_login_page && credentials.shape == "form" && call.method == "POST";
    let result = attempt(call, &credentials, needs_token);
    if call.path == "/portal/users/checkpassword" {
        let valid = result == LoginResult::Accepted;
        return Some(answer::json(StatusCode::OK, &json!({ "valid": valid })));
    }
    match result {
        LoginResult::Accepted if at_login_page || side_door => Some(signed_in(call)),
        LoginResult::Accepted => None,
        LoginResult::Challenge => Some(answer::redirect("/portal/login/mfa/1")),
        LoginResult::Refused => {
            Some(refused(call, "Login failed. Please check your login name and password."))
        }
        LoginResult::BadToken => {
            let message = "The request has been black-holed.";
            let values = context! { title => "Bad Request", message };
            let page = call.state.views.render("plain.html", values);
            let kind = "text/html; charset=UTF-8";
            Some(answer::text(StatusCode::BAD_REQUEST, kind, page.into()))
        }
    }
}

/// The pages around the login. `None`: another page was asked for.
pub(super) fn respond(call: &mut Call) -> Option<Response<Body>> {
    Some(match call.path.as_str() {
        "/portal/login" | "/portal/login/index" if call.method == "POST" => {
            refused(call, "Please enter your login name and password.")
        }
        "/portal/login" | "/portal/login/index" => page(call),
        "/portal/login/logout" => sign_out(call, "You have been signed out."),
        "/portal/login/logout/expired" => {
            sign_out(call, "Your session has expired. Please log in again.")
        }
        "/portal/login/mfa/1" => second_factor(call),
        "/portal/login/mfasubmit" => check_second_factor(call),
        path if is_side_door(path) => {
            answer::html(call.state.views.render(
                "side_door.html",
                context! { path => path, title => "Sign in another way" },
            ))
        }
        _ => return None,
    })
}

/// Sends a visitor who is not signed in to the login page.
pub(super) fn sign_in_first() -> Response<Body> {
    answer::redirect(LOGIN)
}

/// Whether this secret opens the portal for this user; `None`: it does not.
pub(super) fn check(call: &Call, user: &str, secret: &str) -> Option<PortalUser> {
    let user = call.state.users.find(user)?;
    let may = user.scope != "No Portal" && user.srv_code.is_empty();
    (may && !user.pin.is_empty() && user.pin == secret).then_some(user)
}

/// Puts a try down in the record.
pub(super) fn note(call: &Call, tried: &Credentials, result: LoginResult) {
    let attempt = LoginAttempt {
        door: call.path.clone(),
        shape: tried.shape.clone(),
        user: tried.user.clone(),
        secret: tried.secret.clone(),
        result,
        accepted: matches!(result, LoginResult::Accepted | LoginResult::Challenge),
    };
    call.note.add(|request| request.logins.push(attempt));
}

fn attempt(call: &mut Call, tried: &Credentials, needs_token: bool) -> LoginResult {
    let expected = call.state.sessions.read(&call.session).form_token;
    let token_is_right = match call.fields.value(TOKEN) {
        Some(token) => token == expected,
        None => !needs_token,
    };
    let result = if !token_is_right {
        LoginResult::BadToken
    } else if let Some(user) = check(call, &tried.user, &tried.secret) {
        if user.mfa {
            call.state.sessions.change(&call.session, |session| {
                session.challenged = Some(user.login());
                session.user = None;
            });
            LoginResult::Challenge
        } else {
            sign_in(call, &user.login());
            LoginResult::Accepted
        }
    } else {
        LoginResult::Refused
    };
    note(call, tried, result);
    result
}

fn sign_in(call: &mut Call, login: &str) {
    if call.state.options.rotate_session_on_login {
        call.session = call.state.sessions.rotate(&call.session);
        call.announce = true;
    }
    let language = call.fields.value("data[Login][language]").map(str::to_owned);
    call.state.sessions.change(&call.session, |session| {
        session.user = Some(login.to_owned());
        session.challenged = None;
        session.flash = None;
        session.language = language.or(session.language.take());
    });
}

fn signed_in(call: &Call) -> Response<Body> {
    let mut response = answer::redirect(HOME);
    if let Some(language) = call.fields.value("data[Login][language]") {
        let language: String =
            language.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        answer::set_cookie(&mut response, &call.headers, "lang", &language, "; max-age=31536000");
    }
    response
}

fn refused(call: &Call, message: &str) -> Response<Body> {
    call.state.sessions.change(&call.session, |session| session.flash = Some(message.to_owned()));
    match call.state.options.failure_shape {
        FailureShape::Redirect302 => answer::redirect(LOGIN),
        FailureShape::FormAgain200 => page(call),
    }
}

fn page(call: &Call) -> Response<Body> {
    let (flash, form_token) = call
        .state
        .sessions
        .change(&call.session, |session| (session.flash.take(), session.form_token.clone()));
    let language = answer::cookie(&call.headers, "lang").unwrap_or("en").to_owned();
    answer::html(call.state.views.render(
        "login.html",
        context! {
            title => "Log in",
            flash,
            form_token,
            language,
            kept => call.fields.value(USER).unwrap_or_default(),
        },
    ))
}

fn sign_out(call: &mut Call, message: &str) -> Response<Body> {
    call.state.sessions.end(&call.session);
    (call.session, call.announce) = call.state.sessions.open(None);
    call.state.sessions.change(&call.session, |session| session.flash = Some(message.to_owned()));
    answer::redirect(LOGIN)
}

fn second_factor(call: &Call) -> Response<Body> {
    let (challenged, flash) = call
        .state
        .sessions
        .change(&call.session, |session| (session.challenged.clone(), session.flash.take()));
    let Some(login) = challenged else { return sign_in_first() };
    let values = context! { title => "Verify your login", login, flash };
    answer::html(call.state.views.render("mfa.html", values))
}

fn check_second_factor(call: &mut Call) -> Response<Body> {
    let Some(login) = call.state.sessions.read(&call.session).challenged else {
        return sign_in_first();
    };
    if call.fields.value("data[Login][passcode]").map(str::trim) == Some(MFA_CODE) {
        sign_in(call, &login);
        return answer::redirect(HOME);
    }
    call.state.sessions.change(&call.session, |session| {
        session.flash = Some("That code is not right. Please try again.".to_owned());
    });
    answer::redirect("/portal/login/mfa/1")
}

/// The portal's own password pages, each of which would let a PIN in.
fn is_side_door(path: &str) -> bool {
    matches!(path, "/portal/users/checkpassword" | "/portal/login/ssoenroll" | "/portal/resets")
        || path.starts_with("/portal/resets/")
}
