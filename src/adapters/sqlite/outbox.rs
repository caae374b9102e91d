//! Mails on their way, in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Database;
use crate::domain::mail::{MailId, MailLimit, MailState, NewMail, StoredMail};
use crate::ports::{Enqueued, Outbox, Unavailable};

/// The table of mails.
#[derive(Debug, Clone)]
pub struct SqliteOutbox {
    #[allow(dead_code, reason = "skeleton")]
    database: Database,
}

impl SqliteOutbox {
    /// The mails in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

fn to_come<T>() -> Result<T, Unavailable> {
    Err(Unavailable::new("store", "to come"))
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn enqueue(&self, _: NewMail, _: MailLimit) -> Result<Enqueued, Unavailable> {
        to_come()
    }

    async fn claim(
        &self,
        _: Timestamp,
        _: Duration,
        _: usize,
    ) -> Result<Vec<StoredMail>, Unavailable> {
        Ok(Vec::new())
    }

    async fn sent(&self, _: MailId, _: Timestamp) -> Result<(), Unavailable> {
        to_come()
    }

    async fn retry_later(
        &self,
        _: MailId,
        _: &str,
        _: Timestamp,
        _: bool,
    ) -> Result<(), Unavailable> {
        to_come()
    }

    async fn give_up(&self, _: MailId, _: &str, _: Timestamp) -> Result<(), Unavailable> {
        to_come()
    }

    async fn drop_mail(&self, _: MailId, _: Timestamp) -> Result<(), Unavailable> {
        to_come()
    }

    async fn list(
        &self,
        _: Option<MailState>,
        _: Option<MailId>,
        _: usize,
    ) -> Result<Vec<StoredMail>, Unavailable> {
        to_come()
    }

    async fn by_id(&self, _: MailId) -> Result<Option<StoredMail>, Unavailable> {
        to_come()
    }

    async fn requeue(&self, _: MailId, _: Timestamp) -> Result<bool, Unavailable> {
        to_come()
    }

    async fn counts(&self) -> Result<Vec<(MailState, u64)>, Unavailable> {
        Ok(Vec::new())
    }

    async fn purge(&self, _: Timestamp) -> Result<(), Unavailable> {
        Ok(())
    }
}
