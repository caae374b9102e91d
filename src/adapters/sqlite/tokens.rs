//! The tokens of families in SQLite. They count only as long as the session that they belong to.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{Database, from_micros, to_micros, unavailable, unreadable};
use crate::domain::grant::{LONGEST_REUSE_GRACE, TokenHash};
use crate::domain::session::SessionId;
use crate::ports::{NotedToken, Rotated, Rotation, TokenStore, TokenUse, Unavailable};

/// The tables of noted tokens and of refresh chains.
#[derive(Debug, Clone)]
pub struct SqliteTokens {
    database: Database,
}

impl SqliteTokens {
    /// The tokens in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl TokenStore for SqliteTokens {
    async fn note(
        &self,
        tokens: &[NotedToken],
        replaced: &[TokenHash],
    ) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write().await?;
        for hash in replaced {
            let spent =
                "UPDATE noted_tokens SET usage = 'spent' WHERE hash = ? AND usage <> 'spent'";
            let gone = sqlx::query(spent)
                .bind(hash.0.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if gone.rows_affected() == 0 {
                return Ok(false);
            }
        }
        for token in tokens {
            if !counts(&mut transaction, &token.family).await? {
                return Ok(false);
            }
            // A PBX may give the same token twice: it then belongs to the later login.
            sqlx::query(
                "INSERT INTO noted_tokens (hash, usage, family, expires_at) VALUES (?, ?, ?, ?)
                 ON CONFLICT (hash) DO UPDATE SET usage = excluded.usage,
                    family = excluded.family, expires_at = excluded.expires_at",
            )
            .bind(token.hash.0.as_slice())
            .bind(usage_text(token.usage))
            .bind(token.family.0.as_slice())
            .bind(to_micros(token.expires_at))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(true)
    }

    async fn find(&self, hash: &TokenHash) -> Result<Option<NotedToken>, Unavailable> {
        let row =
            sqlx::query("SELECT hash, usage, family, expires_at FROM noted_tokens WHERE hash = ?")
                .bind(hash.0.as_slice())
                .fetch_optional(self.database.readers())
                .await
                .map_err(unavailable)?;
        row.as_ref().map(noted).transpose()
    }

    async fn begin_chain(&self, family: &SessionId, first: TokenHash) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write().await?;
        if !counts(&mut transaction, family).await? {
            return Ok(false);
        }
        sqlx::query("INSERT INTO refresh_chains (family, place, hash) VALUES (?, 0, ?)")
            .bind(family.0.as_slice())
            .bind(first.0.as_slice())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(true)
    }

