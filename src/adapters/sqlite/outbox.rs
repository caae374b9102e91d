//! Mails on their way, in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::account_rows::account_id;
use super::{Database, from_micros, mail_limits, to_micros, unavailable, unreadable};
use crate::domain::language::Language;
use crate::domain::mail::{
    LONGEST_WAIT, Lock, MailId, MailKind, MailLimit, MailState, NewMail, Portion, StoredMail,
    Urgency,
};
use crate::ports::{Enqueued, Outbox, Unavailable};

/// The table of mails.
#[derive(Debug, Clone)]
pub struct SqliteOutbox {
    database: Database,
}

/// The columns that [`mail`] reads.
macro_rules! mail_columns {
    () => {
        "id, kind, account, epoch, recipient, on_file, language, asked_at, state, attempts, \
         last_error, next_attempt_at, ended_at, locked_until, client, urgency"
    };
}

/// Ids of mails of urgency ?7 that are due at ?1, or that somebody has been sending since ?2; at most
/// ?3, oldest first. Due are also those that were put off beyond ?4, or are being sent from ?5 on: a clock that
/// was ahead said so, and has been put right since. Kinds that are not in ?6 wait for the version
/// that knows them.
macro_rules! due_mails {
    () => {
        "SELECT id FROM outbox
          WHERE state IN ('queued', 'sending') AND urgency = ?7
            AND ((state = 'queued' AND (next_attempt_at <= ?1 OR next_attempt_at > ?4))
              OR (state = 'sending' AND (sending_since <= ?2 OR sending_since > ?5)))
            AND kind IN (SELECT value FROM json_each(?6))
          ORDER BY asked_at, id LIMIT ?3"
    };
}

