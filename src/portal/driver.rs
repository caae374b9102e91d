//! Logging in at the PBX: a fresh session, its login page, its form, its first answer judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http_body_util::Full;
use url::Url;

use super::client::Answer;
use super::location;
use super::login_form::{self, LoginPage};
use super::login_request::{self, Credentials};
use super::upstream::{Upstream, UpstreamSettings, Visitor, header_value, set_cookies, unsendable};
use crate::domain::jar::{Jar, name_and_value};
use crate::domain::secret::Secret;
use crate::ports::{Portal, PortalAnswer, PortalLogin, PortalSession, Unavailable};
use crate::profile::{Carrier, Csrf, FirstResponse, Judgement, LoginEndpoint, Profile};

/// Logs in to the portal by its profile.
pub struct LoginDriver {
    profile: Arc<Profile>,
    upstream: Upstream,
    /// Spreads logins over the servers.
    turn: AtomicUsize,
}

/// Hidden fields and tokens stand within this much of a login page.
const PAGE_LIMIT: usize = 512 * 1024;
/// As much of an answer to a login as is judged.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Readiness does not wait for a slow PBX.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

impl LoginDriver {
    /// Checks the settings and prepares the client; connects to nothing yet.
    pub fn new(profile: Arc<Profile>, upstream: UpstreamSettings) -> Result<Self, String> {
        let upstream = Upstream::new(upstream)?;
        Ok(Self { profile, upstream, turn: AtomicUsize::new(0) })
    }

    /// One login on one server, from the page to the judged answer.
    async fn attempt(
        &self,
        login: &PortalLogin<'_>,
        page: FreshSession,
    ) -> Result<Attempt, Unavailable> {
        let endpoint = self.profile.primary_login();
        let FreshSession { server, mut cookies, page } = page;
        let page = match page {
            Ok(page) => page,
            Err(detail) => return Ok(Attempt::Answered(PortalAnswer::Unknown { detail })),
        };
        let user = self.profile.upstream_login_name(login.login);
        let credentials = Credentials {
            user: &user,
            secret: login.pin.expose(),
            tenant: login.login.tenant(),
            carried: login.carried,
        };
        let built = match login_request::build(endpoint, &page, &cookies, &credentials) {
            Ok(built) => built,
            Err(detail) => return Ok(Attempt::Answered(PortalAnswer::Unknown { detail })),
        };
        let visitor = visitor_of(login);
        let asked = self.upstream.url(server, &built.target)?;
        let mut request = self.upstream.request(endpoint.method(), &asked, &visitor, &cookies)?;
        let headers = request.headers_mut();
        self.upstream.put_origin(headers, server, &visitor, &endpoint.page)?;
        for (name, value) in &built.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| unsendable(name))?;
            let mut value = header_value(value, name.as_str())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some((media_type, body)) = built.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            *request.body_mut() = Full::new(Bytes::from(body));
        }
        let answer = self.upstream.send(request, ANSWER_LIMIT).await?;
        Ok(self.judge(endpoint, &answer, &asked, server, &visitor, &mut cookies))
    }

    fn judge(
        &self,
        endpoint: &LoginEndpoint,
        answer: &Answer,
        asked: &Url,
        server: usize,
        visitor: &Visitor<'_>,
        cookies: &mut Jar,
    ) -> Attempt {
        let (mut set, mut changed) = (Vec::new(), Vec::new());
        for set_cookie in set_cookies(&answer.headers) {
            let Some((name, _)) = name_and_value(&set_cookie) else { continue };
            let before = cookies.value(name).map(str::to_owned);
            cookies.take(&set_cookie);
            // A cookie that the answer removes is no session of its own.
            if cookies.value(name).is_some_and(|now| Some(now) != before.as_deref()) {
                changed.push(name.to_owned());
            }
            set.push(name.to_owned());
        }
        let resolved = self.upstream.location(answer, asked, visitor.host);
        let first = FirstResponse {
            status: answer.status.as_u16(),
            location: resolved.as_deref(),
            cookies_set: &set,
            cookies_changed: &changed,
            body: &answer.body,
        };
        let session = || PortalSession {
            jar: self.jar_of(cookies),
            server,
            landing: resolved.as_deref().and_then(location::landing),
        };
        let described = || {
            let place = resolved.as_deref().map_or("none", |to| to.split('?').next().unwrap_or(to));
            format!("status {}, Location {}", first.status, place.escape_debug())
        };
        match self.profile.judge(endpoint, &first) {
            Judgement::Accepted => Attempt::Answered(PortalAnswer::Accepted(session())),
            Judgement::Refused => Attempt::Answered(PortalAnswer::Refused),
            Judgement::Challenge => Attempt::Answered(PortalAnswer::Challenge(session())),
            Judgement::TokenError => Attempt::StaleToken(described()),
            Judgement::Unknown => Attempt::Answered(PortalAnswer::Unknown { detail: described() }),
        }
    }

    /// Opens a fresh PBX session: asks for the login page without any cookie. Without a server
    /// given, the next one is tried when one does not answer.
    async fn fresh_session(&self, login: &PortalLogin<'_>) -> Result<FreshSession, Unavailable> {
        let count = self.upstream.count();
        if let Some(server) = login.server {
            return self.fresh_session_at(server, login).await;
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut outage = Unavailable::new("pbx", "no server answers");
        for step in 0..count {
            match self.fresh_session_at(first.wrapping_add(step) % count, login).await {
                Ok(session) => return Ok(session),
                Err(unavailable) => outage = unavailable,
            }
        }
        Err(outage)
    }

    async fn fresh_session_at(
        &self,
        server: usize,
        login: &PortalLogin<'_>,
    ) -> Result<FreshSession, Unavailable> {
        let endpoint = self.profile.primary_login();
        let mut cookies = Jar::new();
        let asked = self.upstream.url(server, &endpoint.page)?;
        let request = self.upstream.request("GET", &asked, &visitor_of(login), &cookies)?;
        let answer = self.upstream.send(request, PAGE_LIMIT).await?;
        for set_cookie in set_cookies(&answer.headers) {
            cookies.take(&set_cookie);
        }
        let page = if answer.status.is_success() {
            let user_field = match &endpoint.user {
                Carrier::Form(name) => name.as_str(),
                _ => "",
            };
            let meta = match &endpoint.csrf {
                Some(Csrf::Meta { name, .. }) => Some(name.as_str()),
                _ => None,
            };
            Ok(login_form::read(&answer.body, user_field, meta))
        } else {
            Err(format!("the login page answered {}", answer.status))
        };
        Ok(FreshSession { server, cookies, page })
    }

    /// Of the login's cookies those that make up the PBX session.
    fn jar_of(&self, cookies: &Jar) -> Jar {
        let mut jar = Jar::new();
        for name in cookies.names() {
            let kept = self.profile.keeps_in_jar(name) && !self.profile.drops_cookie(name);
            if let Some(value) = cookies.value(name).filter(|_| kept) {
                jar.take(&format!("{name}={value}"));
            }
        }
        jar
    }

    async fn answers(&self, server: usize) -> Result<(), Unavailable> {
        let visitor = self.upstream.ourselves();
        let url = self.upstream.url(server, self.profile.login_page())?;
        let request = self.upstream.request("HEAD", &url, &visitor, &Jar::new())?;
        tokio::time::timeout(PING_TIMEOUT, self.upstream.send(request, ANSWER_LIMIT))
            .await
            .map_err(|_| Unavailable::new("pbx", "no answer in time"))?
            .map(|_| ())
    }
}

