//! Logging in at the PBX: a fresh session, its login page, its form, its first answer judged.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN, REFERER, SET_COOKIE,
    USER_AGENT,
};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use url::Url;

use super::client::{Answer, Client};
use super::location;
use super::login_form::{self, LoginPage};
use super::login_request::{self, Credentials};
use crate::domain::jar::{Jar, name_and_value};
use crate::domain::secret::Secret;
use crate::ports::{Portal, PortalAnswer, PortalLogin, PortalSession, Unavailable};
use crate::profile::{Carrier, Csrf, FirstResponse, Judgement, LoginEndpoint, Profile};

/// Which `Host` the PBX sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The one that the browser asked for.
    Preserve,
    /// Always this one.
    Fixed(String),
}

/// The PBX's servers and how to speak to them.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Base URLs, without a path; a session's server index counts from 0 in this order.
    pub servers: Vec<Url>,
    /// PEM of the authorities to trust for https servers; `None`: the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// The Host header.
    pub host: HostHeader,
    /// Host (and port) of the public URL, for requests that no browser caused.
    pub public_host: String,
    /// Further names by which the PBX calls itself in redirects.
    pub aliases: Vec<String>,
    /// For making a TCP connection.
    pub connect_timeout: Duration,
    /// For an answer.
    pub response_timeout: Duration,
}

/// Logs in to the portal by its profile.
pub struct LoginDriver {
    profile: Arc<Profile>,
    upstream: UpstreamSettings,
    client: Client,
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
        if upstream.servers.is_empty() {
            return Err("there is no PBX server".to_owned());
        }
        for server in &upstream.servers {
            let base_only = server.path() == "/" && server.query().is_none();
            if !matches!(server.scheme(), "http" | "https") || !base_only || !server.has_host() {
                return Err(format!("{server} is no base URL of a PBX server"));
            }
        }
        if let HostHeader::Fixed(host) = &upstream.host
            && HeaderValue::from_str(host).is_err()
        {
            return Err("the fixed Host cannot be sent".to_owned());
        }
        let client = Client::new(
            upstream.ca_pem.as_deref(),
            upstream.connect_timeout,
            upstream.response_timeout,
        )?;
        Ok(Self { profile, upstream, client, turn: AtomicUsize::new(0) })
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
        let visitor = Visitor::of(login);
        let asked = self.url(server, &built.target)?;
        let mut request = self.request(endpoint.method(), &asked, &visitor, &cookies)?;
        let headers = request.headers_mut();
        self.put_origin(headers, server, &visitor, &endpoint.page)?;
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
        let answer = self.client.send(request, ANSWER_LIMIT).await?;
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
        let sent = answer.headers.get(LOCATION);
        let sent = sent.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        let resolved =
            sent.and_then(|sent| location::resolve(asked, &sent, self.names(visitor.host)));
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
        let count = self.upstream.servers.len();
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
        let asked = self.url(server, &endpoint.page)?;
        let request = self.request("GET", &asked, &Visitor::of(login), &cookies)?;
        let answer = self.client.send(request, PAGE_LIMIT).await?;
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

    fn request(
        &self,
        method: &str,
        url: &Url,
        visitor: &Visitor<'_>,
        cookies: &Jar,
    ) -> Result<Request<Full<Bytes>>, Unavailable> {
        let mut request = Request::new(Full::default());
        *request.method_mut() =
            Method::from_bytes(method.as_bytes()).map_err(|_| unsendable("method"))?;
        *request.uri_mut() = url.as_str().parse().map_err(|_| unsendable("URL"))?;
        let headers = request.headers_mut();
        headers.insert(HOST, header_value(self.host(visitor), "Host")?);
        headers.insert("x-forwarded-host", header_value(visitor.host, "X-Forwarded-Host")?);
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        if let Some(client) = visitor.client {
            let client = client.to_string();
            headers.insert("x-forwarded-for", header_value(&client, "X-Forwarded-For")?);
        }
        // Some PBXs bind a session to it: the very same must come again with every request.
        if !visitor.user_agent.is_empty() {
            headers.insert(USER_AGENT, header_value(visitor.user_agent, "User-Agent")?);
        }
        if let Some(cookies) = cookies.header() {
            let mut cookies = header_value(&cookies, "Cookie")?;
            cookies.set_sensitive(true);
            headers.insert(COOKIE, cookies);
        }
        Ok(request)
    }

