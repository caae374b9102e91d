//! Opening the database file: made if it is missing, checked if it is there, brought up to date.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::{Database, Inner};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process's write before it fails as an outage.
const BUSY: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

/// Why the database cannot be used. Passgate does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file cannot be made or opened.
    #[error("cannot open the database {path}: {source}")]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged, or no SQLite database at all.
    #[error(
        "the database {path} is damaged ({detail}); restore it from a backup, Passgate does not \
         start on it"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the check found first.
        detail: String,
    },
    /// Made by a newer version.
    #[error("the database {path} was made by a newer version of Passgate")]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// Anything else: locked by another program, disk full.
    #[error("the database {path} cannot be used: {detail}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
}

impl Database {
    /// Opens the database at `path`; makes it (0600) and its directory (0700) if they are missing.
    /// A damaged file is refused: nothing is written to it.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let file_error = |source| OpenError::File { path: path.to_owned(), source };
        make_file(path).map_err(file_error)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .pragma("temp_store", "memory")
            .disable_statement_logging();

        let writer_connects = Arc::new(AtomicU64::new(0));
        let connects = Arc::clone(&writer_connects);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(move |_, _| {
                connects.fetch_add(1, Ordering::SeqCst);
                Box::pin(async { Ok(()) })
            })
            .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(|error| judge(path, error))?;
        let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&writer)
            .await
            .map_err(|error| judge(path, error))?;
        if verdict != "ok" {
            return Err(OpenError::Corrupt { path: path.to_owned(), detail: verdict });
        }
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                OpenError::Newer { path: path.to_owned() }
            }
            other => OpenError::Unusable { path: path.to_owned(), detail: other.to_string() },
        })?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(|error| judge(path, error))?;
        let revoked = parking_lot::Mutex::default();
        Ok(Self { inner: Arc::new(Inner { writer, readers, writer_connects, revoked }) })
    }
}

