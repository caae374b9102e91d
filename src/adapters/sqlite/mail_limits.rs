//! How many mails an address gets, over all accounts that share it.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{from_micros, to_micros, unavailable};
use crate::domain::mail::{AddressLimit, MailKind, NewMail, Urgency};
use crate::ports::Unavailable;

/// When the latest of the mails that somebody asked for to this address was asked for, and when there
/// is room for another one, if there is none now.
pub(super) async fn address_full(
    connection: &mut SqliteConnection,
    mail: &NewMail,
    limit: AddressLimit,
) -> Result<Option<(Timestamp, Timestamp)>, Unavailable> {
    if mail.urgency == Urgency::Bulk || limit == AddressLimit::NONE {
        return Ok(None);
    }
    let counted: Vec<_> = MailKind::ALL
        .into_iter()
        .filter(|kind| mail.kind.counts_at_address(*kind))
        .map(MailKind::name)
        .collect();
    // SQLite's `lower` knows ASCII only: for its index to be of use, so does ours.
    let times: Vec<i64> = sqlx::query_scalar(
        "SELECT asked_at FROM outbox
          WHERE lower(recipient) = ?1 AND asked_at > ?2 AND asked_at < ?3
            AND state <> 'dropped' AND urgency = 0
            AND kind IN (SELECT value FROM json_each(?4))
          ORDER BY asked_at DESC LIMIT ?5",
    )
    .bind(mail.to.to_ascii_lowercase())
    .bind(to_micros(mail.asked_at - limit.per))
    .bind(to_micros(mail.asked_at + limit.per))
    .bind(serde_json::json!(counted).to_string())
    .bind(i64::from(limit.most))
    .fetch_all(connection)
    .await
    .map_err(unavailable)?;
    if counted.is_empty() || times.len() < limit.most as usize {
        return Ok(None);
    }
    let (Some(latest), Some(oldest)) = (times.first(), times.last()) else { return Ok(None) };
    Ok(Some((from_micros(*latest)?, from_micros(*oldest)? + limit.per)))
}
