//! The end of a token, and of all others of its family (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::Endpoints;
use super::answers::{OAuthError, status};
use super::call::Call;
use super::caller::{Known, known_to};
use crate::flows::api::revoke::end_by_token;

/// A token that does not work (any more) is ended already: 200, whoever asks.
pub(super) async fn answer(
    State(endpoints): State<Arc<Endpoints>>,
    call: Call,
) -> Result<Response, OAuthError> {
    let services = &endpoints.services;
    let token = call.token.expose();
    match known_to(services, &call.shown, token, call.client).await? {
        Known::Own(_) => drop(end_by_token(services, token).await?),
        Known::OfOtherClient => return Err(OAuthError::BAD_CLIENT),
        Known::OfOtherAccount => return Err(OAuthError::NOT_ITS_OWN),
        Known::Nothing => {}
    }
    Ok(status(StatusCode::OK).map(Into::into))
}
