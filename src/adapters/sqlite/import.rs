//! A whole import in one transaction, in a few statements: the rows travel as JSON arrays, so that
//! 50,000 accounts are seconds and not minutes.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};

use super::account_rows::{account_id, extension_order, login, role, role_text, search_text};
use super::{Database, campaigns, hex, to_micros, unavailable, unreadable};
use crate::domain::account::{AccountId, Role};
use crate::domain::campaign::Fate;
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailId;
use crate::ports::{ImportRow, Imported, NewCampaign, PlannedMail, Unavailable};

/// Rows per statement.
const BATCH: usize = 2_000;

/// What is on file for a login name, as the import goes on.
struct OnFile {
    id: AccountId,
    email: Option<String>,
    name: String,
    role: Role,
    /// Its welcome mail, if it is new.
    is_new: Option<MailId>,
    changed: bool,
}

pub(super) async fn import(
    database: &Database,
    rows: Vec<ImportRow>,
    welcome: Option<NewCampaign>,
    now: Timestamp,
    dry_run: bool,
) -> Result<Vec<Imported>, Unavailable> {
    let mut transaction = if dry_run {
        database.readers().begin().await.map_err(unavailable)?
    } else {
        database.write_durably().await?
    };
    let mut on_file = load(&mut transaction, &rows).await?;
    let outcomes = rows.into_iter().map(|row| take_in(&mut on_file, row)).collect::<Vec<_>>();
    if !dry_run {
        write(&mut transaction, &on_file, now).await?;
        if let Some(welcome) = welcome {
            begin(&mut transaction, &welcome, on_file.into_values()).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
    }
    Ok(outcomes)
}

/// Compares one row with what is on file by now; a login name that comes twice meets its first row.
fn take_in(on_file: &mut HashMap<LoginName, OnFile>, row: ImportRow) -> Imported {
    let email = row.email.filter(|email| !email.is_empty());
    let Some(present) = on_file.get_mut(&row.login) else {
        let made = OnFile {
            id: row.id,
            email,
            name: row.name,
            role: row.role.unwrap_or_default(),
            is_new: Some(row.mail),
            changed: false,
        };
        on_file.insert(row.login, made);
        return Imported::Created;
    };
    let email = email.or_else(|| present.email.clone());
    let name = if row.name.is_empty() { present.name.clone() } else { row.name };
    let role = row.role.unwrap_or(present.role);
    if (&email, &name, role) == (&present.email, &present.name, present.role) {
        return Imported::Unchanged;
    }
    (present.email, present.name, present.role) = (email, name, role);
    present.changed = true;
    Imported::Updated
}

async fn load(
    connection: &mut SqliteConnection,
    rows: &[ImportRow],
) -> Result<HashMap<LoginName, OnFile>, Unavailable> {
    let mut on_file = HashMap::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        let names: Vec<Value> =
            batch.iter().map(|row| json!([row.login.tenant(), row.login.extension()])).collect();
        // CROSS JOIN keeps SQLite from walking through all accounts instead of the names asked for.
        let present = sqlx::query(
            "SELECT a.id, a.tenant, a.extension, a.email, a.name, a.role
               FROM json_each(?1) AS asked CROSS JOIN accounts AS a
                 ON a.tenant = asked.value ->> 0 AND a.extension = asked.value ->> 1",
        )
        .bind(Value::Array(names).to_string())
        .fetch_all(&mut *connection)
        .await
        .map_err(unavailable)?;
        for row in &present {
            let known = OnFile {
                id: account_id(row.try_get("id").map_err(unavailable)?)?,
                email: row.try_get("email").map_err(unavailable)?,
                name: row.try_get("name").map_err(unavailable)?,
                role: role(row.try_get("role").map_err(unavailable)?)?,
                is_new: None,
                changed: false,
            };
            on_file.insert(login(row)?, known);
        }
    }
    Ok(on_file)
}

/// Begins the campaign that welcomes the new accounts; none, if there are none.
async fn begin(
    transaction: &mut Transaction<'static, Sqlite>,
    welcome: &NewCampaign,
    imported: impl Iterator<Item = OnFile>,
) -> Result<(), Unavailable> {
    let planned = imported.filter_map(|row| {
        let fate = if row.email.is_some() { Fate::Mail } else { Fate::WithoutEmail };
        Some(PlannedMail { account: row.id, mail: row.is_new?, fate })
    });
    let plan: Vec<_> = planned.collect();
    if !plan.is_empty() && !campaigns::insert(transaction, welcome, Some(&plan)).await? {
        return Err(unreadable("a campaign"));
    }
    Ok(())
}

async fn write(
    transaction: &mut Transaction<'static, Sqlite>,
    on_file: &HashMap<LoginName, OnFile>,
    now: Timestamp,
) -> Result<(), Unavailable> {
    let in_json = |(login, row): (&LoginName, &OnFile)| {
        let email = row.email.as_deref();
        json!([
            hex(row.id.0.as_bytes()),
            login.tenant(),
            login.extension(),
            extension_order(login.extension()),
            email,
            row.name,
            role_text(row.role),
            search_text(login, &row.name, email),
        ])
    };
    let new: Vec<Value> =
        on_file.iter().filter(|(_, row)| row.is_new.is_some()).map(in_json).collect();
    for batch in new.chunks(BATCH) {
        sqlx::query(
            "INSERT INTO accounts (id, tenant, extension, extension_order, email, name, role,
                                   search, created_at)
             SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    value ->> 5, value ->> 6, value ->> 7, ?2
               FROM json_each(?1)",
        )
        .bind(json!(batch).to_string())
        .bind(to_micros(now))
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)?;
    }
    let changed: Vec<Value> = on_file
        .iter()
        .filter(|(_, row)| row.changed && row.is_new.is_none())
        .map(in_json)
        .collect();
    for batch in changed.chunks(BATCH) {
        sqlx::query(
            "UPDATE accounts
                SET bounced_at = iif(email IS row.value ->> 4, bounced_at, NULL),
                    bounce_reason = iif(email IS row.value ->> 4, bounce_reason, NULL),
                    email = row.value ->> 4, name = row.value ->> 5, role = row.value ->> 6,
                    search = row.value ->> 7
               FROM json_each(?1) AS row
              WHERE accounts.id = unhex(row.value ->> 0)",
        )
        .bind(json!(batch).to_string())
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}
