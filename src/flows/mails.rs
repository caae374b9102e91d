//! Administration of mails (R-E1): a link for a user, the queue, another try. Nobody sees a link
//! here; it is made when a mail leaves.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Outage, Services, post};
use crate::domain::account::{Account, AccountId};
use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, MailKind, MailState, StoredMail};
use crate::ports::{SecurityEvent, Unavailable};

/// The links that an administrator can have sent to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserLink {
    /// Sets a portal password, the first one or another.
    Reset,
    /// Sets up a new user: the first portal password and a voicemail PIN (R-D4).
    Welcome,
}

impl UserLink {
    /// The mail that carries it.
    pub fn kind(self) -> MailKind {
        match self {
            Self::Reset => MailKind::Reset,
            Self::Welcome => MailKind::Welcome,
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Reset => "reset_requested",
            Self::Welcome => "welcome_requested",
        }
    }
}

/// A mail that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where it goes: to the address on file; one of before perhaps to another.
    pub to: String,
    /// When it was asked for: now, or before.
    pub at: Timestamp,
    /// Nothing was queued now: one was asked for a moment ago, or the account had as many as it
    /// gets (`limits.mails_per_account`).
    pub already: bool,
}

/// Why a user gets no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The account is switched off: a link would not work.
    Disabled,
    /// Who has a portal password gets a reset link, not a welcome (R-D3).
    HasPassword,
    /// There is no address on file.
    NoAddress,
    /// The address on file takes no mail.
    Bounced,
    /// The address had as many mails as it gets, over all accounts that share it.
    AddressFull {
        /// When there is room for another one.
        until: Timestamp,
    },
    /// E-mail is off.
    Off,
}

/// Asks for a mail with a link to the account's address on file.
pub async fn send(
    services: &Services,
    account: &Account,
    link: UserLink,
) -> Result<Result<Asked, NotSent>, Outage> {
    if account.disabled {
        return Ok(Err(NotSent::Disabled));
    }
    if link == UserLink::Welcome && account.password.is_some() {
        return Ok(Err(NotSent::HasPassword));
    }
    if services.mail.is_none() {
        return Ok(Err(NotSent::Off));
    }
    let Some(to) = account.email.clone() else { return Ok(Err(NotSent::NoAddress)) };
    if account.bounced.is_some() {
        return Ok(Err(NotSent::Bounced));
    }
    let (to, at, already) = match post::request(services, account, link.kind(), None).await? {
        post::Requested::Now { at } => (to, at, false),
        post::Requested::Already { at, to } => (to, at, true),
        post::Requested::AddressFull { until, .. } => {
            return Ok(Err(NotSent::AddressFull { until }));
        }
        post::Requested::NoAddress => return Ok(Err(NotSent::NoAddress)),
        post::Requested::Off => return Ok(Err(NotSent::Off)),
    };
    let result = if already { "not_again" } else { "queued" };
    let event = SecurityEvent::of(link.event(), "admin", &account.login);
    services.audit.record(event.with_result(result));
    Ok(Ok(Asked { to, at, already }))
}

/// A mail with what administrators see beside it.
#[derive(Debug, Clone)]
pub struct MailView {
    /// The mail.
    pub stored: StoredMail,
    /// Whom it is about; `None` if the account cannot be read.
    pub login: Option<LoginName>,
}

/// One page of mails.
#[derive(Debug, Clone)]
pub struct MailViews {
    /// The mails, latest first.
    pub items: Vec<MailView>,
    /// The last one of this page, if there may be more.
    pub next_cursor: Option<MailId>,
}

/// Lists mails, latest first. Those that are being handed over count as queued.
pub async fn list(
    services: &Services,
    state: Option<MailState>,
    cursor: Option<MailId>,
    limit: usize,
) -> Result<MailViews, Unavailable> {
    let mails = services.outbox.list(state, cursor, limit).await?;
    let next_cursor = mails.last().filter(|_| mails.len() == limit).map(|stored| stored.mail.id);
    let mut logins: HashMap<AccountId, Option<Option<LoginName>>> = HashMap::new();
    let mut items = Vec::with_capacity(mails.len());
    for stored in mails {
        let account = stored.mail.account;
        let login = match logins.get(&account) {
            Some(known) => known.clone(),
            // One account that cannot be read hides no mail of the others, nor its own.
            None => match services.accounts.by_id(account).await {
                Ok(found) => found.map(|account| Some(account.login)),
                Err(error) => {
                    tracing::error!(%error, %account, "a mail is listed without its login name");
                    Some(None)
                }
            },
        };
        logins.insert(account, login.clone());
        // An account that was deleted meanwhile took its mails along.
        items.extend(login.map(|login| MailView { stored, login }));
    }
    Ok(MailViews { items, next_cursor })
}

/// Why a mail is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRetried {
    /// It is neither dead nor waiting, but this.
    Is(MailState),
    /// The address takes no mail: it would be dropped.
    Bounced,
    /// E-mail is off: nobody would take it up.
    Off,
}

/// Has a dead or waiting mail tried again at once, as if it had just been asked for; `None` if
/// there is no such mail.
pub async fn retry(
    services: &Services,
    id: MailId,
) -> Result<Option<Result<MailView, NotRetried>>, Unavailable> {
    if services.mail.is_none() {
        return Ok(Some(Err(NotRetried::Off)));
    }
    let Some(stored) = services.outbox.by_id(id).await? else { return Ok(None) };
    let Some(account) = services.accounts.by_id(stored.mail.account).await? else {
        return Ok(None);
    };
    let stands = matches!(stored.state, MailState::Queued | MailState::Dead);
    if stands && post::comes_back(&stored.mail, &account) {
        return Ok(Some(Err(NotRetried::Bounced)));
    }
    let queued = services.outbox.requeue(id, services.clock.now()).await?;
    let Some(stored) = services.outbox.by_id(id).await? else { return Ok(None) };
    if !queued {
        return Ok(Some(Err(NotRetried::Is(stored.state))));
    }
    services.audit.record(SecurityEvent::of("mail_retried", "admin", &account.login));
    Ok(Some(Ok(MailView { stored, login: Some(account.login) })))
}
