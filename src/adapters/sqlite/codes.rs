//! One-time codes in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::account_rows::account_id;
use super::{Database, from_micros, to_micros, unavailable, unreadable};
use crate::domain::one_time_code::{CodeHash, IssuedCode, Purpose};
use crate::ports::{CodeStore, Unavailable};

/// The table of codes.
#[derive(Debug, Clone)]
pub struct SqliteCodes {
    database: Database,
}

impl SqliteCodes {
    /// The codes in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl CodeStore for SqliteCodes {
    async fn issue(&self, code: IssuedCode) -> Result<(), Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        sqlx::query(
            "INSERT INTO codes (hash, purpose, account, epoch, on_file, sent_to, issued_at,
                                expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(code.hash.0.as_slice())
        .bind(purpose_text(code.purpose))
        .bind(code.account.0.as_bytes().as_slice())
        .bind(i64::try_from(code.epoch).map_err(|_| unreadable("an epoch"))?)
        .bind(&code.on_file)
        .bind(&code.sent_to)
        .bind(to_micros(code.issued_at))
        .bind(to_micros(code.expires_at))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn find(&self, hash: &CodeHash) -> Result<Option<IssuedCode>, Unavailable> {
        let row = sqlx::query(
            "SELECT hash, purpose, account, epoch, on_file, sent_to, issued_at, expires_at
               FROM codes WHERE hash = ?",
        )
        .bind(hash.0.as_slice())
        .fetch_optional(self.database.readers())
        .await
        .map_err(unavailable)?;
        row.as_ref().map(code).transpose()
    }

    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM codes WHERE expires_at < ?")
            .bind(to_micros(ended_before))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

fn code(row: &SqliteRow) -> Result<IssuedCode, Unavailable> {
    let time = |column: &str| row.try_get(column).map_err(unavailable).and_then(from_micros);
    let hash: &[u8] = row.try_get("hash").map_err(unavailable)?;
    let epoch: i64 = row.try_get("epoch").map_err(unavailable)?;
    Ok(IssuedCode {
        hash: hash.try_into().map(CodeHash).map_err(|_| unreadable("a code"))?,
        purpose: purpose(row.try_get("purpose").map_err(unavailable)?)?,
        account: account_id(row.try_get("account").map_err(unavailable)?)?,
        epoch: u64::try_from(epoch).map_err(|_| unreadable("an epoch"))?,
        on_file: row.try_get("on_file").map_err(unavailable)?,
        sent_to: row.try_get("sent_to").map_err(unavailable)?,
        issued_at: time("issued_at")?,
        expires_at: time("expires_at")?,
    })
}

fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reset => "reset",
        Purpose::Welcome => "welcome",
        Purpose::ConfirmEmail => "confirm_email",
    }
}

fn purpose(text: &str) -> Result<Purpose, Unavailable> {
    match text {
        "reset" => Ok(Purpose::Reset),
        "welcome" => Ok(Purpose::Welcome),
        "confirm_email" => Ok(Purpose::ConfirmEmail),
        _ => Err(unreadable("a code")),
    }
}
