//! Who shows a token: its family, which is a session, and what that may reach right now (R-F3,
//! R-A6).

use std::sync::Arc;

use crate::domain::access_token::BadToken;
use crate::domain::grant::{GrantKind, TokenHash};
use crate::domain::session::{LiveSession, SessionId, Standing};
use crate::flows::{KnownToken, Services};
use crate::ports::{TokenUse, Unavailable};

/// What a bearer token turned out to be.
#[derive(Debug, Clone)]
pub enum Bearer {
    /// It belongs to a family that lives.
    Known {
        /// The family.
        session: Arc<LiveSession>,
        /// What it may reach; never [`Standing::Ended`].
        standing: Standing,
    },
    /// Ours, or it went through our hands; but it is forged, its time is over, or its family has
    /// ended.
    Invalid,
    /// Somebody else's: the PBX may know it.
    Unknown,
}

/// The token, if it was looked up before. This is the hot path: one hash, one look into memory, no
/// wait.
pub fn cached(services: &Services, token: &str) -> Option<Bearer> {
    let now = services.clock.now();
    let known = services.memory.token(&TokenHash::of(token), now)?;
    Some(stand(services, known.session))
}

/// The token, looked up where it has to be.
pub async fn find(services: &Services, token: &str) -> Result<Bearer, Unavailable> {
    if let Some(bearer) = cached(services, token) {
        return Ok(bearer);
    }
    let now = services.clock.now();
    let hash = TokenHash::of(token);
    let (family, kind, expires_at) = match services.signer.verify(token, now) {
        Ok(claims) => (claims.family, GrantKind::Jwt, claims.expires_at),
        // What claims to be ours and is not is never tried as anything else.
        Err(error) if error != BadToken::Foreign || services.signer.looks_own(token) => {
            return Ok(Bearer::Invalid);
        }
        // Asked for less than a minute ago, and then it was nobody's here.
        Err(_) if services.memory.owner(&hash, now).is_some() => return Ok(Bearer::Unknown),
        Err(_) => match services.tokens.find(&hash).await? {
            None => return Ok(Bearer::Unknown),
            Some(noted) if noted.usage != TokenUse::Access || noted.expires_at <= now => {
                return Ok(Bearer::Invalid);
            }
            Some(noted) => (noted.family, GrantKind::Pass, noted.expires_at),
        },
    };
    let Some(session) = family_of(services, &family, kind).await? else {
        return Ok(Bearer::Invalid);
    };
    services.memory.keep_token(hash, KnownToken { session: Arc::clone(&session), expires_at });
    Ok(stand(services, session))
}

/// The family with this id, if it is of this kind.
pub(super) async fn family_of(
    services: &Services,
    family: &SessionId,
    kind: GrantKind,
) -> Result<Option<Arc<LiveSession>>, Unavailable> {
    let session = match services.sessions.cached(family) {
        Some(session) => Some(session),
        None => services.sessions.find(family).await?,
    };
    // A token never stands for a browser's session, whatever id it names.
    Ok(session
        .filter(|found| found.record().grant.as_ref().is_some_and(|grant| grant.kind == kind)))
}

/// What a family reaches at this moment.
pub(super) fn stand(services: &Services, session: Arc<LiveSession>) -> Bearer {
    match services.standing(&session) {
        Standing::Ended => Bearer::Invalid,
        standing => Bearer::Known { session, standing },
    }
}
