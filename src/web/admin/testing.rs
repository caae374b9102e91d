//! A gateway's administration over the real store, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Access, AdminState, AdminTokens, ClockControl, KeyControl, KeyInfo, admin};
use crate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings};
use crate::adapters::clock::MovableClock;
use crate::adapters::key_ring::{KeyRing, KeyState};
use crate::adapters::random::OsRandom;
use crate::adapters::session_cache::CachedSessions;
use crate::adapters::sqlite::{
    Database, SqliteAccounts, SqliteAttempts, SqliteCampaigns, SqliteCodes, SqliteCredentials,
    SqliteKeptForms, SqliteOutbox, SqliteSessions, SqliteTokens,
};
use crate::adapters::token_signer::KeyRingSigner;
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{Grant, GrantKind, PbxAccess};
use crate::domain::jar::Jar;
use crate::domain::lockout::LockoutPolicy;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::domain::session::{ObtainedWith, Progress, SessionRecord, SessionToken};
use crate::flows::{MailOffice, Policies, Services};
use crate::portal::{NoSubscribers, NoTokens};
use crate::ports::{
    AuditLog, Composer, Letter, Mail, MailTransport, Portal, PortalAnswer, PortalLogin,
    SecurityEvent, SendError, Unavailable,
};
use crate::telemetry::Metrics;

/// A PBX of which only the answer to a health check matters here.
pub(crate) struct Pbx(pub AtomicBool);

#[async_trait]
impl Portal for Pbx {
    async fn log_in(&self, _: PortalLogin<'_>) -> Result<PortalAnswer, Unavailable> {
        Err(Unavailable::new("pbx", "the administration never logs in"))
    }

    async fn sign_out(&self, _: &Jar, _: usize, _: &str, _: &str) -> Result<(), Unavailable> {
        Ok(())
    }

    fn looks_like_pin(&self, _: &Secret) -> bool {
        false
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        match self.0.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Unavailable::new("pbx", "connection refused at 10.1.2.3:80")),
        }
    }
}

/// Nobody hands mails over here: what the administration queues stays in the outbox.
struct NoPostman;

impl Composer for NoPostman {
    fn compose(&self, _: &Letter<'_>) -> Mail {
        unreachable!("the administration writes no mail")
    }
}

#[async_trait]
impl MailTransport for NoPostman {
    async fn send(&self, _: &Mail) -> Result<(), SendError> {
        unreachable!("the administration sends no mail")
    }

