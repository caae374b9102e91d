//! New tokens by a refresh token: ours (R-F3), one of the PBX that we know (mode `pass`), or one
//! from before Passgate (R-F6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::family::Asker;
use super::issue::CHANNEL;
use super::refresh_token::{self, Place};
use super::{Issued, RefreshAsk, TokenOutcome, TokenRefusal, answer, legacy, passed};
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{GrantKind, TokenHash};
use crate::domain::rollout::Phase;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, SessionId, Standing};
use crate::flows::api::renew::{NotRenewed, before_its_end};
use crate::flows::login::wait_for_floor;
use crate::flows::{Outage, Services};
use crate::ports::{
    PbxGrant, PbxTokenAnswer, PbxTokenRequest, PbxTokens, Rotated, Rotation, SecurityEvent,
    TokenUse, Unavailable,
};

/// Carries out a refresh grant. Refusals take at least the configured floor.
pub async fn refresh(services: &Services, ask: &RefreshAsk) -> Result<TokenOutcome, Outage> {
    let begun = Instant::now();
    let outcome = judged(services, ask).await;
    match outcome {
        Ok(TokenOutcome::Issued(_) | TokenOutcome::Challenge(_)) => {}
        _ => wait_for_floor(begun, services.policies.lockout.refusal_floor).await,
    }
    outcome
}

async fn judged(services: &Services, ask: &RefreshAsk) -> Result<TokenOutcome, Outage> {
    let refreshed = match refresh_token::open(services, ask.refresh.expose()) {
        Some(place) => ours(services, ask, place).await?,
        None => {
            let hash = TokenHash::of(ask.refresh.expose());
            match services.tokens.find(&hash).await? {
                // An access token is not good for this.
                Some(noted) if noted.usage != TokenUse::Refresh => {
                    Err(TokenRefusal::RefreshInvalid)
                }
                Some(noted) => passed::refresh(services, ask, &noted).await?,
                None => legacy::refresh(services, ask).await?,
            }
        }
    };
    Ok(match refreshed {
        Ok(issued) => TokenOutcome::Issued(Box::new(issued)),
        Err(refusal) => TokenOutcome::Refused(refusal),
    })
}

