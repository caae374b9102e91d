//! Sessions in SQLite: the durable level under the first-level cache.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::account_rows::account_id;
use super::{Database, from_micros, grants, hex, to_micros, unavailable, unreadable};
use crate::domain::account::AccountId;
use crate::domain::grant::PbxAccess;
use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::session::{JarState, ObtainedWith, Progress, SessionId, SessionRecord};
use crate::ports::{Unavailable, Vault};

/// The session table. Rows count only while their account exists, is not disabled, and has not
/// moved on to another epoch.
#[derive(Clone)]
pub struct SqliteSessions {
    database: Database,
    vault: Arc<dyn Vault>,
}

/// What ends a session that nobody ends.
pub(crate) struct Limits {
    /// Portal sessions last seen before …
    pub idle_before: Timestamp,
    /// … or created before.
    pub created_before: Option<Timestamp>,
    /// Families whose end has come by now.
    pub now: Timestamp,
}

/// A session that is over, as far as the table knows.
pub(crate) struct Stale {
    pub id: SessionId,
    pub created_at: Timestamp,
    /// A browser's, whose user may have been seen since by who holds it in memory.
    pub is_portal: bool,
}

/// Ids per statement.
const BATCH: usize = 2_000;

macro_rules! session_columns {
    () => {
        "s.id, s.account, s.login, s.obtained_with, s.progress, s.epoch, s.created_at, \
         s.last_seen, s.jar, s.jar_generation, s.server, s.user_agent, s.client, \
         s.grant_kind, s.grant_sealed, s.expires_at"
    };
}

