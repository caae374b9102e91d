//! The API's token endpoints. They take the client and the user from wherever they stand: fields of
//! any shape, and HTTP Basic.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::fields::{self, Credentials};
use super::server::Call;
use super::tokens::{Form, Grant};
use super::users::{MFA_CODE, PortalUser};
use super::{LoginResult, answer, login};

const API_VERSION: &str = "NetSapiens-like API 1.0";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    One,
    Js,
    Two,
    Jwt,
}

/// `None`: another path was asked for.
pub(super) fn respond(call: &Call) -> Option<Response<Body>> {
    let endpoint = match call.path.as_str() {
        "/ns-api/oauth2/token" => Endpoint::One,
        "/ns-api/oauth2/netsapiensjs" => Endpoint::Js,
        "/ns-api/v2/tokens" => Endpoint::Two,
        "/ns-api/v2/jwt" => Endpoint::Jwt,
        _ => return None,
    };
    Some(if endpoint == Endpoint::Jwt && call.method == "DELETE" {
        end(call)
    } else {
        token(call, endpoint)
    })
}

/// The bearer token that a call comes with.
pub(super) fn bearer(call: &Call) -> Option<&str> {
    let field = call.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(super) fn unauthorised() -> Response<Body> {
    let mut response = refuse(StatusCode::UNAUTHORIZED, "invalid_token", "The token is not valid.");
    let challenge = HeaderValue::from_static("Bearer realm=\"ns-api\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn end(call: &Call) -> Response<Body> {
    match bearer(call).filter(|token| call.state.tokens.end(token)) {
        Some(_) => answer::json(StatusCode::OK, &json!({ "code": 200, "message": "Ok" })),
        None => unauthorised(),
    }
}

fn token(call: &Call, endpoint: Endpoint) -> Response<Body> {
    let value = |name| call.fields.value(name).unwrap_or_default();
    let basic = fields::basic(&call.headers);
    let known = |id: &str, secret: &str| {
        let clients = &call.state.options.api_clients;
        clients.iter().any(|client| client.0 == id && client.1 == secret)
    };
    let by_basic = basic.as_ref().filter(|client| known(&client.user, &client.secret));
    let client = match by_basic {
        Some(client) => client.user.as_str(),
        None if known(value("client_id"), value("client_secret")) => value("client_id"),
        None => "",
    };
    // Basic that is no client's may be a user's.
    let user_in_basic = basic.as_ref().filter(|_| by_basic.is_none());
    if client.is_empty() {
        if let Some(tried) = user_in_basic {
            login::note(call, tried, LoginResult::Refused);
        }
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "Unknown client.");
    }
    let usual = if endpoint == Endpoint::Js { "password" } else { "" };
    match call.fields.value("grant_type").unwrap_or(usual) {
        grant @ ("password" | "mfa") => {
            let in_fields = call.fields.credentials(&["username"], &["password"]);
            match in_fields.as_ref().or(user_in_basic) {
                Some(tried) => password_grant(call, client, endpoint, tried, grant == "mfa"),
                None => {
                    let message = "Missing parameters: \"username\" and \"password\" required.";
                    refuse(StatusCode::BAD_REQUEST, "invalid_request", message)
                }
            }
        }
        "refresh_token" => {
            let taken = call.state.tokens.take_refresh(value("refresh_token"), client);
            match taken.and_then(|grant| call.state.users.find(&grant.user)) {
                Some(user) => granted(call, &user, client, endpoint),
                None => refuse(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid refresh token."),
            }
        }
        _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unknown grant type."),
    }
}

fn password_grant(
    call: &Call,
    client: &str,
    endpoint: Endpoint,
    tried: &Credentials,
    continued: bool,
) -> Response<Body> {
    let Some(user) = login::check(call, &tried.user, &tried.secret) else {
        login::note(call, tried, LoginResult::Refused);
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid username and password.");
    };
    let code = call.fields.value("passcode").or_else(|| call.fields.value("mfa_code"));
    if user.mfa && code != Some(MFA_CODE) {
        login::note(call, tried, LoginResult::Challenge);
        if continued {
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid passcode.");
        }
        // A challenge is a successful answer, of both versions.
        let old = matches!(endpoint, Endpoint::One | Endpoint::Js);
        let challenge = json!({
            "username": user.login(),
            "mfa_type": "totp",
            "mfa_vendor": "google",
            "apiversion": if old { API_VERSION } else { "v2" },
        });
        return answer::json(StatusCode::OK, &challenge);
    }
    login::note(call, tried, LoginResult::Accepted);
    granted(call, &user, client, endpoint)
}

fn granted(call: &Call, user: &PortalUser, client: &str, endpoint: Endpoint) -> Response<Body> {
    let life = call.state.options.token_life;
    let form = match endpoint {
        Endpoint::One | Endpoint::Two => Form::Hex,
        Endpoint::Js | Endpoint::Jwt => Form::Jwt,
    };
    let grant = call.state.tokens.issue(user, client, life, form);
    let answer = match endpoint {
        Endpoint::One | Endpoint::Two => token_answer(user, &grant, life.as_secs()),
        Endpoint::Js => json!({ "token": grant.access }),
        Endpoint::Jwt => json!({ "token": grant.access, "refresh_token": grant.refresh }),
    };
    answer::json(StatusCode::OK, &answer)
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

fn refuse(status: StatusCode, error: &str, description: &str) -> Response<Body> {
    answer::json(status, &json!({ "error": error, "error_description": description }))
}
