//! The way of a request, top to bottom. Each phase says when Pingora runs it; what it does lies
//! in the files it names.
//!
//! ```text
//! early_request_filter   1 connection   client address, time limits           entry, listeners
//! request_filter         2 sanitise     one canonical path or 400             entry
//!                        3 route        one table                             route
//!                        4 gate         cookie → session and its standing     gate
//!                        5 access       default deny                          access
//!                        6 intercept    login, sign-out, own pages            intercept/
//! upstream_*             7 forward      the session's cookies put in          forward
//! response_*             8 respond      cookies taken out, notice put in      answer
//! logging                9 record       one metric, one access-log line       telemetry
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::access::{Access, access};
use super::client_kind::{self, client_kind};
use super::credential_scan::CredentialScan;
use super::exchange::{Exchange, Insertion};
use super::insertion::Places;
use super::intercept::{self, Landing, Sender};
use super::rewrite::OwnNames;
use super::route::{Route, route};
use super::security_headers::SecurityHeaders;
use super::upstreams::Upstreams;
use super::{
    answer, cookies, entry, forward, gate, listeners, next_page, notice, respond, visitor,
};
use crate::domain::session::Standing;
use crate::flows::{Outage, Services};
use crate::profile::Profile;
use crate::telemetry::metrics::Metrics;
use crate::web::notice::Message;
use crate::web::{ErrorKind, OwnPages};

/// What the pipeline is configured with.
pub struct GatewaySettings {
    /// Prefix of our own pages (`pages.prefix`).
    pub prefix: String,
    /// Where logins end: path and query (`session.home`, else the profile's).
    pub home: String,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The PBX's names for itself, for rewriting its redirects.
    pub names: OwnNames,
    /// The PBX's own origin (`http://pbx.internal`), when it is to see that instead of the public
    /// one (`upstream.host`); `None` preserves the client's `Host`.
    pub fixed_origin: Option<FixedOrigin>,
    /// What every answer carries.
    pub security_headers: SecurityHeaders,
    /// Longest silence within a request body.
    pub body_stall: Duration,
    /// Whether the clients reach us over TLS (always, but for tests of the engine).
    pub https: bool,
}

/// A name by which the PBX wants to be called.
pub struct FixedOrigin {
    /// The `Host` it gets.
    pub host: String,
    /// The origin that `Origin` and `Referer` name instead of ours.
    pub origin: String,
}

/// The proxy that Pingora runs.
pub struct Pipeline {
    pub(super) services: Arc<Services>,
    pub(super) profile: Arc<Profile>,
    pub(super) settings: GatewaySettings,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) pages: OwnPages,
    pub(super) metrics: Arc<Metrics>,
    pub(super) scan: CredentialScan,
    pub(super) places: Places,
    next_number: AtomicU64,
}

/// Largest body of a request that we answer ourselves, in bytes.
const OWN_BODY: usize = 64 * 1024;

impl Pipeline {
    /// Puts the pipeline together.
    pub fn new(
        services: Arc<Services>,
        profile: Arc<Profile>,
        settings: GatewaySettings,
        upstreams: Arc<Upstreams>,
        pages: OwnPages,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let fields = profile.credential_fields();
        let scan = CredentialScan::new(fields.iter().map(|f| (f.name(), f.query_only())));
        let places = Places::new(profile.pages())?;
        // Numbers of different processes should differ, in logs that several of them share.
        let next_number = AtomicU64::new(u64::from_ne_bytes(services.random.bytes()));
        Ok(Self {
            services,
            profile,
            settings,
            upstreams,
            pages,
            metrics,
            scan,
            places,
            next_number,
        })
    }

