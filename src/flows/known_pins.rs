//! Which PIN the PBX is shown for a user whom the portal password let in (R-B5): the one from the
//! vault; if the PBX refuses it, it was changed elsewhere, and replay of it stops at once (R-B6):
//! the PBX sees it one more time, not every time. Then the one that is known elsewhere.

use std::net::IpAddr;

use super::login::{keep_pin, stored_pin};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::secret::Secret;
use crate::ports::{AccountChange, SecurityEvent, Unavailable};

/// The PINs of an account, best first. Whoever shows one to the PBX says what came of it.
pub(super) struct KnownPins<'a> {
    services: &'a Services,
    account: &'a Account,
    channel: &'static str,
    client: IpAddr,
    stored: Option<Secret>,
    shown: Shown,
}

/// What was shown last.
enum Shown {
    Nothing,
    Stored,
    Other(Secret),
}

impl<'a> KnownPins<'a> {
    pub(super) fn of(
        services: &'a Services,
        account: &'a Account,
        channel: &'static str,
        client: IpAddr,
    ) -> Result<Self, Outage> {
        let stored = stored_pin(services, account)?;
        Ok(Self { services, account, channel, client, stored, shown: Shown::Nothing })
    }

    /// The next one to show; `None`: the user must be asked.
    pub(super) async fn next(&mut self) -> Result<Option<Secret>, Outage> {
        if matches!(self.shown, Shown::Nothing) {
            self.shown = Shown::Stored;
            if !self.account.pin_refused && self.stored.is_some() {
                return Ok(self.stored.clone());
            }
        } else if matches!(self.shown, Shown::Other(_)) {
            return Ok(None);
        }
        // Another PIN than the one that was just refused, or was refused before.
        let other = known_elsewhere(self.services, self.account).await?;
        let other = other.filter(|pin| !self.stored.as_ref().is_some_and(|it| it.same_as(pin)));
        if let Some(pin) = &other {
            self.shown = Shown::Other(pin.clone());
        }
        Ok(other)
    }

    /// The PBX refused the one that was shown.
    pub(super) async fn refused(&self) -> Result<(), Outage> {
        let (services, account) = (self.services, self.account);
        if let Shown::Other(pin) = &self.shown {
            // Nor is this one tried at every login: it takes the place of the one before.
            keep_pin(services, account.id, pin).await?;
        }
        services.accounts.change(account.id, AccountChange::PinRefused, None).await?;
        if matches!(self.shown, Shown::Stored) {
            services.audit.record(
                SecurityEvent::of("pin_drift", self.channel, &account.login)
                    .from_client(self.client)
                    .with_result("pin_refused"),
            );
        }
        Ok(())
    }

    /// The PBX accepted it.
    pub(super) async fn accepted(&self) -> Result<(), Outage> {
        match &self.shown {
            // If it was being written, the background will find that it is there.
            Shown::Other(pin) => keep_pin(self.services, self.account.id, pin).await,
            Shown::Nothing | Shown::Stored => Ok(()),
        }
    }

    /// The PIN that was shown last, if it is not the one on file.
    pub(super) fn unproved(self) -> Option<Secret> {
        match self.shown {
            Shown::Other(pin) => Some(pin),
            Shown::Nothing | Shown::Stored => None,
        }
    }
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