impl SqliteOutbox {
    /// The mails in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn enqueue(&self, mail: NewMail, limit: MailLimit) -> Result<Enqueued, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        if let Some((asked_at, to)) = held_back(&mut transaction, &mail, limit).await? {
            return Ok(Enqueued::Already { asked_at, to });
        }
        if let Some((latest, until)) =
            mail_limits::address_full(&mut transaction, &mail, limit.address).await?
        {
            return Ok(Enqueued::AddressFull { latest, until });
        }
        if !hurry(&mut transaction, &mail).await? {
            insert(&mut transaction, &mail).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(Enqueued::Now)
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        portion: Portion,
    ) -> Result<Vec<StoredMail>, Unavailable> {
        let kinds = serde_json::json!(MailKind::ALL.map(MailKind::name)).to_string();
        let due = Due { now, lease, kinds: &kinds };
        // Asked every second, mostly in vain: the write lock is taken only for mails.
        let mut reader = self.database.readers().acquire().await.map_err(unavailable)?;
        let prompt = due.waits(&mut reader, Urgency::Prompt).await?;
        if !prompt && (portion.bulk == 0 || !due.waits(&mut reader, Urgency::Bulk).await?) {
            return Ok(Vec::new());
        }
        drop(reader);
        let mut transaction = self.database.write().await?;
        let mut mails = due.take(&mut transaction, Urgency::Prompt, portion.most).await?;
        let bulk = portion.bulk.min(portion.most.saturating_sub(mails.len()));
        mails.extend(due.take(&mut transaction, Urgency::Bulk, bulk).await?);
        transaction.commit().await.map_err(unavailable)?;
        Ok(mails)
    }

    async fn sent(&self, id: MailId, now: Timestamp) -> Result<(), Unavailable> {
        // Whatever was believed of it meanwhile: the server has it.
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE outbox SET state = 'sent', ended_at = ?2, sending_since = NULL,
                               last_error = NULL
              WHERE id = ?1",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(to_micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn retry_later(
        &self,
        id: MailId,
        error: &str,
        next: Timestamp,
        counted: bool,
    ) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE outbox SET state = 'queued', next_attempt_at = ?3, last_error = ?2,
                               attempts = max(attempts - ?4, 0), sending_since = NULL
              WHERE id = ?1 AND state = 'sending'",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(error)
        .bind(to_micros(next))
        .bind(i64::from(!counted))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn give_up(&self, id: MailId, error: &str, now: Timestamp) -> Result<(), Unavailable> {
        self.end(id, MailState::Dead, Some(error), now).await
    }

    async fn drop_mail(&self, id: MailId, now: Timestamp) -> Result<(), Unavailable> {
        self.end(id, MailState::Dropped, None, now).await
    }

    async fn list(
        &self,
        state: Option<MailState>,
        cursor: Option<MailId>,
        limit: usize,
    ) -> Result<Vec<StoredMail>, Unavailable> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            mail_columns!(),
            " FROM outbox
              WHERE (?1 IS NULL OR state = ?1 OR (?1 = 'queued' AND state = 'sending'))
                AND kind IN (SELECT value FROM json_each(?4))
                AND (?2 IS NULL
                     OR (asked_at, id) < (SELECT asked_at, id FROM outbox WHERE id = ?2))
              ORDER BY asked_at DESC, id DESC
              LIMIT ?3"
        ))
        .bind(state.map(MailState::name))
        .bind(cursor.map(|id| id.0.as_bytes().to_vec()))
        .bind(signed(limit))
        .bind(serde_json::json!(MailKind::ALL.map(MailKind::name)).to_string())
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter().map(mail).collect()
    }

    async fn by_id(&self, id: MailId) -> Result<Option<StoredMail>, Unavailable> {
        let row = sqlx::query(concat!("SELECT ", mail_columns!(), " FROM outbox WHERE id = ?"))
            .bind(id.0.as_bytes().as_slice())
            .fetch_optional(self.database.readers())
            .await
            .map_err(unavailable)?;
        row.as_ref().map(mail).transpose()
    }

    async fn requeue(&self, id: MailId, now: Timestamp) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let queued = sqlx::query(
            "UPDATE outbox SET state = 'queued', attempts = 0, next_attempt_at = ?2, asked_at = ?2,
                               ended_at = NULL, urgency = 0
              WHERE id = ?1 AND state IN ('queued', 'dead')",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(to_micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?
        .rows_affected();
        transaction.commit().await.map_err(unavailable)?;
        Ok(queued > 0)
    }

    async fn counts(&self) -> Result<Vec<(MailState, u64)>, Unavailable> {
        let rows = sqlx::query("SELECT state, count(*) AS mails FROM outbox GROUP BY state")
            .fetch_all(self.database.readers())
            .await
            .map_err(unavailable)?;
        let mut counts = MailState::ALL.map(|state| (state, 0));
        for row in &rows {
            let present = state(row)?;
            let mails: i64 = row.try_get("mails").map_err(unavailable)?;
            for (_, count) in counts.iter_mut().filter(|(state, _)| *state == present) {
                *count = u64::try_from(mails).unwrap_or_default();
            }
        }
        Ok(counts.to_vec())
    }

    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM outbox WHERE ended_at < ?")
            .bind(to_micros(ended_before))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