    /// Steps 3 to 6: `true` when the request has been answered.
    async fn admit(&self, session: &mut Session, ctx: &mut Exchange) -> pingora::Result<bool> {
        let head = session.req_header();
        let route =
            route(&self.profile, &self.settings.prefix, head.method.as_str(), head.uri.path());
        ctx.label = route.label();
        ctx.kind = client_kind(&head.headers, matches!(route, Route::Api | Route::Token(_)));

        let presented = cookies::candidates(answer::cookie_fields(head), cookies::SESSION);
        match gate::admit_any(&self.services, &self.metrics, presented.as_slice()).await {
            Ok(admitted) => ctx.admitted = admitted,
            Err(error) => return self.outage(session, ctx, &Outage::Store(error)).await,
        }
        let standing = ctx.admitted.as_ref().map(|admitted| admitted.standing);
        match access(&route, standing) {
            Access::Own => self.own_page(session, ctx, &route).await,
            Access::LogIn => self.log_in(session, ctx, &route).await,
            Access::SignOut => self.sign_out(session, ctx).await,
            Access::Forward => self.forward(session, ctx, &route).await,
            Access::ForwardApi => {
                if self.bearer_is_own(session, ctx).await {
                    self.forward(session, ctx, &route).await
                } else {
                    self.refuse(session, ctx, ErrorKind::Forbidden).await
                }
            }
            Access::ForwardChallenge => {
                ctx.answers_challenge = session.req_header().method == Method::POST;
                self.forward(session, ctx, &route).await
            }
            Access::ToLogin => self.to_login(session, ctx).await,
            Access::ToSetPassword => self.to_own(session, ctx, "set-password").await,
            Access::ToCurrentPin => self.to_own(session, ctx, "current-pin").await,
            Access::ToChallenge => {
                let place = self.profile.login_page().to_owned();
                self.send_to(session, ctx, &place, Vec::new()).await
            }
            Access::Denied | Access::ApiDenied => {
                self.refuse(session, ctx, ErrorKind::Forbidden).await
            }
        }
    }

    /// Readies a request for the PBX; `false` lets Pingora go on with it.
    async fn forward(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        let path = head.uri.path();
        if head.uri.query().is_some_and(|query| self.scan.query(query)) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        if !self.profile.scan_exempt(path) {
            ctx.scan = self.scan.body(&head.headers);
        }
        let upgrades = forward::asks_websocket(head);
        if upgrades
            && !(matches!(route, Route::Portal | Route::Api)
                && self.profile.allows_websocket(path)
                && client_kind::same_origin(&head.headers, entry::host(head)))
        {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let interaction = matches!(route, Route::Portal | Route::Api | Route::Challenge)
            && !self.profile.is_background(path);
        let standing = ctx.admitted.as_ref().map(|admitted| admitted.standing);
        let page = notice::wants_page(&head.method, &head.headers);
        match (route, standing) {
            (Route::Portal | Route::Challenge, Some(Standing::Full { notice: true })) if page => {
                let tenant = ctx.session().map(|session| session.record().login.tenant());
                let now = self.services.clock.now();
                let days_left = tenant.and_then(|tenant| {
                    self.services.policies.rollout.schedule(tenant).days_left(now)
                });
                ctx.insertion = Some(Insertion::Notice { days_left });
            }
            (Route::LoginPage, _) if page => ctx.insertion = Some(Insertion::LoginPage),
            _ => {}
        }
        let uses_session = match standing {
            Some(Standing::Full { .. }) => true,
            Some(Standing::Challenge) => matches!(route, Route::Challenge | Route::Public),
            _ => false,
        };
        if uses_session && let Some(live) = ctx.session().cloned() {
            if interaction {
                live.touch(self.services.clock.now());
            }
            ctx.jar = Some(live.jar());
        } else {
            let sealed = cookies::find(answer::cookie_fields(head), cookies::VISITOR);
            ctx.visitor = Some(visitor::open(&*self.services.vault, sealed));
        }
        ctx.server = self.upstreams.choose(ctx.jar.as_ref().map(|jar| jar.server));
        if !matches!(route, Route::Api) {
            // The portal is reached by its session alone: many take HTTP Basic on any page.
            session.req_header_mut().remove_header(&header::AUTHORIZATION);
        }
        Ok(false)
    }

    async fn own_page(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        if matches!(route, Route::ChangePassword) {
            return self.to_own(session, ctx, "security").await;
        }
        let Some(body) = self.own_body(session, ctx).await? else { return Ok(true) };
        if let Some(live) = ctx.session() {
            live.touch(self.services.clock.now());
        }
        let sender = self.sender(session, ctx);
        let head = session.req_header();
        let head = (head.method.clone(), head.uri.clone(), head.headers.clone());
        let response = intercept::own_page::answer(&self.pages, &sender, head, body).await;
        respond::write(session, response).await?;
        Ok(true)
    }

    async fn log_in(
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
            notices: self.pages.notices(),
        };
        let answered =
            intercept::login::answer(&self.services, &self.profile, &sender, &post, &places).await;
        match answered {
            Ok(response) => {
                respond::write(session, response).await?;
                Ok(true)
            }
            Err(intercept::login::NotJudged::Shape(shape)) => {
                tracing::info!(client = %ctx.client, why = shape.why, "login refused by its shape");
                let kind = match shape.status {
                    415 => ErrorKind::BadRequest,
                    _ => ErrorKind::BadRequest,
                };
                self.refuse(session, ctx, kind).await
            }
            Err(intercept::login::NotJudged::Outage(outage)) => {
                self.outage(session, ctx, &outage).await
            }
        }
    }

