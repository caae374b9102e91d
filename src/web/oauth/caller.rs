//! Whether whoever asks may know of a token. Passgate keeps no list of applications: a client is
//! right if it is the one that the PBX gave the token to.

use std::net::IpAddr;
use std::time::Duration;

use super::answers::OAuthError;
use super::call::Shown;
use crate::flows::api::revoke::{Described, describe};
use crate::flows::{Services, client_guesses};
use crate::ports::TokenUse;

/// What a token is to whoever asks.
pub(super) enum Known {
    /// Theirs.
    Own(Box<Described>),
    /// It works, but for another application: the secret or the id is wrong.
    OfOtherClient,
    /// It works, but for another account.
    OfOtherAccount,
    /// It does not work (any more).
    Nothing,
}

/// Looks the token up for who asks.
pub(super) async fn known_to(
    services: &Services,
    shown: &Shown,
    token: &str,
    address: IpAddr,
) -> Result<Known, OAuthError> {
    match shown {
        Shown::Nothing => Err(OAuthError::BAD_CLIENT),
        Shown::Client(readings) => {
            let now = services.clock.now();
            if let Some(until) = client_guesses::locked_until(services, address).await? {
                let wait = until.duration_since(now).unsigned_abs();
                return Err(OAuthError::too_many(wait.max(Duration::from_secs(1))));
            }
            let Some(found) = describe(services, token).await? else { return Ok(Known::Nothing) };
            if readings.iter().any(|client| found.client_matches(client)) {
                return Ok(Known::Own(Box::new(found)));
            }
            tracing::info!(client = %address, "an application's credentials do not fit the token");
            client_guesses::count(services, address).await?;
            Ok(Known::OfOtherClient)
        }
        Shown::Bearer(bearer) => {
            let asker = describe(services, bearer.expose()).await?;
            let asker = asker.filter(|asker| asker.usage == TokenUse::Access);
            let asker = asker.ok_or(OAuthError::BAD_BEARER)?;
            Ok(match describe(services, token).await? {
                None => Known::Nothing,
                Some(found) if found.account == asker.account => Known::Own(Box::new(found)),
                Some(_) => Known::OfOtherAccount,
            })
        }
    }
}
