//! Answers of the PBX that its profile does not know.
//!
//! Each counts as nothing, because an outage is never a wrong password. But not without end:
//! whoever can make the PBX refuse in a way that the profile does not recognise (another language,
//! the page for phones) could otherwise try PINs for ever and would see the right one accepted.

use jiff::Timestamp;

use super::Services;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockoutPolicy};
use crate::ports::{Reserved, Unavailable};

/// So many within the lockout's window, then the name (or the known browser) waits like after too
/// many failures.
const MOST: u32 = 20;

/// The counter's name. It holds spaces, so nobody can type it as a login name.
pub(super) fn counter(name: &str, device: Option<&str>) -> String {
    format!("unclear {} {name}", device.unwrap_or("-"))
}

impl Services {
    /// Until when no further attempt is made for `subject`, if there were too many of them.
    pub(super) async fn unclear_until(
        &self,
        subject: &AttemptSubject,
    ) -> Result<Option<Timestamp>, Unavailable> {
        let counter = counter(&subject.name, subject.device.as_deref());
        self.attempts.locked_until(&counter, self.clock.now()).await
    }

    /// Counts one of them.
    pub(super) async fn note_unclear(&self, subject: &AttemptSubject) -> Result<(), Unavailable> {
        let policy = LockoutPolicy { max_failures: MOST, ..self.policies.lockout.clone() };
        let name = counter(&subject.name, subject.device.as_deref());
        let counted = AttemptSubject { name, device: None, address: None };
        let now = self.clock.now();
        if let Reserved::Allowed(reservation) =
            self.attempts.reserve(&counted, &policy, now).await?
        {
            self.attempts.settle(reservation, AttemptOutcome::Failure, &policy, now).await?;
        }
        Ok(())
    }
}
