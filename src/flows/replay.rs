//! Opening a PBX session for a user whom the portal password let in: the PIN from the vault is
//! replayed (R-B5). If the PBX refuses it, it was changed elsewhere, and replay of it stops at once
//! (R-B6): the PBX sees it one more time, not every time.

use super::login::{keep_pin, stored_pin};
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::secret::Secret;
use crate::domain::session::Progress;
use crate::ports::{AccountChange, PortalSession, SecurityEvent, Unavailable};

/// What came of it.
pub(super) struct Replay {
    pub pbx: PortalSession,
    pub progress: Progress,
    /// A PIN that is not the one on file and that the PBX's second question still has to prove.
    pub unproved: Option<Secret>,
}

impl Replay {
    fn accepted(pbx: PortalSession) -> Self {
        Self { pbx, progress: Progress::Complete, unproved: None }
    }

    fn challenged(pbx: PortalSession, unproved: Option<Secret>) -> Self {
        Self { pbx, progress: Progress::Challenge, unproved }
    }
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
    let stored = stored_pin(services, account)?;
    let tried = stored.as_ref().filter(|_| !account.pin_refused);
    if let Some(pin) = tried {
        match services.try_pin(&account.login, pin, carried, asker).await? {
            PinVerdict::Accepted(pbx) => return Ok(Replay::accepted(pbx)),
            PinVerdict::Challenged(pbx) => return Ok(Replay::challenged(pbx, None)),
            PinVerdict::Refused => {
                services.accounts.change(account.id, AccountChange::PinRefused, None).await?;
                services.audit.record(
                    SecurityEvent::of("pin_drift", channel, &account.login)
                        .from_client(asker.client)
                        .with_result("pin_refused"),
                );
            }
        }
    }
    // Another PIN than the one that was just refused, or was refused before.
    let other = known_elsewhere(services, account).await?;
    let other = other.filter(|pin| !stored.as_ref().is_some_and(|stored| stored.same_as(pin)));
    if let Some(pin) = other {
        match services.try_pin(&account.login, &pin, carried, asker).await? {
            PinVerdict::Accepted(pbx) => {
                // If it was being written, the background will find that it is there.
                keep_pin(services, account.id, &pin).await?;
                return Ok(Replay::accepted(pbx));
            }
            PinVerdict::Challenged(pbx) => return Ok(Replay::challenged(pbx, Some(pin))),
            PinVerdict::Refused => {
                // Nor is this one tried at every login: it takes the place of the one before.
                keep_pin(services, account.id, &pin).await?;
                services.accounts.change(account.id, AccountChange::PinRefused, None).await?;
            }
        }
    }
    let (pbx, progress) = (PortalSession::none(), Progress::PinNeeded);
    Ok(Replay { pbx, progress, unproved: None })
}

/// The PIN as the PBX has it on record, where Passgate may read that; else the one that is being
/// written.
async fn known_elsewhere(
    services: &Services,
    account: &Account,
) -> Result<Option<Secret>, Unavailable> {
    if services.subscribers.reading() {
        match services.subscribers.read_pin(&account.login).await {
            Ok(Some(pin)) => return Ok(Some(pin).filter(|pin| services.portal.looks_like_pin(pin))),
            // It keeps PINs to itself.
            Ok(None) => {}
            // The user can still be asked.
            Err(error) => tracing::warn!(%error, "a PIN could not be read from the PBX"),
        }
    }
    match services.credentials.entry(account.id).await? {
        Some(entry) => services.open_pin(account.id, &entry.new).map(Some),
        None => Ok(None),
    }
}
