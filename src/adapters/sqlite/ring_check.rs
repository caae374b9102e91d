//! Whether the key ring is the one that sealed this database.

use super::{Database, unavailable};
use crate::adapters::key_ring::KeyRing;
use crate::ports::Unavailable;

/// Why the key ring and the database do not go together.
#[derive(Debug, thiserror::Error)]
pub enum RingCheckError {
    /// Lost and made anew, or another installation's.
    #[error(
        "the key ring does not belong to this database: restore the ring that sealed it, or the \
         database that goes with this ring"
    )]
    Stranger,
    /// The store does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Database {
    /// Checks that `ring` is the key ring of this database. A database that has none yet takes it
    /// as its own. To be called at start, before anything is sealed.
    pub async fn check_ring(&self, ring: &KeyRing) -> Result<(), RingCheckError> {
        let mut transaction = self.write_durably().await?;
        let on_file: Option<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM ring_check")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if let Some(sealed) = on_file {
            return if ring.matches(&sealed) { Ok(()) } else { Err(RingCheckError::Stranger) };
        }
        sqlx::query("INSERT INTO ring_check (only, sealed) VALUES (1, ?)")
            .bind(ring.check_value())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(())
    }
}