#[async_trait]
impl Portal for LoginDriver {
    async fn log_in(&self, login: PortalLogin<'_>) -> Result<PortalAnswer, Unavailable> {
        let mut answer = None;
        // A stale token is cured by a fresh page, once.
        for _ in 0..2 {
            let session = self.fresh_session(&login).await.inspect_err(|outage| {
                tracing::warn!(login = %login.login, %outage, "portal login: no answer");
            })?;
            let attempt = self.attempt(&login, session).await.inspect_err(|outage| {
                tracing::warn!(login = %login.login, %outage, "portal login: no answer");
            })?;
            match attempt {
                Attempt::Answered(judged) => {
                    answer = Some(judged);
                    break;
                }
                Attempt::StaleToken(detail) => answer = Some(PortalAnswer::Unknown { detail }),
            }
        }
        let answer = answer.unwrap_or(PortalAnswer::Unknown { detail: String::new() });
        match &answer {
            PortalAnswer::Accepted(session) => {
                tracing::debug!(login = %login.login, server = session.server, "portal login: accepted");
            }
            PortalAnswer::Refused => tracing::debug!(login = %login.login, "portal login: refused"),
            PortalAnswer::Challenge(session) => {
                tracing::debug!(login = %login.login, server = session.server, "portal login: challenge");
            }
            PortalAnswer::Unknown { detail } => {
                tracing::warn!(login = %login.login, %detail, "portal login: no predicate of the profile matches");
            }
        }
        Ok(answer)
    }

    async fn sign_out(
        &self,
        jar: &Jar,
        server: usize,
        user_agent: &str,
        host: &str,
    ) -> Result<(), Unavailable> {
        if jar.is_empty() {
            return Ok(());
        }
        let visitor = Visitor { host, user_agent, client: None };
        let url = self.upstream.url(server, self.profile.sign_out_path())?;
        let method = self.profile.sign_out_method();
        let mut request = self.upstream.request(method, &url, &visitor, jar)?;
        self.upstream.put_origin(request.headers_mut(), server, &visitor, self.profile.home())?;
        self.upstream.send(request, ANSWER_LIMIT).await.map(|_| ())
    }

    fn looks_like_pin(&self, secret: &Secret) -> bool {
        self.profile.looks_like_pin(secret.expose())
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        let servers = (0..self.upstream.count()).map(|server| Box::pin(self.answers(server)));
        futures::future::select_ok(servers).await.map(|_| ())
    }
}

/// How one attempt ended.
enum Attempt {
    Answered(PortalAnswer),
    StaleToken(String),
}

/// A PBX session before its login.
struct FreshSession {
    server: usize,
    cookies: Jar,
    /// `Err`: it was no login page.
    page: Result<LoginPage, String>,
}

fn visitor_of<'a>(login: &PortalLogin<'a>) -> Visitor<'a> {
    Visitor { host: login.host, user_agent: login.user_agent, client: Some(login.client) }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
