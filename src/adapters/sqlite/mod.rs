//! The embedded store: one SQLite file in the data directory.
//!
//! One connection writes, a few read. The pools hold no reactor of their own (each connection has
//! its own thread, which is asked through channels), so a [`Database`] may be used from every
//! tokio runtime of the process; a runtime that ends takes at most the connections with it that
//! its tasks were using, and they are opened anew.

mod account_rows;
mod accounts;
mod attempts;
mod bounces;
mod campaigns;
mod codes;
mod credentials;
mod grants;
mod import;
mod kept_forms;
mod mail_limits;
mod open;
mod outbox;
mod ring_check;
mod sessions;
mod tokens;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use self::accounts::SqliteAccounts;
pub use self::attempts::SqliteAttempts;
pub use self::campaigns::SqliteCampaigns;
pub use self::codes::SqliteCodes;
pub use self::credentials::SqliteCredentials;
pub use self::kept_forms::SqliteKeptForms;
pub use self::open::OpenError;
pub use self::outbox::SqliteOutbox;
pub use self::ring_check::RingCheckError;
pub use self::sessions::SqliteSessions;
pub(crate) use self::sessions::{Limits, Stale};
pub use self::tokens::SqliteTokens;
use crate::domain::account::AccountId;
use crate::ports::Unavailable;

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    writer: SqlitePool,
    readers: SqlitePool,
    /// How often the writer connected: [`ChangeMark`]s of different connections do not compare.
    writer_connects: Arc<AtomicU64>,
    /// Accounts whose sessions may have ended, for the session cache to look at.
    revoked: Mutex<HashSet<AccountId>>,
}

/// Tells whether *another process* has written to the database since an earlier mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeMark {
    connection: u64,
    data_version: i64,
}

impl Database {
    /// Closes all connections, after the calls that are under way.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// The mark of now. It is read on the writer's connection, whose own writes do not move it.
    pub(crate) async fn change_mark(&self) -> Result<ChangeMark, Unavailable> {
        let mut writer = self.inner.writer.acquire().await.map_err(unavailable)?;
        let connection = self.inner.writer_connects.load(Ordering::SeqCst);
        let data_version = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut *writer)
            .await
            .map_err(unavailable)?;
        Ok(ChangeMark { connection, data_version })
    }

    /// Accounts whose epoch moved, or that were deleted, through this process since the last call.
    pub(crate) fn take_revoked(&self) -> HashSet<AccountId> {
        std::mem::take(&mut *self.inner.revoked.lock())
    }

    pub(crate) fn note_revoked(&self, accounts: impl IntoIterator<Item = AccountId>) {
        self.inner.revoked.lock().extend(accounts);
    }

    /// For a change that ends the account's sessions, from before its commit: notes the account
    /// when the call is over, also where it is cut off while the commit is under way (its request
    /// went away), which nobody can stop any more. An account noted in vain costs one look.
    fn revoking(&self, account: AccountId) -> Revoking<'_> {
        Revoking { database: self, account }
    }

    /// How many counters of failed logins are kept.
    #[cfg(test)]
    pub(crate) async fn counters(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM attempt_counters");
        count.fetch_one(self.readers()).await.unwrap()
    }

    /// Whether the last write was flushed to the disk before it was answered.
    #[cfg(test)]
    pub(crate) async fn last_write_was_durable(&self) -> bool {
        let level = sqlx::query_scalar::<_, i64>("PRAGMA synchronous");
        level.fetch_one(&self.inner.writer).await.unwrap() == 2
    }

    /// Runs a statement behind the stores' back.
    #[cfg(test)]
    pub(crate) async fn run(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.inner.writer).await.unwrap();
    }

    fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// A write transaction that holds the write lock from its beginning, so that it never fails
    /// half-way because of another writer. It survives the death of the process; a power cut may
    /// take the last moments.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, Unavailable> {
        let begin = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";
        self.inner.writer.begin_with(begin).await.map_err(unavailable)
    }

    /// The same for what must survive a power cut once it was answered: credentials and accounts.
    async fn write_durably(&self) -> Result<Transaction<'static, Sqlite>, Unavailable> {
        let begin = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
        self.inner.writer.begin_with(begin).await.map_err(unavailable)
    }
}

/// See [`Database::revoking`].
struct Revoking<'a> {
    database: &'a Database,
    account: AccountId,
}

impl Drop for Revoking<'_> {
    fn drop(&mut self) {
        self.database.note_revoked([self.account]);
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

/// Every failure of the database is an outage, never an answer. SQL errors name tables and
/// columns, not values.
#[allow(clippy::needless_pass_by_value, reason = "used as map_err(unavailable)")]
fn unavailable(error: sqlx::Error) -> Unavailable {
    Unavailable::new("store", error)
}

/// A stored value that this version cannot read.
fn unreadable(what: &str) -> Unavailable {
    Unavailable::new("store", format_args!("{what} on file cannot be read"))
}

fn to_micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn from_micros(micros: i64) -> Result<Timestamp, Unavailable> {
    Timestamp::from_microsecond(micros).map_err(|_| unreadable("a time"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
