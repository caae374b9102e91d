//! Accounts in SQLite.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::account_rows::{
    account, account_columns, by_id, extension_order, put_pin, role_text, search_text, update,
};
use super::{Database, from_micros, outbox, to_micros, unavailable, unreadable};
use crate::domain::account::{Account, AccountId, AccountState, Bounce, NewAccount};
use crate::domain::initial_password::StoredInitial;
use crate::domain::login_name::{LoginName, fold};
use crate::domain::mail::NewMail;
use crate::ports::{
    AccountChange, AccountPage, AccountQuery, AccountStore, Created, ImportRow, Imported,
    NewCampaign, Unavailable,
};

/// The account table.
#[derive(Debug, Clone)]
pub struct SqliteAccounts {
    database: Database,
}

impl SqliteAccounts {
    /// The accounts in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn make(
        &self,
        id: AccountId,
        new: NewAccount,
        mail: Option<NewMail>,
        now: Timestamp,
    ) -> Result<Created, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        if let Some(present) = by_login(&mut transaction, &new.login).await? {
            return Ok(Created::Exists(present));
        }
        let row = sqlx::query(concat!(
            "INSERT INTO accounts (id, tenant, extension, extension_order, email, name, role, \
             search, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ",
            account_columns!()
        ))
        .bind(id.0.as_bytes().as_slice())
        .bind(new.login.tenant())
        .bind(new.login.extension())
        .bind(extension_order(new.login.extension()))
        .bind(&new.email)
        .bind(&new.name)
        .bind(role_text(new.role))
        .bind(search_text(&new.login, &new.name, new.email.as_deref()))
        .bind(to_micros(now))
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
        let made = account(&row)?;
        if let Some(mail) = mail {
            outbox::insert(&mut transaction, &mail).await?;
        }
        transaction.commit().await.map_err(unavailable)?;
        Ok(Created::New(made))
    }
}

#[async_trait]
impl AccountStore for SqliteAccounts {
    async fn find(&self, login: &LoginName) -> Result<Option<Account>, Unavailable> {
        let mut reader = self.database.readers().acquire().await.map_err(unavailable)?;
        by_login(&mut reader, login).await
    }

    async fn by_id(&self, id: AccountId) -> Result<Option<Account>, Unavailable> {
        let mut reader = self.database.readers().acquire().await.map_err(unavailable)?;
        by_id(&mut reader, id).await
    }

    async fn by_email(&self, email: &str) -> Result<Vec<Account>, Unavailable> {
        // SQLite's `lower` knows ASCII only: for its index to be of use, so does ours.
        let rows = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM accounts WHERE lower(email) = ? ORDER BY tenant, extension_order LIMIT 100"
        ))
        .bind(email.trim().to_ascii_lowercase())
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter().map(account).collect()
    }

    async fn create(
        &self,
        id: AccountId,
        new: NewAccount,
        now: Timestamp,
    ) -> Result<Created, Unavailable> {
        self.make(id, new, None, now).await
    }

    async fn create_with_mail(
        &self,
        id: AccountId,
        new: NewAccount,
        mail: NewMail,
        now: Timestamp,
    ) -> Result<Created, Unavailable> {
        self.make(id, new, Some(mail), now).await
    }

    async fn change(
        &self,
        id: AccountId,
        change: AccountChange,
        expected_epoch: Option<u64>,
    ) -> Result<Option<Account>, Unavailable> {
        let mut transaction = match change {
            AccountChange::LoggedIn { .. }
            | AccountChange::Rehash { .. }
            | AccountChange::PinRefused => self.database.write().await?,
            _ => self.database.write_durably().await?,
        };
        let Some(before) = by_id(&mut transaction, id).await? else { return Ok(None) };
        if expected_epoch.is_some_and(|expected| expected != before.epoch) {
            return Ok(None);
        }
        let mut report = None;
        if let AccountChange::ConfirmedEmail { before: on_file, report: mail, .. } = &change {
            if *on_file != before.email {
                return Ok(None);
            }
            report.clone_from(mail);
        }
        let after = apply(before.clone(), change)?;
        if after == before {
            return Ok(Some(before));
        }
        update(&mut transaction, &after).await?;
        if let Some(mail) = report {
            outbox::insert(&mut transaction, &mail).await?;
        }
        let revoking = (after.epoch != before.epoch).then(|| self.database.revoking(id));
        transaction.commit().await.map_err(unavailable)?;
        drop(revoking);
        Ok(Some(after))
    }

    async fn mark_address(
        &self,
        address: &str,
        bounce: Option<Bounce>,
    ) -> Result<Vec<Account>, Unavailable> {
        super::bounces::mark(&self.database, address, bounce).await
    }

    async fn list(&self, query: &AccountQuery) -> Result<AccountPage, Unavailable> {
        let limit = query.limit.clamp(1, 1000);
        let tenant = query.tenant.as_deref().map(fold);
        let after = match (&query.cursor, &tenant) {
            (Some(cursor), _) => match read_cursor(cursor) {
                Some(after) => after,
                // A cursor that no page ended with: there is nothing behind it.
                None => return Ok(AccountPage::default()),
            },
            (None, Some(tenant)) => (tenant.clone(), String::new()),
            (None, None) => (String::new(), String::new()),
        };
        let mut rows = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM accounts
              WHERE (tenant, extension_order) > (?1, ?2)
                AND (?3 IS NULL OR tenant = ?3)
                AND (?4 IS NULL OR instr(search, ?4) > 0)
                AND (?5 IS NULL OR ?5 = CASE WHEN disabled = 1 THEN 'disabled'
                                             WHEN password_phc IS NULL THEN 'pin_only'
                                             ELSE 'password' END)
              ORDER BY tenant, extension_order
              LIMIT ?6"
        ))
        .bind(after.0)
        .bind(after.1)
        .bind(tenant)
        .bind(query.text.as_deref().map(fold).filter(|text| !text.is_empty()))
        .bind(query.state.map(state_text))
        .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(cursor_of).transpose()? } else { None };
        let items = rows.iter().map(account).collect::<Result<_, _>>()?;
        Ok(AccountPage { items, next_cursor })
    }

    async fn import(
        &self,
        rows: Vec<ImportRow>,
        welcome: Option<NewCampaign>,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<Imported>, Unavailable> {
        super::import::import(&self.database, rows, welcome, now, dry_run).await
    }

    async fn delete(&self, id: AccountId) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let deleted = sqlx::query("DELETE FROM accounts WHERE id = ?")
            .bind(id.0.as_bytes().as_slice())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?
            .rows_affected();
        let revoking = self.database.revoking(id);
        transaction.commit().await.map_err(unavailable)?;
        drop(revoking);
        Ok(deleted > 0)
    }

    async fn count(&self) -> Result<Vec<(String, AccountState, u64)>, Unavailable> {
        let rows = sqlx::query(
            "SELECT tenant,
                    CASE WHEN disabled = 1 THEN 'disabled'
                         WHEN password_phc IS NULL THEN 'pin_only'
                         ELSE 'password' END AS state,
                    count(*) AS accounts
               FROM accounts GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let accounts: i64 = row.try_get("accounts").map_err(unavailable)?;
                Ok((
                    row.try_get("tenant").map_err(unavailable)?,
                    state(row.try_get("state").map_err(unavailable)?)?,
                    u64::try_from(accounts).unwrap_or_default(),
                ))
            })
            .collect()
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        sqlx::query("SELECT 1 FROM accounts LIMIT 1")
            .fetch_optional(self.database.readers())
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}

