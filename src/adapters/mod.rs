//! What stands behind the ports: SQLite, the first-level session cache, argon2, the key ring, SMTP,
//! the clock. Only the composition root names these types.

pub mod argon2_hasher;
pub mod audit_log;
pub mod clock;
#[cfg(test)]
mod contract;
pub mod key_ring;
pub mod observed;
pub mod random;
pub mod session_cache;
pub mod smtp;
pub mod sqlite;
pub mod token_signer;
