//! How an account is laid out in its row: read, changed, written back.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{from_micros, to_micros, unavailable, unreadable};
use crate::domain::account::{Account, AccountId, Bounce, Role, SealedPin, StoredPassword};
use crate::domain::initial_password::StoredInitial;
use crate::domain::login_name::{LoginName, fold};
use crate::ports::Unavailable;

/// The columns that [`account`] reads.
macro_rules! account_columns {
    () => {
        "id, tenant, extension, extension_order, email, bounced_at, bounce_reason, name, role, disabled, password_phc, \
         password_set_at, previous_phc, previous_set_at, initial_phc, initial_expires_at, pin, \
         pin_refused, epoch, last_login_at, created_at"
    };
}
pub(super) use account_columns;

/// Reads an account.
pub(super) fn account(row: &SqliteRow) -> Result<Account, Unavailable> {
    let time = |column: &str| -> Result<_, Unavailable> {
        row.try_get::<Option<i64>, _>(column).map_err(unavailable)?.map(from_micros).transpose()
    };
    let password = |phc: &str, set_at: &str| -> Result<_, Unavailable> {
        let phc = row.try_get::<Option<String>, _>(phc).map_err(unavailable)?;
        Ok(phc.zip(time(set_at)?).map(|(phc, set_at)| StoredPassword { phc, set_at }))
    };
    let initial_phc = row.try_get::<Option<String>, _>("initial_phc").map_err(unavailable)?;
    let initial_password = initial_phc
        .zip(time("initial_expires_at")?)
        .map(|(phc, expires_at)| StoredInitial { phc, expires_at });
    let epoch: i64 = row.try_get("epoch").map_err(unavailable)?;
    Ok(Account {
        id: account_id(row.try_get("id").map_err(unavailable)?)?,
        login: login(row)?,
        email: row.try_get("email").map_err(unavailable)?,
        bounced: time("bounced_at")?
            .map(|at| Ok(Bounce { at, reason: row.try_get("bounce_reason").map_err(unavailable)? }))
            .transpose()?,
        name: row.try_get("name").map_err(unavailable)?,
        role: role(row.try_get("role").map_err(unavailable)?)?,
        disabled: row.try_get("disabled").map_err(unavailable)?,
        password: password("password_phc", "password_set_at")?,
        previous_password: password("previous_phc", "previous_set_at")?,
        initial_password,
        pin: row.try_get::<Option<Vec<u8>>, _>("pin").map_err(unavailable)?.map(SealedPin),
        pin_refused: row.try_get("pin_refused").map_err(unavailable)?,
        epoch: u64::try_from(epoch).map_err(|_| unreadable("an epoch"))?,
        last_login_at: time("last_login_at")?,
        created_at: time("created_at")?.ok_or_else(|| unreadable("a time"))?,
    })
}

/// The account with this id.
pub(super) async fn by_id(
    connection: &mut SqliteConnection,
    id: AccountId,
) -> Result<Option<Account>, Unavailable> {
    let row = sqlx::query(concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?"))
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    row.as_ref().map(account).transpose()
}

/// Writes an account back, all but what never changes.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    account: &Account,
) -> Result<(), Unavailable> {
    let password = account.password.as_ref();
    let previous = account.previous_password.as_ref();
    let initial = account.initial_password.as_ref();
    sqlx::query(
        "UPDATE accounts
            SET email = ?, bounced_at = ?, bounce_reason = ?, name = ?, role = ?, search = ?, disabled = ?, password_phc = ?,
                password_set_at = ?, previous_phc = ?, previous_set_at = ?,
                initial_phc = ?, initial_expires_at = ?, pin = ?, pin_refused = ?, epoch = ?, last_login_at = ?
          WHERE id = ?",
    )
    .bind(&account.email)
    .bind(account.bounced.as_ref().map(|bounce| to_micros(bounce.at)))
    .bind(account.bounced.as_ref().map(|bounce| bounce.reason.as_str()))
    .bind(&account.name)
    .bind(role_text(account.role))
    .bind(search_text(&account.login, &account.name, account.email.as_deref()))
    .bind(account.disabled)
    .bind(password.map(|password| password.phc.as_str()))
    .bind(password.map(|password| to_micros(password.set_at)))
    .bind(previous.map(|password| password.phc.as_str()))
    .bind(previous.map(|password| to_micros(password.set_at)))
    .bind(initial.map(|initial| initial.phc.as_str()))
    .bind(initial.map(|initial| to_micros(initial.expires_at)))
    .bind(account.pin.as_ref().map(|pin| pin.0.as_slice()))
    .bind(account.pin_refused)
    .bind(i64::try_from(account.epoch).map_err(|_| unreadable("an epoch"))?)
    .bind(account.last_login_at.map(to_micros))
    .bind(account.id.0.as_bytes().as_slice())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// The PIN that the PBX is known to accept: it can be replayed again.
pub(super) fn put_pin(account: &mut Account, pin: SealedPin) {
    account.pin = Some(pin);
    account.pin_refused = false;
}

/// Reads the login name out of `extension` and `tenant`.
pub(super) fn login(row: &SqliteRow) -> Result<LoginName, Unavailable> {
    let extension: &str = row.try_get("extension").map_err(unavailable)?;
    let tenant: &str = row.try_get("tenant").map_err(unavailable)?;
    LoginName::new(extension, tenant).map_err(|_| unreadable("a login name"))
}

pub(super) fn account_id(bytes: &[u8]) -> Result<AccountId, Unavailable> {
    Uuid::from_slice(bytes).map(AccountId).map_err(|_| unreadable("an account id"))
}

pub(super) fn role(text: &str) -> Result<Role, Unavailable> {
    match text {
        "user" => Ok(Role::User),
        "manager" => Ok(Role::Manager),
        _ => Err(unreadable("a role")),
    }
}

pub(super) fn role_text(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Manager => "manager",
    }
}

/// Sorts numeric extensions by number, before all others. As unique as the extension itself.
pub(super) fn extension_order(extension: &str) -> String {
    if extension.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = extension.trim_start_matches('0');
        // The length first: the longer of two numbers without leading zeros is the greater one.
        format!("0{:03}{digits}:{extension}", digits.len())
    } else {
        format!("1{extension}")
    }
}

/// What a search looks through.
pub(super) fn search_text(login: &LoginName, name: &str, email: Option<&str>) -> String {
    fold(&format!("{login}\n{name}\n{}", email.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_extensions_sort_by_number() {
        let mut extensions = ["sales", "1000", "99", "0100", "100", "7", "10a", "0"];
        extensions.sort_by_key(|extension| extension_order(extension));
        assert_eq!(extensions, ["0", "7", "99", "0100", "100", "1000", "10a", "sales"]);
    }
}
