//! What Passgate answers itself, without the PBX's leg: the login, the sign-out, requests for
//! tokens, its own pages.

pub(super) mod login;
pub(super) mod own_page;
pub(super) mod sign_out;
pub(super) mod token;
pub(super) mod token_words;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use crate::domain::language::Language;
use crate::domain::session::{LiveSession, Standing};
use crate::flows::{Opened, Services};
use crate::web::flash::{self, Flash};
use crate::web::notice::Message;

/// What an intercepted request says of its sender.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) client: IpAddr,
    pub(super) user_agent: String,
    /// The `Host` it was sent to, as the client wrote it.
    pub(super) host: String,
    /// Whether it understands pages and redirects.
    pub(super) wants_page: bool,
    pub(super) session: Option<Arc<LiveSession>>,
    pub(super) standing: Option<Standing>,
    /// In which it is spoken to.
    pub(super) language: Language,
}

/// An empty 303 to a path of this origin, with cookies.
pub(super) fn see_other(
    location: &str,
    cookies: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(
        header::LOCATION,
        HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/")),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    add_cookies(&mut response, cookies);
    response
}

/// Adds `Set-Cookie` fields to an answer.
pub(super) fn add_cookies(
    response: &mut Response<Bytes>,
    cookies: impl IntoIterator<Item = impl AsRef<[u8]>>,
) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_bytes(cookie.as_ref()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
}

/// The `Set-Cookie` value that lets the login page say `message`.
pub(super) fn say(services: &Services, message: Message) -> Vec<u8> {
    let flash = Flash { message, login: String::new() };
    flash::create(&*services.vault, &flash, services.clock.now()).as_bytes().to_vec()
}

/// Where a session that was just opened begins.
pub(super) fn landing(opened: &Opened, paths: &Landing<'_>, next: Option<String>) -> String {
    match opened.standing {
        Standing::Full { .. } | Standing::Ended => next.unwrap_or_else(|| paths.home.to_owned()),
        Standing::Held => format!("{}/set-password", paths.prefix),
        Standing::PinNeeded => format!("{}/current-pin", paths.prefix),
        // The PBX's own second question is asked where the PBX sent its login.
        Standing::Challenge => opened.landing.clone().unwrap_or_else(|| paths.home.to_owned()),
    }
}

/// The paths that logins end on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landing<'a> {
    pub(super) home: &'a str,
    pub(super) prefix: &'a str,
}
