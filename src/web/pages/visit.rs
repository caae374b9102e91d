//! One request to one of our pages: who asks, with which cookies, and what is said back.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::Response;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use minijinja::context;
use minijinja::value::Value;

use super::{Pages, answer};
use crate::domain::session::{LiveSession, Standing};
use crate::web::answers::{
    ErrorKind, POLICY_OF_SESSION, Part, Refusal, html, lead_on, problem, said, set_retry_after,
};
use crate::web::csrf::{self, Binding};
use crate::web::flash::{self, Flash};
use crate::web::notice::Message;
use crate::web::{Visitor, cookies};

/// One request to one of our pages.
pub(in crate::web) struct Visit {
    pub visitor: Option<Visitor>,
    pub headers: HeaderMap,
    query: String,
    path: String,
}

impl FromRequestParts<Arc<Pages>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Pages>) -> Result<Self, Infallible> {
        Ok(Self {
            visitor: parts.extensions.get::<Visitor>().cloned(),
            headers: parts.headers.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            path: parts.uri.path().to_owned(),
        })
    }
}

impl Visit {
    /// The live session and what it may reach.
    pub fn session(&self) -> Option<(&Arc<LiveSession>, Standing)> {
        let visitor = self.visitor.as_ref()?;
        match (visitor.session.as_ref()?, visitor.standing?) {
            (_, Standing::Ended) => None,
            (session, standing) => Some((session, standing)),
        }
    }

    /// Whether a script asks.
    pub fn wants_json(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.wants_json)
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Whether the browser says that another site sent this request. The form's token decides;
    /// this only makes its refusal plain. (`Origin` says nothing here: under our own `no-referrer`
    /// policy browsers send `null`.)
    pub fn comes_from_elsewhere(&self) -> bool {
        self.headers
            .get("sec-fetch-site")
            .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
    }

    /// Whether the form's token belongs to this session.
    pub fn vouched(&self, pages: &Pages, session: &LiveSession, token: &str) -> bool {
        let binding = Binding::Session(session.record().id);
        csrf::holds(&pages.services, &binding, token)
    }

    /// A token for a form of somebody who need not be signed in, and the cookie of the browser that
    /// it belongs to, if it has none yet.
    pub fn browser_token(&self, pages: &Pages) -> (String, Option<HeaderValue>) {
        let known = Binding::of_browser(&self.headers);
        let new = known.is_none();
        let binding = known.unwrap_or_else(|| Binding::new_browser(&pages.services));
        let cookie = match &binding {
            Binding::Browser(value) if new => Some(cookies::set(cookies::FORM, value, None)),
            _ => None,
        };
        (csrf::token(&pages.services, &binding), cookie)
    }

    /// Whether the form's token belongs to this browser.
    pub fn vouched_by_browser(&self, pages: &Pages, token: &str) -> bool {
        Binding::of_browser(&self.headers)
            .is_some_and(|binding| csrf::holds(&pages.services, &binding, token))
    }

    /// Whether the browser has the cookie of a session, alive or not.
    fn presents_session(&self) -> bool {
        cookies::names(&self.headers).any(|name| name == cookies::SESSION)
    }

    /// The message that the page before left for this one.
    pub fn flash(&self, pages: &Pages) -> Option<Flash> {
        let value = cookies::value(&self.headers, cookies::FLASH)?;
        flash::parse(pages.services.vault.as_ref(), value, pages.services.clock.now())
    }

    /// What a page shows of a message that was left for it, under a title of its own.
    pub fn shown(&self, pages: &Pages, left: &Flash, title: &str) -> Value {
        let parts = vec![Part::of(pages.look.message_text(&left.message))];
        let good = left.message.is_good();
        context! { title, parts, fields => Vec::<&str>::new(), good }
    }

    /// A page; what is common to all is added to `context`.
    pub fn page(&self, pages: &Pages, status: StatusCode, template: &str, context: Value) -> Reply {
        let session = self.session().map(|(session, _)| session);
        let signed_in = session.map(|session| session.record().login.to_string());
        let csrf = session
            .map(|session| csrf::token(&pages.services, &Binding::Session(session.record().id)));
        let context = context! { signed_in, csrf, ..context };
        let asks = session.is_some() && pages.look.settings().session_warning.is_some();
        match pages.look.render(template, context) {
            Some(page) if asks => {
                Reply(html(status, page)).header("content-security-policy", POLICY_OF_SESSION)
            }
            Some(page) => Reply(html(status, page)),
            None => Reply(pages.errors.page(ErrorKind::Internal, self.wants_json())),
        }
    }