    /// A browser's form comes with these; some portals check them.
    fn put_origin(
        &self,
        headers: &mut HeaderMap,
        server: usize,
        visitor: &Visitor<'_>,
        page: &str,
    ) -> Result<(), Unavailable> {
        let scheme = match &self.upstream.host {
            HostHeader::Preserve => "https",
            HostHeader::Fixed(_) => self.upstream.servers[server].scheme(),
        };
        let origin = format!("{scheme}://{}", self.host(visitor));
        headers.insert(REFERER, header_value(&format!("{origin}{page}"), "Referer")?);
        headers.insert(ORIGIN, header_value(&origin, "Origin")?);
        Ok(())
    }

    fn host<'a>(&'a self, visitor: &Visitor<'a>) -> &'a str {
        match &self.upstream.host {
            HostHeader::Preserve => visitor.host,
            HostHeader::Fixed(host) => host,
        }
    }

    fn url(&self, server: usize, target: &str) -> Result<Url, Unavailable> {
        let base = self.upstream.servers.get(server);
        let base =
            base.ok_or_else(|| Unavailable::new("pbx", format!("there is no server {server}")))?;
        base.join(target).map_err(|_| unsendable("URL"))
    }

    /// Every name by which a redirect may mean this portal.
    fn names<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a str> {
        let fixed = match &self.upstream.host {
            HostHeader::Fixed(host) => Some(host.as_str()),
            HostHeader::Preserve => None,
        };
        let servers = self.upstream.servers.iter().filter_map(Url::host_str);
        let aliases = self.upstream.aliases.iter().map(String::as_str);
        servers.chain(aliases).chain(fixed).chain([host, self.upstream.public_host.as_str()])
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
        let visitor =
            Visitor { host: &self.upstream.public_host, user_agent: "passgate", client: None };
        let url = self.url(server, self.profile.login_page())?;
        let request = self.request("HEAD", &url, &visitor, &Jar::new())?;
        tokio::time::timeout(PING_TIMEOUT, self.client.send(request, ANSWER_LIMIT))
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
        let url = self.url(server, self.profile.sign_out_path())?;
        let method = self.profile.sign_out_method();
        let mut request = self.request(method, &url, &visitor, jar)?;
        self.put_origin(request.headers_mut(), server, &visitor, self.profile.home())?;
        self.client.send(request, ANSWER_LIMIT).await.map(|_| ())
    }

    fn looks_like_pin(&self, secret: &Secret) -> bool {
        self.profile.looks_like_pin(secret.expose())
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        let servers = (0..self.upstream.servers.len()).map(|server| Box::pin(self.answers(server)));
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

/// On whose behalf a request is sent.
struct Visitor<'a> {
    host: &'a str,
    user_agent: &'a str,
    client: Option<IpAddr>,
}

impl<'a> Visitor<'a> {
    fn of(login: &PortalLogin<'a>) -> Self {
        Self { host: login.host, user_agent: login.user_agent, client: Some(login.client) }
    }
}

fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(SET_COOKIE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn header_value(text: &str, name: &str) -> Result<HeaderValue, Unavailable> {
    HeaderValue::from_str(text).map_err(|_| unsendable(name))
}

/// Something that cannot stand in a request. The text itself may be secret and is not told.
fn unsendable(what: &str) -> Unavailable {
    Unavailable::new("pbx", format!("{what} cannot be sent"))
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