    async fn sign_out(&self, session: &mut Session, ctx: &mut Exchange) -> pingora::Result<bool> {
        let head = session.req_header();
        if ctx.admitted.is_some() && !from_own_pages(head) {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let sender = self.sender(session, ctx);
        let headers = head.headers.clone();
        let login_page = self.profile.login_page();
        match intercept::sign_out::answer(&self.services, &sender, &headers, login_page).await {
            Ok(response) => {
                respond::write(session, response).await?;
                Ok(true)
            }
            Err(outage) => self.outage(session, ctx, &outage).await,
        }
    }

    /// Whether an API request of a portal script carries the PBX's own bearer of the session's
    /// account (R-F5).
    async fn bearer_is_own(&self, session: &Session, ctx: &Exchange) -> bool {
        let bearer = session
            .req_header()
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        match (bearer, ctx.session()) {
            (Some(token), Some(live)) => {
                super::bearer::owner(token, &self.profile).as_ref() == Some(&live.record().login)
            }
            _ => false,
        }
    }

    /// Nobody in particular wants a page of the portal: log in first. The page is remembered for
    /// navigations; scripts get 401.
    async fn to_login(&self, session: &mut Session, ctx: &mut Exchange) -> pingora::Result<bool> {
        let head = session.req_header();
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::SignedOut).await;
        }
        let has_credentials = head.uri.query().is_some_and(|query| self.scan.query(query));
        let remembered = head
            .uri
            .path_and_query()
            .filter(|_| head.method == Method::GET && !has_credentials)
            .and_then(|wanted| next_page::remember(wanted.as_str()));
        let mut cookies: Vec<_> = remembered.map(String::into_bytes).into_iter().collect();
        if intercept::sign_out::presents_session(&head.headers) {
            let ended = intercept::say(&self.services, Message::SessionEnded);
            cookies.extend([ended, cookies::clear_own(cookies::SESSION).into_bytes()]);
        }
        let place = self.profile.login_page().to_owned();
        self.send_to(session, ctx, &place, cookies).await
    }

    async fn to_own(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        page: &str,
    ) -> pingora::Result<bool> {
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        }
        let place = format!("{}/{page}", self.settings.prefix);
        self.send_to(session, ctx, &place, Vec::new()).await
    }

    async fn send_to(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        place: &str,
        cookies: Vec<Vec<u8>>,
    ) -> pingora::Result<bool> {
        if !ctx.wants_page() {
            return self.refuse(session, ctx, ErrorKind::SignedOut).await;
        }
        respond::write(session, intercept::see_other(place, cookies)).await?;
        Ok(true)
    }

    /// A bounded body of a request that we answer; `None` when it was answered with 413.
    async fn own_body(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<Option<Bytes>> {
        match respond::read_body(session, OWN_BODY, self.settings.body_stall).await? {
            respond::BodyRead::Complete(body) => Ok(Some(body)),
            respond::BodyRead::TooLarge => {
                session.set_keepalive(None);
                self.refuse(session, ctx, ErrorKind::TooLarge).await?;
                Ok(None)
            }
        }
    }

    async fn refuse(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        kind: ErrorKind,
    ) -> pingora::Result<bool> {
        let json = !ctx.wants_page();
        respond::write(session, self.pages.error(kind, json)).await?;
        Ok(true)
    }

    async fn outage(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        outage: &Outage,
    ) -> pingora::Result<bool> {
        tracing::error!(client = %ctx.client, error = %outage, "a request could not be judged");
        self.refuse(session, ctx, ErrorKind::from(outage)).await
    }

    fn sender(&self, session: &Session, ctx: &Exchange) -> Sender {
        let head = session.req_header();
        let user_agent = head.headers.get(header::USER_AGENT);
        Sender {
            client: ctx.client,
            user_agent: user_agent.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
            host: entry::host(head).to_owned(),
            wants_page: ctx.wants_page(),
            session: ctx.session().cloned(),
            standing: ctx.admitted.as_ref().map(|admitted| admitted.standing),
        }
    }
}