impl SqliteSessions {
    /// The sessions in `database`; their jars are sealed by `vault`.
    pub fn new(database: Database, vault: Arc<dyn Vault>) -> Self {
        Self { database, vault }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The session, if it counts.
    pub(crate) async fn load(&self, id: &SessionId) -> Result<Option<SessionRecord>, Unavailable> {
        let row = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions AS s JOIN accounts AS a ON a.id = s.account
              WHERE s.id = ? AND a.epoch = s.epoch AND a.disabled = 0"
        ))
        .bind(id.0.as_slice())
        .fetch_optional(self.database.readers())
        .await
        .map_err(unavailable)?;
        row.as_ref().map(|row| self.record(row)).transpose()
    }

    /// Stores a session; `false` if its account has meanwhile gone, been disabled or moved on.
    pub(crate) async fn insert(&self, record: &SessionRecord) -> Result<bool, Unavailable> {
        let epoch = i64::try_from(record.epoch).map_err(|_| unreadable("an epoch"))?;
        let jar = self.seal(&record.id, &record.jar)?;
        let grant = self.sealed_grant(record, record.access.as_deref())?;
        let mut transaction = self.database.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO sessions (id, account, login, obtained_with, progress, epoch, created_at,
                                   last_seen, jar, jar_generation, server, user_agent, client,
                                   grant_kind, grant_sealed, expires_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
              WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?2 AND epoch = ?6 AND disabled = 0)",
        )
        .bind(record.id.0.as_slice())
        .bind(record.account.0.as_bytes().as_slice())
        .bind(record.login.to_string())
        .bind(obtained_with_text(record.obtained_with))
        .bind(progress_text(record.progress))
        .bind(epoch)
        .bind(to_micros(record.created_at))
        .bind(to_micros(record.last_seen))
        .bind(jar)
        .bind(signed(record.jar_generation)?)
        .bind(i64::try_from(record.server).map_err(|_| unreadable("a server"))?)
        .bind(&record.user_agent)
        .bind(record.client.to_string())
        .bind(record.grant.as_ref().map(|grant| grant.kind.name()))
        .bind(grant)
        .bind(record.grant.as_ref().map(|grant| to_micros(grant.expires_at)))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?
        .rows_affected();
        transaction.commit().await.map_err(unavailable)?;
        Ok(inserted > 0)
    }

    /// Writes a jar (or the access of a grant) back if the session still exists and has an older one.
    pub(crate) async fn save_jar(
        &self,
        record: &SessionRecord,
        jar: &JarState,
    ) -> Result<(), Unavailable> {
        let id = &record.id;
        let sealed = self.seal(id, &jar.jar)?;
        let grant = self.sealed_grant(record, jar.access.as_deref())?;
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE sessions SET jar = ?2, jar_generation = ?3, server = ?4, grant_sealed = ?5
              WHERE id = ?1 AND jar_generation < ?3",
        )
        .bind(id.0.as_slice())
        .bind(sealed)
        .bind(signed(jar.generation)?)
        .bind(i64::try_from(jar.server).map_err(|_| unreadable("a server"))?)
        .bind(grant)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    /// Deletes a session; what it was, if it was there.
    pub(crate) async fn delete(
        &self,
        id: &SessionId,
    ) -> Result<Option<SessionRecord>, Unavailable> {
        let mut transaction = self.database.write().await?;
        let row = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions AS s WHERE s.id = ?"
        ))
        .bind(id.0.as_slice())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        sqlx::query("DELETE FROM sessions WHERE id = ?")
            .bind(id.0.as_slice())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        self.record(&row).map(Some)
    }

    /// Deletes the sessions of an account but for `except`, which is carried over to the account's
    /// present epoch (else the change that ends the others would end it too).
    pub(crate) async fn delete_all(
        &self,
        account: AccountId,
        except: Option<SessionId>,
    ) -> Result<Vec<SessionId>, Unavailable> {
        let account = account.0.as_bytes().as_slice();
        let kept = except.map(|id| id.0.to_vec());
        let mut transaction = self.database.write_durably().await?;
        let deleted = sqlx::query(
            "DELETE FROM sessions WHERE account = ?1 AND (?2 IS NULL OR id <> ?2) RETURNING id",
        )
        .bind(account)
        .bind(&kept)
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable)?;
        if kept.is_some() {
            sqlx::query(
                "UPDATE sessions
                    SET epoch = (SELECT epoch FROM accounts WHERE accounts.id = sessions.account)
                  WHERE account = ?1 AND id = ?2",
            )
            .bind(account)
            .bind(&kept)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)?;
        deleted.iter().map(session_id).collect()
    }

    /// The sessions of an account that count, latest first.
    pub(crate) async fn of_account(
        &self,
        account: AccountId,
    ) -> Result<Vec<SessionRecord>, Unavailable> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions AS s JOIN accounts AS a ON a.id = s.account
              WHERE s.account = ? AND a.epoch = s.epoch AND a.disabled = 0
              ORDER BY s.last_seen DESC, s.created_at DESC"
        ))
        .bind(account.0.as_bytes().as_slice())
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter().map(|row| self.record(row)).collect()
    }

    /// Writes last-seen times back, where the session still exists. Never moves one back.
    pub(crate) async fn write_last_seen(
        &self,
        seen: &[(SessionId, Timestamp)],
    ) -> Result<(), Unavailable> {
        for batch in seen.chunks(BATCH) {
            let rows: Vec<_> =
                batch.iter().map(|(id, seen)| json!([hex(&id.0), to_micros(*seen)])).collect();
            let mut transaction = self.database.write().await?;
            sqlx::query(
                "UPDATE sessions SET last_seen = max(last_seen, row.value ->> 1)
                   FROM json_each(?1) AS row
                  WHERE sessions.id = unhex(row.value ->> 0)",
            )
            .bind(json!(rows).to_string())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
        }
        Ok(())
    }

    /// Those of `ids` that still count.
    pub(crate) async fn still_valid(
        &self,
        ids: &[SessionId],
    ) -> Result<HashSet<SessionId>, Unavailable> {
        let mut valid = HashSet::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let asked: Vec<_> = batch.iter().map(|id| hex(&id.0)).collect();
            let rows = sqlx::query(
                "SELECT s.id
                   FROM json_each(?1) AS asked CROSS JOIN sessions AS s ON s.id = unhex(asked.value)
                   JOIN accounts AS a ON a.id = s.account
                  WHERE a.epoch = s.epoch AND a.disabled = 0",
            )
            .bind(json!(asked).to_string())
            .fetch_all(self.database.readers())
            .await
            .map_err(unavailable)?;
            for row in &rows {
                valid.insert(session_id(row)?);
            }
        }
        Ok(valid)
    }

    /// What is over, as far as the table knows.
    pub(crate) async fn stale(&self, limits: &Limits) -> Result<Vec<Stale>, Unavailable> {
        let rows = sqlx::query(
            "SELECT id, created_at, TRUE AS is_portal FROM sessions
              WHERE expires_at IS NULL AND last_seen < ?1
             UNION SELECT id, created_at, TRUE FROM sessions
              WHERE expires_at IS NULL AND created_at < ?2
             UNION SELECT id, created_at, FALSE FROM sessions WHERE expires_at <= ?3",
        )
        .bind(to_micros(limits.idle_before))
        .bind(limits.created_before.map(to_micros))
        .bind(to_micros(limits.now))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let created_at = row.try_get("created_at").map_err(unavailable)?;
                Ok(Stale {
                    id: session_id(row)?,
                    created_at: from_micros(created_at)?,
                    is_portal: row.try_get("is_portal").map_err(unavailable)?,
                })
            })
            .collect()
    }

    /// Deletes those of `ids` that are still stale; which they were.
    pub(crate) async fn delete_stale(
        &self,
        ids: &[SessionId],
        limits: &Limits,
    ) -> Result<Vec<SessionId>, Unavailable> {
        let mut deleted = Vec::new();
        for batch in ids.chunks(BATCH) {
            let asked: Vec<_> = batch.iter().map(|id| hex(&id.0)).collect();
            let mut transaction = self.database.write().await?;
            let rows = sqlx::query(
                "DELETE FROM sessions
                  WHERE id IN (SELECT unhex(value) FROM json_each(?1))
                    AND CASE WHEN expires_at IS NULL
                             THEN last_seen < ?2 OR (?3 IS NOT NULL AND created_at < ?3)
                             ELSE expires_at <= ?4 END
                 RETURNING id",
            )
            .bind(json!(asked).to_string())
            .bind(to_micros(limits.idle_before))
            .bind(limits.created_before.map(to_micros))
            .bind(to_micros(limits.now))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            for row in &rows {
                deleted.push(session_id(row)?);
            }
        }
        Ok(deleted)
    }

    /// How many portal sessions there are.
    pub(crate) async fn count(&self) -> Result<u64, Unavailable> {
        self.counted("SELECT count(*) FROM sessions WHERE expires_at IS NULL").await
    }

    /// The families of an account and when each was last used, as far as the table knows. Nothing is
    /// unsealed for it: every login of an application asks.
    pub(crate) async fn families_of(
        &self,
        account: AccountId,
    ) -> Result<Vec<(SessionId, Timestamp)>, Unavailable> {
        let rows = sqlx::query(
            "SELECT id, last_seen FROM sessions WHERE account = ? AND grant_kind IS NOT NULL",
        )
        .bind(account.0.as_bytes().as_slice())
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        let seen = |row| SqliteRow::try_get(row, "last_seen").map_err(unavailable);
        rows.iter().map(|row| Ok((session_id(row)?, seen(row).and_then(from_micros)?))).collect()
    }

    /// How many families of tokens there are.
    pub(crate) async fn count_families(&self) -> Result<u64, Unavailable> {
        self.counted("SELECT count(*) FROM sessions WHERE expires_at IS NOT NULL").await
    }

    async fn counted(&self, query: &'static str) -> Result<u64, Unavailable> {
        let count: i64 = sqlx::query_scalar(query)
            .fetch_one(self.database.readers())
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn seal(&self, id: &SessionId, jar: &Jar) -> Result<Vec<u8>, Unavailable> {
        let plain = zeroize::Zeroizing::new(
            serde_json::to_vec(jar).map_err(|error| Unavailable::new("store", error))?,
        );
        Ok(self.vault.seal(&purpose(id), &plain))
    }

    fn sealed_grant(
        &self,
        record: &SessionRecord,
        access: Option<&PbxAccess>,
    ) -> Result<Option<Vec<u8>>, Unavailable> {
        let Some(grant) = &record.grant else { return Ok(None) };
        let access = access.ok_or_else(|| unreadable("a grant without its access"))?;
        grants::seal(&*self.vault, &record.id, grant, access).map(Some)
    }

    fn grant(
        &self,
        id: &SessionId,
        row: &SqliteRow,
    ) -> Result<Option<grants::Opened>, Unavailable> {
        let kind: Option<&str> = row.try_get("grant_kind").map_err(unavailable)?;
        let sealed: Option<&[u8]> = row.try_get("grant_sealed").map_err(unavailable)?;
        let until: Option<i64> = row.try_get("expires_at").map_err(unavailable)?;
        let (Some(kind), Some(sealed), Some(until)) = (kind, sealed, until) else {
            return if kind.is_none() { Ok(None) } else { Err(unreadable("a grant")) };
        };
        grants::open(&*self.vault, id, kind, from_micros(until)?, sealed).map(Some)
    }

    fn record(&self, row: &SqliteRow) -> Result<SessionRecord, Unavailable> {
        let id = session_id(row)?;
        let number = |column: &str| -> Result<u64, Unavailable> {
            let number: i64 = row.try_get(column).map_err(unavailable)?;
            u64::try_from(number).map_err(|_| unreadable("a number of a session"))
        };
        let text = |column: &str| row.try_get::<String, _>(column).map_err(unavailable);
        let time = |column: &str| row.try_get(column).map_err(unavailable).and_then(from_micros);
        let sealed: &[u8] = row.try_get("jar").map_err(unavailable)?;
        let plain = self
            .vault
            .open(&purpose(&id), sealed)
            .map_err(|error| Unavailable::new("vault", error))?;
        let (grant, access) = self.grant(&id, row)?.unzip();
        Ok(SessionRecord {
            id,
            account: account_id(row.try_get("account").map_err(unavailable)?)?,
            login: LoginName::parse(&text("login")?).map_err(|_| unreadable("a login name"))?,
            obtained_with: obtained_with(&text("obtained_with")?)?,
            progress: progress(&text("progress")?)?,
            epoch: number("epoch")?,
            created_at: time("created_at")?,
            last_seen: time("last_seen")?,
            jar: serde_json::from_slice(&plain).map_err(|_| unreadable("a jar"))?,
            jar_generation: number("jar_generation")?,
            server: usize::try_from(number("server")?).map_err(|_| unreadable("a server"))?,
            user_agent: text("user_agent")?,
            client: text("client")?.parse().map_err(|_| unreadable("an address"))?,
            grant,
            access,
        })
    }
}

