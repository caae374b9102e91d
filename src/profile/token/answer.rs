//! The PBX's answer to a request for tokens: what it means, where its tokens are, and the same
//! answer with ours.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{OwnerPlaces, Place, TokenEndpoint};
use crate::domain::secret::Secret;
use crate::profile::judge::FirstResponse;

/// What the PBX meant.
#[derive(Debug, Clone)]
pub enum TokenJudgement {
    /// Tokens.
    Granted(FoundTokens),
    /// A second factor is asked for.
    Challenge,
    /// The user's credential or the refresh token is wrong.
    Refused,
    /// The client's id or secret is wrong.
    BadClient,
    /// Another error of RFC 6749 §5.2, by its code.
    Rejected(&'static str),
    /// No shape that is known: an outage.
    Unknown,
}

/// The tokens in an answer.
#[derive(Debug, Clone)]
pub struct FoundTokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, where there is one.
    pub refresh: Option<Secret>,
    /// How long the access token lasts: by the answer, or by the claims of a JWT.
    pub expires_in: Option<Duration>,
    /// Whose they are, where the answer says so.
    pub owner: Option<FoundOwner>,
}

/// A user as an answer of the PBX names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundOwner {
    /// Extension and tenant.
    Parts {
        /// The extension.
        user: String,
        /// The tenant.
        tenant: String,
    },
    /// A login name, as users type it.
    Login(String),
}

impl TokenEndpoint {
    /// Judges an answer. A server error is an outage already and is not judged here.
    pub fn judge(&self, status: u16, body: &[u8]) -> TokenJudgement {
        let first = FirstResponse { status, body, ..FirstResponse::default() };
        let answer = serde_json::from_slice::<Value>(body).unwrap_or_default();
        match answer["error"].as_str() {
            Some("invalid_client") => return TokenJudgement::BadClient,
            Some("invalid_grant") => return TokenJudgement::Refused,
            Some(error) => {
                let known = ["invalid_request", "unauthorized_client", "unsupported_grant_type"]
                    .into_iter()
                    .chain(["invalid_scope"]);
                let known = known.into_iter().find(|known| *known == error);
                if let Some(known) = known {
                    return TokenJudgement::Rejected(known);
                }
            }
            None => {}
        }
        if self.refused.iter().any(|sign| sign.hold(&first)) {
            return TokenJudgement::Refused;
        }
        if !(200..300).contains(&status) || !answer.is_object() || !answer["error"].is_null() {
            return TokenJudgement::Unknown;
        }
        if let Some(tokens) = self.tokens_in(&answer) {
            return TokenJudgement::Granted(tokens);
        }
        let challenge = &self.challenge;
        if !challenge.is_empty() && challenge.iter().all(|condition| condition.holds(&answer)) {
            return TokenJudgement::Challenge;
        }
        TokenJudgement::Unknown
    }

    fn tokens_in(&self, answer: &Value) -> Option<FoundTokens> {
        let token = |pointer: &str| {
            let token = answer.pointer(pointer).and_then(Value::as_str);
            token.filter(|token| !token.is_empty()).map(Secret::new)
        };
        let access = token(&self.places.access)?;
        let claims = jwt_claims(access.expose());
        let expires_in = answer.pointer(&self.places.expires_in).and_then(seconds);
        let by_claims = || {
            let claims = claims.as_ref()?;
            let life = claims["exp"].as_u64()?.checked_sub(claims["iat"].as_u64()?)?;
            Some(Duration::from_secs(life))
        };
        let owner = self.places.owner.as_ref();
        Some(FoundTokens {
            refresh: token(&self.places.refresh),
            expires_in: expires_in.or_else(by_claims),
            owner: owner.and_then(|places| places.find(answer, claims.as_ref())),
            access,
        })
    }

    /// Puts our tokens into the PBX's answer, wherever its own stand. All other fields stay.
    pub fn put_tokens(
        &self,
        fields: &mut Map<String, Value>,
        access: &str,
        refresh: Option<&str>,
        expires_in: Duration,
    ) {
        let mut answer = Value::Object(std::mem::take(fields));
        let text = |pointer: &str| {
            let old = answer.pointer(pointer).and_then(Value::as_str);
            old.filter(|old| !old.is_empty()).map(str::to_owned)
        };
        let (old_access, old_refresh) = (text(&self.places.access), text(&self.places.refresh));
        // Some answers repeat the token under another name.
        if let Some(old) = old_refresh {
            replace(&mut answer, &old, refresh);
        }
        if let Some(old) = old_access {
            replace(&mut answer, &old, Some(access));
        }
        put(&mut answer, &self.places.access, access.into());
        match refresh {
            Some(refresh) => put(&mut answer, &self.places.refresh, refresh.into()),
            None => remove(&mut answer, &self.places.refresh),
        }
        let seconds = expires_in.as_secs();
        let as_text = answer.pointer(&self.places.expires_in).is_some_and(Value::is_string);
        let seconds = if as_text { seconds.to_string().into() } else { seconds.into() };
        put(&mut answer, &self.places.expires_in, seconds);
        if let Value::Object(members) = answer {
            *fields = members;
        }
    }
}

impl OwnerPlaces {
    pub(super) fn find(&self, answer: &Value, claims: Option<&Value>) -> Option<FoundOwner> {
        let text = |place: &Place| {
            let found = match place {
                Place::Answer(pointer) => answer.pointer(pointer)?,
                Place::Claim(pointer) => claims?.pointer(pointer)?,
            };
            match found {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.as_u64()?.to_string()),
                _ => None,
            }
        };
        Some(match self {
            Self::Parts { user, tenant } => {
                FoundOwner::Parts { user: text(user)?, tenant: text(tenant)? }
            }
            Self::Login(login) => FoundOwner::Login(text(login)?),
        })
    }
}

/// What a JWT says. Its signature is the PBX's business: it comes from the PBX itself here.
fn jwt_claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// Replaces a text wherever it stands; by nothing where there is no other.
fn replace(value: &mut Value, old: &str, new: Option<&str>) {
    match value {
        Value::String(text) if text == old => *value = new.map_or(Value::Null, Value::from),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, old, new)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| replace(member, old, new));
        }
        _ => {}
    }
}

/// Puts a value at a pointer, making the objects on the way to it.
fn put(value: &mut Value, pointer: &str, new: Value) {
    let mut here = value;
    for name in names(pointer) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = &mut here[&name];
    }
    *here = new;
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        names(&format!("/{name}")).for_each(|name| drop(members.remove(&name)));
    }
}

/// The reference tokens of a pointer (RFC 6901 §4).
fn names(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
