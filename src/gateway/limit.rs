//! Request rate limits (R-G4): per client address, per session, per token; for all requests or for
//! chosen paths.

mod cells;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use sha2::{Digest as _, Sha256};

use self::cells::{Cells, Pace, Taken};
use super::bearer;
use super::exchange::Exchange;
use super::pipeline::Pipeline;
use crate::domain::lockout::counted_address;
use crate::profile::PathSet;
use crate::telemetry::metrics::Route as RouteLabel;
use crate::web::ErrorKind;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// By what requests are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// The client's address; IPv6 by /64, known offices not at all.
    Address,
    /// The session.
    Session,
    /// The bearer token.
    Token,
}

/// One limit, as configured.
#[derive(Debug, Clone)]
pub struct LimitRule {
    /// Its name in answers and in the metric.
    pub name: String,
    /// By what it counts.
    pub per: Per,
    /// The paths that it is for; `None`: all.
    pub paths: Option<PathSet>,
    /// The methods that it is for; empty: all.
    pub methods: Vec<&'static str>,
    /// So many requests …
    pub count: u32,
    /// … in so long; bursts of twice as many.
    pub period: Duration,
}

/// The limits, and who has used how much of them.
pub struct RequestLimits {
    limits: Vec<Limit>,
    began: Instant,
}

struct Limit {
    name: Arc<str>,
    per: Per,
    paths: Option<PathSet>,
    methods: Vec<&'static str>,
    policy: HeaderValue,
    cells: Cells,
}

/// What is left of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quota {
    name: Arc<str>,
    left: u64,
    /// After this time one more request may come.
    more_after: Duration,
}

impl Quota {
    /// The field that says it (draft-ietf-httpapi-ratelimit-headers).
    pub(super) fn field(&self) -> (HeaderName, HeaderValue) {
        let Self { name, left, more_after } = self;
        let text = format!("\"{name}\";r={left};t={}", in_seconds(*more_after));
        (RATE_LIMIT, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")))
    }
}

impl RequestLimits {
    /// The limits that `rules` make; `None` if there is none.
    pub fn new(rules: Vec<LimitRule>) -> Option<Self> {
        let limits: Vec<Limit> = rules.into_iter().map(Limit::new).collect();
        (!limits.is_empty()).then(|| Self { limits, began: Instant::now() })
    }

    /// Counts a request of `client` by the limits that are `per` that. `Ok` is the tightest of
    /// them, `Err` the first that has nothing left, and its policy.
    fn take(
        &self,
        per: Per,
        client: u128,
        head: (&str, &str),
        now: Duration,
    ) -> Result<Option<Quota>, (Quota, HeaderValue)> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let (method, path) = head;
        let mut tightest: Option<Quota> = None;
        for limit in self.limits.iter().filter(|one| one.per == per && one.is_for(method, path)) {
            let quota = |left, more_after| Quota { name: limit.name.clone(), left, more_after };
            match limit.cells.take(client, now) {
                Taken::Nothing(wait) => return Err((quota(0, wait), limit.policy.clone())),
                Taken::Left(left, _) if tightest.as_ref().is_some_and(|one| one.left <= left) => {}
                Taken::Left(left, more_after) => tightest = Some(quota(left, more_after)),
            }
        }
        Ok(tightest)
    }

    fn counts(&self, per: Per) -> bool {
        self.limits.iter().any(|limit| limit.per == per)
    }
}

impl Limit {
    fn new(rule: LimitRule) -> Self {
        let LimitRule { name, per, paths, methods, count, period } = rule;
        let mut policy = format!("\"{name}\";q={count}");
        if period.subsec_nanos() == 0 {
            // The field knows whole seconds only.
            policy.push_str(&format!(";w={}", period.as_secs()));
        }
        Self {
            name: name.into(),
            per,
            paths,
            methods,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            cells: Cells::new(Pace::new(count, period)),
        }
    }

    fn is_for(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(&method))
            && self.paths.as_ref().is_none_or(|paths| paths.contains_in_any_case(path))
    }
}

impl Pipeline {
    /// Counts a request by its client's address, before anything is looked up for it; `true` when
    /// it was one too many and has been answered.
    pub(super) async fn limit_address(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        let offices = &self.services.policies.lockout.offices;
        match counted_address(ctx.client, offices) {
            Some(address) => self.limit(session, ctx, Per::Address, address_bits(address)).await,
            None => Ok(false),
        }
    }

    /// The same by its session and by its token.
    pub(super) async fn limit_client(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
    ) -> pingora::Result<bool> {
        let id = ctx.session().map(|live| first_bits(&live.record().id.0));
        if let Some(id) = id
            && self.limit(session, ctx, Per::Session, id).await?
        {
            return Ok(true);
        }
        let by_token = self.settings.limits.as_ref().is_some_and(|one| one.counts(Per::Token));
        let token = bearer::of(&session.req_header().headers).filter(|_| by_token);
        match token.map(|token| first_bits(&Sha256::digest(token))) {
            Some(token) => self.limit(session, ctx, Per::Token, token).await,
            None => Ok(false),
        }
    }

    async fn limit(
        &self,
        session: &mut Session,
        ctx: &mut Exchange,
        per: Per,
        client: u128,
    ) -> pingora::Result<bool> {
        let Some(limits) = &self.settings.limits else { return Ok(false) };
        let head: &RequestHeader = session.req_header();
        let asked = (head.method.as_str(), head.uri.path());
        match limits.take(per, client, asked, limits.began.elapsed()) {
            Ok(Some(quota)) => {
                if ctx.quota.as_ref().is_none_or(|one| quota.left < one.left) {
                    ctx.quota = Some(quota);
                }
                Ok(false)
            }
            Ok(None) => Ok(false),
            Err((quota, policy)) => {
                self.metrics.rate_limited(&quota.name);
                tracing::debug!(client = %ctx.client, limit = %quota.name, "too many requests");
                let retry_after = quota.more_after;
                ctx.quota = Some(quota);
                let mut response = match ctx.label {
                    RouteLabel::Token => to_token_client(retry_after),
                    _ => {
                        let kind = ErrorKind::TooManyRequests { retry_after };
                        self.face(session, ctx).error(kind, !ctx.wants_page())
                    }
                };
                response.headers_mut().insert(RATE_LIMIT_POLICY, policy);
                self.write(session, ctx, response).await?;
                Ok(true)
            }
        }
    }
}

/// In the language of RFC 6749 §5.2: its clients read `error`, whatever the status.
fn to_token_client(retry_after: Duration) -> Response<Bytes> {
    let body = serde_json::json!({
        "error": "temporarily_unavailable",
        "error_description": "Too many requests; see Retry-After.",
    });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from(in_seconds(retry_after).max(1)));
    response
}

/// Whole seconds, rounded up.
fn in_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// As many bits of a hash as tell clients apart.
fn first_bits(hash: &[u8]) -> u128 {
    hash.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests;