    async fn ping(&self) -> Result<(), SendError> {
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Heard(pub parking_lot::Mutex<Vec<SecurityEvent>>);

impl AuditLog for Heard {
    fn record(&self, event: SecurityEvent) {
        self.0.lock().push(event);
    }
}

pub(crate) struct Gateway {
    pub state: AdminState,
    pub pbx: Arc<Pbx>,
    pub heard: Arc<Heard>,
    pub directory: tempfile::TempDir,
}

pub(crate) const START: &str = "2018-11-05T05:00:00Z";

pub(crate) async fn gateway() -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let random = Arc::new(OsRandom);
    let clock = Arc::new(MovableClock::standing_at(START.parse().unwrap()));
    let ring = Arc::new(
        KeyRing::open_or_create(&path.join("keyring.json"), clock.clone(), random.clone()).unwrap(),
    );
    let database = Database::open(&path.join("passgate.db")).await.unwrap();
    let durable = SqliteSessions::new(database.clone(), ring.clone());
    let settings = Argon2Settings { memory_kib: 8, iterations: 1, parallelism: 1 };
    let hasher = Argon2Hasher::new(settings, 1, 4, random.clone(), Box::new(|_| ())).unwrap();
    let pbx = Arc::new(Pbx(AtomicBool::new(true)));
    let heard = Arc::new(Heard::default());
    let services = Services {
        accounts: Arc::new(SqliteAccounts::new(database.clone())),
        sessions: Arc::new(CachedSessions::new(durable, 100)),
        attempts: Arc::new(SqliteAttempts::new(database.clone())),
        credentials: Arc::new(SqliteCredentials::new(database.clone())),
        codes: Arc::new(SqliteCodes::new(database.clone())),
        kept_forms: Arc::new(SqliteKeptForms::new(database.clone())),
        outbox: Arc::new(SqliteOutbox::new(database.clone())),
        campaigns: Arc::new(SqliteCampaigns::new(database.clone())),
        mail: Some(MailOffice { composer: Arc::new(NoPostman), transport: Arc::new(NoPostman) }),
        subscribers: Arc::new(NoSubscribers),
        audit: heard.clone(),
        hasher: Arc::new(hasher),
        vault: ring.clone(),
        portal: pbx.clone(),
        clock: clock.clone(),
        random,
        issuer: Arc::new(NoTokens),
        tokens: Arc::new(SqliteTokens::new(database)),
        signer: Arc::new(KeyRingSigner::new(ring.clone(), "https://portal.example.com")),
        memory: Arc::default(),
        turns: Arc::default(),
        process: uuid::Uuid::from_u128(1),
        policies: Policies { lockout: lockout(), ..Policies::default() },
    };
    let list = ring.clone();
    let key = |info: crate::adapters::key_ring::KeyInfo| KeyInfo {
        id: info.id,
        created_at: info.created_at,
        active: info.state == KeyState::Active,
    };
    let state = AdminState {
        services: Arc::new(services),
        metrics: Arc::new(Metrics::new("0.1.0", "test")),
        tokens: Arc::new(AdminTokens::open(path).unwrap()),
        clock: Some(Arc::new(ClockControl::new(move |step| clock.advance(step)))),
        keys: Arc::new(KeyControl::new(
            move || list.list().into_iter().map(key).collect(),
            move || ring.rotate().map(key).map_err(|error| error.to_string()),
        )),
    };
    Gateway { state, pbx, heard, directory }
}

fn access() -> PbxAccess {
    PbxAccess {
        authorization: Secret::new("Bearer access-canary"),
        refresh: None,
        expires_at: None,
        fields: serde_json::Map::new(),
    }
}

pub(crate) fn lockout() -> LockoutPolicy {
    LockoutPolicy {
        max_failures: 5,
        window: Duration::from_secs(900),
        duration: Duration::from_secs(900),
        max_failures_per_address: 500,
        offices: Vec::new(),
        refusal_floor: Duration::ZERO,
        tell_owner: true,
    }
}

impl Gateway {
    /// Calls over the socket, with a JSON body unless it is null.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
        };
        self.send(Access::Socket, request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str) -> (StatusCode, Value) {
        self.call("POST", path, Value::Null).await
    }

    pub(crate) async fn import(&self, query: &str, csv: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/accounts/import{query}"))
            .header("content-type", "text/csv")
            .body(csv.into())
            .unwrap();
        self.send(Access::Socket, request).await
    }

    pub(crate) async fn send(&self, access: Access, request: Request<Body>) -> (StatusCode, Value) {
        let response = admin(self.state.clone(), access).oneshot(request).await.unwrap();
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let kind = response.headers().get("content-type").unwrap();
            assert!(
                ["application/problem+json", "application/json"].contains(&kind.to_str().unwrap())
            );
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text()))
    }

    pub(crate) async fn account(&self, login: &str) -> Value {
        let (status, account) =
            self.call("POST", "/accounts", json!({ "login": login, "name": "Jane" })).await;
        assert_eq!(status, StatusCode::CREATED, "{account}");
        account
    }

    /// A signed-in browser of the account.
    pub(crate) async fn session(&self, login: &str) -> SessionToken {
        self.open(login, None).await
    }

    /// An application that holds tokens of the account.
    pub(crate) async fn family(&self, login: &str, kind: GrantKind, client: Option<&str>) {
        let client = client.map(|id| ClientCredentials {
            id: id.to_owned(),
            secret: Secret::new("client-canary"),
        });
        let expires_at = self.state.services.clock.now() + Duration::from_secs(3600);
        let grant = Grant { kind, endpoint: "v1".into(), client, expires_at };
        self.open(login, Some(Box::new(grant))).await;
    }

    async fn open(&self, login: &str, grant: Option<Box<Grant>>) -> SessionToken {
        let services = &self.state.services;
        let login = LoginName::parse(login).unwrap();
        let account = services.accounts.find(&login).await.unwrap().unwrap();
        let token = SessionToken(services.random.bytes());
        let now = services.clock.now();
        let record = SessionRecord {
            id: token.id(),
            account: account.id,
            login,
            obtained_with: ObtainedWith::Pin,
            progress: Progress::Complete,
            epoch: account.epoch,
            created_at: now,
            last_seen: now,
            jar: Jar::new(),
            jar_generation: 0,
            server: 0,
            user_agent: "Firefox".into(),
            client: "203.0.113.7".parse().unwrap(),
            access: grant.as_ref().map(|_| Arc::new(access())),
            grant,
        };
        services.sessions.open(record).await.unwrap();
        token
    }
}