/// Makes the directory and the file before SQLite does, which would leave them open to others.
/// SQLite gives its `-wal` and `-shm` files the mode of the database.
fn make_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Tells a damaged file from one that is only out of reach (SQLITE_CORRUPT 11, SQLITE_NOTADB 26,
/// with their extended codes).
fn judge(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok());
    let detail = error.to_string();
    match code.map(|code| code & 0xff) {
        Some(11 | 26) => OpenError::Corrupt { path, detail },
        _ => OpenError::Unusable { path, detail },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;
    use crate::domain::account::{AccountId, NewAccount, Role, SealedPin};
    use crate::domain::login_name::LoginName;
    use crate::domain::one_time_code::{IssuedCode, OneTimeCode, Purpose};
    use crate::ports::{AccountStore, CodeStore, Created, ImportRow};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn account(extension: &str) -> NewAccount {
        NewAccount {
            login: LoginName::new(extension, "abc.example").unwrap(),
            email: None,
            name: String::new(),
            role: Role::User,
        }
    }

    /// The data directory and everything in it belong to Passgate alone.
    #[tokio::test]
    async fn the_files_are_closed_to_others() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data/passgate.db");
        let database = Database::open(&path).await.unwrap();
        let accounts = super::super::SqliteAccounts::new(database);
        let id = AccountId(uuid::Uuid::from_u128(1));
        accounts.create(id, account("1001"), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for name in ["passgate.db", "passgate.db-wal", "passgate.db-shm"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
    }

    /// Faults: refuses to start on a corrupt database, in words, and leaves it as it is.
    #[tokio::test]
    async fn a_damaged_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passgate.db");
        std::fs::write(&path, "this is no database, but long enough to look like one".repeat(40))
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = Database::open(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("damaged"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// Faults: also where the header is whole and only pages inside are damaged.
    #[tokio::test]
    async fn damage_inside_the_file_is_found() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passgate.db");
        let database = Database::open(&path).await.unwrap();
        let accounts = super::super::SqliteAccounts::new(database.clone());
        let rows = (0..2_000)
            .map(|number| ImportRow {
                id: AccountId(uuid::Uuid::from_u128(number)),
                mail: crate::domain::mail::MailId(uuid::Uuid::from_u128(number)),
                login: LoginName::new(&number.to_string(), "abc.example").unwrap(),
                email: None,
                name: String::new(),
                role: None,
            })
            .collect();
        accounts.import(rows, None, jiff::Timestamp::UNIX_EPOCH, false).await.unwrap();
        database.close().await;
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        for page in 12..(length / 4096 - 1) {
            file.seek(SeekFrom::Start(page * 4096)).unwrap();
            file.write_all(&[0xA5; 512]).unwrap();
        }
        let error = Database::open(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    }

    /// A database of a newer version is not touched.
    #[tokio::test]
    async fn a_newer_database_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passgate.db");
        let database = Database::open(&path).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99999, 'later', 1, x'00', 0)",
        )
        .execute(&database.inner.writer)
        .await
        .unwrap();
        database.close().await;
        let error = Database::open(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    }

    /// R-G3: the database of an earlier version is brought up to date, and keeps what is in it.
    #[tokio::test]
    async fn an_older_database_is_brought_up_to_date() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passgate.db");
        let id = AccountId(uuid::Uuid::from_u128(7));
        let mut older = sqlx::migrate!("migrations/sqlite");
        older.migrations.to_mut().retain(|step| step.version == 1);
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        older.run(&pool).await.unwrap();
        sqlx::query(
            "INSERT INTO accounts (id, tenant, extension, extension_order, name, role, search,
                                   pin, epoch, created_at)
             VALUES (?, 'abc.example', '1001', '00041001:1001', 'Ada', 'user', '', x'00ff', 3, 0)",
        )
        .bind(id.0.as_bytes().as_slice())
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO sessions VALUES (?, ?, '1001@abc.example', 'password', 'complete', 3, 0, 0,
                                          x'07', 2, 0, 'Firefox', '203.0.113.7')",
        )
        .bind([9_u8; 32].as_slice())
        .bind(id.0.as_bytes().as_slice())
        .execute(&pool)
        .await
        .unwrap();
        pool.close().await;

        let database = Database::open(&path).await.unwrap();
        let accounts = super::super::SqliteAccounts::new(database.clone());
        let kept = accounts.by_id(id).await.unwrap().unwrap();
        assert_eq!((kept.name.as_str(), kept.epoch), ("Ada", 3));
        assert_eq!(kept.pin, Some(SealedPin(vec![0, 255])));
        // Nobody is signed out by it.
        let jar: Vec<u8> = sqlx::query_scalar("SELECT jar FROM sessions WHERE account = ?")
            .bind(id.0.as_bytes().as_slice())
            .fetch_one(&database.inner.writer)
            .await
            .unwrap();
        assert_eq!(jar, [7]);
        // What the later steps brought works for it.
        let codes = super::super::SqliteCodes::new(database.clone());
        let code = OneTimeCode([7; 32]);
        let (now, hour) = (jiff::Timestamp::UNIX_EPOCH, Duration::from_secs(3600));
        let issued = IssuedCode::new(&code, Purpose::Reset, &kept, "ada@example.com", hour, now);
        codes.issue(issued.clone()).await.unwrap();
        assert_eq!(codes.find(&code.hash()).await.unwrap(), Some(issued));
        let steps: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&database.inner.writer)
            .await
            .unwrap();
        assert_eq!(steps, MIGRATIONS.iter().map(|step| step.version).max().unwrap());
    }

    /// Pingora gives each service a runtime of its own: one database serves them all, also after
    /// the runtime that opened it has ended.
    #[test]
    fn one_database_serves_several_runtimes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("passgate.db");
        let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let first = runtime();
        let database = first.block_on(Database::open(&path)).unwrap();
        let make = |number: u32| {
            let accounts = super::super::SqliteAccounts::new(database.clone());
            async move {
                let id = AccountId(uuid::Uuid::from_u128(u128::from(number)));
                let new = account(&number.to_string());
                let made = accounts.create(id, new, jiff::Timestamp::UNIX_EPOCH).await;
                matches!(made, Ok(Created::New(_)))
            }
        };
        let second = runtime();
        let half: Vec<_> = (0..20).map(|number| first.spawn(make(number))).collect();
        let other: Vec<_> = (20..40).map(|number| second.spawn(make(number))).collect();
        for made in half.into_iter().chain(other) {
            assert!(second.block_on(made).unwrap());
        }
        drop(first);
        assert!(second.block_on(make(99)));
        assert!(runtime().block_on(make(100)));
    }

    /// What must survive a power cut is flushed to the disk before it is answered.
    #[tokio::test]
    async fn durable_writes_are_fully_synchronous() {
        let place = tempfile::tempdir().unwrap();
        let database = Database::open(&place.path().join("passgate.db")).await.unwrap();
        for (durable, expected) in [(false, 1), (true, 2), (false, 1)] {
            let begun =
                if durable { database.write_durably().await } else { database.write().await };
            let mut transaction = begun.unwrap();
            let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
            assert_eq!(level, expected);
            transaction.rollback().await.unwrap();
        }
    }
}
