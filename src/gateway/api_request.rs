//! Steps 4 to 7 for the PBX's API: what a request shows besides a cookie, and what the PBX is shown
//! in its place (R-F3 to R-F6).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::access::Shown;
use super::api_refusal::ApiRefusal;
use super::credential_scan::BodyScan;
use super::exchange::Exchange;
use super::gate::Admitted;
use super::intercept::login::without_port;
use super::pipeline::Pipeline;
use super::route::Route;
use super::{bearer, entry, forward};
use crate::domain::grant::GrantKind;
use crate::domain::secret::Secret;
use crate::domain::session::{ObtainedWith, Standing};
use crate::flows::api::basic::{self, BasicLogin, BasicOutcome};
use crate::flows::api::bearer::{Bearer, cached, find};
use crate::flows::api::renew::{NotRenewed, after_refusal, before_its_end};
use crate::flows::api::{Caller, owner};
use crate::flows::{Outage, Services};
use crate::web::ErrorKind;

/// RFC 6750 §2.2 and §2.3 let a token stand in body or query; RFC 9700 §4.3.2 says not to.
pub(super) const TOKEN_FIELD: &str = "access_token";

/// A connection that stays open on a token from before Passgate is closed after this time: there is
/// no session whose end would close it, and whoever opens it again is asked again.
const LEGACY_STREAM: Duration = Duration::from_secs(5 * 60);

impl Pipeline {
    /// What an API request shows besides a cookie. The family that it belongs to goes into `ctx`.
    pub(super) async fn shown(
        &self,
        session: &Session,
        ctx: &mut Exchange,
    ) -> Result<Shown, Outage> {
        let head = session.req_header();
        if let Some(token) = bearer::of(&head.headers) {
            let found = match cached(&self.services, token) {
                Some(found) => found,
                None => find(&self.services, token).await?,
            };
            return Ok(match found {
                Bearer::Known { session, standing } => belongs(ctx, Admitted { session, standing }),
                Bearer::Invalid => Shown::BadToken,
                Bearer::Unknown => Shown::Stranger,
            });
        }
        let Some(login) = self.basic_login(head) else { return Ok(Shown::Nothing) };
        Ok(match basic::cached(&self.services, &login, ctx.client) {
            Some(BasicOutcome::Known { session, standing }) => {
                belongs(ctx, Admitted { session, standing })
            }
            _ => Shown::Login,
        })
    }

    fn basic_login(&self, head: &RequestHeader) -> Option<BasicLogin> {
        let (typed, secret) = basic_pair(&head.headers)?;
        let tenant = self.profile.tenant_of_host(without_port(entry::host(head)));
        let login = self.profile.login_name(&typed, tenant.as_deref()).ok();
        let upstream_name = login.as_ref().map(|login| self.profile.upstream_login_name(login));
        Some(BasicLogin { upstream_name: upstream_name.unwrap_or_default(), login, typed, secret })
    }

    /// Sends a request of a family to the PBX.
    pub(super) async fn forward_family(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let Some(family) = ctx.family.take() else {
            return self.refuse(session, ctx, ErrorKind::Internal).await;
        };
        let live = &family.session;
        if let Err(error) = before_its_end(&self.services, live, live.jar()).await {
            return self.refuse_api(session, ctx, not_renewed(&error)).await;
        }
        ctx.admitted = Some(family);
        self.forward(session, ctx, route).await
    }

