//! Kept forms in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::account_rows::account_id;
use super::{Database, from_micros, to_micros, unavailable, unreadable};
use crate::domain::kept_form::{KeptFormId, MOST, MOST_OF_ACCOUNT, SealedForm};
use crate::ports::{KeptForms, Unavailable};

/// The table of kept forms.
#[derive(Debug, Clone)]
pub struct SqliteKeptForms {
    database: Database,
}

impl SqliteKeptForms {
    /// The forms in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl KeptForms for SqliteKeptForms {
    async fn keep(&self, form: SealedForm) -> Result<(), Unavailable> {
        let account = form.account.0;
        let mut transaction = self.database.write().await?;
        sqlx::query("INSERT INTO kept_forms (id, account, sealed, kept_at) VALUES (?, ?, ?, ?)")
            .bind(form.id.0.as_slice())
            .bind(account.as_bytes().as_slice())
            .bind(&form.sealed)
            .bind(to_micros(form.kept_at))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        sqlx::query(
            "DELETE FROM kept_forms WHERE id IN
                (SELECT id FROM kept_forms WHERE account = ?
                  ORDER BY kept_at DESC, id LIMIT -1 OFFSET ?)",
        )
        .bind(account.as_bytes().as_slice())
        .bind(MOST_OF_ACCOUNT)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        sqlx::query(
            "DELETE FROM kept_forms WHERE id IN
                (SELECT id FROM kept_forms ORDER BY kept_at DESC, id LIMIT -1 OFFSET ?)",
        )
        .bind(MOST)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn find(&self, id: &KeptFormId) -> Result<Option<SealedForm>, Unavailable> {
        let row = sqlx::query("SELECT id, account, sealed, kept_at FROM kept_forms WHERE id = ?")
            .bind(id.0.as_slice())
            .fetch_optional(self.database.readers())
            .await
            .map_err(unavailable)?;
        row.as_ref().map(form).transpose()
    }

    async fn take(&self, id: &KeptFormId) -> Result<Option<SealedForm>, Unavailable> {
        // What is sent at the PBX must not come back after a power cut.
        let mut transaction = self.database.write_durably().await?;
        let row = sqlx::query(
            "DELETE FROM kept_forms WHERE id = ? RETURNING id, account, sealed, kept_at",
        )
        .bind(id.0.as_slice())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let taken = row.as_ref().map(form).transpose()?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(taken)
    }

    async fn purge(&self, kept_before: Timestamp) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM kept_forms WHERE kept_at < ?")
            .bind(to_micros(kept_before))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

fn form(row: &SqliteRow) -> Result<SealedForm, Unavailable> {
    let id: &[u8] = row.try_get("id").map_err(unavailable)?;
    Ok(SealedForm {
        id: id.try_into().map(KeptFormId).map_err(|_| unreadable("a kept form"))?,
        account: account_id(row.try_get("account").map_err(unavailable)?)?,
        sealed: row.try_get("sealed").map_err(unavailable)?,
        kept_at: from_micros(row.try_get("kept_at").map_err(unavailable)?)?,
    })
}
