//! The API: tokens by password and refresh grant, and who a call is for.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::fields::{self, Credentials};
use super::server::Call;
use super::tokens::Grant;
use super::users::{MFA_CODE, PortalUser};
use super::{LoginResult, answer, api_users, login};

const API_VERSION: &str = "NetSapiens-like API 1.0";

pub(super) async fn respond(call: &Call) -> Response<Body> {
    match call.path.as_str() {
        "/ns-api/oauth2/token" => token(call, Version::One),
        "/ns-api/v2/tokens" => token(call, Version::Two),
        path => {
            let Some(user) = caller(call) else {
                return unauthorised();
            };
            match path.strip_prefix("/ns-api/v2/") {
                Some(resource) => api_users::version_two(call, &user, resource),
                None => api_users::version_one(call, &user),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn token(call: &Call, version: Version) -> Response<Body> {
    let value = |name| call.fields.value(name).unwrap_or_default();
    let client = fields::basic(&call.headers).unwrap_or_else(|| Credentials {
        user: value("client_id").to_owned(),
        secret: value("client_secret").to_owned(),
        shape: String::new(),
    });
    let clients = &call.state.options.api_clients;
    if !clients.iter().any(|(id, secret)| *id == client.user && *secret == client.secret) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "Unknown client.");
    }
    match value("grant_type") {
        "password" | "mfa" => password_grant(call, &client.user, version),
        "refresh_token" => {
            let taken = call.state.tokens.take_refresh(value("refresh_token"), &client.user);
            match taken.and_then(|grant| call.state.users.find(&grant.user)) {
                Some(user) => granted(call, &user, &client.user),
                None => refuse(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid refresh token."),
            }
        }
        _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unknown grant type."),
    }
}

fn password_grant(call: &Call, client: &str, version: Version) -> Response<Body> {
    let found = call.fields.credentials(&["username"], &["password"]);
    let Some(tried) = found else {
        let message = "Missing parameters: \"username\" and \"password\" required.";
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", message);
    };
    let Some(user) = login::check(call, &tried.user, &tried.secret) else {
        login::note(call, &tried, LoginResult::Refused);
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid username and password.");
    };
    let code = call.fields.value("passcode").or_else(|| call.fields.value("mfa_code"));
    if user.mfa && code != Some(MFA_CODE) {
        login::note(call, &tried, LoginResult::Challenge);
        // A challenge is a successful answer, of both versions.
        let challenge = json!({
            "username": user.login(),
            "mfa_type": "totp",
            "mfa_vendor": "google",
            "apiversion": if version == Version::One { API_VERSION } else { "v2" },
        });
        return answer::json(StatusCode::OK, &challenge);
    }
    login::note(call, &tried, LoginResult::Accepted);
    granted(call, &user, client)
}

fn granted(call: &Call, user: &PortalUser, client: &str) -> Response<Body> {
    let life = call.state.options.token_life;
    let grant = call.state.tokens.issue(&user.login(), client, life);
    answer::json(StatusCode::OK, &token_answer(user, &grant, life.as_secs()))
}

fn token_answer(user: &PortalUser, grant: &Grant, expires_in: u64) -> Value {
    json!({
        "username": user.login(),
        "user": user.extension,
        "territory": "11111.service",
        "domain": user.tenant,
        "uid": user.login(),
        "login": user.login(),
        "scope": user.scope,
        "user_email": user.email.clone().unwrap_or_default(),
        "displayName": user.display_name,
        "access_token": grant.access,
        "expires_in": expires_in,
        "token_type": "Bearer",
        "refresh_token": grant.refresh,
        "client_id": grant.client,
        "apiversion": API_VERSION,
    })
}

/// Who calls: by bearer token, or (carelessly) by Basic with the PIN.
fn caller(call: &Call) -> Option<PortalUser> {
    if let Some(tried) = fields::basic(&call.headers) {
        let user = login::check(call, &tried.user, &tried.secret);
        let result = if user.is_some() { LoginResult::Accepted } else { LoginResult::Refused };
        login::note(call, &tried, result);
        return user;
    }
    let field = call.headers.get(header::AUTHORIZATION).and_then(|field| field.to_str().ok());
    let bearer = field
        .and_then(|field| field.split_once(' '))
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
    let grant = call.state.tokens.access(bearer.or(call.fields.value("access_token"))?)?;
    call.state.users.find(&grant.user)
}

fn unauthorised() -> Response<Body> {
    let mut response = refuse(StatusCode::UNAUTHORIZED, "invalid_token", "The token is not valid.");
    let challenge = HeaderValue::from_static("Bearer realm=\"ns-api\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Response<Body> {
    answer::json(status, &json!({ "error": error, "error_description": description }))
}
