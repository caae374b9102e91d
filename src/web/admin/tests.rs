//! The router over the real store: accounts, sessions and locks live in SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Access, AdminListeners, AdminState, AdminTokens, ClockControl, KeyControl, KeyInfo};
use super::{Scope, admin};
use crate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings};
use crate::adapters::clock::MovableClock;
use crate::adapters::key_ring::{KeyRing, KeyState};
use crate::adapters::random::OsRandom;
use crate::adapters::session_cache::CachedSessions;
use crate::adapters::sqlite::{Database, SqliteAccounts, SqliteAttempts, SqliteSessions};
use crate::domain::account::SealedPin;
use crate::domain::jar::Jar;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockoutPolicy};
use crate::domain::login_name::LoginName;
use crate::domain::password_policy::PasswordPolicy;
use crate::domain::rollout::Rollout;
use crate::domain::secret::Secret;
use crate::domain::session::{ObtainedWith, Progress, SessionPolicy, SessionRecord, SessionToken};
use crate::flows::{Policies, Services};
use crate::ports::{
    AccountChange, AuditLog, Portal, PortalAnswer, PortalLogin, Reserved, SecurityEvent,
    Unavailable,
};
use crate::telemetry::Metrics;

/// A PBX of which only the answer to a health check matters here.
struct Pbx(AtomicBool);

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

#[derive(Default)]
struct Heard(parking_lot::Mutex<Vec<SecurityEvent>>);

impl AuditLog for Heard {
    fn record(&self, event: SecurityEvent) {
        self.0.lock().push(event);
    }
}

struct Gateway {
    state: AdminState,
    pbx: Arc<Pbx>,
    heard: Arc<Heard>,
    directory: tempfile::TempDir,
}

const START: &str = "2018-11-05T05:00:00Z";

async fn gateway() -> Gateway {
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
        attempts: Arc::new(SqliteAttempts::new(database)),
        audit: heard.clone(),
        hasher: Arc::new(hasher),
        vault: ring.clone(),
        portal: pbx.clone(),
        clock: clock.clone(),
        random,
        policies: Policies {
            rollout: Rollout::default(),
            session: SessionPolicy { idle: Duration::from_secs(4 * 3600), absolute: None },
            lockout: lockout(),
            password: PasswordPolicy::default(),
            tenant_passwords: std::collections::HashMap::new(),
            create_on_first_login: true,
        },
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

fn lockout() -> LockoutPolicy {
    LockoutPolicy {
        max_failures: 5,
        window: Duration::from_secs(900),
        duration: Duration::from_secs(900),
        max_failures_per_address: 500,
        offices: Vec::new(),
        refusal_floor: Duration::ZERO,
    }
}

impl Gateway {
    /// Calls over the socket, with a JSON body unless it is null.
    async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
        };
        self.send(Access::Socket, request.unwrap()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str) -> (StatusCode, Value) {
        self.call("POST", path, Value::Null).await
    }

    async fn import(&self, query: &str, csv: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/accounts/import{query}"))
            .header("content-type", "text/csv")
            .body(csv.into())
            .unwrap();
        self.send(Access::Socket, request).await
    }

    async fn send(&self, access: Access, request: Request<Body>) -> (StatusCode, Value) {
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

    async fn account(&self, login: &str) -> Value {
        let (status, account) =
            self.call("POST", "/accounts", json!({ "login": login, "name": "Jane" })).await;
        assert_eq!(status, StatusCode::CREATED, "{account}");
        account
    }

    /// A signed-in browser of the account.
    async fn session(&self, login: &str) -> SessionToken {
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
        };
        services.sessions.open(record).await.unwrap();
        token
    }
}