    /// Judges login name and secret, and sends the request to the PBX if they are right (R-F4).
    pub(super) async fn log_in_api(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let head = session.req_header();
        let Some(login) = self.basic_login(head) else {
            return self.refuse_api(session, ctx, ApiRefusal::NoCredentials).await;
        };
        let task = {
            let (services, client) = (self.services.clone(), ctx.client);
            let (user_agent, host) = (user_agent(head).to_owned(), entry::host(head).to_owned());
            // In a task of its own: a client that disconnects does not leave it half-done.
            tokio::spawn(async move {
                let caller = Caller { client, user_agent: &user_agent, host: &host };
                basic::log_in(&services, &login, caller).await
            })
        };
        let outcome = match task.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(outage)) => return self.outage(session, ctx, &outage).await,
            Err(_) => return self.refuse(session, ctx, ErrorKind::Internal).await,
        };
        let refusal = match outcome {
            BasicOutcome::Known { session: family, standing } => {
                match belongs(ctx, Admitted { session: family, standing }) {
                    Shown::Family(Standing::Full { .. }) => {
                        return self.forward_family(session, ctx, route).await;
                    }
                    Shown::FamilyOfOther => {
                        return self.refuse(session, ctx, ErrorKind::Forbidden).await;
                    }
                    _ => ApiRefusal::PinTooLate,
                }
            }
            BasicOutcome::Refused => ApiRefusal::BadLogin,
            BasicOutcome::PinTooLate => ApiRefusal::PinTooLate,
            BasicOutcome::InitialPassword => ApiRefusal::InitialPassword,
            BasicOutcome::SecondFactor => ApiRefusal::SecondFactor,
            BasicOutcome::PinUnknown => ApiRefusal::PinUnknown,
            BasicOutcome::Locked { until } => ApiRefusal::Locked(left(&self.services, until)),
        };
        self.refuse_api(session, ctx, refusal).await
    }

    /// An API call of a page passes with a bearer of the session's own account (R-F5).
    pub(super) async fn forward_script(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let own = match (bearer::of(&session.req_header().headers), ctx.session()) {
            (Some(token), Some(live)) => {
                let caller = caller(session, ctx);
                let login = &live.record().login;
                owner::is_of(&self.services, &self.profile, login, token, caller).await
            }
            _ => Ok(false),
        };
        match own {
            Ok(true) => self.forward(session, ctx, route).await,
            Ok(false) => self.refuse(session, ctx, ErrorKind::Forbidden).await,
            Err(outage) => self.outage(session, ctx, &outage).await,
        }
    }

    /// A token from before Passgate passes until its day (R-F6); without a session.
    pub(super) async fn forward_legacy(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        route: &Route<'_>,
    ) -> pingora::Result<bool> {
        let Some(token) = bearer::of(&session.req_header().headers) else {
            return self.refuse_api(session, ctx, ApiRefusal::NoCredentials).await;
        };
        let caller = caller(session, ctx);
        match owner::legacy_passes_until(&self.services, &self.profile, token, caller).await {
            Ok(Some(until)) => {
                self.metrics.legacy_token("access");
                let head = session.req_header();
                let lasts = forward::asks_websocket(head) || forward::asks_event_stream(head);
                let again = self.services.clock.now() + LEGACY_STREAM;
                ctx.passes_until = Some(if lasts { until.min(again) } else { until });
                self.forward(session, ctx, route).await
            }
            Ok(None) => self.refuse_api(session, ctx, ApiRefusal::BadToken).await,
            Err(outage) => self.outage(session, ctx, &outage).await,
        }
    }

    /// Whether the query has credentials in it, which are taken from the header only.
    pub(super) fn misplaces_token(&self, head: &RequestHeader) -> bool {
        head.uri.query().is_some_and(|query| self.token_scan.query(query))
    }

    /// The look for credential fields in the body of a request. On the API a form must not carry a
    /// token either: PBXs take it before the header's. JSON may; nothing is authorised by it.
    pub(super) fn body_scan(&self, route: &Route<'_>, head: &RequestHeader) -> Option<BodyScan> {
        let exempt = self.profile.scan_exempt(head.uri.path());
        let form = matches!(route, Route::Api) && !is_json(&head.headers);
        match (form, exempt) {
            (true, false) => self.form_scan.body(&head.headers),
            (true, true) => self.token_scan.body(&head.headers),
            (false, false) => self.scan.body(&head.headers),
            (false, true) => None,
        }
    }

    /// The PBX says 401 to what it was shown for a family. The application did nothing wrong and
    /// must not be told so: it would ask its user for the password. The PBX is asked for another
    /// token; what can be sent again without harm is sent again.
    pub(super) async fn refused_by_pbx(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<()> {
        let Some(live) = ctx.session().cloned() else { return Ok(()) };
        let record = live.record();
        let Some(kind) = record.grant.as_ref().map(|grant| grant.kind) else { return Ok(()) };
        let Some(jar) = ctx.jar.as_ref().filter(|_| kind != GrantKind::Pass) else { return Ok(()) };
        let refusal = match after_refusal(&self.services, &live, jar.generation).await {
            Ok(renewed) => {
                ctx.server = self.upstreams.choose(Some(renewed.server));
                ctx.jar = Some(renewed);
                if self.is_repeatable(session) {
                    let mut error =
                        Error::explain(ErrorType::Custom("token renewed"), "sent again").into_up();
                    error.set_retry(true);
                    return Err(error);
                }
                ApiRefusal::SendAgain
            }
            // This one did show a PIN, and it is wrong.
            Err(_) if kind == GrantKind::Basic && record.obtained_with == ObtainedWith::Pin => {
                ApiRefusal::BadLogin
            }
            Err(error) => not_renewed(&error),
        };
        ctx.refusal = Some(refusal);
        Error::e_explain(ErrorType::HTTPStatus(refusal.status().as_u16()), "refused by the PBX")
    }

    /// Whether a request can be sent to the PBX again. What a body held has been looked at once; it
    /// is not looked at again.
    pub(super) fn is_repeatable(&self, session: &mut Session) -> bool {
        matches!(session.req_header().method, Method::GET | Method::HEAD)
            && session.as_mut().is_body_empty()
    }

    pub(super) async fn refuse_api(
        &self,
        session: &mut Session,
        ctx: &Exchange,
        refusal: ApiRefusal,
    ) -> pingora::Result<bool> {
        let host = &self.services.policies.public_host;
        let place = format!("https://{host}{}/login", self.settings.prefix);
        self.write(session, ctx, refusal.answer(&place)).await?;
        Ok(true)
    }
}