/// Whose tokens may be refreshed now: the family, if it lives, its phase allows it, and it is the
/// application's own.
pub(super) async fn family(
    services: &Services,
    id: &SessionId,
    kind: GrantKind,
    client: Option<&ClientCredentials>,
) -> Result<Result<Arc<LiveSession>, TokenRefusal>, Unavailable> {
    let found = services.sessions.find(id).await?;
    let Some(session) = found.filter(|session| is_of_kind(session, kind)) else {
        return Ok(Err(TokenRefusal::RefreshInvalid));
    };
    let record = session.record();
    let granted_to = record.grant.as_ref().and_then(|grant| grant.client.as_ref());
    let same = match (granted_to, client) {
        (None, None) => true,
        (Some(own), Some(shown)) => own.same_as(shown),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !same {
        return Ok(Err(TokenRefusal::BadClient));
    }
    Ok(match services.standing(&session) {
        Standing::Full { .. } => Ok(session),
        _ if is_too_late(services, &session) => Err(TokenRefusal::PinTooLate),
        _ => Err(TokenRefusal::RefreshInvalid),
    })
}

fn is_of_kind(session: &LiveSession, kind: GrantKind) -> bool {
    session.record().grant.as_ref().is_some_and(|grant| grant.kind == kind)
}

/// Whether it is the phase that holds it back, not its end.
fn is_too_late(services: &Services, session: &LiveSession) -> bool {
    let record = session.record();
    let phase = services.policies.rollout.phase(record.login.tenant(), services.clock.now());
    record.obtained_with == ObtainedWith::Pin && phase >= Phase::Force
}

async fn ours(
    services: &Services,
    ask: &RefreshAsk,
    Place { family: id, place }: Place,
) -> Result<Result<Issued, TokenRefusal>, Outage> {
    let session = match family(services, &id, GrantKind::Jwt, ask.client.as_ref()).await? {
        Ok(session) => session,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // All that can fail comes before the token gives way.
    if let Err(refusal) = renewed(services, &session).await? {
        return Ok(Err(refusal));
    }
    let successor = refresh_token::make(services, &id, place + 1);
    let hash = TokenHash::of(successor.expose());
    let issued = answer::ours(services, &session, successor);
    let grace = services.policies.tokens.reuse_grace;
    let now = services.clock.now();
    let rotation = Rotation {
        family: id,
        shown: place,
        shown_hash: TokenHash::of(ask.refresh.expose()),
        successor: hash,
        answer: (!grace.is_zero()).then(|| keep(services, &id, &issued)),
        repeatable_since: now - grace,
        now,
    };
    match services.tokens.rotate(&rotation).await? {
        Rotated::Now => {
            session.touch(now);
            record(services, ask, &session, "token_issued", "refresh_token");
            Ok(Ok(issued))
        }
        Rotated::Again(sealed) => Ok(Ok(again(services, &session, &sealed)?)),
        Rotated::Reused => {
            services.sessions.end(&id).await?;
            record(services, ask, &session, "refresh_reuse", "family_ended");
            Ok(Err(TokenRefusal::RefreshInvalid))
        }
        Rotated::Gone => Ok(Err(TokenRefusal::RefreshInvalid)),
    }
}

/// Sees to it that the PBX's own token, which ours stands for, goes on.
async fn renewed(
    services: &Services,
    session: &Arc<LiveSession>,
) -> Result<Result<(), TokenRefusal>, Outage> {
    match before_its_end(services, session, session.jar()).await {
        // Each request tries it again.
        Ok(_) | Err(NotRenewed::Pausing | NotRenewed::IsNew) => Ok(Ok(())),
        Err(NotRenewed::Outage(outage)) => Err(outage),
        Err(NotRenewed::Refused) => Ok(Err(match session.record().obtained_with {
            ObtainedWith::Pin => TokenRefusal::RefreshInvalid,
            ObtainedWith::Password | ObtainedWith::InitialPassword => TokenRefusal::PinUnknown,
        })),
    }
}

/// The answer, for a client that loses it.
fn keep(services: &Services, family: &SessionId, issued: &Issued) -> Vec<u8> {
    let answer = json!({
        "access": issued.access.expose(),
        "refresh": issued.refresh.as_ref().map(Secret::expose),
        "expires_in": issued.expires_in.map(|life| life.as_secs()),
        "fields": issued.fields,
    });
    services.vault.seal(&kept_for(family), &Zeroizing::new(answer.to_string().into_bytes()))
}

/// The same answer once more.
fn again(services: &Services, session: &LiveSession, sealed: &[u8]) -> Result<Issued, Unavailable> {
    let record = session.record();
    let plain = services.vault.open(&kept_for(&record.id), sealed);
    let plain = plain.map_err(|error| Unavailable::new("vault", error))?;
    let answer: Value =
        serde_json::from_slice(&plain).map_err(|error| Unavailable::new("vault", error))?;
    let text = |name: &str| answer[name].as_str().map(Secret::new);
    let Some(access) = text("access") else {
        return Err(Unavailable::new("vault", "a kept answer cannot be read"));
    };
    Ok(Issued {
        access,
        refresh: text("refresh"),
        expires_in: answer["expires_in"].as_u64().map(Duration::from_secs),
        fields: answer["fields"].as_object().cloned().unwrap_or_default(),
        own: true,
        pin_notice: answer::pin_notice(services, record),
    })
}

fn kept_for(family: &SessionId) -> String {
    format!("refresh answer:{}", STANDARD.encode(family.0))
}

/// What the PBX says to a refresh token of its own.
pub(super) async fn ask_pbx(
    services: &Services,
    ask: &RefreshAsk,
    server: Option<usize>,
) -> Result<Result<Box<PbxTokens>, TokenRefusal>, Outage> {
    let request = PbxTokenRequest {
        endpoint: &ask.endpoint,
        grant: PbxGrant::Refresh(&ask.refresh),
        client: ask.client.as_ref(),
        carried: &ask.carried,
        user_agent: &ask.user_agent,
        client_address: ask.client_address,
        host: &ask.host,
        server,
    };
    Ok(match services.issuer.ask(request).await.map_err(Outage::Pbx)? {
        PbxTokenAnswer::Granted(tokens) => Ok(tokens),
        PbxTokenAnswer::Refused => Err(TokenRefusal::RefreshInvalid),
        PbxTokenAnswer::BadClient => Err(TokenRefusal::BadClient),
        PbxTokenAnswer::Rejected { error, description } => {
            Err(TokenRefusal::Rejected { error, description })
        }
        // Nobody is asked a second question without the first.
        PbxTokenAnswer::Challenge(_) => {
            return Err(Outage::Unclear(Unavailable::new("pbx", "a challenge to a refresh")));
        }
        PbxTokenAnswer::Unknown { detail } => {
            return Err(Outage::Unclear(Unavailable::new("pbx", detail)));
        }
    })
}

/// Writes down what became of a refresh.
pub(super) fn record(
    services: &Services,
    ask: &RefreshAsk,
    session: &LiveSession,
    event: &'static str,
    result: &'static str,
) {
    let event = SecurityEvent::of(event, CHANNEL, &session.record().login);
    services.audit.record(event.from_client(ask.client_address).with_result(result));
}

impl<'a> From<&'a RefreshAsk> for Asker<'a> {
    fn from(ask: &'a RefreshAsk) -> Self {
        Self {
            endpoint: &ask.endpoint,
            client: ask.client.as_ref(),
            client_address: ask.client_address,
            user_agent: &ask.user_agent,
        }
    }
}
