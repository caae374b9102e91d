//! Changes of credentials, and the journal of PIN write-backs, in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::Database;
use crate::domain::account::{Account, AccountId};
use crate::domain::pin_journal::JournalEntry;
use crate::ports::{Begun, CredentialChange, CredentialStore, Unavailable};

/// Credentials and the journal.
#[derive(Debug, Clone)]
pub struct SqliteCredentials {
    #[allow(dead_code, reason = "skeleton")]
    database: Database,
}

impl SqliteCredentials {
    /// Those in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

fn to_come<T>() -> Result<T, Unavailable> {
    Err(Unavailable::new("store", "to come"))
}

#[async_trait]
impl CredentialStore for SqliteCredentials {
    async fn commit(&self, _: CredentialChange) -> Result<Option<Account>, Unavailable> {
        to_come()
    }

    async fn begin(&self, _: JournalEntry) -> Result<Begun, Unavailable> {
        to_come()
    }

    async fn abandon(&self, _: AccountId, _: Uuid) -> Result<bool, Unavailable> {
        to_come()
    }

    async fn entry(&self, _: AccountId) -> Result<Option<JournalEntry>, Unavailable> {
        to_come()
    }

    async fn claim(
        &self,
        _: AccountId,
        _: Uuid,
        _: Timestamp,
    ) -> Result<Option<JournalEntry>, Unavailable> {
        to_come()
    }

    async fn due(&self, _: Uuid, _: Timestamp) -> Result<Vec<AccountId>, Unavailable> {
        Ok(Vec::new())
    }

    async fn postpone(&self, _: AccountId, _: Uuid, _: Timestamp) -> Result<(), Unavailable> {
        to_come()
    }

    async fn open_write_backs(&self) -> Result<u64, Unavailable> {
        Ok(0)
    }
}
