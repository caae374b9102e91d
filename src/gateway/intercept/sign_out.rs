//! The portal's own sign-out link (R-C6): it ends the Passgate session and the PBX session.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::{Sender, say, see_other};
use crate::flows::{Outage, Services, sign_out};
use crate::gateway::cookies;
use crate::web::notice::Message;
use crate::web::{kept_form, next_page};

/// Signs out and sends the browser to the login page, with all cookies removed. It succeeds here
/// even when the PBX is down.
pub(in crate::gateway) async fn answer(
    services: &Arc<Services>,
    sender: &Sender,
    request: &HeaderMap,
    login_page: &str,
) -> Result<Response<Bytes>, Outage> {
    let message = match &sender.session {
        Some(_) => Some(Message::SignedOut),
        // The portal's own script came here because the session had ended.
        None => presents_session(request).then_some(Message::SessionEnded),
    };
    if let Some(session) = sender.session.clone() {
        let services = Arc::clone(services);
        let (client, host) = (sender.client, sender.host.clone());
        // In a task of its own: a client that disconnects does not cancel it.
        tokio::spawn(async move { sign_out::sign_out(&services, &session, client, &host).await })
            .await
            .map_err(|error| Outage::Store(crate::ports::Unavailable::new("task", error)))??;
    }
    let sent = request.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let mut forgotten = cookies::clear_passed(sent);
    for own in [cookies::SESSION, cookies::VISITOR] {
        forgotten.push(cookies::clear_own(own).into_bytes());
    }
    forgotten.extend(next_page::forget(request).map(|cookie| cookie.as_bytes().to_vec()));
    if sender.session.is_some() {
        forgotten.extend(kept_form::forget(request).map(|cookie| cookie.as_bytes().to_vec()));
    }
    if let Some(message) = message.filter(|_| sender.wants_page) {
        forgotten.push(say(services, message));
    }
    let mut response = see_other(login_page, forgotten);
    if !sender.wants_page {
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().remove(header::LOCATION);
    }
    // The pages seen, not the cookies: the device cookie is to outlive the sign-out (R-C5), and
    // every other one is removed by name above.
    response
        .headers_mut()
        .insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// Whether the browser still has the cookie of a session, alive or not.
pub(in crate::gateway) fn presents_session(request: &HeaderMap) -> bool {
    let sent = request.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    !cookies::candidates(sent, cookies::SESSION).as_slice().is_empty()
}
