//! The PBX's servers, and how requests to them are made: which Host they see, on whose behalf they
//! are asked, which places they mean in redirects.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HOST, HeaderValue, LOCATION, ORIGIN, REFERER, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use url::Url;

use super::client::{Answer, Client, NoAnswer};
use super::location;
use crate::domain::jar::Jar;
use crate::ports::Unavailable;

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

/// The servers, with a client for them.
pub(super) struct Upstream {
    settings: UpstreamSettings,
    client: Client,
    /// The server that could be reached last.
    reachable: AtomicUsize,
}

impl Upstream {
    /// Checks the settings and prepares the client; connects to nothing yet.
    pub(super) fn new(settings: UpstreamSettings) -> Result<Self, String> {
        if settings.servers.is_empty() {
            return Err("there is no PBX server".to_owned());
        }
        for server in &settings.servers {
            let base_only = server.path() == "/" && server.query().is_none();
            if !matches!(server.scheme(), "http" | "https") || !base_only || !server.has_host() {
                return Err(format!("{server} is no base URL of a PBX server"));
            }
        }
        if let HostHeader::Fixed(host) = &settings.host
            && HeaderValue::from_str(host).is_err()
        {
            return Err("the fixed Host cannot be sent".to_owned());
        }
        let client = Client::new(
            settings.ca_pem.as_deref(),
            settings.connect_timeout,
            settings.response_timeout,
        )?;
        Ok(Self { settings, client, reachable: AtomicUsize::new(0) })
    }

    /// How many servers there are.
    pub(super) fn count(&self) -> usize {
        self.settings.servers.len()
    }

    /// Sends one request. At most `limit` bytes of the body are read. 5xx is an outage.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, Unavailable> {
        self.client.send(request, limit).await
    }

    /// Sends a request that must not arrive twice; see [`Client::send_once`].
    pub(super) async fn send_once(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, NoAnswer> {
        self.client.send_once(request, limit).await
    }

    /// The same on whichever server can be reached: the next one is asked only where not a byte
    /// was sent. `build` makes the request for a server, with what the caller wants to know of it.
    pub(super) async fn send_once_anywhere<T>(
        &self,
        limit: usize,
        build: impl Fn(usize) -> Result<(Request<Full<Bytes>>, T), Unavailable>,
    ) -> Result<(Answer, T), NoAnswer> {
        let first = self.reachable.load(Ordering::Relaxed);
        let mut outage = Unavailable::new("pbx", "no server answers");
        for step in 0..self.count() {
            let server = (first + step) % self.count();
            let (request, known) = build(server).map_err(NoAnswer::NotSent)?;
            match self.client.send_once(request, limit).await {
                Ok(answer) => {
                    self.reachable.store(server, Ordering::Relaxed);
                    return Ok((answer, known));
                }
                Err(NoAnswer::NotSent(unreachable)) => outage = unreachable,
                Err(lost) => return Err(lost),
            }
        }
        Err(NoAnswer::NotSent(outage))
    }

    /// Who asks when no browser does.
    pub(super) fn ourselves(&self) -> Visitor<'_> {
        Visitor { host: &self.settings.public_host, user_agent: "passgate", client: None }
    }

    /// Where an answer sends the browser: path and query where it is the portal itself, else the
    /// whole URL.
    pub(super) fn location(&self, answer: &Answer, asked: &Url, host: &str) -> Option<String> {
        let sent = String::from_utf8_lossy(answer.headers.get(LOCATION)?.as_bytes());
        self.place(&sent, asked, host)
    }

    /// The same for a place that is written in a page.
    pub(super) fn place(&self, written: &str, asked: &Url, host: &str) -> Option<String> {
        location::resolve(asked, written, self.names(host))
    }

    pub(super) fn request(
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
    pub(super) fn put_origin(
        &self,
        headers: &mut HeaderMap,
        server: usize,
        visitor: &Visitor<'_>,
        page: &str,
    ) -> Result<(), Unavailable> {
        let scheme = match &self.settings.host {
            HostHeader::Preserve => "https",
            HostHeader::Fixed(_) => self.settings.servers[server].scheme(),
        };
        let origin = format!("{scheme}://{}", self.host(visitor));
        headers.insert(REFERER, header_value(&format!("{origin}{page}"), "Referer")?);
        headers.insert(ORIGIN, header_value(&origin, "Origin")?);
        Ok(())
    }

    fn host<'a>(&'a self, visitor: &Visitor<'a>) -> &'a str {
        match &self.settings.host {
            HostHeader::Preserve => visitor.host,
            HostHeader::Fixed(host) => host,
        }
    }

    /// A path and query on one of the servers.
    pub(super) fn url(&self, server: usize, target: &str) -> Result<Url, Unavailable> {
        let base = self.settings.servers.get(server);
        let base =
            base.ok_or_else(|| Unavailable::new("pbx", format!("there is no server {server}")))?;
        let url = base.join(target).map_err(|_| unsendable("URL"))?;
        // What stands in a page may be `//elsewhere.example/`.
        if url.origin() == base.origin() { Ok(url) } else { Err(unsendable("URL")) }
    }

    /// Every name by which a redirect may mean this portal.
    fn names<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a str> {
        let fixed = match &self.settings.host {
            HostHeader::Fixed(host) => Some(host.as_str()),
            HostHeader::Preserve => None,
        };
        let servers = self.settings.servers.iter().filter_map(Url::host_str);
        let aliases = self.settings.aliases.iter().map(String::as_str);
        servers.chain(aliases).chain(fixed).chain([host, self.settings.public_host.as_str()])
    }
}

/// On whose behalf a request is sent.
pub(super) struct Visitor<'a> {
    pub(super) host: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) client: Option<IpAddr>,
}

/// The `Set-Cookie` values of an answer.
pub(super) fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(SET_COOKIE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

pub(super) fn header_value(text: &str, name: &str) -> Result<HeaderValue, Unavailable> {
    HeaderValue::from_str(text).map_err(|_| unsendable(name))
}

/// Something that cannot stand in a request. The text itself may be secret and is not told.
pub(super) fn unsendable(what: &str) -> Unavailable {
    Unavailable::new("pbx", format!("{what} cannot be sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security: what goes to a server of the PBX goes nowhere else, wherever a page of it points.
    #[test]
    fn a_target_stays_on_its_server() {
        let server = Url::parse("http://10.0.0.5:9080").unwrap();
        let upstream = Upstream::new(UpstreamSettings {
            servers: vec![server],
            ca_pem: None,
            host: HostHeader::Preserve,
            public_host: "portal.example.com".into(),
            aliases: vec![],
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
        })
        .unwrap();
        let asked = upstream.url(0, "/portal/profile?a=1").unwrap();
        assert_eq!(asked.as_str(), "http://10.0.0.5:9080/portal/profile?a=1");
        for action in
            ["http://10.0.0.5:9080//evil.example/", "/.//evil.example/x", "/\\evil.example"]
        {
            let Some(target) = upstream.place(action, &asked, "portal.example.com") else {
                continue;
            };
            let url = upstream.url(0, &target);
            let stays = url.as_ref().is_ok_and(|url| url.host_str() == Some("10.0.0.5"));
            assert!(url.is_err() || stays, "{action}: {target} {url:?}");
        }
    }
}
