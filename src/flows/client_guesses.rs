//! Wrong secrets of applications, counted by client address: whoever has somebody's token must not
//! try out here which application it belongs to. Nothing is written while the secrets are right:
//! some ask about every token that they see.

use std::net::IpAddr;

use jiff::Timestamp;

use super::Services;
use crate::domain::lockout::{AttemptSubject, LockoutPolicy, address_key};
use crate::ports::{Reserved, Unavailable};

/// Until when this address has to wait, after too many wrong secrets.
pub async fn locked_until(
    services: &Services,
    client: IpAddr,
) -> Result<Option<Timestamp>, Unavailable> {
    let Some((name, _)) = counter(services, client) else { return Ok(None) };
    services.attempts.locked_until(&name, services.clock.now()).await
}

/// Counts a wrong one.
pub async fn count(services: &Services, client: IpAddr) -> Result<(), Unavailable> {
    let Some((name, policy)) = counter(services, client) else { return Ok(()) };
    let subject = AttemptSubject { name, device: None, address: None };
    let now = services.clock.now();
    match services.attempts.reserve(&subject, &policy, now).await? {
        // Never given back: it was wrong.
        Reserved::Allowed(reservation) => drop(reservation),
        Reserved::Locked { .. } => {}
    }
    Ok(())
}

/// The address's counter, with as many as public forms have (`limits.public_forms_per_address`);
/// `None`: it is not limited.
fn counter(services: &Services, client: IpAddr) -> Option<(String, LockoutPolicy)> {
    let limit = services.policies.public_forms_per_address?;
    let lockout = &services.policies.lockout;
    let address = address_key(client, lockout)?;
    let policy = LockoutPolicy {
        max_failures: limit.most,
        window: limit.per,
        duration: limit.per,
        ..lockout.clone()
    };
    // A space keeps it apart from everything that can be typed as a login name.
    Some((format!("client {address}"), policy))
}