/// Notes whose family a request belongs to. With the full session of another account it belongs to
/// nobody: a page must not act for somebody else.
fn belongs(ctx: &mut Exchange, family: Admitted) -> Shown {
    let account = family.session.record().account;
    let conflict = ctx.admitted.as_ref().is_some_and(|session| {
        matches!(session.standing, Standing::Full { .. })
            && session.session.record().account != account
    });
    let standing = family.standing;
    ctx.family = (!conflict).then_some(family);
    if conflict { Shown::FamilyOfOther } else { Shown::Family(standing) }
}

fn not_renewed(error: &NotRenewed) -> ApiRefusal {
    match error {
        NotRenewed::IsNew => ApiRefusal::RefusedByPbx,
        NotRenewed::Refused | NotRenewed::Pausing | NotRenewed::Outage(_) => ApiRefusal::NoPbxToken,
    }
}

fn caller<'a>(session: &'a Session, ctx: &Exchange) -> Caller<'a> {
    let head = session.req_header();
    Caller { client: ctx.client, user_agent: user_agent(head), host: entry::host(head) }
}

fn user_agent(head: &RequestHeader) -> &str {
    let user_agent = head.headers.get(header::USER_AGENT);
    user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// User name and password of HTTP Basic (RFC 7617), in UTF-8.
fn basic_pair(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = zeroize::Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (user, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((user.to_owned(), Secret::new(secret)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kinds.next().is_none()
        && (kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json"))
}

fn left(services: &Services, until: jiff::Timestamp) -> Duration {
    let left = until.duration_since(services.clock.now());
    Duration::try_from(left).unwrap_or(Duration::from_secs(1))
}