/// Interfaces: an account has exactly these members, and what an administrator may do to it.
#[tokio::test]
async fn an_account_from_its_making_to_its_end() {
    let gateway = gateway().await;
    let (status, account) = gateway
        .call(
            "POST",
            "/accounts",
            json!({"login": " 1001@ACME.11111.service", "email": "jane@acme.example",
                   "name": "Jane Doe", "role": "manager"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let id = account["id"].as_str().unwrap().to_owned();
    assert_eq!(
        account,
        json!({"id": id, "login": "1001@acme.11111.service", "tenant": "acme.11111.service",
               "extension": "1001", "email": "jane@acme.example", "name": "Jane Doe",
               "role": "manager", "state": "pin_only", "locked_until": null,
               "password_set_at": null, "last_login_at": null, "created_at": START})
    );
    for key in [id.as_str(), "1001@acme.11111.service", "1001%40ACME.11111.service"] {
        assert_eq!(
            gateway.get(&format!("/accounts/{key}")).await,
            (StatusCode::OK, account.clone())
        );
    }

    let path = format!("/accounts/{id}");
    let (status, changed) =
        gateway.call("PATCH", &path, json!({"email": null, "role": "user"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(changed["email"], Value::Null);
    assert_eq!((&changed["role"], &changed["name"]), (&json!("user"), &json!("Jane Doe")));

    let (status, taken) =
        gateway.call("POST", "/accounts", json!({"login": "1001@acme.11111.service"})).await;
    assert_eq!((status, &taken["id"]), (StatusCode::CONFLICT, &json!(id)));

    assert_eq!(gateway.call("DELETE", &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&path).await.0, StatusCode::NOT_FOUND);
    let events: Vec<&str> = gateway.heard.0.lock().iter().map(|event| event.event).collect();
    assert_eq!(events, ["account_created", "account_changed", "account_deleted"]);
}

/// Interfaces: bad input gets 400 or 422, unknown members (a `password`, say) are refused.
#[tokio::test]
async fn bad_input_is_refused_and_named() {
    let gateway = gateway().await;
    let id = gateway.account("1001@acme").await["id"].as_str().unwrap().to_owned();
    let path = format!("/accounts/{id}");
    for (method, path, body, why) in [
        ("PATCH", path.as_str(), json!({"password": "Secret123"}), "unknown field `password`"),
        ("POST", "/accounts", json!({"login": "1@a", "pin": "1234"}), "unknown field `pin`"),
        ("POST", "/accounts", json!({"login": "1001"}), "an extension and a tenant"),
        ("POST", "/accounts", json!({"login": "1@a", "email": "x"}), "name@example.com"),
        ("POST", "/accounts", json!({"login": "1@a", "role": "root"}), "unknown variant `root`"),
        ("PATCH", path.as_str(), json!({"name": "a\nb"}), "control characters"),
        ("PATCH", path.as_str(), json!({"email": 5}), "invalid type"),
    ] {
        let (status, problem) = gateway.call(method, path, body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem["status"], 422);
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    for path in [
        "/accounts?limit=0",
        "/accounts?limit=1001",
        "/accounts?limit=x",
        "/accounts?state=odd",
        "/accounts?page=2",
        "/sessions",
        "/accounts/export?x=1",
    ] {
        assert_eq!(gateway.get(path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    for (method, path, expected) in [
        ("GET", "/nothing", StatusCode::NOT_FOUND),
        ("PUT", "/accounts", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/accounts/nobody", StatusCode::NOT_FOUND),
        ("POST", "/accounts/9999@acme/disable", StatusCode::NOT_FOUND),
        ("DELETE", "/sessions/abc", StatusCode::NOT_FOUND),
    ] {
        let (status, _) = gateway.call(method, path, Value::Null).await;
        assert_eq!(status, expected, "{method} {path}");
    }
    let json = |body: &str| {
        Request::post("/api/v1/accounts")
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let broken = gateway.send(Access::Socket, json("{\"login\":")).await.0;
    assert_eq!(broken, StatusCode::BAD_REQUEST);
    let large = gateway.send(Access::Socket, json(&" ".repeat(100_000))).await.0;
    assert_eq!(large, StatusCode::PAYLOAD_TOO_LARGE);
    let untyped = Request::post("/api/v1/accounts").body(Body::from("{}")).unwrap();
    let untyped = gateway.send(Access::Socket, untyped).await.0;
    assert_eq!(untyped, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// R-E1, security: never a hash or a PIN in any answer.
#[tokio::test]
async fn no_answer_holds_a_hash_or_a_pin() {
    let gateway = gateway().await;
    gateway.account("1001@acme").await;
    let services = &gateway.state.services;
    let login = LoginName::parse("1001@acme").unwrap();
    let id = services.accounts.find(&login).await.unwrap().unwrap().id;
    let now = services.clock.now();
    let set = |phc: &str| AccountChange::Password { phc: phc.into(), at: now };
    for change in [
        set("$argon2id$canary-one"),
        set("$argon2id$canary-two"),
        AccountChange::Pin(SealedPin(b"canary-pin".to_vec())),
    ] {
        services.accounts.change(id, change, None).await.unwrap().unwrap();
    }
    gateway.session("1001@acme").await;
    for path in [
        "/accounts",
        "/accounts/1001@acme",
        "/accounts/export",
        "/sessions?account=1001@acme",
        "/keys",
        "/tokens",
    ] {
        let (status, answer) = gateway.get(path).await;
        assert_eq!(status, StatusCode::OK);
        let text = answer.to_string();
        assert!(!text.contains("canary") && !text.contains("argon2"), "{path}: {text}");
        assert!(!text.contains("63616e617279") && !text.contains("99,97,110,97"), "{text}");
    }
    let account = gateway.get("/accounts/1001@acme").await.1;
    assert_eq!(
        (&account["state"], &account["password_set_at"]),
        (&json!("password"), &json!(START))
    );
}

/// R-E1: lists by page, tenant, state and text.
#[tokio::test]
async fn accounts_are_listed_and_searched() {
    let gateway = gateway().await;
    for login in ["10@acme", "9@acme", "100@acme", "9@other"] {
        gateway.account(login).await;
    }
    gateway.post("/accounts/9@acme/disable").await;
    let logins = async |path: &str| {
        let (status, page) = gateway.get(path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let logins: Vec<String> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account["login"].as_str().unwrap().to_owned())
            .collect();
        (logins, page["next_cursor"].clone())
    };
    let (first, cursor) = logins("/accounts?limit=3").await;
    assert_eq!(first, ["9@acme", "10@acme", "100@acme"]);
    let cursor: String =
        form_urlencoded::byte_serialize(cursor.as_str().unwrap().as_bytes()).collect();
    let rest = logins(&format!("/accounts?limit=3&cursor={cursor}")).await;
    assert_eq!(rest, (vec!["9@other".to_owned()], Value::Null));
    assert_eq!(logins("/accounts?tenant=OTHER").await.0, ["9@other"]);
    assert_eq!(logins("/accounts?state=disabled").await.0, ["9@acme"]);
    assert_eq!(logins("/accounts?q=100").await.0, ["100@acme"]);
    assert_eq!(logins("/accounts?q=").await.0.len(), 4);
}

/// R-C5: an administrator sees a lock and can lift it.
#[tokio::test]
async fn a_locked_account_is_unlocked() {
    let gateway = gateway().await;
    gateway.account("1001@acme").await;
    let services = &gateway.state.services;
    let subject = AttemptSubject { name: "1001@acme".into(), device: None, address: None };
    let now = services.clock.now();
    for _ in 0..5 {
        let reserved = services.attempts.reserve(&subject, &lockout(), now).await.unwrap();
        let Reserved::Allowed(reservation) = reserved else { panic!("locked too early") };
        let failure = AttemptOutcome::Failure;
        services.attempts.settle(reservation, failure, &lockout(), now).await.unwrap();
    }
    let until = now + SignedDuration::from_mins(15);
    let shown = gateway.get("/accounts/1001@acme").await.1;
    assert_eq!(shown["locked_until"], until.to_string());
    assert_eq!(gateway.get("/accounts").await.1["items"][0]["locked_until"], until.to_string());
    let (status, unlocked) = gateway.post("/accounts/1001@acme/unlock").await;
    assert_eq!((status, &unlocked["locked_until"]), (StatusCode::OK, &Value::Null));
    let again = services.attempts.reserve(&subject, &lockout(), now).await.unwrap();
    assert!(matches!(again, Reserved::Allowed(_)));
}

/// Security: disabling an account ends its sessions at once; so do sign-out and deletion. A
/// session can be ended alone.
#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let gateway = gateway().await;
    gateway.account("1001@acme").await;
    let sessions = Arc::clone(&gateway.state.services.sessions);
    let alive = async |token: &SessionToken| {
        let in_memory = sessions.cached(&token.id()).is_some_and(|session| !session.has_ended());
        in_memory || sessions.find(&token.id()).await.unwrap().is_some()
    };
    let (first, second) = (gateway.session("1001@acme").await, gateway.session("1001@acme").await);
    let listed = gateway.get("/sessions?account=1001@acme").await.1;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed["items"][0]["obtained_with"], "pin");
    let id = super::tokens::hex(&first.id().0);
    assert!(listed.to_string().contains(&id));
    let path = format!("/sessions/{id}");
    assert_eq!(gateway.call("DELETE", &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.call("DELETE", &path, Value::Null).await.0, StatusCode::NOT_FOUND);
    assert!(!alive(&first).await && alive(&second).await);

    let (status, disabled) = gateway.post("/accounts/1001@acme/disable").await;
    assert_eq!((status, &disabled["state"]), (StatusCode::OK, &json!("disabled")));
    assert!(!alive(&second).await);
    assert_eq!(gateway.post("/accounts/1001@acme/enable").await.1["state"], "pin_only");

    let third = gateway.session("1001@acme").await;
    let (status, ended) = gateway.post("/accounts/1001@acme/sign-out").await;
    assert_eq!((status, ended), (StatusCode::OK, json!({"ended": 1})));
    assert!(!alive(&third).await);

    let fourth = gateway.session("1001@acme").await;
    gateway.call("DELETE", "/accounts/1001@acme", Value::Null).await;
    assert!(!alive(&fourth).await);
}

/// R-E1: an import is all or nothing unless asked otherwise, and a dry run changes nothing.
#[tokio::test]
async fn imports_report_per_line() {
    let gateway = gateway().await;
    let csv = "login,email,name,role\n1001@acme,a@b.example,Jane,manager\n1002,,,\n1003@acme,,,\n";
    let count = async || gateway.get("/accounts").await.1["items"].as_array().unwrap().len();

    let (status, report) = gateway.import("?dry_run=true", csv).await;
    let failed = json!([{"line": 3, "reason":
        "a login name needs an extension and a tenant, for example 1001@example.com"}]);
    let would = json!({"created": 2, "updated": 0, "unchanged": 0, "failed": failed});
    assert_eq!((status, report), (StatusCode::OK, would.clone()));
    assert_eq!(count().await, 0);

    let (status, report) = gateway.import("", csv).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((&report["failed"], &report["created"]), (&failed, &json!(0)));
    assert_eq!(count().await, 0);

    assert_eq!(gateway.import("?partial=true", csv).await, (StatusCode::OK, would));
    assert_eq!(count().await, 2);
    let again = json!({"created": 0, "updated": 0, "unchanged": 2, "failed": failed});
    assert_eq!(gateway.import("?partial=true", csv).await.1, again);

    // A file without roles and with gaps demotes nobody and erases nothing.
    let (_, report) = gateway.import("", "login,email,name\n1001@acme,,\n").await;
    assert_eq!(report["unchanged"], 1);
    let (_, report) = gateway.import("", "login,name\n1001@acme,Janet\n").await;
    assert_eq!(report["updated"], 1);
    let jane = gateway.get("/accounts/1001@acme").await.1;
    assert_eq!(
        (&jane["role"], &jane["email"], &jane["name"]),
        (&json!("manager"), &json!("a@b.example"), &json!("Janet"))
    );

    assert_eq!(
        gateway.import("", "login,pin\n1@a,1234\n").await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(gateway.import("?dryrun=true", csv).await.0, StatusCode::BAD_REQUEST);
    let untyped = Request::post("/api/v1/accounts/import").body(Body::from(csv)).unwrap();
    let status = gateway.send(Access::Socket, untyped).await.0;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// R-E1: what is exported can be imported, formulas included; more than one page of it.
#[tokio::test]
async fn an_export_imports_unchanged() {
    let gateway = gateway().await;
    let mut csv = "login,email,name,role\n".to_owned();
    for extension in 0..2_500 {
        csv += &format!("{extension}@acme,u{extension}@acme.example,\"=Doe, {extension}\",user\n");
    }
    assert_eq!(gateway.import("", csv).await.1["created"], 2_500);
    let (status, exported) = gateway.get("/accounts/export").await;
    assert_eq!(status, StatusCode::OK);
    let exported = exported.as_str().unwrap().to_owned();
    assert_eq!(exported.lines().count(), 2_501);
    assert!(exported.contains("7@acme,u7@acme.example,\"'=Doe, 7\",user\r\n"), "{exported:.300}");
    let (status, report) = gateway.import("", exported).await;
    assert_eq!((status, &report["unchanged"]), (StatusCode::OK, &json!(2_500)), "{report}");
}

/// Interfaces: the listener needs a token of the right scope; health and metrics need none.
#[tokio::test]
async fn the_listener_asks_for_a_token() {
    let gateway = gateway().await;
    let now = Timestamp::UNIX_EPOCH;
    let random = &*gateway.state.services.random;
    let (_, read) = gateway.state.tokens.create(Scope::Read, "r", random, now).unwrap();
    let (info, write) = gateway.state.tokens.create(Scope::Write, "w", random, now).unwrap();
    let status = async |method: &str, path: &str, authorization: Option<String>| {
        let request = Request::builder().method(method).uri(path);
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        let request = request
            .header("content-type", "application/json")
            .body(Body::from("{\"login\":\"1001@acme\"}"))
            .unwrap();
        gateway.send(Access::Token, request).await.0
    };
    let bearer = |token: &Secret| Some(format!("Bearer {}", token.expose()));
    let (accounts, unauthorized) = ("/api/v1/accounts", StatusCode::UNAUTHORIZED);
    assert_eq!(status("GET", accounts, None).await, unauthorized);
    assert_eq!(status("GET", "/api/v1/nothing", None).await, unauthorized);
    assert_eq!(status("GET", accounts, Some("Bearer pgadm_wrong".into())).await, unauthorized);
    assert_eq!(status("GET", accounts, Some("Bearer ".into())).await, unauthorized);
    assert_eq!(status("GET", accounts, Some(read.expose().into())).await, unauthorized);
    assert_eq!(status("GET", accounts, bearer(&read)).await, StatusCode::OK);
    let lower = Some(format!("bearer {}", read.expose()));
    assert_eq!(status("GET", accounts, lower).await, StatusCode::OK);
    assert_eq!(status("POST", accounts, bearer(&read)).await, StatusCode::FORBIDDEN);
    assert_eq!(status("POST", accounts, bearer(&write)).await, StatusCode::CREATED);
    // Tokens are made on the socket only.
    let tokens = status("POST", "/api/v1/tokens", bearer(&write)).await;
    assert_eq!(tokens, StatusCode::NOT_FOUND);
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(status("GET", open, None).await, StatusCode::OK, "{open}");
    }
    gateway.state.tokens.revoke(&info.id).unwrap();
    assert_eq!(status("GET", accounts, bearer(&write)).await, unauthorized);
}

#[tokio::test]
async fn tokens_are_made_and_revoked_on_the_socket() {
    let gateway = gateway().await;
    let (status, made) =
        gateway.call("POST", "/tokens", json!({"scope": "read", "name": "grafana"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("pgadm_") && token.len() == 49, "{token}");
    let listed = gateway.get("/tokens").await.1;
    assert_eq!(listed["items"][0]["name"], "grafana");
    assert!(!listed.to_string().contains(&token[6..]));
    let path = format!("/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(gateway.call("DELETE", &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.call("DELETE", &path, Value::Null).await.0, StatusCode::NOT_FOUND);
    let bad = gateway.call("POST", "/tokens", json!({"scope": "root"})).await.0;
    assert_eq!(bad, StatusCode::UNPROCESSABLE_ENTITY);
}

/// R-G5: readiness asks the PBX and names it when it is missing, without its address.
#[tokio::test]
async fn readiness_names_what_is_missing() {
    let gateway = gateway().await;
    let ready = async |accept: &str| {
        let request = Request::get("/readyz").header("accept", accept).body(Body::empty()).unwrap();
        let response = admin(gateway.state.clone(), Access::Token).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(ready("text/plain").await, (StatusCode::OK, "ready\n".into()));
    gateway.pbx.0.store(false, Ordering::SeqCst);
    let (status, text) = ready("text/plain").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text, "not ready: pbx does not answer\n");
    let body: Value = serde_json::from_str(&ready("*/*").await.1).unwrap();
    assert_eq!(
        body,
        json!({"ready": false, "missing": ["pbx"],
               "checks": {"store": "ok", "cache": "ok", "pbx": "unavailable"}})
    );
}

/// R-G5: `/metrics` counts accounts and sessions as they are now.
#[tokio::test]
async fn metrics_show_accounts_and_sessions() {
    let gateway = gateway().await;
    gateway.account("1001@acme").await;
    gateway.account("1002@acme").await;
    gateway.post("/accounts/1002@acme/disable").await;
    gateway.session("1001@acme").await;
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let (status, text) = gateway.send(Access::Token, request).await;
    let text = text.as_str().unwrap();
    assert_eq!(status, StatusCode::OK);
    for line in [
        "passgate_sessions_active 1",
        "passgate_rollout_accounts{state=\"pin_only\"} 1",
        "passgate_rollout_accounts{state=\"disabled\"} 1",
        "passgate_rollout_accounts{state=\"password\"} 0",
        "passgate_rollout_phase 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

/// R-G7: the clock of a demo can be moved; elsewhere there is no such call.
#[tokio::test]
async fn the_clock_is_moved_where_it_can_be() {
    let mut gateway = gateway().await;
    let (status, now) = gateway.call("POST", "/clock", json!({"advance": "4h"})).await;
    assert_eq!((status, now), (StatusCode::OK, json!({"now": "2018-11-05T09:00:00Z"})));
    let now = gateway.call("POST", "/clock", json!({"set": "2018-11-19"})).await.1;
    assert_eq!(now, json!({"now": "2018-11-19T00:00:00Z"}));
    assert_eq!(gateway.get("/clock").await.1, now);
    for bad in [json!({"advance": "soon"}), json!({"jump": "4h"})] {
        let (status, _) = gateway.call("POST", "/clock", bad.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    gateway.state.clock = None;
    assert_eq!(gateway.get("/clock").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_key_ring_is_listed_and_rotated() {
    let gateway = gateway().await;
    let (status, made) = gateway.post("/keys/rotate").await;
    assert_eq!(
        (status, &made["id"], &made["active"]),
        (StatusCode::CREATED, &json!(2), &json!(true))
    );
    let listed = gateway.get("/keys").await.1;
    let active: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|key| &key["active"]).collect();
    assert_eq!(active, [&json!(false), &json!(true)]);
}

/// The description names every call that exists and none that does not.
#[tokio::test]
async fn the_description_is_true() {
    let gateway = gateway().await;
    let (_, description) = gateway.get("/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let operations = operations.as_object().unwrap();
        let target = path.replace("{account}", "1@a").replace("{id}", "0");
        for method in ["get", "post", "put", "patch", "delete"] {
            let (status, answer) = gateway.call(&method.to_uppercase(), &target, Value::Null).await;
            let detail = answer["detail"].as_str().unwrap_or("");
            assert_ne!(detail, "the admin API has no such path", "{path}");
            let exists = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(operations.contains_key(method), exists, "{method} {path}: {status}");
        }
    }
    let routes = include_str!("mod.rs").matches(".route(\"/").count()
        + include_str!("mod.rs").matches("            \"/accounts/").count();
    // `/livez`, `/readyz` and `/metrics` are not below `/api/v1`.
    assert_eq!(paths.len(), routes - 3, "a route is missing from openapi.json");
}

/// Interfaces: the socket is its owner's only, replaces one left behind, and is not shared.
#[tokio::test]
async fn the_socket_belongs_to_one_gateway() {
    use std::os::unix::fs::PermissionsExt as _;
    let gateway = gateway().await;
    let socket = gateway.directory.path().join(super::SOCKET_NAME);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let address = "127.0.0.1:0".parse().unwrap();
    let listeners = AdminListeners::bind(Some(address), &socket).await.unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(listeners.address().unwrap().port() > 0);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listeners.serve(gateway.state.clone(), async {
        // Also ends when the sender is dropped.
        let _: Result<(), _> = stopped.await;
    }));
    let second = AdminListeners::bind(None, &socket).await;
    assert_eq!(second.err().map(|error| error.kind()), Some(std::io::ErrorKind::AddrInUse));
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(!socket.exists());
}