impl SqliteOutbox {
    /// Ends a mail, unless it has ended: what is late does not undo what another found out.
    async fn end(
        &self,
        id: MailId,
        state: MailState,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE outbox SET state = ?2, last_error = coalesce(?3, last_error), ended_at = ?4,
                               sending_since = NULL
              WHERE id = ?1 AND state IN ('queued', 'sending')",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(state.name())
        .bind(error)
        .bind(to_micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

/// What it takes to be due.
struct Due<'a> {
    now: Timestamp,
    lease: Duration,
    kinds: &'a str,
}

impl Due<'_> {
    /// Whether a mail of this urgency is.
    async fn waits(
        &self,
        connection: &mut SqliteConnection,
        urgency: Urgency,
    ) -> Result<bool, Unavailable> {
        let found = sqlx::query_scalar::<_, i64>(concat!("SELECT EXISTS (", due_mails!(), ")"))
            .bind(to_micros(self.now))
            .bind(to_micros(self.now - self.lease))
            .bind(1)
            .bind(to_micros(self.now + LONGEST_WAIT))
            .bind(to_micros(self.now + self.lease))
            .bind(self.kinds)
            .bind(urgency_number(urgency))
            .fetch_one(connection)
            .await
            .map_err(unavailable)?;
        Ok(found != 0)
    }

    /// Takes at most `most` mails of this urgency, oldest first.
    async fn take(
        &self,
        connection: &mut SqliteConnection,
        urgency: Urgency,
        most: usize,
    ) -> Result<Vec<StoredMail>, Unavailable> {
        let rows = sqlx::query(concat!(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1, sending_since = ?1
              WHERE id IN (",
            due_mails!(),
            ") RETURNING ",
            mail_columns!()
        ))
        .bind(to_micros(self.now))
        .bind(to_micros(self.now - self.lease))
        .bind(signed(most))
        .bind(to_micros(self.now + LONGEST_WAIT))
        .bind(to_micros(self.now + self.lease))
        .bind(self.kinds)
        .bind(urgency_number(urgency))
        .fetch_all(connection)
        .await
        .map_err(unavailable)?;
        let mut mails = rows.iter().map(mail).collect::<Result<Vec<_>, _>>()?;
        mails.sort_by_key(|mail| (mail.mail.asked_at, mail.mail.id));
        Ok(mails)
    }
}

/// A bulk mail of the same kind to the same address that waits for its turn becomes this one;
/// `false` if there is none.
async fn hurry(connection: &mut SqliteConnection, mail: &NewMail) -> Result<bool, Unavailable> {
    let hurried = sqlx::query(
        "UPDATE outbox SET urgency = 0, epoch = ?4, asked_at = ?5, next_attempt_at = ?5, on_file = ?6,
                           language = coalesce(?7, language)
          WHERE id = (SELECT id FROM outbox
                       WHERE account = ?1 AND kind = ?2 AND recipient = ?3
                         AND state = 'queued' AND urgency = 1
                       ORDER BY asked_at, id LIMIT 1)",
    )
    .bind(mail.account.0.as_bytes().as_slice())
    .bind(mail.kind.name())
    .bind(&mail.to)
    .bind(mail.epoch.map(i64::try_from).transpose().map_err(|_| unreadable("an epoch"))?)
    .bind(to_micros(mail.asked_at))
    .bind(&mail.on_file)
    .bind(mail.language.as_ref().map(Language::tag))
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(hurried.rows_affected() > 0)
}

/// Queues a mail, due at once.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    mail: &NewMail,
) -> Result<(), Unavailable> {
    let epoch = mail.epoch.map(i64::try_from).transpose().map_err(|_| unreadable("an epoch"))?;
    sqlx::query(
        "INSERT INTO outbox (id, kind, account, epoch, recipient, asked_at, state, next_attempt_at,
                             on_file, locked_until, client, urgency, language)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(mail.id.0.as_bytes().as_slice())
    .bind(mail.kind.name())
    .bind(mail.account.0.as_bytes().as_slice())
    .bind(epoch)
    .bind(&mail.to)
    .bind(to_micros(mail.asked_at))
    .bind(&mail.on_file)
    .bind(mail.lock.map(|lock| to_micros(lock.until)))
    .bind(mail.lock.map(|lock| lock.client.to_string()))
    .bind(urgency_number(mail.urgency))
    .bind(mail.language.as_ref().map(Language::tag))
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// When the latest of the mails that share the new one's limit was asked for, and where it goes, if
/// they leave no room for it.
async fn held_back(
    connection: &mut SqliteConnection,
    mail: &NewMail,
    limit: MailLimit,
) -> Result<Option<(Timestamp, String)>, Unavailable> {
    if !mail.kind.counts_with(mail.kind) {
        return Ok(None);
    }
    let window = limit.per.max(limit.again_after);
    // Those of the time to come, too: parallel calls read the clock in another order than they
    // arrive here. But not those of a clock that was far ahead and was put right since.
    let rows = sqlx::query(
        "SELECT kind, asked_at, recipient, recipient = ?4 AND state <> 'dead' AS under_way
           FROM outbox
          WHERE account = ?1 AND asked_at > ?2 AND asked_at < ?3 AND state <> 'dropped'
            AND NOT (state = 'queued' AND urgency = 1)
          ORDER BY asked_at DESC",
    )
    .bind(mail.account.0.as_bytes().as_slice())
    .bind(to_micros(mail.asked_at - window))
    .bind(to_micros(mail.asked_at + window))
    .bind(&mail.to)
    .fetch_all(connection)
    .await
    .map_err(unavailable)?;
    let (mut latest, mut under_way, mut in_time) = (None, None, 0);
    for row in &rows {
        let name: &str = row.try_get("kind").map_err(unavailable)?;
        if !MailKind::named(name).is_some_and(|other| mail.kind.counts_with(other)) {
            continue;
        }
        let at = from_micros(row.try_get("asked_at").map_err(unavailable)?)?;
        let to: String = row.try_get("recipient").map_err(unavailable)?;
        if at > mail.asked_at - limit.per {
            in_time += 1;
        }
        let same: bool = row.try_get("under_way").map_err(unavailable)?;
        if same && at > mail.asked_at - limit.again_after {
            under_way = under_way.or_else(|| Some((at, to.clone())));
        }
        latest = latest.or(Some((at, to)));
    }
    let spent = in_time >= limit.most;
    Ok(under_way.or(latest.filter(|_| spent)))
}

fn mail(row: &SqliteRow) -> Result<StoredMail, Unavailable> {
    let time = |column: &str| -> Result<_, Unavailable> {
        row.try_get::<Option<i64>, _>(column).map_err(unavailable)?.map(from_micros).transpose()
    };
    let always = |column: &str| time(column)?.ok_or_else(|| unreadable("a time"));
    let id: &[u8] = row.try_get("id").map_err(unavailable)?;
    let language: Option<String> = row.try_get("language").map_err(unavailable)?;
    let epoch: Option<i64> = row.try_get("epoch").map_err(unavailable)?;
    let client: Option<&str> = row.try_get("client").map_err(unavailable)?;
    let client = client.map(str::parse).transpose().map_err(|_| unreadable("a client address"))?;
    Ok(StoredMail {
        mail: NewMail {
            id: Uuid::from_slice(id).map(MailId).map_err(|_| unreadable("a mail"))?,
            kind: kind(row)?,
            account: account_id(row.try_get("account").map_err(unavailable)?)?,
            epoch: epoch.map(u64::try_from).transpose().map_err(|_| unreadable("an epoch"))?,
            to: row.try_get("recipient").map_err(unavailable)?,
            on_file: row.try_get("on_file").map_err(unavailable)?,
            language: language.as_deref().and_then(Language::parse),
            asked_at: always("asked_at")?,
            lock: match (time("locked_until")?, client) {
                (Some(until), Some(client)) => Some(Lock { until, client }),
                _ => None,
            },
            urgency: match row.try_get::<i64, _>("urgency").map_err(unavailable)? {
                0 => Urgency::Prompt,
                _ => Urgency::Bulk,
            },
        },
        state: state(row)?,
        attempts: row.try_get("attempts").map_err(unavailable)?,
        last_error: row.try_get("last_error").map_err(unavailable)?,
        next_attempt_at: always("next_attempt_at")?,
        ended_at: time("ended_at")?,
    })
}

fn kind(row: &SqliteRow) -> Result<MailKind, Unavailable> {
    let name: &str = row.try_get("kind").map_err(unavailable)?;
    MailKind::named(name).ok_or_else(|| unreadable("a mail"))
}

fn state(row: &SqliteRow) -> Result<MailState, Unavailable> {
    let name: &str = row.try_get("state").map_err(unavailable)?;
    MailState::named(name).ok_or_else(|| unreadable("a mail"))
}

fn urgency_number(urgency: Urgency) -> i64 {
    match urgency {
        Urgency::Prompt => 0,
        Urgency::Bulk => 1,
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
