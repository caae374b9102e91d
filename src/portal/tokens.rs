//! Asks the PBX for tokens, and whose a token is, as the profile describes it. What a client sent
//! never goes on as it came: every request is built anew from its fields.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use serde_json::Value;

use super::client::{Answer, NoAnswer};
use super::upstream::{Upstream, UpstreamSettings, Visitor, header_value};
use crate::domain::api_client::ClientCredentials;
use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{
    PbxGrant, PbxTokenAnswer, PbxTokenRequest, PbxTokens, TokenIssuer, Unavailable,
};
use crate::profile::{FoundTokens, Profile, Shown, TokenAsk, TokenEndpoint, TokenJudgement};

/// As much of an answer as is read.
const ANSWER_LIMIT: usize = 256 * 1024;
/// As much of an error's description as is told.
const LONGEST_DESCRIPTION: usize = 200;

/// The PBX's token endpoints.
pub struct PbxTokenIssuer {
    profile: Arc<Profile>,
    upstream: Upstream,
}

impl PbxTokenIssuer {
    /// Checks the settings; connects to nothing yet.
    pub fn new(profile: Arc<Profile>, upstream: UpstreamSettings) -> Result<Self, String> {
        Ok(Self { profile, upstream: Upstream::new(upstream)? })
    }

    async fn ask_endpoint(
        &self,
        endpoint: &TokenEndpoint,
        asked: &PbxTokenRequest<'_>,
    ) -> Result<PbxTokenAnswer, Unavailable> {
        if asked.client.is_some_and(|client| self.cannot_be_a_client(client)) {
            return Ok(PbxTokenAnswer::BadClient);
        }
        let name;
        let (shown, secret) = match asked.grant {
            PbxGrant::Password { login, pin, continued } => {
                name = self.profile.upstream_login_name(login);
                (Shown::Password { user: &name, pin, continued }, pin)
            }
            PbxGrant::Refresh(token) => (Shown::Refresh(token), token),
        };
        let ask = endpoint.ask(shown, asked.client, asked.carried);
        let visitor = Visitor {
            host: asked.host,
            user_agent: asked.user_agent,
            client: Some(asked.client_address),
        };
        let path = endpoint.paths().next().unwrap_or_default();
        let (answer, server) = self
            .send(asked.server, |server| self.token_request(server, path, &visitor, &ask))
            .await?;
        if answer.status.is_server_error() {
            return Err(Unavailable::new("pbx", format!("answered {}", answer.status)));
        }
        let judgement = endpoint.judge(answer.status.as_u16(), &answer.body);
        Ok(self.told(judgement, &answer, server, (path, secret)))
    }

    /// The id of a client that reads like somebody's login name, with a secret like a PIN: a PBX
    /// that takes credentials from anywhere would let that user in.
    fn cannot_be_a_client(&self, client: &ClientCredentials) -> bool {
        let like_a_user = self.profile.login_name(&client.id, None).is_ok()
            && self.profile.looks_like_pin(client.secret.expose());
        // In HTTP Basic it would be read as another id.
        like_a_user || client.id.contains(':')
    }

    fn token_request(
        &self,
        server: usize,
        path: &str,
        visitor: &Visitor<'_>,
        ask: &TokenAsk,
    ) -> Result<Request<Full<Bytes>>, Unavailable> {
        let url = self.upstream.url(server, path)?;
        let mut request = self.upstream.request("POST", &url, visitor, &Jar::new())?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(ask.media_type));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(client) = &ask.basic {
            let pair = Secret::new(format!("{}:{}", client.id, client.secret.expose()));
            let value = authorization("Basic", &BASE64_STANDARD.encode(pair.expose()))?;
            headers.insert(AUTHORIZATION, value);
        }
        *request.body_mut() = Full::new(Bytes::from(ask.body.expose().to_owned()));
        Ok(request)
    }

    fn told(
        &self,
        judgement: TokenJudgement,
        answer: &Answer,
        server: usize,
        (path, secret): (&str, &Secret),
    ) -> PbxTokenAnswer {
        let mut body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        // Users do not get to see here either what is hidden in the API's other answers.
        if let Some(rule) = self.profile.redaction(path) {
            rule.hide_in(&mut body);
        }
        match (judgement, body) {
            (TokenJudgement::Granted(found), Value::Object(fields)) => {
                let FoundTokens { access, refresh, expires_in, owner } = found;
                let owner = owner.and_then(|owner| self.profile.owner(&owner));
                PbxTokenAnswer::Granted(Box::new(PbxTokens {
                    fields,
                    access,
                    refresh,
                    expires_in,
                    owner,
                    server,
                }))
            }
            (TokenJudgement::Challenge, Value::Object(fields)) => PbxTokenAnswer::Challenge(fields),
            (TokenJudgement::Refused, _) => PbxTokenAnswer::Refused,
            (TokenJudgement::BadClient, _) => PbxTokenAnswer::BadClient,
            (TokenJudgement::Rejected(error), body) => PbxTokenAnswer::Rejected {
                error: error.to_owned(),
                description: body["error_description"]
                    .as_str()
                    .and_then(|said| description(said, secret)),
            },
            _ => PbxTokenAnswer::Unknown {
                detail: format!("answered {} to a request for tokens", answer.status),
            },
        }
    }

    /// Sends a request once, to the server given or to whichever can be reached.
    async fn send(
        &self,
        server: Option<usize>,
        build: impl Fn(usize) -> Result<Request<Full<Bytes>>, Unavailable> + Sync,
    ) -> Result<(Answer, usize), Unavailable> {
        let answered = match server {
            Some(server) => {
                let answer = self.upstream.send_once(build(server)?, ANSWER_LIMIT).await;
                answer.map(|answer| (answer, server))
            }
            None => {
                let build = |server| Ok((build(server)?, server));
                self.upstream.send_once_anywhere(ANSWER_LIMIT, build).await
            }
        };
        answered.map_err(|(NoAnswer::NotSent(outage) | NoAnswer::Lost(outage))| outage)
    }
}

