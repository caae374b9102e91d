//! Failed logins in SQLite. The rules are [`Counter`]'s; here each counter is one JSON row, read
//! and written inside the one write transaction, so parallel attempts see each other.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, Sqlite, Transaction};

use super::{Database, from_micros, to_micros, unavailable, unreadable};
use crate::domain::lockout::{
    AttemptOutcome, AttemptSubject, Counter, LockScope, LockoutPolicy, name_key,
};
use crate::ports::{AttemptStore, Reservation, Reserved, Unavailable};

/// The table of counters.
#[derive(Debug, Clone)]
pub struct SqliteAttempts {
    database: Database,
}

/// One counter with its limit.
struct Entry {
    scope: LockScope,
    key: String,
    max: u32,
    counter: Counter,
    reported: Option<Timestamp>,
}

impl SqliteAttempts {
    /// The counters in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AttemptStore for SqliteAttempts {
    async fn reserve(
        &self,
        subject: &AttemptSubject,
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> Result<Reserved, Unavailable> {
        let mut transaction = self.database.write().await?;
        let mut entries = load(&mut transaction, subject, policy).await?;
        // All or nothing: an attempt that is locked anywhere is counted nowhere.
        for entry in &mut entries {
            if let Err(until) = entry.counter.reserve(entry.max, policy, now) {
                return Ok(Reserved::Locked { until, scope: entry.scope });
            }
        }
        for entry in &entries {
            store(&mut transaction, entry, subject, now).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(Reserved::Allowed(Reservation { subject: subject.clone(), at: now }))
    }

    async fn settle(
        &self,
        reservation: Reservation,
        outcome: AttemptOutcome,
        policy: &LockoutPolicy,
        now: Timestamp,
    ) -> Result<Option<(LockScope, Timestamp)>, Unavailable> {
        let Reservation { subject, at } = reservation;
        let mut transaction = self.database.write().await?;
        let mut entries = load(&mut transaction, &subject, policy).await?;
        let counted = match outcome {
            AttemptOutcome::Failure => true,
            AttemptOutcome::FormerSecret(fingerprint) => !entries
                .iter_mut()
                .filter(|entry| entry.scope != LockScope::Address)
                .any(|entry| entry.counter.repeats_former(fingerprint, policy, now)),
            AttemptOutcome::Success | AttemptOutcome::NotJudged => false,
        };
        let mut locked = None;
        for entry in &mut entries {
            if counted {
                let lock = new_lock(entry, at, policy, now);
                locked = locked.or(lock.map(|until| (entry.scope, until)));
            } else if outcome == AttemptOutcome::Success && entry.scope != LockScope::Address {
                entry.counter.clear();
            } else {
                entry.counter.give_back(entry.max, at);
            }
            store(&mut transaction, entry, &subject, now).await?;
        }
        if outcome == AttemptOutcome::Success && subject.device.is_some() {
            delete(&mut transaction, &name_key(&subject.name)).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(locked)
    }

    async fn locked_until(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unavailable> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT counter FROM attempt_counters WHERE key = ?")
                .bind(name_key(name))
                .fetch_optional(self.database.readers())
                .await
                .map_err(unavailable)?;
        Ok(text.as_deref().map(parse).transpose()?.and_then(|counter| counter.locked_until(now)))
    }

    async fn unlock(&self, name: &str) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM attempt_counters WHERE name = ?")
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }

    async fn purge(&self, policy: &LockoutPolicy, now: Timestamp) -> Result<(), Unavailable> {
        let quiet_since = policy.window.min(policy.duration).max(Duration::from_secs(1));
        let candidates = sqlx::query(
            "SELECT key, counter FROM attempt_counters WHERE touched <= ?1 OR touched > ?2",
        )
        .bind(to_micros(now - quiet_since))
        .bind(to_micros(now))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        let mut idle = Vec::new();
        for row in &candidates {
            let text: String = row.try_get("counter").map_err(unavailable)?;
            if parse(&text)?.is_idle(policy, now) {
                idle.push((row.try_get::<String, _>("key").map_err(unavailable)?, text));
            }
        }
        for batch in idle.chunks(500) {
            let mut transaction = self.database.write().await?;
            for (key, text) in batch {
                // Only if it is still the counter that was judged.
                sqlx::query("DELETE FROM attempt_counters WHERE key = ? AND counter = ?")
                    .bind(key)
                    .bind(text)
                    .execute(&mut *transaction)
                    .await
                    .map_err(unavailable)?;
            }
            transaction.commit().await.map_err(unavailable)?;
        }
        Ok(())
    }
}

/// The end of the lock that the attempt reserved at `at` has made, unless it was reported before.
/// (With five parallel attempts only the last reservation locks, and each lock is reported once.)
fn new_lock(
    entry: &mut Entry,
    at: Timestamp,
    policy: &LockoutPolicy,
    now: Timestamp,
) -> Option<Timestamp> {
    let until = entry.counter.locked_until(now)?;
    if until != at + policy.duration || entry.reported.map(to_micros) == Some(to_micros(until)) {
        return None;
    }
    entry.reported = Some(until);
    Some(until)
}

async fn load(
    transaction: &mut Transaction<'static, Sqlite>,
    subject: &AttemptSubject,
    policy: &LockoutPolicy,
) -> Result<Vec<Entry>, Unavailable> {
    let mut entries = Vec::with_capacity(2);
    for (scope, key, max) in subject.counters(policy) {
        let row = sqlx::query("SELECT counter, reported FROM attempt_counters WHERE key = ?")
            .bind(&key)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(unavailable)?;
        let (counter, reported) = match &row {
            Some(row) => {
                let reported: Option<i64> = row.try_get("reported").map_err(unavailable)?;
                let counter = parse(row.try_get("counter").map_err(unavailable)?)?;
                (counter, reported.map(from_micros).transpose()?)
            }
            None => (Counter::default(), None),
        };
        entries.push(Entry { scope, key, max, counter, reported });
    }
    Ok(entries)
}

async fn store(
    transaction: &mut Transaction<'static, Sqlite>,
    entry: &Entry,
    subject: &AttemptSubject,
    now: Timestamp,
) -> Result<(), Unavailable> {
    if entry.counter == Counter::default() {
        return delete(transaction, &entry.key).await;
    }
    let counter =
        serde_json::to_string(&entry.counter).map_err(|error| Unavailable::new("store", error))?;
    sqlx::query(
        "INSERT INTO attempt_counters (key, name, counter, reported, touched)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key) DO UPDATE SET counter = ?3, reported = ?4, touched = ?5",
    )
    .bind(&entry.key)
    .bind((entry.scope != LockScope::Address).then_some(subject.name.as_str()))
    .bind(counter)
    .bind(entry.reported.map(to_micros))
    .bind(to_micros(now))
    .execute(&mut **transaction)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn delete(
    transaction: &mut Transaction<'static, Sqlite>,
    key: &str,
) -> Result<(), Unavailable> {
    sqlx::query("DELETE FROM attempt_counters WHERE key = ?")
        .bind(key)
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)?;
    Ok(())
}

fn parse(text: &str) -> Result<Counter, Unavailable> {
    serde_json::from_str(text).map_err(|_| unreadable("a counter of failed logins"))
}
