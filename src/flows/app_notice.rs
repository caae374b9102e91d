//! Telling users of apps that their app still uses the voicemail PIN (R-F2): they never see the
//! portal's notice. One mail with a link to the address on file, at most once a day.
//!
//! Beside the answer, never before it: whoever tries PINs must not see by the time of the answer
//! whether the account has an address.

use std::time::Duration;

use super::Services;
use crate::domain::account::Account;
use crate::domain::mail::{MailKind, MailLimit};
use crate::ports::{Enqueued, SecurityEvent, Unavailable};

/// An app asks for tokens every hour; its user hears of it once in this time.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Has the owner told. Answers at once: a process that ends in this moment loses the mail, and the
/// app's next request brings it.
pub(super) fn tell_owner(services: &Services, account: &Account) {
    if services.mail.is_none() || account.reachable_at().is_none() {
        return;
    }
    let (services, account) = (services.clone(), account.clone());
    tokio::spawn(async move {
        if let Err(error) = tell(&services, &account).await {
            tracing::warn!(%error, "the user of an app with a voicemail PIN was not told");
        }
    });
}

async fn tell(services: &Services, account: &Account) -> Result<(), Unavailable> {
    let Some(to) = account.reachable_at() else { return Ok(()) };
    let mail = services.new_mail(MailKind::AppNotice, account, to, None);
    let address = services.policies.mails_per_account.address;
    let limit = MailLimit { most: 1, per: DAY, again_after: Duration::ZERO, address };
    if services.outbox.enqueue(mail, limit).await? == Enqueued::Now {
        let event = SecurityEvent::of("app_notice_mailed", "mail", &account.login);
        services.audit.record(event.with_result("queued"));
    }
    Ok(())
}