/// Whether a login or sign-out may be believed to be wanted by the portal's own pages.
fn from_own_pages(head: &RequestHeader) -> bool {
    client_kind::same_origin(&head.headers, entry::host(head))
}

#[async_trait]
impl ProxyHttp for Pipeline {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::default()
    }

    /// No module is wanted: the default ones would compress, and buffer event streams.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    /// First of all, once the header is complete.
    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        ctx.began = Instant::now();
        let connection = listeners::prepare(session)
            .ok_or_else(|| Error::explain(ErrorType::HTTPStatus(500), "foreign connection"))?;
        let peer = connection.client_address().ip();
        ctx.client =
            entry::client(peer, &self.settings.trusted_proxies, &session.req_header().headers);
        ctx.connection = Some(connection);
        ctx.number = self.next_number.fetch_add(1, Ordering::Relaxed);
        ctx.in_flight = true;
        self.metrics.request_began();
        Ok(())
    }

    /// Before anything is sent to the PBX; `true` ends the request here.
    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        if let Err(refusal) = entry::sanitise(session.req_header_mut()) {
            tracing::debug!(client = %ctx.client, why = refusal.why, "request refused");
            session.set_keepalive(None);
            let kind = match refusal.status {
                StatusCode::METHOD_NOT_ALLOWED => ErrorKind::MethodNotAllowed,
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ErrorKind::BadRequest,
                _ => ErrorKind::BadRequest,
            };
            return self.refuse(session, ctx, kind).await;
        }
        self.admit(session, ctx).await
    }

    /// Where to connect. Called again when a connection attempt failed.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<Box<HttpPeer>> {
        self.upstreams.peer(ctx.server).ok_or_else(|| {
            let mut error =
                Error::explain(ErrorType::ConnectError, "the PBX's name does not resolve");
            error.as_up();
            error
        })
    }

    /// The copy of the header that goes to the PBX.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        forward::prepare(self, session, upstream, ctx)
    }

    /// Each piece of a request body, and each message of a client on a WebSocket.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        forward::body(self, session, body, end_of_stream, ctx)
    }

    /// The header of the PBX's answer.
    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        answer::header(self, session, head, ctx).await
    }

    /// Each piece of its body.
    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Exchange,
    ) -> pingora::Result<Option<Duration>> {
        answer::body(body, end_of_stream, ctx)?;
        Ok(None)
    }

    /// Only GET and HEAD are sent again, and only where a reused connection had been closed under
    /// us: everything else may have been acted upon.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        _ctx: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("PBX server {}", peer._address));
        let repeatable = matches!(session.req_header().method, Method::GET | Method::HEAD);
        if repeatable && !session.as_ref().retry_buffer_truncated() {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    /// The request cannot be completed: our page says whose fault it is not.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Exchange,
    ) -> FailToProxy {
        let (code, kind) = match (error.etype(), error.esource()) {
            (ErrorType::HTTPStatus(413), _) => (413, ErrorKind::TooLarge),
            (ErrorType::HTTPStatus(403), _) => (403, ErrorKind::Forbidden),
            (ErrorType::HTTPStatus(408), _) => (408, ErrorKind::BadRequest),
            (ErrorType::HTTPStatus(400), _) => (400, ErrorKind::BadRequest),
            (ErrorType::ReadTimedout, ErrorSource::Upstream) => (504, ErrorKind::PbxTimeout),
            (_, ErrorSource::Upstream) => (502, ErrorKind::PbxDown),
            (
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed,
                ErrorSource::Downstream,
            ) => return FailToProxy { error_code: 0, can_reuse_downstream: false },
            (_, ErrorSource::Downstream) => (400, ErrorKind::BadRequest),
            _ => (500, ErrorKind::Internal),
        };
        if session.response_written().is_none() {
            session.set_keepalive(None);
            if let Err(error) = self.refuse(session, ctx, kind).await {
                tracing::debug!(%error, "the client is gone");
            }
        }
        FailToProxy { error_code: code, can_reuse_downstream: false }
    }

    /// Errors of single requests are told by the access log and the metrics.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Exchange, _error: &Error) -> bool {
        true
    }

    /// After everything else, whatever happened.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Exchange) {
        answer::record(self, session, error, ctx);
    }
}