    /// The answer to a form that was not accepted: `draw` draws the page again with the message.
    pub fn refuse(
        &self,
        pages: &Pages,
        refusal: &Refusal,
        draw: impl FnOnce(StatusCode, Value) -> Reply,
    ) -> Response {
        let parts = refusal.parts(&pages.look);
        let status = refusal.status();
        let mut reply = if self.wants_json() {
            let detail = parts.iter().map(Part::words).collect::<Vec<_>>().join(" ");
            self.problem(status, &detail)
        } else {
            let fields = refusal.fields();
            draw(status, context! { title => "", parts, fields, good => false })
        };
        set_retry_after(&mut reply.0, refusal.retry_after());
        reply.done()
    }

    /// What a script is told of a form that was carried out and leads nowhere.
    pub fn told(&self, text: &str) -> Response {
        Reply(said(text)).done()
    }

    /// A problem document.
    pub fn problem(&self, status: StatusCode, detail: &str) -> Reply {
        Reply(problem(status, status.canonical_reason().unwrap_or("Refused"), detail))
    }

    /// Leads on to another page.
    pub fn lead_on(&self, location: &str) -> Response {
        self.onward(location).done()
    }

    /// The same, to be given cookies.
    pub fn onward(&self, location: &str) -> Reply {
        Reply(lead_on(location, self.wants_json()))
    }

    /// Sends the same request on to another place: POST stays POST (RFC 9110 §15.4.8).
    pub fn sent_on(&self, location: &str) -> Reply {
        let mut reply = Reply(lead_on(location, false));
        *reply.0.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        reply
    }

    /// To the login page and, after it, back here; 401 for scripts. Whoever comes with a session
    /// that is no more is told so there.
    pub fn to_login(&self, pages: &Pages) -> Response {
        if self.wants_json() {
            return self.error(pages, ErrorKind::SignedOut);
        }
        let mut place = pages.look.page("login");
        // Nobody asks for the pages that stand before others: whoever needs them is led there, and
        // on to what was asked for.
        let stands_before = [Standing::Held, Standing::PinNeeded]
            .map(|held| pages.place_of(held))
            .contains(&self.path);
        if !stands_before {
            let next: String = form_urlencoded::byte_serialize(self.path.as_bytes()).collect();
            place = format!("{place}?next={next}");
        }
        let reply = self.onward(&place);
        if self.session().is_some() || !self.presents_session() {
            return reply.done();
        }
        reply.cookie(cookies::remove_session()).message(pages, Message::SessionEnded).done()
    }

    /// A script that asks for what its session may not see is refused; a person is led on.
    pub fn elsewhere(&self, pages: &Pages, standing: Standing) -> Response {
        match (self.wants_json(), standing) {
            (_, Standing::Challenge | Standing::Ended) => self.to_login(pages),
            (true, _) => self.error(pages, ErrorKind::Forbidden),
            (false, standing) => self.lead_on(&pages.place_of(standing)),
        }
    }

    /// The session is no more: away with its cookie, to the login page with a word about it.
    pub fn ended(&self, pages: &Pages) -> Response {
        let reply = match self.wants_json() {
            true => Reply(pages.errors.page(ErrorKind::SignedOut, true)),
            false => self.onward(&pages.look.page("login")),
        };
        reply.cookie(cookies::remove_session()).message(pages, Message::SessionEnded).done()
    }

    /// An error page, or its problem document.
    pub fn error(&self, pages: &Pages, kind: ErrorKind) -> Response {
        answer(pages.errors.page(kind, self.wants_json()))
    }
}

/// An answer that can still be given cookies.
pub(in crate::web) struct Reply(http::Response<Bytes>);

impl Reply {
    /// Sets or removes a cookie.
    pub fn cookie(mut self, cookie: HeaderValue) -> Self {
        self.0.headers_mut().append(SET_COOKIE, cookie);
        self
    }

    /// The same, if there is one.
    pub fn cookies(self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        cookies.into_iter().fold(self, Self::cookie)
    }

    /// Leaves a message for the next page.
    pub fn message(self, pages: &Pages, message: Message) -> Self {
        self.message_to(pages, message, "")
    }

    /// The same, with the login name for the form there.
    pub fn message_to(self, pages: &Pages, message: Message, login: &str) -> Self {
        let flash = Flash { message, login: login.to_owned() };
        let services = &pages.services;
        self.cookie(flash::create(services.vault.as_ref(), &flash, services.clock.now()))
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.headers_mut().insert(name, HeaderValue::from_static(value));
        self
    }

    /// Finished.
    pub fn done(self) -> Response {
        answer(self.0)
    }
}
