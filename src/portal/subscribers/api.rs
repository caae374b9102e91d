//! Reading and writing PINs through the PBX's API, with an access of our own.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use serde_json::Value;
use url::Url;

use super::access::Access;
use super::verdict;
use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::portal::client::{Answer, NoAnswer};
use crate::portal::upstream::{Upstream, unsendable};
use crate::ports::{PinWritten, Unavailable};
use crate::profile::{ApiCall, Filling, FirstResponse, Profile};

/// As much of an answer as is read: one user's record, or an error.
const ANSWER_LIMIT: usize = 256 * 1024;
/// Whose record is asked for to see whether the access works: nobody's.
const NOBODY: (&str, &str) = ("0", "passgate.invalid");

/// The API.
pub(super) struct Api {
    profile: Arc<Profile>,
    upstream: Arc<Upstream>,
    access: Access,
}

impl Api {
    pub(super) fn new(profile: Arc<Profile>, upstream: Arc<Upstream>, access: Access) -> Self {
        Self { profile, upstream, access }
    }

    /// Tries the profile's ways in order; the next one only where nothing was written because the
    /// server does not know the way.
    pub(super) async fn write_pin(&self, login: &LoginName, pin: &Secret) -> PinWritten {
        let upstream_name = self.profile.upstream_login_name(login);
        let filling = Filling { login, upstream_name: &upstream_name, pin: Some(pin) };
        let mut unknown = StatusCode::NOT_FOUND;
        for way in self.profile.subscriber().writes() {
            let (answer, asked) = match self.ask(way.call(), &filling).await {
                Ok(answered) => answered,
                Err(NoAnswer::NotSent(outage)) => return PinWritten::NotAsked(outage),
                Err(NoAnswer::Lost(outage)) => return PinWritten::Unclear(outage),
            };
            let location = self.upstream.location(&answer, &asked, self.upstream.ourselves().host);
            let judgement = way.judge(&FirstResponse {
                status: answer.status.as_u16(),
                location: location.as_deref(),
                body: &answer.body,
                ..FirstResponse::default()
            });
            match verdict::of(judgement, answer.status) {
                Some(written) => return written,
                None => unknown = answer.status,
            }
        }
        verdict::refused(unknown)
    }

    pub(super) async fn read_pin(&self, login: &LoginName) -> Result<Option<Secret>, Unavailable> {
        let upstream_name = self.profile.upstream_login_name(login);
        let filling = Filling { login, upstream_name: &upstream_name, pin: None };
        for way in self.profile.subscriber().reads() {
            let (answer, _) = self.ask(way.call(), &filling).await.map_err(outage)?;
            match answer.status.as_u16() {
                200 => {
                    let record: Value = serde_json::from_slice(&answer.body)
                        .map_err(|_| Unavailable::new("pbx", "its record of a user is no JSON"))?;
                    let Some(pin) = way.pin_in(&record) else { return Ok(None) };
                    if self.profile.looks_like_pin(pin.expose()) {
                        return Ok(Some(pin));
                    }
                    tracing::warn!(%login, "the PBX's record shows no PIN but something else: may the access of [portal.admin] see PINs?");
                    return Ok(None);
                }
                404 | 405 | 501 => {}
                _ => {
                    let detail = format!("answered {} to a question about a user", answer.status);
                    return Err(Unavailable::new("pbx", detail));
                }
            }
        }
        Ok(None)
    }

    /// Whether the PBX lets us in.
    pub(super) async fn ping(&self) -> Result<(), Unavailable> {
        let Some(way) = self.profile.subscriber().reads().first() else {
            return self.access.authorization(&self.upstream).await.map(drop);
        };
        let (extension, tenant) = NOBODY;
        let nobody = LoginName::new(extension, tenant).map_err(|_| unsendable("login name"))?;
        let upstream_name = self.profile.upstream_login_name(&nobody);
        let filling = Filling { login: &nobody, upstream_name: &upstream_name, pin: None };
        let (answer, _) = self.ask(way.call(), &filling).await.map_err(outage)?;
        // That there is no such user, or that we may not see this tenant, is an answer to us.
        if answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED {
            return Err(Unavailable::new("pbx", format!("answered {}", answer.status)));
        }
        Ok(())
    }

    /// Sends a call with our access, which is renewed once if the PBX says 401; a call so answered
    /// was not carried out. An access that is refused counts as [`NoAnswer::NotSent`], too.
    async fn ask(&self, call: &ApiCall, filling: &Filling<'_>) -> Result<(Answer, Url), NoAnswer> {
        let authorization = self.access.authorization(&self.upstream).await;
        let authorization = authorization.map_err(NoAnswer::NotSent)?;
        let answered = self.send(call, filling, &authorization).await?;
        if answered.0.status != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        let renewed = self.access.renewed(&self.upstream, &authorization).await;
        let renewed = renewed.map_err(NoAnswer::NotSent)?;
        let answered = self.send(call, filling, &renewed).await?;
        if answered.0.status != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        Err(NoAnswer::NotSent(self.access.refused().await))
    }

    async fn send(
        &self,
        call: &ApiCall,
        filling: &Filling<'_>,
        authorization: &HeaderValue,
    ) -> Result<(Answer, Url), NoAnswer> {
        let target = call.target(filling);
        let target = target.ok_or_else(|| NoAnswer::NotSent(unsendable("login name")))?;
        let upstream = &self.upstream;
        upstream
            .send_once_anywhere(ANSWER_LIMIT, |server| {
                let url = upstream.url(server, &target)?;
                let mut request =
                    upstream.request(call.method(), &url, &upstream.ourselves(), &Jar::new())?;
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
                if let Some((media_type, body)) = call.body(filling) {
                    request
                        .headers_mut()
                        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                    *request.body_mut() = Full::new(Bytes::from(body));
                }
                Ok((request, url))
            })
            .await
    }
}

fn outage(no_answer: NoAnswer) -> Unavailable {
    match no_answer {
        NoAnswer::NotSent(outage) | NoAnswer::Lost(outage) => outage,
    }
}
