//! Telling the owner of an account that their login name was locked (R-C5): one mail to the address
//! on file, at most once a day, whoever locks it and however often.
//!
//! Beside the answer, never before it: whoever made the failures must not see, by the time of the
//! answer, whether there is such an account, nor whether it has an address.

use std::time::Duration;

use super::Services;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{Lock, MailKind, MailLimit};
use crate::ports::{Enqueued, SecurityEvent, Unavailable};

/// Strangers can lock a name every quarter of an hour; its owner hears of it once in this time.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Has the owner told, if there is one. Answers at once: a process that ends in this moment loses
/// the mail, and nothing else.
pub(super) fn tell_owner(services: &Services, login: &LoginName, lock: Lock) {
    if services.mail.is_none() || !services.policies.lockout.tell_owner {
        return;
    }
    let (services, login) = (services.clone(), login.clone());
    tokio::spawn(async move {
        if let Err(error) = tell(&services, &login, lock).await {
            tracing::warn!(%error, "the owner of a locked login name was not told");
        }
    });
}

async fn tell(services: &Services, login: &LoginName, lock: Lock) -> Result<(), Unavailable> {
    let account = services.accounts.find(login).await?;
    let Some(account) = account.filter(|account| !account.disabled) else { return Ok(()) };
    let Some(to) = account.reachable_at() else { return Ok(()) };
    let mut mail = services.new_mail(MailKind::Locked, &account, to, None);
    mail.lock = Some(lock);
    let address = services.policies.mails_per_account.address;
    let limit = MailLimit { most: 1, per: DAY, again_after: Duration::ZERO, address };
    if services.outbox.enqueue(mail, limit).await? == Enqueued::Now {
        let event = SecurityEvent::of("lock_mailed", "mail", login).from_client(lock.client);
        services.audit.record(event.with_result("queued"));
    }
    Ok(())
}
