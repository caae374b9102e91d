//! Contract suites: what each port promises, as tests that run against every adapter of it. A new
//! adapter is a new [`World`] and a few lines at the end of each suite.

mod accounts;
mod attempts;
mod bounces;
mod campaigns;
mod codes;
mod credentials;
mod families;
mod hasher;
mod kept_forms;
mod mail_limits;
mod outage;
mod outbox;
mod session_cache;
mod sessions;
mod tokens;
mod vault;
mod write_backs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::clock::MovableClock;
use super::key_ring::KeyRing;
use super::random::OsRandom;
use super::session_cache::CachedSessions;
use super::sqlite::{
    Database, SqliteAccounts, SqliteAttempts, SqliteCampaigns, SqliteCodes, SqliteCredentials,
    SqliteKeptForms, SqliteOutbox, SqliteSessions, SqliteTokens,
};
use crate::domain::account::{Account, AccountId, NewAccount, Role};
use crate::domain::jar::Jar;
use crate::domain::language::Language;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{Lock, MailId, MailKind, NewMail, Urgency};
use crate::domain::session::{ObtainedWith, Progress, SessionRecord, SessionToken};
use crate::ports::{
    AccountStore, AttemptStore, Clock, Created, CredentialChange, CredentialStore, NewPassword,
    Random,
};

/// Runs behaviours of a suite as tests, each in a world of its own.
macro_rules! run_against {
    ($world:path: $($behaviour:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour($world().await).await;
            }
        )+
    };
}
use run_against;

/// The stores of one gateway, on a clock that is moved by hand.
struct World {
    place: Arc<tempfile::TempDir>,
    clock: Arc<MovableClock>,
    database: Database,
    accounts: SqliteAccounts,
    credentials: SqliteCredentials,
    codes: SqliteCodes,
    kept_forms: SqliteKeptForms,
    outbox: SqliteOutbox,
    campaigns: SqliteCampaigns,
    attempts: SqliteAttempts,
    tokens: SqliteTokens,
    sessions: Arc<CachedSessions>,
}

impl World {
    /// The embedded store.
    async fn sqlite() -> Self {
        let start = Timestamp::from_second(1_542_000_000).unwrap();
        let clock = Arc::new(MovableClock::standing_at(start));
        Self::open(Arc::new(tempfile::tempdir().unwrap()), clock).await
    }

    /// A second process on the same files.
    async fn neighbour(&self) -> Self {
        Self::open(Arc::clone(&self.place), Arc::clone(&self.clock)).await
    }

    /// The same files after a restart.
    async fn restarted(self) -> Self {
        self.database.close().await;
        Self::open(self.place, self.clock).await
    }

    async fn open(place: Arc<tempfile::TempDir>, clock: Arc<MovableClock>) -> Self {
        let ring = KeyRing::open_or_create(
            &place.path().join("keyring.json"),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(OsRandom),
        );
        let ring = Arc::new(ring.unwrap());
        let database = Database::open(&place.path().join("passgate.db")).await.unwrap();
        let durable = SqliteSessions::new(database.clone(), ring);
        Self {
            place,
            clock,
            accounts: SqliteAccounts::new(database.clone()),
            credentials: SqliteCredentials::new(database.clone()),
            codes: SqliteCodes::new(database.clone()),
            kept_forms: SqliteKeptForms::new(database.clone()),
            outbox: SqliteOutbox::new(database.clone()),
            campaigns: SqliteCampaigns::new(database.clone()),
            attempts: SqliteAttempts::new(database.clone()),
            tokens: SqliteTokens::new(database.clone()),
            sessions: Arc::new(CachedSessions::new(durable, 1000)),
            database,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// A new account, `extension@tenant`.
    async fn account(&self, name: &str) -> Account {
        match self.accounts.create(fresh_id(), new_account(name), self.now()).await.unwrap() {
            Created::New(account) => account,
            Created::Exists(_) => panic!("{name} was there before"),
        }
    }

    /// A change to a new portal password that the user asks for now.
    async fn new_password(&self, id: AccountId, phc: &str) -> CredentialChange {
        let epoch = self.accounts.by_id(id).await.unwrap().unwrap().epoch;
        let new = NewPassword { phc: phc.to_owned(), at: self.now(), expected_epoch: epoch };
        CredentialChange { password: Some(new), ..CredentialChange::of(id) }
    }

    /// The account under a new portal password.
    async fn set_password(&self, id: AccountId, phc: &str) -> Account {
        let change = self.new_password(id, phc).await;
        self.credentials.commit(change).await.unwrap().unwrap()
    }

    /// A mail about `account`, asked for now.
    fn mail(&self, account: &Account, kind: MailKind) -> NewMail {
        NewMail {
            id: MailId(fresh_id().0),
            kind,
            account: account.id,
            epoch: kind.purpose().map(|_| account.epoch),
            to: "ada@example.com".into(),
            on_file: account.email.clone(),
            language: Language::parse("es"),
            asked_at: self.now(),
            lock: (kind == MailKind::Locked).then(|| Lock {
                until: self.now() + Duration::from_secs(900),
                client: "2001:db8::7".parse().unwrap(),
            }),
            urgency: Urgency::Prompt,
        }
    }

    /// Does something durable; whether it was flushed to the disk before it was answered.
    async fn durably<T>(&self, what: impl Future<Output = T>) -> (T, bool) {
        self.attempts.unlock("nobody").await.unwrap();
        assert!(!self.database.last_write_was_durable().await);
        (what.await, self.database.last_write_was_durable().await)
    }

    /// A session of `account` that begins now, not yet stored.
    fn session_of(&self, account: &Account) -> SessionRecord {
        let mut jar = Jar::new();
        jar.take("PHPSESSID=cookie-canary");
        SessionRecord {
            id: fresh_token().id(),
            account: account.id,
            login: account.login.clone(),
            obtained_with: ObtainedWith::Pin,
            progress: Progress::Complete,
            epoch: account.epoch,
            created_at: self.now(),
            last_seen: self.now(),
            jar,
            jar_generation: 0,
            server: 1,
            user_agent: "Mozilla/5.0 (tests)".into(),
            client: "2001:db8::7".parse().unwrap(),
            grant: None,
            access: None,
        }
    }
}

fn login(text: &str) -> LoginName {
    LoginName::parse(text).unwrap()
}

fn new_account(name: &str) -> NewAccount {
    NewAccount { login: login(name), email: None, name: String::new(), role: Role::User }
}

fn fresh_id() -> AccountId {
    let random: &dyn Random = &OsRandom;
    AccountId(Uuid::from_bytes(random.bytes()))
}

fn fresh_token() -> SessionToken {
    let random: &dyn Random = &OsRandom;
    SessionToken(random.bytes())
}
