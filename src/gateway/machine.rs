//! Machine clients (R-F4): phones that fetch their settings, webhooks, links in mails. They have no
//! session; what lets them in is the path, the method, the address they come from, or a key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::exchange::Exchange;
use super::listeners::host_name;
use super::pipeline::Pipeline;
use super::route::Route;
use super::{client_kind, entry, forward};
use crate::domain::secret::Secret;
use crate::profile::PathSet;
use crate::web::ErrorKind;

/// What lets a machine client in, as configured.
#[derive(Debug, Clone)]
pub struct MachineRule {
    /// Its name in access log and metric.
    pub name: String,
    /// Where it is let in.
    pub paths: PathSet,
    /// With which methods.
    pub methods: Vec<&'static str>,
    /// From where; empty: from everywhere.
    pub addresses: Vec<IpNet>,
    /// With which key; `None`: with none.
    pub key: Option<OfferedKey>,
    /// Whether without TLS, too.
    pub plain_http: bool,
}

/// The key that a machine client offers.
#[derive(Debug, Clone)]
pub struct OfferedKey {
    /// The key.
    pub secret: Secret,
    /// Where it stands.
    pub at: KeyAt,
    /// Whether the PBX gets it, too.
    pub forwarded: bool,
}

/// Where a key stands in a request.
#[derive(Debug, Clone)]
pub enum KeyAt {
    /// The value of a header field.
    Header(HeaderName),
    /// A parameter of the query.
    Query(String),
}

/// Our own addresses, for those who are sent to https.
#[derive(Debug, Clone)]
pub struct PublicUrls {
    /// Without a slash at the end.
    pub of_everybody: String,
    /// Those of brands, by host name.
    pub by_host: BTreeMap<String, String>,
}

/// All of them.
pub struct MachineClients {
    clients: Vec<Arc<MachineClient>>,
    urls: PublicUrls,
}

/// One of them.
pub struct MachineClient(MachineRule);

impl MachineClients {
    /// Those that `rules` let in; `None` if there is none.
    pub fn new(rules: Vec<MachineRule>, urls: PublicUrls) -> Option<Self> {
        let clients: Vec<_> = rules.into_iter().map(|rule| Arc::new(MachineClient(rule))).collect();
        (!clients.is_empty()).then_some(Self { clients, urls })
    }

    /// The address of `target` with TLS; the authority is ours, whatever the client says.
    fn https(&self, host: &str, target: &str) -> String {
        let urls = &self.urls;
        let base = urls.by_host.get(&host_name(host)).unwrap_or(&urls.of_everybody);
        format!("{base}{target}")
    }
}

impl MachineClient {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    fn is(&self, head: &http::request::Parts, host: &str, client: IpAddr, plain: bool) -> bool {
        let rule = &self.0;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        rule.methods.contains(&head.method.as_str())
            && rule.paths.contains(head.uri.path())
            && (rule.plain_http || !plain)
            && (rule.addresses.is_empty()
                || rule.addresses.iter().any(|network| network.contains(&client.to_canonical())))
            // A page elsewhere must not act by the browser of somebody who sits there.
            && (reads || client_kind::same_origin(&head.headers, host))
            && self.has_no_login(&head.headers)
            && rule.key.as_ref().is_none_or(|key| key.is_offered(head))
    }

    /// Whoever says who he is goes the way of logins and tokens.
    fn has_no_login(&self, headers: &HeaderMap) -> bool {
        let at_its_place = match self.0.key.as_ref().map(|key| &key.at) {
            Some(KeyAt::Header(name)) => *name == header::AUTHORIZATION,
            _ => false,
        };
        at_its_place || !headers.contains_key(header::AUTHORIZATION)
    }

    /// Takes out of the PBX's request what is not for it: cookies, since there is no session, and
    /// the key.
    pub(super) fn ready(&self, upstream: &mut RequestHeader) -> pingora::Result<()> {
        upstream.remove_header(&header::COOKIE);
        let Some(key) = self.0.key.as_ref().filter(|key| !key.forwarded) else { return Ok(()) };
        match &key.at {
            KeyAt::Header(name) => {
                upstream.remove_header(name);
            }
            KeyAt::Query(name) => {
                let target = without_parameter(&upstream.uri, name);
                upstream.set_raw_path(target.as_bytes())?;
            }
        }
        Ok(())
    }
}

impl OfferedKey {
    /// Whether the request has the key, once: of two, nobody knows which one the PBX reads.
    fn is_offered(&self, head: &http::request::Parts) -> bool {
        let offered = match &self.at {
            KeyAt::Header(name) => {
                let mut values = head.headers.get_all(name).iter();
                let first = values.next().and_then(|value| value.to_str().ok());
                first.filter(|_| values.next().is_none()).map(str::to_owned)
            }
            KeyAt::Query(name) => {
                let query = head.uri.query().unwrap_or_default();
                let mut values = query.split('&').filter(|pair| is_named(pair, name));
                let first = values.next().and_then(|pair| pair.split_once('='));
                first.filter(|_| values.next().is_none()).map(|(_, value)| decoded(value))
            }
        };
        offered.is_some_and(|offered| self.secret.same_as(&Secret::new(offered)))
    }
}

/// Path and query without a parameter.
fn without_parameter(uri: &http::Uri, name: &str) -> String {
    let kept: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_named(pair, name))
        .collect();
    match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    decoded(pair.split('=').next().unwrap_or_default()) == name
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Pipeline {
    /// The machine client that a request is of. Where people and tokens are checked, none is.
    pub(super) fn machine(
        &self,
        head: &RequestHeader,
        ctx: &Exchange,
        route: &Route<'_>,
    ) -> Option<Arc<MachineClient>> {
        let machines = self.settings.machines.as_ref()?;
        if !matches!(route, Route::Api | Route::Portal | Route::Public) {
            return None;
        }
        let (host, plain) = (entry::host(head), ctx.is_plain());
        machines.clients.iter().find(|one| one.is(head, host, ctx.client, plain)).cloned()
    }

    /// Sends a request without TLS to the same place with it.
    pub(super) async fn to_https(
        &self,
        session: &mut Session,
        ctx: &Exchange,
    ) -> pingora::Result<bool> {
        session.set_keepalive(None);
        let head = session.req_header();
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let place = self.settings.machines.as_ref().map(|one| one.https(entry::host(head), target));
        let Some(Ok(place)) = place.map(HeaderValue::try_from) else {
            return self.refuse(session, ctx, ErrorKind::BadRequest).await;
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = match head.method {
            Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        response.headers_mut().insert(header::LOCATION, place);
        self.write(session, ctx, response).await?;
        Ok(true)
    }

    /// Readies a machine client's request for the PBX: with no session, and with no credentials of
    /// people. `false` lets Pingora go on with it.
    pub(super) async fn let_machine_in(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        machine: Option<Arc<MachineClient>>,
    ) -> pingora::Result<bool> {
        let has_body = !session.as_downstream_mut().is_body_empty();
        let head = session.req_header();
        let has_credentials = head.uri.query().is_some_and(|query| self.scan.query(query));
        let Some(machine) = machine.filter(|_| !has_credentials && !forward::asks_websocket(head))
        else {
            return self.refuse(session, ctx, ErrorKind::Forbidden).await;
        };
        if has_body && !self.profile.scan_exempt(head.uri.path()) {
            ctx.scan = self.scan.body(&head.headers);
        }
        self.metrics.machine_request(machine.name());
        ctx.admitted = None;
        ctx.machine = Some(machine);
        ctx.server = self.upstreams.choose(None);
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
