//! One-time codes in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Database;
use crate::domain::one_time_code::{CodeHash, IssuedCode};
use crate::ports::{CodeStore, Unavailable};

/// The table of codes.
#[derive(Debug, Clone)]
pub struct SqliteCodes {
    #[allow(dead_code, reason = "skeleton")]
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
    async fn issue(&self, _code: IssuedCode) -> Result<(), Unavailable> {
        Err(Unavailable::new("store", "to come"))
    }

    async fn find(&self, _hash: &CodeHash) -> Result<Option<IssuedCode>, Unavailable> {
        Err(Unavailable::new("store", "to come"))
    }

    async fn purge(&self, _ended_before: Timestamp) -> Result<(), Unavailable> {
        Ok(())
    }
}
