//! What a client is told: the PBX's answer, with our tokens in the place of its own (mode `jwt`) or
//! as it is (mode `pass`).

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Issued, PinNotice};
use crate::domain::access_token::AccessClaims;
use crate::domain::rollout::Phase;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, SessionRecord};
use crate::flows::Services;
use crate::ports::PbxTokens;

/// Stand for the PBX's tokens in what is kept of its answer: it may repeat them in several places,
/// and ours belong into all of these.
const ACCESS: &str = "<access token>";
const REFRESH: &str = "<refresh token>";

/// The PBX's answer without its tokens.
pub(super) fn without_tokens(tokens: &PbxTokens) -> Map<String, Value> {
    let mut fields = tokens.fields.clone();
    for value in fields.values_mut() {
        mask(value, tokens);
    }
    fields
}

fn mask(value: &mut Value, tokens: &PbxTokens) {
    match value {
        Value::String(text) if text == tokens.access.expose() => ACCESS.clone_into(text),
        Value::String(text)
            if tokens.refresh.as_ref().is_some_and(|refresh| text == refresh.expose()) =>
        {
            REFRESH.clone_into(text);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, tokens)),
        Value::Object(members) => members.values_mut().for_each(|member| mask(member, tokens)),
        _ => {}
    }
}

/// A signed access token of the family, and `refresh` beside it.
pub(super) fn ours(services: &Services, session: &LiveSession, refresh: Secret) -> Issued {
    let now = services.clock.now();
    let record = session.record();
    let fields = session.jar().access.as_ref().map_or_else(Map::new, |it| it.fields.clone());
    let expires_in = services.policies.tokens.access.min(left(end(session), now));
    let client = record.grant.as_ref().and_then(|grant| grant.client.as_ref());
    let scope = fields.get("scope").and_then(Value::as_str);
    let claims = AccessClaims {
        account: record.account,
        family: record.id,
        client_id: client.map(|client| client.id.clone()).unwrap_or_default(),
        scope: scope.unwrap_or_default().to_owned(),
        issued_at: now,
        expires_at: now + expires_in,
        id: services.random.bytes(),
    };
    Issued {
        access: Secret::new(services.signer.sign(&claims)),
        fields,
        refresh: Some(refresh),
        expires_in: Some(expires_in),
        own: true,
        pin_notice: pin_notice(services, record),
    }
}

/// The PBX's own tokens.
pub(super) fn passed(services: &Services, session: &LiveSession, tokens: &PbxTokens) -> Issued {
    Issued {
        fields: tokens.fields.clone(),
        access: tokens.access.clone(),
        refresh: tokens.refresh.clone(),
        expires_in: tokens.expires_in,
        own: false,
        pin_notice: pin_notice(services, session.record()),
    }
}

/// What is said of tokens that were obtained with a PIN while the warn phase runs (R-F2).
pub(super) fn pin_notice(services: &Services, record: &SessionRecord) -> Option<PinNotice> {
    let schedule = services.policies.rollout.schedule(record.login.tenant());
    let warned = record.obtained_with == ObtainedWith::Pin
        && schedule.phase(services.clock.now()) == Phase::Warn;
    warned.then(|| PinNotice {
        warned_at: schedule.warn,
        forced_at: schedule.force.or(schedule.reject),
    })
}

/// The end of a family.
pub(super) fn end(session: &LiveSession) -> Timestamp {
    let record = session.record();
    record.grant.as_ref().map_or(record.created_at, |grant| grant.expires_at)
}

fn left(end: Timestamp, now: Timestamp) -> Duration {
    // In whole seconds, as a token says it.
    let seconds = end.as_second().saturating_sub(now.as_second());
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// R-F3: what is kept of the PBX's answer has all of its fields and none of its tokens, wherever
    /// it repeats them.
    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        let Value::Object(fields) = json!({
            "access_token": "a", "refresh_token": "r", "scope": "Basic User", "expires_in": 3600,
            "more": { "token": "a", "list": ["r", "x", 1, null] },
        }) else {
            unreachable!()
        };
        let tokens = PbxTokens {
            fields,
            access: Secret::new("a"),
            refresh: Some(Secret::new("r")),
            expires_in: None,
            owner: None,
            server: 0,
        };
        let expected = json!({
            "access_token": ACCESS, "refresh_token": REFRESH, "scope": "Basic User",
            "expires_in": 3600, "more": { "token": ACCESS, "list": [REFRESH, "x", 1, null] },
        });
        assert_eq!(Value::Object(without_tokens(&tokens)), expected);
    }
}
