//! Passgate's own access to the PBX's API: what stands in `Authorization`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::domain::jar::Jar;
use crate::domain::secret::Secret;
use crate::portal::client::NoAnswer;
use crate::portal::upstream::Upstream;
use crate::ports::{Clock, Unavailable};

/// How Passgate itself speaks to the PBX.
#[derive(Debug, Clone)]
pub enum AdminAccess {
    /// Not at all.
    None,
    /// With tokens by the OAuth password grant (RFC 6749 §4.3).
    OAuth {
        /// OAuth client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// Administrator's login name.
        user: String,
        /// Their password.
        password: Secret,
    },
    /// With a token that does not end.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// With HTTP Basic.
    Basic {
        /// Administrator's login name.
        user: String,
        /// Their password.
        password: Secret,
    },
}

/// A refused access is not tried again for so long: the PBX must not ban us.
const HOLD_OFF: Duration = Duration::from_secs(30);
/// As much of a token answer as is read.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The access, with the token of the moment.
pub(super) struct Access {
    kind: Kind,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// How often a token was asked for. Whoever waited while somebody else asked in vain shares
    /// that failure instead of asking again.
    asked: AtomicU64,
}

enum Kind {
    /// It never changes.
    Fixed(HeaderValue),
    Tokens {
        path: String,
        /// The body of the grant.
        grant: Secret,
    },
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    refused_at: Option<Timestamp>,
    failure: Option<Unavailable>,
}

struct Token {
    authorization: HeaderValue,
    got_at: Timestamp,
    good_for: Option<Duration>,
}

impl Access {
    /// `None` without an access.
    pub(super) fn new(
        admin: AdminAccess,
        token_path: Option<&str>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, String> {
        let kind = match admin {
            AdminAccess::None => return Ok(None),
            AdminAccess::Bearer { token } => Kind::Fixed(authorization("Bearer", token.expose())?),
            AdminAccess::Basic { user, password } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
                Kind::Fixed(authorization("Basic", &pair)?)
            }
            AdminAccess::OAuth { client_id, client_secret, user, password } => {
                let path = token_path.ok_or("the profile has no [subscriber.token]")?.to_owned();
                let grant = Serializer::new(String::new())
                    .append_pair("grant_type", "password")
                    .append_pair("client_id", &client_id)
                    .append_pair("client_secret", client_secret.expose())
                    .append_pair("username", &user)
                    .append_pair("password", password.expose())
                    .finish();
                Kind::Tokens { path, grant: Secret::new(grant) }
            }
        };
        Ok(Some(Self { kind, clock, state: Mutex::default(), asked: AtomicU64::new(0) }))
    }

    /// What to send. Asks for a token where there is none that is still good.
    pub(super) async fn authorization(
        &self,
        upstream: &Upstream,
    ) -> Result<HeaderValue, Unavailable> {
        match &self.kind {
            Kind::Fixed(authorization) => {
                held_off(&*self.state.lock().await, self.clock.now())?;
                Ok(authorization.clone())
            }
            Kind::Tokens { path, grant } => self.token(upstream, path, grant, None).await,
        }
    }

    /// What to send after the PBX refused `used` (401), if that can be renewed.
    pub(super) async fn renewed(
        &self,
        upstream: &Upstream,
        used: &HeaderValue,
    ) -> Result<HeaderValue, Unavailable> {
        match &self.kind {
            Kind::Fixed(_) => Err(self.refused().await),
            Kind::Tokens { path, grant } => self.token(upstream, path, grant, Some(used)).await,
        }
    }

    /// The PBX refused even what was just renewed, or what cannot be.
    pub(super) async fn refused(&self) -> Unavailable {
        let mut state = self.state.lock().await;
        state.token = None;
        state.refuse(self.clock.now(), "the API answered 401".to_owned())
    }

