//! Step 6, and every refusal: what is answered without the PBX's leg.

use bytes::Bytes;
use http::{Method, Response, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::credential_scan::ScanVerdict;
use super::exchange::Exchange;
use super::intercept::{self, Landing, Sender, token_words};
use super::late_form::LateForm;
use super::limit::Quota;
use super::pipeline::Pipeline;
use super::route::Route;
use super::{client_kind, cookies, cors, entry, gate, respond};
use crate::domain::kept_form::{KeptFormToken, LARGEST};
use crate::flows::Outage;
use crate::flows::kept_form::keep;
use crate::telemetry::metrics::Route as RouteLabel;
use crate::web::notice::Message;
use crate::web::{Audience, ErrorKind, Face, kept_form, next_page};

/// Largest body of a request that we answer ourselves, in bytes.
const OWN_BODY: usize = 64 * 1024;

impl Pipeline {
    pub(super) async fn own_page(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        if matches!(route, Route::ChangePassword) {
            return self.to_own(session, ctx, "security", Vec::new()).await;
        }
        let Some(body) = self.own_body(session, ctx).await? else { return Ok(true) };
        let rest = session.req_header().uri.path().strip_prefix(&self.settings.prefix);
        if rest.is_some_and(|rest| !asked_by_pages(rest))
            && let Some(live) = ctx.session()
        {
            live.touch(self.services.clock.now());
        }
        let sender = self.sender(session, ctx);
        let head = session.req_header();
        let head = (head.method.clone(), head.uri.clone(), head.headers.clone());
        let response = intercept::own_page::answer(&self.pages, &sender, head, body).await;
        self.write(session, ctx, response).await?;
        Ok(true)
    }

    pub(super) async fn log_in(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let Route::Login(endpoint) = route else { return Ok(false) };
        if !from_own_pages(session.req_header()) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let Some(body) = self.own_body(session, ctx).await? else { return Ok(true) };
        let sender = self.sender(session, ctx);
        let head = session.req_header();
        let post = intercept::login::LoginPost {
            endpoint,
            headers: &head.headers,
            query: head.uri.query(),
            body,
        };
        let places = intercept::login::LoginPlaces {
            landing: Landing { home: &self.settings.home, prefix: &self.settings.prefix },
            login_page: self.profile.login_page(),
            notices: self.face(session, ctx).notices(),
        };
        let answered =
            intercept::login::answer(&self.services, &self.profile, &sender, &post, &places).await;
        match answered {
            Ok(response) => {
                self.write(session, ctx, response).await?;
                Ok(true)
            }
            Err(intercept::login::NotJudged::Shape(shape)) => {
                tracing::info!(client = %ctx.client, why = shape.why, "login refused by its shape");
                let kind = match shape.status {
                    415 => ErrorKind::UnsupportedMediaType,
                    _ => ErrorKind::BadRequest,
                };
                self.refuse(session, ctx, kind).await
            }
            Err(intercept::login::NotJudged::Outage(outage)) => {
                self.outage(session, ctx, &outage).await
            }
        }
    }

    pub(super) async fn give_tokens(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let Route::Token(endpoint) = route else { return Ok(false) };
        let method = session.req_header().method.clone();
        let (asks, ends) =
            (endpoint.answers_to(method.as_str()), endpoint.revokes(method.as_str()));
        let body = respond::read_body(session, OWN_BODY, self.settings.body_stall).await?;
        let response = match body {
            _ if !asks && !ends => token_words::wrong_method(endpoint.methods()).answer(),
            respond::BodyRead::TooLarge => {
                session.set_keepalive(None);
                token_words::too_large().answer()
            }
            respond::BodyRead::Complete(body) => {
                let sender = self.sender(session, ctx);
                let head = session.req_header();
                let post = intercept::token::TokenPost {
                    endpoint,
                    method: method.as_str(),
                    headers: &head.headers,
                    query: head.uri.query(),
                    body,
                };
                let prefix = &self.settings.prefix;
                let places = intercept::token::OwnPlaces { pages: &self.pages, prefix };
                let (services, profile) = (&self.services, &self.profile);
                intercept::token::answer(services, profile, &sender, &post, places).await
            }
        };
        self.write(session, ctx, response).await?;
        Ok(true)
    }

    pub(super) async fn sign_out(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        if ctx.admitted.is_some() && !from_own_pages(head) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let sender = self.sender(session, ctx);
        let headers = head.headers.clone();
        let login_page = self.profile.login_page();
        match intercept::sign_out::answer(&self.services, &sender, &headers, login_page).await {
            Ok(response) => {
                self.write(session, ctx, response).await?;
                Ok(true)
            }
            Err(outage) => self.outage(session, ctx, &outage).await,
        }
    }

    /// Nobody in particular wants a page of the portal: log in first. The page is remembered for
    /// navigations, or the form that was sent to it; scripts get 401.
    pub(super) async fn to_login(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::SignedOut).await;
        }
        let mut cookies: Vec<Vec<u8>> = self.remembered(head).into_iter().collect();
        if intercept::sign_out::presents_session(&head.headers) {
            let message = if head.method == Method::POST {
                let kept = self.keep_form(session, ctx).await?;
                cookies.extend(
                    kept.as_ref().map(|token| kept_form::remember(token).as_bytes().to_vec()),
                );
                if kept.is_some() { Message::FormKept } else { Message::FormLost }
            } else {
                Message::SessionEnded
            };
            let ended = intercept::say(&self.services, message);
            cookies.extend([ended, cookies::clear_own(cookies::SESSION).into_bytes()]);
        }
        let place = self.profile.login_page().to_owned();
        self.send_to(session, ctx, &place, cookies).await
    }

    /// Keeps the form of a request whose session has ended (R-C4); `None` if it is none that may
    /// be kept, or that cannot be kept now.
    async fn keep_form(
        &self,
        session: &mut Session,
        ctx: &Exchange,
    ) -> pingora::Result<Option<KeptFormToken>> {
        let head = session.req_header();
        let query_has_credentials = head.uri.query().is_some_and(|query| self.scan.query(query));
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let late = LateForm::of(&head.headers, target, entry::host(head), ctx.kind);
        let Some(late) = late.filter(|_| !query_has_credentials) else { return Ok(None) };
        let mut scan = self.scan.body(&head.headers);
        let read = respond::read_body(session, LARGEST, self.settings.body_stall).await?;
        let respond::BodyRead::Complete(body) = read else {
            session.set_keepalive(None);
            return Ok(None);
        };
        let clean = scan.as_mut().is_none_or(|scan| {
            scan.push(&body);
            scan.finish() == ScanVerdict::Clean
        });
        let Some(form) = late.with(&body).filter(|_| clean) else { return Ok(None) };
        let kept = keep(&self.services, late.device(), &form).await;
        // Its user must sign in in any case.
        Ok(kept.unwrap_or_else(|error| {
            tracing::error!(%error, "a form could not be kept");
            None
        }))
    }

    pub(super) async fn to_own(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        page: &str,
        cookies: Vec<Vec<u8>>,
    ) -> pingora::Result<bool> {
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let place = format!("{}/{page}", self.settings.prefix);
        self.send_to(session, ctx, &place, cookies).await
    }

    /// Something of ours stands before the page that was asked for; it is remembered for later.
    pub(super) async fn to_own_first(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        page: &str,
    ) -> pingora::Result<bool> {
        // Nobody wants to come back to a sign-out.
        let comes_back = ctx.label != RouteLabel::Logout;
        let cookies = comes_back.then(|| self.remembered(session.req_header())).flatten();
        let cookies = cookies.into_iter().collect();
        self.to_own(session, ctx, page, cookies).await
    }

    /// The cookie that remembers what a navigation asked for (R-C3), unless its query has
    /// credentials: those are kept nowhere.
    fn remembered(&self, head: &RequestHeader) -> Option<Vec<u8>> {
        let has_credentials = head.uri.query().is_some_and(|query| self.scan.query(query));
        let wanted = head.uri.path_and_query()?;
        let remembered = (head.method == Method::GET && !has_credentials)
            .then(|| next_page::remember(wanted.as_str()))??;
        Some(remembered.as_bytes().to_vec())
    }

    pub(super) async fn send_to(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        place: &str,
        cookies: Vec<Vec<u8>>,
    ) -> pingora::Result<bool> {
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::SignedOut).await;
        }
        self.write(session, ctx, intercept::see_other(place, cookies)).await?;
        Ok(true)
    }

    /// A bounded body of a request that we answer; `None` when it was answered with 413. A body can
    /// take its time, and what its session may reach can end in it: that is judged anew.
    pub(super) async fn own_body(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<Option<Bytes>> {
        match respond::read_body(session, OWN_BODY, self.settings.body_stall).await? {
            respond::BodyRead::Complete(body) => {
                let admitted = ctx.admitted.take();
                ctx.admitted = admitted.and_then(|one| gate::stand(&self.services, one.session));
                Ok(Some(body))
            }
            respond::BodyRead::TooLarge => {
                session.set_keepalive(None);
                self.refuse(session, ctx, ErrorKind::TooLarge).await?;
                Ok(None)
            }
        }
    }

    /// What a browser asks before a page of another origin calls the API.
    pub(super) async fn preflight(
        &self,
        session: &mut Session,
        ctx: &Exchange,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        match cors::allowed(&self.profile, head.uri.path(), &head.headers) {
            Some(response) => self.write(session, ctx, response).await.map(|()| true),
            None => self.refuse(session, ctx, ErrorKind::Forbidden).await,
        }
    }

    /// The one way out for answers of our own: they carry the security headers like the PBX's.
    pub(super) async fn write(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        mut response: Response<Bytes>,
    ) -> pingora::Result<()> {
        if let Some((name, value)) = ctx.quota.as_ref().map(Quota::field) {
            response.headers_mut().append(name, value);
        }
        self.settings.security_headers.apply(response.headers_mut());
        if ctx.is_plain() {
            response.headers_mut().remove(header::STRICT_TRANSPORT_SECURITY);
        }
        let head = session.req_header();
        if head.headers.contains_key(header::ORIGIN) {
            let path = head.uri.path();
            for (name, value) in
                cors::missing(&self.profile, path, &head.headers, response.headers())
            {
                response.headers_mut().append(name, value);
            }
        }
        respond::write(session, response).await
    }

    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        kind: ErrorKind,
    ) -> pingora::Result<bool> {
        let json = !ctx.wants_page();
        self.write(session, ctx, self.face(session, ctx).error(kind, json)).await?;
        Ok(true)
    }

    pub(super) async fn outage(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        outage: &Outage,
    ) -> pingora::Result<bool> {
        tracing::error!(client = %ctx.client, error = %outage, "a request could not be judged");
        self.refuse(session, ctx, ErrorKind::from(outage)).await
    }

    pub(super) fn sender(&self, session: &Session, ctx: &Exchange) -> Sender {
        let head = session.req_header();
        let user_agent = head.headers.get(header::USER_AGENT);
        Sender {
            client: ctx.client,
            user_agent: user_agent.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
            host: entry::host(head).to_owned(),
            wants_page: ctx.wants_page(),
            session: ctx.session().cloned(),
            standing: ctx.admitted.as_ref().map(|admitted| admitted.standing),
            language: self.face(session, ctx).language().clone(),
        }
    }

    /// Our pages and notices as whoever sent this request sees them.
    pub(super) fn face(&self, session: &Session, ctx: &Exchange) -> &Face {
        let head = session.req_header();
        let tenant = ctx.session().map(|live| live.record().login.tenant());
        self.pages.face(Audience::new(entry::host(head), tenant, &head.headers))
    }
}

/// Whether pages and applications ask for this by themselves, `path` below our prefix: style sheets,
/// how long a session still lives, what is known of a token. That is no interaction (R-C4).
fn asked_by_pages(path: &str) -> bool {
    path == "/session" || path.starts_with("/static/") || path.starts_with("/oauth/")
}

/// Whether a login or sign-out may be believed to be wanted by the portal's own pages.
fn from_own_pages(head: &RequestHeader) -> bool {
    client_kind::same_origin(&head.headers, entry::host(head))
}
