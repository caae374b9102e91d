//! Addresses that take no mail. The mail server says so when a mail is handed over, or an
//! administrator does who reads what comes back. Nothing is sent there until another address is on
//! file, its owner confirms it, or an administrator lifts the mark.

use super::Services;
use crate::domain::account::{Account, Bounce};
use crate::ports::{SecurityEvent, Unavailable};

/// No reason is kept longer than this, in characters.
const LONGEST_REASON: usize = 300;

/// Why an address was not marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMarked {
    /// There is no address on file.
    NoAddress,
    /// Another address is on file by now.
    OtherAddress,
}

/// An administrator knows that the account's address takes no mail: that of every account that
/// shares it. `address` is the one that is meant, if it was said.
pub async fn mark(
    services: &Services,
    account: &Account,
    address: Option<&str>,
    reason: &str,
) -> Result<Result<(), NotMarked>, Unavailable> {
    let Some(on_file) = &account.email else { return Ok(Err(NotMarked::NoAddress)) };
    if address.is_some_and(|meant| !meant.trim().eq_ignore_ascii_case(on_file)) {
        return Ok(Err(NotMarked::OtherAddress));
    }
    set(services, on_file, Some(reason), "admin").await?;
    Ok(Ok(()))
}

/// An administrator knows better, or the mailbox is there again.
pub async fn lift(services: &Services, account: &Account) -> Result<(), Unavailable> {
    match &account.email {
        Some(address) => set(services, address, None, "admin").await,
        None => Ok(()),
    }
}

/// The mail server said that nobody has this address.
pub(super) async fn found_out(
    services: &Services,
    address: &str,
    why: &str,
) -> Result<(), Unavailable> {
    set(services, address, Some(why), "mail").await
}

async fn set(
    services: &Services,
    address: &str,
    reason: Option<&str>,
    channel: &'static str,
) -> Result<(), Unavailable> {
    let at = services.clock.now();
    let bounce = reason.map(|reason| Bounce { at, reason: one_line(reason) });
    let event = if bounce.is_some() { "address_bounced" } else { "address_reachable" };
    for account in services.accounts.mark_address(address, bounce).await? {
        services.audit.record(SecurityEvent::of(event, channel, &account.login));
    }
    Ok(())
}

fn one_line(reason: &str) -> String {
    let spaced: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().chars().take(LONGEST_REASON).collect()
}