    async fn newest(&self, family: &SessionId) -> Result<Option<(u64, TokenHash)>, Unavailable> {
        let mut reading = self.database.readers().begin().await.map_err(unavailable)?;
        Ok(chain(&mut reading, family).await?.map(|chain| (chain.place, chain.hash)))
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Rotated, Unavailable> {
        // Flushed before the client has the successor: a power cut must not make it nobody's.
        let mut transaction = self.database.write_durably().await?;
        let Some(chain) = chain(&mut transaction, &rotation.family).await? else {
            return Ok(Rotated::Gone);
        };
        match chain.judge(rotation)? {
            Rotated::Now => {}
            other => return Ok(other),
        }
        sqlx::query(
            "UPDATE refresh_chains
                SET place = place + 1, hash = ?2, hash_before = ?3, turned_at = ?4, answer = ?5
              WHERE family = ?1",
        )
        .bind(rotation.family.0.as_slice())
        .bind(rotation.successor.0.as_slice())
        .bind(rotation.shown_hash.0.as_slice())
        .bind(to_micros(rotation.now))
        .bind(&rotation.answer)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(Rotated::Now)
    }

    async fn purge(&self, before: Timestamp) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM noted_tokens WHERE expires_at < ?")
            .bind(to_micros(before))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        sqlx::query(
            "UPDATE refresh_chains SET answer = NULL WHERE answer IS NOT NULL AND turned_at < ?",
        )
        .bind(to_micros(before - LONGEST_REUSE_GRACE))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

/// Whether the family's session counts, as in [`super::SqliteSessions`].
async fn counts(
    transaction: &mut Transaction<'static, Sqlite>,
    family: &SessionId,
) -> Result<bool, Unavailable> {
    let found: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sessions AS s JOIN accounts AS a ON a.id = s.account
          WHERE s.id = ? AND a.epoch = s.epoch AND a.disabled = 0",
    )
    .bind(family.0.as_slice())
    .fetch_one(&mut **transaction)
    .await
    .map_err(unavailable)?;
    Ok(found > 0)
}

/// A family's refresh tokens, of which the newest counts.
struct Chain {
    place: u64,
    hash: TokenHash,
    hash_before: Option<TokenHash>,
    turned_at: Option<Timestamp>,
    answer: Option<Vec<u8>>,
}

impl Chain {
    /// What the token that was shown is to the chain. One that is none of its places, as after
    /// going back to a backup, proves nothing about a copy.
    fn judge(self, rotation: &Rotation) -> Result<Rotated, Unavailable> {
        if rotation.shown == self.place {
            return Ok(match rotation.shown_hash == self.hash {
                true => Rotated::Now,
                false => Rotated::Gone,
            });
        }
        if rotation.shown > self.place {
            return Ok(Rotated::Gone);
        }
        if rotation.shown + 1 < self.place {
            return Ok(Rotated::Reused);
        }
        if self.hash_before != Some(rotation.shown_hash) {
            return Ok(Rotated::Gone);
        }
        match (self.answer, self.turned_at) {
            (Some(answer), Some(at)) if at > rotation.repeatable_since => {
                Ok(Rotated::Again(answer))
            }
            _ => Ok(Rotated::Reused),
        }
    }
}

/// The chain of a family that counts.
async fn chain(
    transaction: &mut Transaction<'static, Sqlite>,
    family: &SessionId,
) -> Result<Option<Chain>, Unavailable> {
    if !counts(transaction, family).await? {
        return Ok(None);
    }
    let row = sqlx::query(
        "SELECT place, hash, hash_before, turned_at, answer FROM refresh_chains WHERE family = ?",
    )
    .bind(family.0.as_slice())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(unavailable)?;
    let Some(row) = row else { return Ok(None) };
    let place: i64 = row.try_get("place").map_err(unavailable)?;
    let before: Option<&[u8]> = row.try_get("hash_before").map_err(unavailable)?;
    let turned_at: Option<i64> = row.try_get("turned_at").map_err(unavailable)?;
    Ok(Some(Chain {
        place: u64::try_from(place).map_err(|_| unreadable("a refresh token's place"))?,
        hash: token_hash(row.try_get("hash").map_err(unavailable)?)?,
        hash_before: before.map(token_hash).transpose()?,
        turned_at: turned_at.map(from_micros).transpose()?,
        answer: row.try_get("answer").map_err(unavailable)?,
    }))
}

fn noted(row: &SqliteRow) -> Result<NotedToken, Unavailable> {
    let family: &[u8] = row.try_get("family").map_err(unavailable)?;
    Ok(NotedToken {
        hash: token_hash(row.try_get("hash").map_err(unavailable)?)?,
        usage: usage(row.try_get("usage").map_err(unavailable)?)?,
        family: family.try_into().map(SessionId).map_err(|_| unreadable("a token's family"))?,
        expires_at: from_micros(row.try_get("expires_at").map_err(unavailable)?)?,
    })
}

fn token_hash(bytes: &[u8]) -> Result<TokenHash, Unavailable> {
    bytes.try_into().map(TokenHash).map_err(|_| unreadable("a token's hash"))
}

fn usage_text(usage: TokenUse) -> &'static str {
    match usage {
        TokenUse::Access => "access",
        TokenUse::Refresh => "refresh",
        TokenUse::Spent => "spent",
    }
}

fn usage(text: &str) -> Result<TokenUse, Unavailable> {
    match text {
        "access" => Ok(TokenUse::Access),
        "refresh" => Ok(TokenUse::Refresh),
        "spent" => Ok(TokenUse::Spent),
        _ => Err(unreadable("a token")),
    }
}