    async fn token(
        &self,
        upstream: &Upstream,
        path: &str,
        grant: &Secret,
        used: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Unavailable> {
        let before = self.asked.load(Ordering::SeqCst);
        // One asks, all wait.
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        if let Some(token) = &state.token
            && token.is_good(now)
            && Some(&token.authorization) != used
        {
            return Ok(token.authorization.clone());
        }
        held_off(&state, now)?;
        if let Some(failure) = &state.failure
            && self.asked.load(Ordering::SeqCst) != before
        {
            return Err(failure.clone());
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        state.token = None;
        match ask(upstream, path, grant).await {
            Ok(granted) => {
                let authorization = granted.authorization.clone();
                let Granted { good_for, .. } = granted;
                state.token =
                    Some(Token { authorization: granted.authorization, got_at: now, good_for });
                state.failure = None;
                state.refused_at = None;
                Ok(authorization)
            }
            Err(NoToken::Refused(why)) => Err(state.refuse(now, why)),
            Err(NoToken::Outage(outage)) => {
                state.failure = Some(outage.clone());
                Err(outage)
            }
        }
    }
}

impl State {
    fn refuse(&mut self, now: Timestamp, why: String) -> Unavailable {
        tracing::error!(
            %why,
            "the PBX refuses Passgate's own access: check [portal.admin] in the configuration; it \
             is not tried again for {} s", HOLD_OFF.as_secs()
        );
        let refused =
            Unavailable::new("pbx", format!("it refuses the access of [portal.admin]: {why}"));
        self.refused_at = Some(now);
        self.failure = Some(refused.clone());
        refused
    }
}

impl Token {
    /// A clock that was set back makes no token live longer.
    fn is_good(&self, now: Timestamp) -> bool {
        self.good_for.is_none_or(|good_for| {
            Duration::try_from(now.duration_since(self.got_at)).is_ok_and(|age| age < good_for)
        })
    }
}

fn held_off(state: &State, now: Timestamp) -> Result<(), Unavailable> {
    let recently = state.refused_at.is_some_and(|at| {
        Duration::try_from(now.duration_since(at)).is_ok_and(|since| since < HOLD_OFF)
    });
    match &state.failure {
        Some(failure) if recently => Err(failure.clone()),
        _ => Ok(()),
    }
}

fn authorization(scheme: &str, credentials: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&format!("{scheme} {credentials}"));
    let mut value =
        value.map_err(|_| format!("the {scheme} credential of the access cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

struct Granted {
    authorization: HeaderValue,
    good_for: Option<Duration>,
}

enum NoToken {
    /// Asking again would be answered the same.
    Refused(String),
    Outage(Unavailable),
}

async fn ask(upstream: &Upstream, path: &str, grant: &Secret) -> Result<Granted, NoToken> {
    let (answer, _) = upstream
        .send_once_anywhere(ANSWER_LIMIT, |server| {
            let url = upstream.url(server, path)?;
            let mut request = upstream.request(
                Method::POST.as_str(),
                &url,
                &upstream.ourselves(),
                &Jar::new(),
            )?;
            put_grant(&mut request, grant);
            Ok((request, url))
        })
        .await
        .map_err(|(NoAnswer::NotSent(outage) | NoAnswer::Lost(outage))| NoToken::Outage(outage))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
        status if status.is_client_error() => {
            let reason = error_code(&body).unwrap_or("no reason given");
            Err(NoToken::Refused(format!("the token endpoint answered {status} ({reason})")))
        }
        StatusCode::OK => {
            let Some(token) = body["access_token"].as_str() else {
                // A second question (MFA) is a successful answer, too.
                let why = "the token endpoint gave no token; does this user have a second factor?";
                return Err(NoToken::Refused(why.to_owned()));
            };
            let authorization = authorization("Bearer", token).map_err(NoToken::Refused)?;
            let life = body["expires_in"].as_u64().map(Duration::from_secs);
            // Early enough that it does not end on its way.
            let good_for = life.map(|life| life - (life / 4).min(Duration::from_secs(60)));
            Ok(Granted { authorization, good_for })
        }
        status => {
            let detail = format!("the token endpoint answered {status}");
            Err(NoToken::Outage(Unavailable::new("pbx", detail)))
        }
    }
}

fn put_grant(request: &mut Request<Full<Bytes>>, grant: &Secret) {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    *request.body_mut() = Full::new(Bytes::from(grant.expose().to_owned()));
}

/// RFC 6749 §5.2. Other texts of the PBX are not told: they may repeat what was sent.
fn error_code(body: &Value) -> Option<&'static str> {
    const CODES: [&str; 6] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let said = body["error"].as_str()?;
    CODES.into_iter().find(|code| *code == said)
}
