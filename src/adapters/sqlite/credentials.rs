//! Changes of credentials, and the journal of PIN write-backs, in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::account_rows::{account_id, by_id, put_pin, update};
use super::{Database, from_micros, outbox, to_micros, unavailable, unreadable};
use crate::domain::account::{Account, AccountId, SealedPin, StoredPassword};
use crate::domain::mail::NewMail;
use crate::domain::pin_journal::{JournalEntry, LONGEST_WAIT, Stage};
use crate::ports::{
    Begun, CredentialChange, CredentialStore, JournalStep, NewPassword, Unavailable,
};

/// Credentials and the journal.
#[derive(Debug, Clone)]
pub struct SqliteCredentials {
    database: Database,
}

/// The holder of a row that nobody works on.
const NOBODY: Uuid = Uuid::nil();

/// The columns that [`entry`] reads.
macro_rules! journal_columns {
    () => {
        "account, stage, phc, epoch, old_pin, new_pin, holder, began_at, attempts, next_attempt_at"
    };
}

impl SqliteCredentials {
    /// Those in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl CredentialStore for SqliteCredentials {
    async fn commit(&self, change: CredentialChange) -> Result<Option<Account>, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let Some(before) = by_id(&mut transaction, change.account).await? else { return Ok(None) };
        let overtaken = |new: &NewPassword| before.disabled || new.expected_epoch != before.epoch;
        if change.password.as_ref().is_some_and(overtaken) {
            return Ok(None);
        }
        if !step(&mut transaction, change.account, change.journal).await? {
            return Ok(None);
        }
        let mut after = before.clone();
        if let Some(new) = change.password {
            put_password(&mut after, new.phc, new.at)?;
            end_sessions(&mut transaction, after.id).await?;
        }
        if let Some(pin) = change.pin {
            put_pin(&mut after, pin);
        }
        if after != before {
            update(&mut transaction, &after).await?;
        }
        for mail in change.mails {
            let epoch = mail.epoch.map(|_| after.epoch);
            outbox::insert(&mut transaction, &NewMail { epoch, ..mail }).await?;
        }
        let revoking = (after.epoch != before.epoch).then(|| self.database.revoking(after.id));
        transaction.commit().await.map_err(unavailable)?;
        drop(revoking);
        Ok(Some(after))
    }

    async fn begin(&self, entry: JournalEntry) -> Result<Begun, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let account = by_id(&mut transaction, entry.account).await?;
        if account.is_none_or(|account| account.disabled || account.epoch != entry.epoch) {
            return Ok(Begun::Overtaken);
        }
        let written = sqlx::query(concat!(
            "INSERT INTO pin_journal (",
            journal_columns!(),
            ") VALUES (?, 'writing', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account) DO NOTHING"
        ))
        .bind(entry.account.0.as_bytes().as_slice())
        .bind(&entry.phc)
        .bind(i64::try_from(entry.epoch).map_err(|_| unreadable("an epoch"))?)
        .bind(entry.old.as_ref().map(|pin| pin.0.as_slice()))
        .bind(entry.new.0.as_slice())
        .bind(entry.holder.as_bytes().as_slice())
        .bind(to_micros(entry.began_at))
        .bind(entry.attempts)
        .bind(to_micros(entry.next_attempt_at))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?
        .rows_affected();
        transaction.commit().await.map_err(unavailable)?;
        Ok(if written == 0 { Begun::Conflict } else { Begun::Yes })
    }

    async fn abandon(&self, account: AccountId, holder: Uuid) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let gone = delete(&mut transaction, account, holder).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(gone)
    }

    async fn entry(&self, account: AccountId) -> Result<Option<JournalEntry>, Unavailable> {
        let row = sqlx::query(concat!(
            "SELECT ",
            journal_columns!(),
            " FROM pin_journal WHERE account = ?"
        ))
        .bind(account.0.as_bytes().as_slice())
        .fetch_optional(self.database.readers())
        .await
        .map_err(unavailable)?;
        row.as_ref().map(entry).transpose()
    }

    async fn claim(
        &self,
        account: AccountId,
        holder: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<JournalEntry>, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let row = sqlx::query(concat!(
            "UPDATE pin_journal SET holder = ?2, next_attempt_at = ?4
              WHERE account = ?1
                AND (next_attempt_at <= ?3 OR next_attempt_at > ?5
                     OR (stage = 'writing' AND holder <> ?2))
             RETURNING ",
            journal_columns!()
        ))
        .bind(account.0.as_bytes().as_slice())
        .bind(holder.as_bytes().as_slice())
        .bind(to_micros(now))
        .bind(to_micros(until))
        .bind(to_micros(now + LONGEST_WAIT))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let taken = row.as_ref().map(entry).transpose()?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(taken)
    }

    async fn due(&self, holder: Uuid, now: Timestamp) -> Result<Vec<AccountId>, Unavailable> {
        let accounts: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT account FROM pin_journal
              WHERE next_attempt_at <= ?2 OR next_attempt_at > ?3
                 OR (stage = 'writing' AND holder <> ?1)
              ORDER BY next_attempt_at, began_at",
        )
        .bind(holder.as_bytes().as_slice())
        .bind(to_micros(now))
        .bind(to_micros(now + LONGEST_WAIT))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        accounts.iter().map(|id| account_id(id)).collect()
    }

    async fn postpone(
        &self,
        account: AccountId,
        holder: Uuid,
        next_attempt_at: Timestamp,
    ) -> Result<(), Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        sqlx::query(
            "UPDATE pin_journal SET holder = ?3, attempts = attempts + 1, next_attempt_at = ?4
              WHERE account = ?1 AND holder = ?2",
        )
        .bind(account.0.as_bytes().as_slice())
        .bind(holder.as_bytes().as_slice())
        .bind(NOBODY.as_bytes().as_slice())
        .bind(to_micros(next_attempt_at))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn open_write_backs(&self) -> Result<u64, Unavailable> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM pin_journal")
            .fetch_one(self.database.readers())
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// A new portal password: the one before is kept, and the epoch moves on. The time is as precise as
/// it is stored.
fn put_password(account: &mut Account, phc: String, at: Timestamp) -> Result<(), Unavailable> {
    let set_at = from_micros(to_micros(at))?;
    if let Some(before) = account.password.replace(StoredPassword { phc, set_at }) {
        account.previous_password = Some(before);
    }
    // Used up, or no longer needed (R-E1).
    account.initial_password = None;
    account.epoch += 1;
    Ok(())
}

