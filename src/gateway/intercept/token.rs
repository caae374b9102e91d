//! A request for tokens (R-F1): from a bounded body to a flow, and from its outcome to what RFC 6749
//! promises its client. The client's bytes end here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::Sender;
use super::login::without_port;
use super::token_words::{self, Refused, own_answer};
use crate::domain::secret::Secret;
use crate::flows::api::revoke::end_by_token;
use crate::flows::tokens::{
    Challenge, Issued, PinNotice, RefreshAsk, TokenAsk, TokenOutcome, issue, refresh,
};
use crate::flows::{Outage, Services};
use crate::ports::Unavailable;
use crate::profile::{AskedGrant, Profile, ReadToken, TokenCall, TokenEndpoint};
use crate::web::OwnPages;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// A request to a token endpoint: its bounded body and what stands beside it.
pub(in crate::gateway) struct TokenPost<'a> {
    pub(in crate::gateway) endpoint: &'a TokenEndpoint,
    pub(in crate::gateway) method: &'a str,
    pub(in crate::gateway) headers: &'a HeaderMap,
    pub(in crate::gateway) query: Option<&'a str>,
    pub(in crate::gateway) body: Bytes,
}

/// Where people find our pages.
#[derive(Clone, Copy)]
pub(in crate::gateway) struct OwnPlaces<'a> {
    pub(in crate::gateway) pages: &'a OwnPages,
    pub(in crate::gateway) prefix: &'a str,
}

/// Carries out a request for tokens, or one that ends some, and says what its client is told.
pub(in crate::gateway) async fn answer(
    services: &Arc<Services>,
    profile: &Profile,
    sender: &Sender,
    post: &TokenPost<'_>,
    places: OwnPlaces<'_>,
) -> Response<Bytes> {
    if post.endpoint.revokes(post.method) {
        return revoke(services, post).await;
    }
    let read = match read(post) {
        Ok(read) => read,
        Err(refused) => return refused.answer(),
    };
    let refresh_grant = matches!(read.grant, AskedGrant::Refresh(_));
    let (tenant, outcome) = match ask(services, profile, sender, post, read).await {
        Ok(asked) => asked,
        Err(refused) => return refused.answer(),
    };
    let public_url = places.pages.public_url(tenant.as_deref(), &sender.host);
    let address = format!("{public_url}{}", places.prefix);
    match outcome {
        Ok(TokenOutcome::Issued(issued)) => issued_answer(post.endpoint, *issued, &address),
        Ok(TokenOutcome::Challenge(Challenge(question))) => {
            own_answer(StatusCode::OK, &Value::Object(question))
        }
        Ok(TokenOutcome::Refused(refusal)) => {
            let now = services.clock.now();
            let basic = uses_basic(post.headers);
            token_words::refusal(&refusal, &address, now, basic).answer()
        }
        Err(outage) => {
            let what = if refresh_grant { "a refresh" } else { "a request" };
            tracing::error!(client = %sender.client, error = %outage, "{what} for tokens failed");
            token_words::outage(&outage).answer()
        }
    }
}

fn read(post: &TokenPost<'_>) -> Result<ReadToken, Refused> {
    // What is not ASCII says nothing that a profile asks for: mostly cookies of other scripts.
    let headers: Vec<(&str, &str)> = post
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let TokenPost { method, query, body, .. } = post;
    let call = TokenCall { method, headers: &headers, query: *query, body };
    post.endpoint.read(&call).map_err(|bad| token_words::unreadable(&bad, uses_basic(post.headers)))
}

/// The tenant that is asked for, and what came of it.
type Asked = (Option<String>, Result<TokenOutcome, Outage>);

async fn ask(
    services: &Arc<Services>,
    profile: &Profile,
    sender: &Sender,
    post: &TokenPost<'_>,
    read: ReadToken,
) -> Result<Asked, Refused> {
    let endpoint = post.endpoint.name.clone();
    let (user_agent, host) = (sender.user_agent.clone(), sender.host.clone());
    let ReadToken { grant, client, carried, tenant } = read;
    let services = Arc::clone(services);
    let continued = matches!(grant, AskedGrant::Continue { .. });
    let (user, secret) = match grant {
        AskedGrant::Password { user, secret } | AskedGrant::Continue { user, secret } => {
            (user, secret)
        }
        AskedGrant::Refresh(token) => {
            let ask = RefreshAsk {
                endpoint,
                refresh: token,
                client,
                carried,
                client_address: sender.client,
                user_agent,
                host,
            };
            let outcome = in_its_own_task(async move { refresh(&services, &ask).await }).await;
            return Ok((None, outcome));
        }
        AskedGrant::Unsupported(_) => return Err(token_words::unsupported_grant()),
    };
    let host_tenant = tenant.or_else(|| profile.tenant_of_host(without_port(&sender.host)));
    let login = profile.login_name(&user, host_tenant.as_deref()).ok();
    let tenant = login.as_ref().map(|login| login.tenant().to_owned());
    let ask = TokenAsk {
        endpoint,
        typed: user,
        login,
        secret,
        continued,
        client,
        carried,
        client_address: sender.client,
        user_agent,
        host,
    };
    Ok((tenant, in_its_own_task(async move { issue(&services, &ask).await }).await))
}

/// A client that disconnects does not leave it half-done.
async fn in_its_own_task(
    work: impl Future<Output = Result<TokenOutcome, Outage>> + Send + 'static,
) -> Result<TokenOutcome, Outage> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(Outage::Store(Unavailable::new("task", error))))
}

/// Ends the tokens of the family that the bearer belongs to. One that nobody knows has ended.
async fn revoke(services: &Services, post: &TokenPost<'_>) -> Response<Bytes> {
    let Some(token) = bearer(post.headers) else { return token_words::no_bearer().answer() };
    match end_by_token(services, token).await {
        Ok(_) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            no_store(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::error!(%error, "a token could not be ended");
            token_words::outage(&Outage::Store(error)).answer()
        }
    }
}

fn issued_answer(endpoint: &TokenEndpoint, issued: Issued, address: &str) -> Response<Bytes> {
    let mut fields = issued.fields;
    if issued.own {
        let refresh = issued.refresh.as_ref().map(Secret::expose);
        let life = issued.expires_in.unwrap_or_default();
        endpoint.put_tokens(&mut fields, issued.access.expose(), refresh, life);
    }
    let notice = issued.pin_notice;
    if let Some(notice) = notice {
        let words = token_words::password_notice(notice.forced_at, address);
        fields.insert("password_notice".into(), words.into());
    }
    let mut response = own_answer(StatusCode::OK, &Value::Object(fields));
    if let Some(notice) = notice {
        deprecate(response.headers_mut(), notice, address);
    }
    response
}

/// Says that the PIN will stop working here, as programs read it (RFC 9745, RFC 8594).
fn deprecate(headers: &mut HeaderMap, notice: PinNotice, address: &str) {
    let PinNotice { warned_at, forced_at } = notice;
    let since = warned_at.map(|at| format!("@{}", at.as_second()));
    let until = forced_at.map(http_date);
    let link = format!("<{address}/help>; rel=\"deprecation\"; type=\"text/html\"");
    let fields = [(DEPRECATION, since), (SUNSET, until), (header::LINK, Some(link))];
    for (name, value) in fields {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// RFC 9110 §5.6.7.
fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(super) fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

fn uses_basic(headers: &HeaderMap) -> bool {
    credentials(headers, "basic").is_some()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer").filter(|token| !token.is_empty())
}

fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (shown, credentials) = value.split_once(' ')?;
    shown.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}
