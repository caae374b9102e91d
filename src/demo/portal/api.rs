//! The API: its tokens, and who a call is for.

use axum::body::Body;
use axum::http::Response;

use super::server::Call;
use super::users::PortalUser;
use super::{LoginResult, api_tokens, api_users, fields, login};

pub(super) async fn respond(call: &Call) -> Response<Body> {
    if let Some(answer) = api_tokens::respond(call) {
        return answer;
    }
    let Some(user) = caller(call) else {
        return api_tokens::unauthorised();
    };
    match call.path.strip_prefix("/ns-api/v2/") {
        Some(resource) => api_users::version_two(call, &user, resource),
        None => api_users::version_one(call, &user),
    }
}

/// Who calls: by bearer token, or (carelessly) by Basic with the PIN.
pub(super) fn caller(call: &Call) -> Option<PortalUser> {
    if let Some(tried) = fields::basic(&call.headers) {
        let user = login::check(call, &tried.user, &tried.secret);
        let result = if user.is_some() { LoginResult::Accepted } else { LoginResult::Refused };
        login::note(call, &tried, result);
        return user;
    }
    let token = api_tokens::bearer(call).or(call.fields.value("access_token"))?;
    call.state.users.find(&call.state.tokens.access(token)?.user)
}