/// The journal's part of a change; `false` if the row is not held by who makes it.
async fn step(
    connection: &mut SqliteConnection,
    account: AccountId,
    step: JournalStep,
) -> Result<bool, Unavailable> {
    match step {
        JournalStep::Leave => Ok(true),
        JournalStep::Finish { holder } => delete(connection, account, holder).await,
        JournalStep::Pend { holder, next_attempt_at } => {
            let pended = sqlx::query(
                "UPDATE pin_journal
                    SET stage = 'pending', phc = NULL, holder = ?3, next_attempt_at = ?4
                  WHERE account = ?1 AND holder = ?2",
            )
            .bind(account.0.as_bytes().as_slice())
            .bind(holder.as_bytes().as_slice())
            .bind(NOBODY.as_bytes().as_slice())
            .bind(to_micros(next_attempt_at))
            .execute(connection)
            .await
            .map_err(unavailable)?;
            Ok(pended.rows_affected() > 0)
        }
    }
}

async fn delete(
    connection: &mut SqliteConnection,
    account: AccountId,
    holder: Uuid,
) -> Result<bool, Unavailable> {
    let deleted = sqlx::query("DELETE FROM pin_journal WHERE account = ? AND holder = ?")
        .bind(account.0.as_bytes().as_slice())
        .bind(holder.as_bytes().as_slice())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(deleted.rows_affected() > 0)
}

async fn end_sessions(
    connection: &mut SqliteConnection,
    account: AccountId,
) -> Result<(), Unavailable> {
    sqlx::query("DELETE FROM sessions WHERE account = ?")
        .bind(account.0.as_bytes().as_slice())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

fn entry(row: &SqliteRow) -> Result<JournalEntry, Unavailable> {
    let time = |column: &str| row.try_get(column).map_err(unavailable).and_then(from_micros);
    let epoch: i64 = row.try_get("epoch").map_err(unavailable)?;
    let holder: &[u8] = row.try_get("holder").map_err(unavailable)?;
    Ok(JournalEntry {
        account: account_id(row.try_get("account").map_err(unavailable)?)?,
        stage: stage(row.try_get("stage").map_err(unavailable)?)?,
        phc: row.try_get("phc").map_err(unavailable)?,
        epoch: u64::try_from(epoch).map_err(|_| unreadable("an epoch"))?,
        old: row.try_get::<Option<Vec<u8>>, _>("old_pin").map_err(unavailable)?.map(SealedPin),
        new: SealedPin(row.try_get("new_pin").map_err(unavailable)?),
        holder: Uuid::from_slice(holder).map_err(|_| unreadable("the holder of a write-back"))?,
        began_at: time("began_at")?,
        attempts: row.try_get("attempts").map_err(unavailable)?,
        next_attempt_at: time("next_attempt_at")?,
    })
}

fn stage(text: &str) -> Result<Stage, Unavailable> {
    match text {
        "writing" => Ok(Stage::Writing),
        "pending" => Ok(Stage::Pending),
        _ => Err(unreadable("a write-back")),
    }
}
