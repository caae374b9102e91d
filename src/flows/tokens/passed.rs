//! A refresh token of the PBX that went through our hands (mode `pass`): the PBX rotates it, and we
//! take down the new ones.

use super::family::{forget, note};
use super::refresh::{ask_pbx, family, record};
use super::{Issued, RefreshAsk, TokenRefusal, answer};
use crate::domain::grant::{GrantKind, TokenHash};
use crate::flows::{Outage, Services};
use crate::ports::NotedToken;

pub(super) async fn refresh(
    services: &Services,
    ask: &RefreshAsk,
    shown: &NotedToken,
) -> Result<Result<Issued, TokenRefusal>, Outage> {
    let now = services.clock.now();
    if shown.expires_at <= now {
        return Ok(Err(TokenRefusal::RefreshInvalid));
    }
    let found = family(services, &shown.family, GrantKind::Pass, ask.client.as_ref()).await?;
    let session = match found {
        Ok(session) => session,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let tokens = match ask_pbx(services, ask, Some(session.jar().server)).await? {
        Ok(tokens) => *tokens,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // A PBX that does not rotate its refresh tokens leaves the one that was shown.
    let stays = tokens.refresh.as_ref().is_none_or(|new| new.same_as(&ask.refresh));
    let replaced: &[TokenHash] = if stays { &[] } else { &[shown.hash] };
    if !note(services, &session, &tokens, replaced).await? {
        // The family ended, or somebody else was faster, while the PBX was asked.
        forget(services, &ask.endpoint, tokens);
        return Ok(Err(TokenRefusal::RefreshInvalid));
    }
    session.touch(now);
    record(services, ask, &session, "token_issued", "refresh_token");
    Ok(Ok(answer::passed(services, &session, &tokens)))
}