async fn by_login(
    connection: &mut SqliteConnection,
    login: &LoginName,
) -> Result<Option<Account>, Unavailable> {
    let row = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts WHERE tenant = ? AND extension = ?"
    ))
    .bind(login.tenant())
    .bind(login.extension())
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    row.as_ref().map(account).transpose()
}

/// The account after the change, with times as precise as they are stored.
fn apply(mut account: Account, change: AccountChange) -> Result<Account, Unavailable> {
    match change {
        AccountChange::Rehash { phc } => {
            if let Some(password) = &mut account.password {
                password.phc = phc;
            }
        }
        AccountChange::Pin(pin) => put_pin(&mut account, pin),
        AccountChange::PinRefused => account.pin_refused = true,
        AccountChange::InitialPassword(initial) => {
            let expires_at = from_micros(to_micros(initial.expires_at))?;
            account.initial_password = Some(StoredInitial { expires_at, ..initial });
        }
        AccountChange::LoggedIn { at } => {
            let at = from_micros(to_micros(at))?;
            account.last_login_at = account.last_login_at.max(Some(at));
        }
        AccountChange::Disabled(disabled) => {
            if disabled && !account.disabled {
                account.epoch += 1;
            }
            if disabled {
                account.initial_password = None;
            }
            account.disabled = disabled;
        }
        AccountChange::Details { email, name, role } => {
            if let Some(email) = email {
                account.put_on_file(email);
            }
            account.name = name.unwrap_or(account.name);
            account.role = role.unwrap_or(account.role);
        }
        AccountChange::ConfirmedEmail { address, .. } => {
            account.email = Some(address);
            // Its owner has just read a mail that went there.
            account.bounced = None;
        }
    }
    Ok(account)
}

fn state_text(state: AccountState) -> &'static str {
    match state {
        AccountState::PinOnly => "pin_only",
        AccountState::Password => "password",
        AccountState::Disabled => "disabled",
    }
}

fn state(text: &str) -> Result<AccountState, Unavailable> {
    match text {
        "pin_only" => Ok(AccountState::PinOnly),
        "password" => Ok(AccountState::Password),
        "disabled" => Ok(AccountState::Disabled),
        _ => Err(unreadable("an account's state")),
    }
}

/// A cursor is the place of the last row, opaque to clients.
fn cursor_of(row: &SqliteRow) -> Result<String, Unavailable> {
    let tenant: &str = row.try_get("tenant").map_err(unavailable)?;
    let order: &str = row.try_get("extension_order").map_err(unavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(format!("{tenant}\n{order}")))
}

fn read_cursor(cursor: &str) -> Option<(String, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (tenant, order) = text.split_once('\n')?;
    Some((tenant.to_owned(), order.to_owned()))
}
