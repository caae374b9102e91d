//! Making a mail, and handing it over.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::Account;
use crate::domain::language::Language;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{Lock, MailId, MailKind};
use crate::domain::one_time_code::OneTimeCode;
use crate::domain::rollout::Schedule;

/// What a mail is made of.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Identity; becomes the `Message-ID`.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// Whom it is about.
    pub account: &'a Account,
    /// The login names that it tells, for the kind that tells them.
    pub logins: &'a [LoginName],
    /// The recipient.
    pub to: &'a str,
    /// What its reader reads; without it, what the brand speaks.
    pub language: Option<&'a Language>,
    /// The secret of its link, for kinds with a link.
    pub code: Option<&'a OneTimeCode>,
    /// When the link ends.
    pub valid_until: Option<Timestamp>,
    /// When what it reports happened, or when it was asked for.
    pub asked_at: Timestamp,
    /// The lock that it tells of, for the kind that does.
    pub lock: Option<Lock>,
    /// The dates that hold for the account, for the kind that tells them.
    pub schedule: Schedule,
    /// Now.
    pub now: Timestamp,
}

/// A finished mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Identity; becomes the `Message-ID`.
    pub id: MailId,
    /// What it is about; not part of what is sent.
    pub kind: MailKind,
    /// `Name <address>`.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The `Date`.
    pub date: Timestamp,
}

impl std::fmt::Debug for Mail {
    /// Without its parts: they hold a link.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Writes mails: words, links, sender. Links begin with the configured address, whatever a request
/// said.
pub trait Composer: Send + Sync {
    /// The mail.
    fn compose(&self, letter: &Letter<'_>) -> Mail;
}

/// Why a mail was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server cannot be asked (no connection, TLS, or it does not take our login): says nothing
    /// about this mail, and holds for the next as well.
    #[error("the mail server cannot be used: {0}")]
    Outage(String),
    /// The server does not take this mail now (4xx).
    #[error("not now: {0}")]
    Later(String),
    /// The server knows for good that nobody has this address (RFC 3463: 5.1.1 and its like).
    #[error("no such address: {0}")]
    NoSuchAddress(String),
    /// The server will never take this mail (5xx), or it cannot be sent at all.
    #[error("refused: {0}")]
    Never(String),
}

/// Hands mails over to a mail server.
#[async_trait]
pub trait MailTransport: Send + Sync {
    /// Hands one over. `Ok` once the server has taken responsibility for it.
    async fn send(&self, mail: &Mail) -> Result<(), SendError>;

    /// For `passgate check --connect`: connects, secures the connection and logs in.
    async fn ping(&self) -> Result<(), SendError>;
}