#[async_trait]
impl TokenIssuer for PbxTokenIssuer {
    async fn ask(&self, request: PbxTokenRequest<'_>) -> Result<PbxTokenAnswer, Unavailable> {
        let Some(endpoint) = self.profile.token_endpoint(request.endpoint) else {
            return Err(Unavailable::new("pbx", "the profile has no such token endpoint"));
        };
        let answered = self.ask_endpoint(endpoint, &request).await;
        match &answered {
            Ok(PbxTokenAnswer::Unknown { detail }) => {
                tracing::warn!(endpoint = %endpoint.name, %detail, "tokens: the PBX's answer is not understood");
            }
            Ok(answer) => tracing::debug!(endpoint = %endpoint.name, ?answer, "tokens: asked"),
            Err(outage) => {
                tracing::warn!(endpoint = %endpoint.name, %outage, "tokens: the PBX cannot be asked");
            }
        }
        answered
    }

    async fn owner(
        &self,
        bearer: &Secret,
        user_agent: &str,
        client: IpAddr,
        host: &str,
    ) -> Result<Option<LoginName>, Unavailable> {
        // What cannot stand in a header is nobody's token.
        let Ok(authorization) = authorization("Bearer", bearer.expose()) else { return Ok(None) };
        let visitor = Visitor { host, user_agent, client: Some(client) };
        for way in self.profile.who_am_i() {
            let build = |server| {
                let url = self.upstream.url(server, &way.target())?;
                let mut request =
                    self.upstream.request(way.method(), &url, &visitor, &Jar::new())?;
                let headers = request.headers_mut();
                headers.insert(AUTHORIZATION, authorization.clone());
                headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
                if let Some((media_type, body)) = way.body() {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                    *request.body_mut() = Full::new(Bytes::from(body));
                }
                Ok(request)
            };
            let (answer, _) = self.send(None, build).await?;
            match answer.status.as_u16() {
                200 => {
                    let answer = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
                    let owner = way.owner_in(&answer).and_then(|found| self.profile.owner(&found));
                    let nobody =
                        || Unavailable::new("pbx", "its answer does not say whose a token is");
                    return owner.map(Some).ok_or_else(nobody);
                }
                401 | 403 => return Ok(None),
                404 | 405 | 501 => {}
                _ => {
                    let detail = format!("answered {} when asked whose a token is", answer.status);
                    return Err(Unavailable::new("pbx", detail));
                }
            }
        }
        Err(Unavailable::new("pbx", "it does not tell whose a token is"))
    }

    fn knows_owners(&self) -> bool {
        !self.profile.who_am_i().is_empty()
    }

    async fn forget(&self, endpoint: &str, access: &Secret, server: usize) {
        let Some(endpoint) = self.profile.token_endpoint(endpoint) else { return };
        let Some(method) = endpoint.revoke_method() else { return };
        let build = |server| {
            let path = endpoint.paths().next().unwrap_or_default();
            let url = self.upstream.url(server, path)?;
            let mut request =
                self.upstream.request(method, &url, &self.upstream.ourselves(), &Jar::new())?;
            let value = authorization("Bearer", access.expose())?;
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(request)
        };
        match self.send(Some(server), build).await {
            Ok((answer, _)) => {
                tracing::debug!(endpoint = %endpoint.name, status = %answer.status, "tokens: the PBX was told to end one");
            }
            Err(outage) => {
                tracing::debug!(endpoint = %endpoint.name, %outage, "tokens: the PBX cannot be told to end one");
            }
        }
    }
}

fn authorization(scheme: &str, credentials: &str) -> Result<HeaderValue, Unavailable> {
    let mut value = header_value(&format!("{scheme} {credentials}"), "Authorization")?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error's description, if it is an ordinary sentence: no path, no code, nothing of a stack
/// trace, and not what was sent.
fn description(said: &str, secret: &Secret) -> Option<String> {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || " .,;:'()_-".contains(c);
    let said = said.trim();
    let sound = !said.is_empty()
        && said.len() <= LONGEST_DESCRIPTION
        && said.chars().all(ordinary)
        && !said.contains(".php")
        && !said.contains("::")
        && !said.contains(secret.expose());
    sound.then(|| said.to_owned())
}

#[cfg(test)]
mod broken_tests;
#[cfg(test)]
#[cfg(feature = "demo")]
mod demo_tests;
