//! Addresses that take no mail, on the accounts that have them on file.

use super::account_rows::{account, account_columns};
use super::{Database, to_micros, unavailable};
use crate::domain::account::{Account, Bounce};
use crate::ports::Unavailable;

/// Marks the accounts with this address, or lifts their mark; those that changed.
pub(super) async fn mark(
    database: &Database,
    address: &str,
    bounce: Option<Bounce>,
) -> Result<Vec<Account>, Unavailable> {
    let mut transaction = database.write_durably().await?;
    // SQLite's `lower` knows ASCII only: for its index to be of use, so does ours. What was found
    // out first stays.
    let rows = sqlx::query(concat!(
        "UPDATE accounts SET bounced_at = ?2, bounce_reason = ?3
          WHERE lower(email) = ?1 AND (bounced_at IS NULL) <> (?2 IS NULL)
        RETURNING ",
        account_columns!()
    ))
    .bind(address.trim().to_ascii_lowercase())
    .bind(bounce.as_ref().map(|bounce| to_micros(bounce.at)))
    .bind(bounce.as_ref().map(|bounce| bounce.reason.as_str()))
    .fetch_all(&mut *transaction)
    .await
    .map_err(unavailable)?;
    let marked = rows.iter().map(account).collect::<Result<Vec<_>, _>>()?;
    transaction.commit().await.map_err(unavailable)?;
    Ok(marked)
}
