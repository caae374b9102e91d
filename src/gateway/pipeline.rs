//! The way of a request, top to bottom. Each phase says when Pingora runs it; what it does lies
//! in the files it names.
//!
//! ```text
//! early_request_filter   1 connection   client address, time limits           entry, listeners
//! request_filter         2 sanitise     one canonical path or 400             entry
//!                        3 route        one table                             route
//!                          limit        by address; behind the gate by session, token  limit
//!                        4 gate         cookie → session and its standing     gate
//!                          machine      clients that need no session                machine
//!                        5 access       default deny                          access, admission
//!                        6 intercept    login, sign-out, own pages            own_answers, intercept/
//! upstream_*             7 forward      the session's cookies put in          forward
//! response_*             8 respond      cookies taken out, notice put in      answer
//! logging                9 record       one metric, one access-log line       telemetry
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::access::{Access, Shown, access};
use super::api_refusal::ApiRefusal;
use super::api_request::TOKEN_FIELD;
use super::client_kind::client_kind;
use super::credential_scan::CredentialScan;
use super::exchange::Exchange;
use super::held::HeldBytes;
use super::insertion::Places;
use super::limit::RequestLimits;
use super::machine::MachineClients;
use super::rewrite::OwnNames;
use super::route::{Route, route};
use super::security_headers::SecurityHeaders;
use super::upstreams::Upstreams;
use super::{answer, cookies, cors, entry, forward, gate, listeners};
use crate::domain::session::Standing;
use crate::flows::{Outage, Services};
use crate::profile::Profile;
use crate::telemetry::metrics::Metrics;
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
    /// Request rate limits; `None`: there are none.
    pub limits: Option<RequestLimits>,
    /// Clients that need no session; `None`: there are none.
    pub machines: Option<MachineClients>,
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
    /// The same and [`TOKEN_FIELD`], for forms that are sent to the API …
    pub(super) form_scan: CredentialScan,
    /// … and that alone.
    pub(super) token_scan: CredentialScan,
    pub(super) places: Places,
    pub(super) held: HeldBytes,
    next_number: AtomicU64,
}

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
        let own = || fields.iter().map(|f| (f.name(), f.query_only()));
        let scan = CredentialScan::new(own());
        let form_scan = CredentialScan::new(own().chain([(TOKEN_FIELD, false)]));
        let token_scan = CredentialScan::new([(TOKEN_FIELD, false)]);
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
            form_scan,
            token_scan,
            places,
            held: HeldBytes::default(),
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
        let machine = self.machine(session.req_header(), ctx, &route);
        if ctx.is_plain() && machine.is_none() {
            return self.to_https(session, ctx).await;
        }
        let head = session.req_header();
        if matches!(route, Route::Api | Route::Token(_))
            && !ctx.is_plain()
            && cors::is_preflight(&head.method, &head.headers)
        {
            return self.preflight(session, ctx).await;
        }
        if self.settings.limits.is_some() && self.limit_address(session, ctx).await? {
            return Ok(true);
        }
        if ctx.is_plain() {
            // No cookie is looked at: anybody on the way may have read it.
            return self.let_machine_in(session, ctx, machine).await;
        }
        let head = session.req_header();
        let presented = cookies::candidates(answer::cookie_fields(head), cookies::SESSION);
        match gate::admit_any(&self.services, &self.metrics, presented.as_slice()).await {
            Ok(admitted) => ctx.admitted = admitted,
            Err(error) => return self.outage(session, ctx, &Outage::Store(error)).await,
        }
        if self.settings.limits.is_some() && self.limit_client(session, ctx).await? {
            return Ok(true);
        }
        let standing = ctx.admitted.as_ref().map(|admitted| admitted.standing);
        if machine.is_some() && !matches!(standing, Some(Standing::Full { .. })) {
            return self.let_machine_in(session, ctx, machine).await;
        }
        let shown = match route {
            Route::Api if self.misplaces_token(session.req_header()) => {
                return self.refuse_api(session, ctx, ApiRefusal::Misplaced).await;
            }
            Route::Api => self.shown(session, ctx).await,
            _ => Ok(Shown::Nothing),
        };
        let shown = match shown {
            Ok(shown) => shown,
            Err(outage) => return self.outage(session, ctx, &outage).await,
        };
        match access(&route, standing, shown) {
            Access::Own => self.own_page(session, ctx, &route).await,
            Access::LogIn => self.log_in(session, ctx, &route).await,
            Access::Token => self.give_tokens(session, ctx, &route).await,
            Access::SignOut => self.sign_out(session, ctx).await,
            Access::Forward => self.forward(session, ctx, &route).await,
            Access::ForwardFamily => self.forward_family(session, ctx, &route).await,
            Access::ForwardApi => self.forward_script(session, ctx, &route).await,
            Access::ForwardLegacy => self.forward_legacy(session, ctx, &route).await,
            Access::LogInApi => self.log_in_api(session, ctx, &route).await,
            Access::PinTooLate => self.refuse_api(session, ctx, ApiRefusal::PinTooLate).await,
            Access::BadToken => self.refuse_api(session, ctx, ApiRefusal::BadToken).await,
            Access::Unauthorised => self.refuse_api(session, ctx, ApiRefusal::NoCredentials).await,
            Access::ForwardChallenge => {
                ctx.answers_challenge = session.req_header().method == Method::POST;
                self.forward(session, ctx, &route).await
            }
            Access::ToLogin => self.to_login(session, ctx).await,
            Access::ToSetPassword => self.to_own_first(session, ctx, "set-password").await,
            Access::ToCurrentPin => self.to_own_first(session, ctx, "current-pin").await,
            Access::ToChallenge => {
                let place = self.profile.login_page().to_owned();
                self.send_to(session, ctx, &place, Vec::new()).await
            }
            Access::Denied | Access::ApiDenied => {
                self.refuse(session, ctx, ErrorKind::Forbidden).await
            }
        }
    }
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
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ErrorKind::HeadersTooLarge,
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

    /// The same before anything of it counts: what the PBX refuses may be sent again.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        match head.status {
            StatusCode::UNAUTHORIZED => self.refused_by_pbx(session, ctx).await,
            _ => Ok(()),
        }
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
        answer::body(self, body, end_of_stream, ctx)?;
        Ok(None)
    }

    /// Only GET and HEAD are sent again, and only where a reused connection had been closed under
    /// us, or where the PBX did not take our token and now has another: everything else may have
    /// been acted upon.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        _ctx: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("PBX server {}", peer._address));
        if self.is_repeatable(session) {
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
        if let Some(refusal) = ctx.refusal.take()
            && session.response_written().is_none()
        {
            session.set_keepalive(None);
            if let Err(error) = self.refuse_api(session, ctx, refusal).await {
                tracing::debug!(%error, "the client is gone");
            }
            let error_code = refusal.status().as_u16();
            return FailToProxy { error_code, can_reuse_downstream: false };
        }
        let (code, kind) = match (error.etype(), error.esource()) {
            (ErrorType::HTTPStatus(413), _) => (413, ErrorKind::TooLarge),
            (ErrorType::HTTPStatus(403), _) => (403, ErrorKind::Forbidden),
            (ErrorType::HTTPStatus(408), _) => (408, ErrorKind::Timeout),
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

    /// What is sent again is told by what comes of it; and the engine's words hold the query.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Exchange,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
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
