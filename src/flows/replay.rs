//! Opening a PBX session for a user whom the portal password let in: the best PIN that is known is
//! replayed (R-B5).

use super::known_pins::KnownPins;
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::secret::Secret;
use crate::domain::session::Progress;
use crate::ports::PortalSession;

/// What came of it.
pub(super) struct Replay {
    pub pbx: PortalSession,
    pub progress: Progress,
    /// A PIN that is not the one on file and that the PBX's second question still has to prove.
    pub unproved: Option<Secret>,
}

/// Opens a PBX session for `account` with the best PIN that is known. Without one that works the
/// session asks its user for the current PIN.
pub(super) async fn replay(
    services: &Services,
    account: &Account,
    carried: &[(String, String)],
    channel: &'static str,
    asker: Asker<'_>,
) -> Result<Replay, Outage> {
    let mut pins = KnownPins::of(services, account, channel, asker.client)?;
    while let Some(pin) = pins.next().await? {
        match services.try_pin(&account.login, &pin, carried, asker).await? {
            PinVerdict::Accepted(pbx) => {
                pins.accepted().await?;
                return Ok(Replay { pbx, progress: Progress::Complete, unproved: None });
            }
            PinVerdict::Challenged(pbx) => {
                let unproved = pins.unproved();
                return Ok(Replay { pbx, progress: Progress::Challenge, unproved });
            }
            PinVerdict::Refused => pins.refused().await?,
        }
    }
    let (pbx, progress) = (PortalSession::none(), Progress::PinNeeded);
    Ok(Replay { pbx, progress, unproved: None })
}
