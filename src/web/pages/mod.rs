//! The pages, one file each. A page reads the visit, asks one flow, and says the outcome by the
//! table in `answers`.

mod ask;
mod choosing;
mod confirm_email;
mod current_pin;
mod help;
mod kept_form;
mod link;
mod login;
mod next_step;
mod password;
mod security;
mod session;
mod set_password;
mod sign_out;
mod visit;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::HeaderMap;

use super::LoginNames;
use super::answers::{ErrorKind, ErrorPages, protect};
use super::assets::Assets;
use super::look::Look;
use crate::domain::session::Standing;
use crate::flows::{Outage, Services};
use visit::Visit;

/// What every page works with.
pub(super) struct Pages {
    pub services: Arc<Services>,
    pub look: Look,
    pub errors: ErrorPages,
    pub login_names: LoginNames,
    /// The files of all brands: a page may have been drawn for another one than is asked now.
    pub assets: Arc<Assets>,
}

/// The router of all own pages in one look. Requests carry a [`super::Visitor`] in their
/// extensions; forms without one are answered as an internal error.
pub(super) fn router(pages: Pages) -> Router {
    let prefix = pages.look.settings().prefix.clone();
    let at = |name: &str| format!("{prefix}/{name}");
    Router::new()
        .route(&at("login"), get(login::show).post(login::submit))
        .route(&at("security"), get(security::show).post(security::submit))
        .route(&at("set-password"), get(set_password::show).post(set_password::submit))
        .route(
            &at("forgot-password"),
            get(ask::show_forgot_password).post(ask::submit_forgot_password),
        )
        .route(
            &at("forgot-login-name"),
            get(ask::show_forgot_login_name).post(ask::submit_forgot_login_name),
        )
        .route(&at("new-user"), get(ask::show_new_user).post(ask::submit_new_user))
        .route(&at("reset"), get(link::show_reset).post(link::submit_reset))
        .route(&at("welcome"), get(link::show_welcome).post(link::submit_welcome))
        .route(&at("confirm-email"), get(confirm_email::show).post(confirm_email::submit))
        .route(&at("current-pin"), get(current_pin::show).post(current_pin::submit))
        .route(&at("kept-form"), get(kept_form::show).post(kept_form::submit))
        .route(&at("session"), get(session::show).post(session::stay))
        .route(&at("sign-out"), get(sign_out::show).post(sign_out::submit))
        .route(&at("help"), get(help::show))
        .route(&at("static/{hash}/{name}"), get(asset))
        .route(&prefix, get(to_security))
        .route(&at(""), get(to_security))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(protected))
        .with_state(Arc::new(pages))
}

/// The bare prefix leads to the page that most people look for.
async fn to_security(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    visit.lead_on(&pages.look.page("security"))
}

async fn asset(
    State(pages): State<Arc<Pages>>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    match pages.assets.serve(&hash, &name, &headers) {
        Some(response) => answer(response),
        None => visit.error(&pages, ErrorKind::NotFound),
    }
}

async fn not_found(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    visit.error(&pages, ErrorKind::NotFound)
}

async fn method_not_allowed(State(pages): State<Arc<Pages>>, visit: Visit) -> Response {
    visit.error(&pages, ErrorKind::MethodNotAllowed)
}

/// No answer leaves without the protecting headers, whoever made it.
async fn protected(mut response: Response) -> Response {
    protect(response.headers_mut());
    response
}

/// Hands an answer to axum.
pub(super) fn answer(response: http::Response<Bytes>) -> Response {
    response.map(Body::from)
}

/// Runs a flow in its own task: a browser that goes away does not cancel it.
async fn carried_out<T: Send + 'static>(
    flow: impl Future<Output = Result<T, Outage>> + Send + 'static,
) -> Result<T, ErrorKind> {
    match tokio::spawn(flow).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(outage)) => {
            tracing::warn!(%outage, "a page could not do its work");
            Err(ErrorKind::from(&outage))
        }
        Err(error) => {
            tracing::error!(%error, "a flow did not end");
            Err(ErrorKind::Internal)
        }
    }
}

impl Pages {
    /// Where a session belongs that may not see the page it asked for.
    fn place_of(&self, standing: Standing) -> String {
        match standing {
            Standing::Held => self.look.page("set-password"),
            Standing::PinNeeded => self.look.page("current-pin"),
            Standing::Full { .. } => self.look.settings().home.clone(),
            Standing::Challenge | Standing::Ended => self.look.page("login"),
        }
    }
}