impl std::fmt::Debug for SqliteSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteSessions")
    }
}

/// Binds a sealed jar to its session: a row cannot be given another session's cookies.
fn purpose(id: &SessionId) -> String {
    format!("jar:{}", hex(&id.0))
}

fn session_id(row: &SqliteRow) -> Result<SessionId, Unavailable> {
    let bytes: &[u8] = row.try_get("id").map_err(unavailable)?;
    bytes.try_into().map(SessionId).map_err(|_| unreadable("a session id"))
}

fn signed(generation: u64) -> Result<i64, Unavailable> {
    i64::try_from(generation).map_err(|_| unreadable("a jar generation"))
}

fn obtained_with_text(with: ObtainedWith) -> &'static str {
    match with {
        ObtainedWith::Pin => "pin",
        ObtainedWith::Password => "password",
        ObtainedWith::InitialPassword => "initial",
    }
}

fn obtained_with(text: &str) -> Result<ObtainedWith, Unavailable> {
    match text {
        "pin" => Ok(ObtainedWith::Pin),
        "password" => Ok(ObtainedWith::Password),
        "initial" => Ok(ObtainedWith::InitialPassword),
        _ => Err(unreadable("a session")),
    }
}

fn progress_text(progress: Progress) -> &'static str {
    match progress {
        Progress::Complete => "complete",
        Progress::Challenge => "challenge",
        Progress::PinNeeded => "pin_needed",
    }
}

fn progress(text: &str) -> Result<Progress, Unavailable> {
    match text {
        "complete" => Ok(Progress::Complete),
        "challenge" => Ok(Progress::Challenge),
        "pin_needed" => Ok(Progress::PinNeeded),
        _ => Err(unreadable("a session")),
    }
}
