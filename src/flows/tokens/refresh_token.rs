//! A refresh token of ours: which family it belongs to, and its place in the chain, sealed. Who
//! made one up is told apart from who shows an old one without asking the store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::secret::Secret;
use crate::domain::session::SessionId;
use crate::flows::Services;

const PURPOSE: &str = "refresh token";

/// What a refresh token of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) struct Place {
    pub family: SessionId,
    pub place: u64,
}

/// The token for a place in a family's chain; another one at each call.
pub(super) fn make(services: &Services, family: &SessionId, place: u64) -> Secret {
    let mut plain = [0; 56];
    plain[..32].copy_from_slice(&family.0);
    plain[32..40].copy_from_slice(&place.to_be_bytes());
    services.random.fill(&mut plain[40..]);
    Secret::new(URL_SAFE_NO_PAD.encode(services.vault.seal(PURPOSE, &plain)))
}

/// What a token says, if it is one of ours.
pub(in crate::flows) fn open(services: &Services, token: &str) -> Option<Place> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let plain = services.vault.open(PURPOSE, &sealed).ok()?;
    let (family, rest) = plain.split_first_chunk::<32>()?;
    let (place, _) = rest.split_first_chunk::<8>()?;
    Some(Place { family: SessionId(*family), place: u64::from_be_bytes(*place) })
}
