//! The end of tokens that somebody wants ended, and what is said of a token (RFC 7009, RFC 7662).

use std::sync::Arc;

use jiff::Timestamp;

use super::CHANNEL;
use super::bearer::family_of;
use crate::domain::account::AccountId;
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{GrantKind, TokenHash};
use crate::domain::login_name::LoginName;
use crate::domain::session::{LiveSession, Standing};
use crate::flows::Services;
use crate::flows::tokens::refresh_token::{self, Place};
use crate::ports::{SecurityEvent, TokenUse, Unavailable};

/// What is known of a token that works at this moment.
#[derive(Debug, Clone)]
pub struct Described {
    /// Whose it is.
    pub login: LoginName,
    /// Their account: the token's `sub`.
    pub account: AccountId,
    /// The application that it was issued to.
    pub client_id: Option<String>,
    /// Ours, or the PBX's.
    pub kind: GrantKind,
    /// For calls, or for new tokens.
    pub usage: TokenUse,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When its family began.
    pub issued_at: Timestamp,
    /// As the PBX named it; empty where it did not.
    pub scope: String,
    /// The family.
    pub session: Arc<LiveSession>,
}

impl Described {
    /// Whether it was issued to this application: nobody else may ask about it or end it (R-F3).
    pub fn client_matches(&self, client: &ClientCredentials) -> bool {
        let grant = self.session.record().grant.as_ref();
        grant.and_then(|grant| grant.client.as_ref()).is_some_and(|own| own.same_as(client))
    }
}

/// What is known of a token, ours or the PBX's, for calls or for new tokens; `None` if it does not
/// work (any more).
pub async fn describe(services: &Services, token: &str) -> Result<Option<Described>, Unavailable> {
    let now = services.clock.now();
    let Some(found) = find(services, token, now).await? else { return Ok(None) };
    let Found { session, usage, expires_at, place } = found;
    if let Some(place) = place
        && services.tokens.newest(&session.record().id).await?
            != Some((place, TokenHash::of(token)))
    {
        return Ok(None);
    }
    // What is held back reaches nothing, and is refreshed by nothing.
    if expires_at <= now
        || usage == TokenUse::Spent
        || !matches!(services.standing(&session), Standing::Full { .. })
    {
        return Ok(None);
    }
    let record = session.record();
    let Some(grant) = &record.grant else { return Ok(None) };
    let access = session.jar().access.clone();
    let scope = access.as_ref().and_then(|access| access.fields.get("scope")?.as_str());
    Ok(Some(Described {
        login: record.login.clone(),
        account: record.account,
        client_id: grant.client.as_ref().map(|client| client.id.clone()),
        kind: grant.kind,
        usage,
        expires_at: expires_at.min(grant.expires_at),
        issued_at: record.created_at,
        scope: scope.unwrap_or_default().to_owned(),
        session,
    }))
}

/// Ends the family of a token, whichever of its tokens it is. A token that nobody knows, or that
/// has ended before, is ended already. Returns the family that ended now.
pub async fn end_by_token(
    services: &Services,
    token: &str,
) -> Result<Option<Arc<LiveSession>>, Unavailable> {
    let Some(found) = find(services, token, services.clock.now()).await? else { return Ok(None) };
    let record = found.session.record();
    let ended = services.sessions.end(&record.id).await?;
    if ended.is_some() {
        let event = SecurityEvent::of("token_revoked", CHANNEL, &record.login);
        services.audit.record(event.from_client(record.client));
        tell_the_pbx(services, &found.session);
    }
    Ok(ended)
}

/// Lets the PBX forget the token that it gave for a family that has ended. Nobody waits for it.
fn tell_the_pbx(services: &Services, session: &Arc<LiveSession>) {
    let (services, session) = (services.clone(), Arc::clone(session));
    tokio::spawn(async move {
        let (jar, record) = (session.jar(), session.record());
        let (Some(access), Some(grant)) = (&jar.access, &record.grant) else { return };
        if let Some(token) = super::renew::bearer_in(access) {
            services.issuer.forget(&grant.endpoint, &token, jar.server).await;
        }
    });
}

struct Found {
    session: Arc<LiveSession>,
    usage: TokenUse,
    expires_at: Timestamp,
    /// Of a refresh token of ours: only the newest of its chain works.
    place: Option<u64>,
}

async fn find(
    services: &Services,
    token: &str,
    now: Timestamp,
) -> Result<Option<Found>, Unavailable> {
    let (family, kind, usage, expires_at, place) =
        if let Ok(claims) = services.signer.verify(token, now) {
            (claims.family, GrantKind::Jwt, TokenUse::Access, claims.expires_at, None)
        } else if let Some(Place { family, place }) = refresh_token::open(services, token) {
            // It ends with its family.
            (family, GrantKind::Jwt, TokenUse::Refresh, Timestamp::MAX, Some(place))
        } else if let Some(noted) = services.tokens.find(&TokenHash::of(token)).await? {
            (noted.family, GrantKind::Pass, noted.usage, noted.expires_at, None)
        } else {
            return Ok(None);
        };
    let session = family_of(services, &family, kind).await?;
    Ok(session.map(|session| Found { session, usage, expires_at, place }))
}
