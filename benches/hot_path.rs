//! What every request pays, piece by piece. `cargo bench --bench hot_path`; the figures to reach
//! are in docs/performance.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what cannot be set up cannot be measured"
)]
#![allow(missing_docs, reason = "nothing here is an interface")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use passgate::adapters::clock::SystemClock;
use passgate::adapters::key_ring::KeyRing;
use passgate::adapters::random::OsRandom;
use passgate::adapters::session_cache::CachedSessions;
use passgate::adapters::sqlite::{Database, SqliteAccounts, SqliteSessions};
use passgate::domain::account::{AccountId, AccountState, NewAccount, Role};
use passgate::domain::jar::Jar;
use passgate::domain::login_decision::{Check, login_decision};
use passgate::domain::login_name::LoginName;
use passgate::domain::rollout::{Phase, Rollout, Schedule};
use passgate::domain::session::{
    LiveSession, ObtainedWith, Progress, SessionPolicy, SessionRecord, SessionToken,
};
use passgate::gateway::canonical_path::canonical;
use passgate::gateway::cookies;
use passgate::gateway::credential_scan::CredentialScan;
use passgate::gateway::notice::{ContentCoding, InjectionPlan, Injector};
use passgate::gateway::redaction::Redactor;
use passgate::gateway::route::route;
use passgate::gateway::sanitise::{ConnectionTokens, names_that_must_go};
use passgate::ports::{AccountStore as _, Random, SessionStore};
use passgate::profile::Profile;
use passgate::web::cookies::session_token;

fn canonical_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("canonical path");
    group.bench_function("ordinary", |b| {
        b.iter(|| canonical(black_box("/portal/users/edit/1001@abc-company.11111.service?tab=2")));
    });
    group.bench_function("to be changed", |b| {
        b.iter(|| canonical(black_box("//portal/./users/%65dit/1001%40abc-company.11111.service")));
    });
    group.finish();
}

fn cookie(c: &mut Criterion) {
    let header: &[u8] = b"lang=en; tz=Europe%2FBerlin; \
        __Host-passgate=4h5j2k1l9s8d7f6g5h4j3k2l1a0s9d8f7g6h5j4k3l2; theme=dark";
    let jar = ["PHPSESSID", "CAKEPHP"];
    let mut group = c.benchmark_group("cookie");
    group.bench_function("find", |b| {
        b.iter(|| cookies::find([black_box(header)], cookies::SESSION));
    });
    group.bench_function("find and strip", |b| {
        b.iter(|| {
            let found = cookies::find([black_box(header)], cookies::SESSION).map(str::len);
            (found, cookies::remaining(header, &jar).len())
        });
    });
    group.finish();
}

fn headers(c: &mut Criterion) {
    let browser: HeaderMap = [
        ("host", "portal.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("referer", "https://portal.example.com/portal/home"),
        ("connection", "keep-alive"),
        ("cookie", "__Host-passgate=x"),
        ("upgrade-insecure-requests", "1"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("priority", "u=0, i"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect();
    c.bench_function("header hygiene", |b| {
        b.iter(|| {
            let values = browser.get_all("connection").iter().map(HeaderValue::as_bytes);
            let tokens = ConnectionTokens::read(values).unwrap_or_default();
            names_that_must_go(black_box(&browser), &tokens).count()
        });
    });
}

fn notice(c: &mut Criterion) {
    let rows = "<tr><td class=\"a\">1001</td><td><a href=\"/portal/users\">x</a></td></tr>\n";
    let head = "<script src=\"/portal/js/x.js\"></script>\n".repeat(12);
    let page = format!(
        "<!doctype html><html><head><title>Home</title>{head}</head><body><table>{}</table></body></html>",
        rows.repeat(50 * 1024 / rows.len())
    );
    let chunks: Vec<Bytes> =
        page.as_bytes().chunks(16 * 1024).map(Bytes::copy_from_slice).collect();
    let mut group = c.benchmark_group("50-KB page");
    group.throughput(Throughput::Bytes(page.len() as u64));
    for (name, plan) in [
        ("without notice", InjectionPlan::new()),
        ("with notice", InjectionPlan::new().at_body_begin("<div id=passgate-notice></div>")),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut injector = Injector::new(plan.clone(), ContentCoding::Identity);
                let mut length = 0;
                for chunk in &chunks {
                    length += injector.push(chunk.clone()).map_or(0, |out| out.len());
                }
                length + injector.finish().map_or(0, |out| out.len())
            });
        });
    }
    group.finish();
}

fn redaction(c: &mut Criterion) {
    let text = Profile::builtin("netsapiens").expect("it is built in");
    let profile = Profile::parse(text, "netsapiens").expect("it is sound");
    let rule = profile.redaction("/ns-api/").expect("the API is covered");
    let mut list = String::from("[");
    while list.len() < 50 * 1024 {
        let separator = if list.len() > 1 { "," } else { "" };
        let user = r#"{"domain":"abc-company.11111.service","user":"1001","name-first-name":"Alice","name-last-name":"Adams","login-username":"1001@abc-company.11111.service","voicemail-login-pin":"48151","email-address":"alice@example.com","user-scope":"Basic User","service-code":"","voicemail-enabled":"yes","account-status":"standard"}"#;
        list.extend([separator, user]);
    }
    list.push(']');
    let chunks: Vec<Bytes> =
        list.as_bytes().chunks(16 * 1024).map(Bytes::copy_from_slice).collect();
    let mut group = c.benchmark_group("50-KB answer of the API");
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("PINs hidden", |b| {
        b.iter(|| {
            let mut redactor = Redactor::new(Arc::clone(rule), ContentCoding::Identity, true);
            let mut length = 0;
            for chunk in &chunks {
                length += redactor.push(chunk.clone()).map_or(0, |out| out.len());
            }
            length + redactor.finish().map_or(0, |out| out.len())
        });
    });
    group.finish();
}

fn credential_scan(c: &mut Criterion) {
    let scan =
        CredentialScan::new([("data[Login][username]", false), ("data[Login][password]", false)]);
    c.bench_function("credential scan of a query", |b| {
        b.iter(|| scan.query(black_box("tab=2&sort=name&filter%5Bstate%5D=active&page=3")));
    });
}

fn routes(c: &mut Criterion) {
    let text = Profile::builtin("netsapiens").expect("it is built in");
    let profile = Profile::parse(text, "netsapiens").expect("it is sound");
    let mut group = c.benchmark_group("route");
    for (name, method, path) in [
        ("portal page", "GET", "/portal/users/edit/1001@abc-company.11111.service"),
        ("style sheet", "GET", "/portal/css/main.css"),
        ("login", "POST", "/portal/login"),
        ("API", "GET", "/ns-api/v2/domains/~/users/~"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| route(&profile, "/account", black_box(method), black_box(path)).label());
        });
    }
    group.finish();
}

fn decision(c: &mut Criterion) {
    c.bench_function("login decision", |b| {
        b.iter(|| {
            login_decision(
                black_box(AccountState::PinOnly),
                black_box(Check::PinAccepted),
                black_box(Phase::Warn),
            )
        });
    });
}

/// The moment at which all of this happens.
fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).expect("within jiff's range")
}

fn login() -> LoginName {
    LoginName::parse("1001@abc-company.11111.service").expect("a login name")
}

fn record(token: &SessionToken, account: AccountId) -> SessionRecord {
    let mut jar = Jar::new();
    jar.take("PHPSESSID=4h5j2k1l9s8d7f6g5h4j3k2l1a; path=/");
    SessionRecord {
        id: token.id(),
        account,
        login: login(),
        obtained_with: ObtainedWith::Pin,
        progress: Progress::Complete,
        epoch: 0,
        created_at: now(),
        last_seen: now(),
        jar,
        jar_generation: 0,
        server: 0,
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
        client: [192, 0, 2, 1].into(),
        grant: None,
        access: None,
    }
}

/// From the cookie's value to a session and what it may reach: what the gate does per request.
fn sessions(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (cache, cookies) = runtime.block_on(cache(directory.path()));
    let mut group = c.benchmark_group("session");
    let mut next = cookies.iter().cycle();
    group.bench_function("look-up among a thousand", |b| {
        b.iter(|| {
            let cookie = next.next().expect("it never ends");
            let id = session_token(black_box(cookie)).expect("one of ours").id();
            cache.cached(&id).is_some()
        });
    });

    let live = LiveSession::new(record(&SessionToken([7; 32]), AccountId(uuid::Uuid::nil())));
    let policy = SessionPolicy {
        idle: Duration::from_secs(4 * 3600),
        absolute: Some(Duration::from_secs(7 * 86_400)),
    };
    let schedule = Schedule {
        warn: Some(now()),
        force: Timestamp::from_second(2_000_000_000).ok(),
        reject: Timestamp::from_second(2_100_000_000).ok(),
    };
    let rollout = Rollout { everyone: schedule, ..Rollout::default() };
    group.bench_function("phase and standing", |b| {
        b.iter(|| {
            let phase = rollout.phase(live.record().login.tenant(), black_box(now()));
            live.standing(&policy, phase, black_box(now()))
        });
    });
    group.bench_function("touch and jar", |b| {
        b.iter(|| {
            live.touch(black_box(now()));
            live.jar()
        });
    });
    group.finish();
}

/// A thousand sessions of one account in the first level, and the values of their cookies.
async fn cache(directory: &std::path::Path) -> (CachedSessions, Vec<String>) {
    use base64::Engine as _;
    let database = Database::open(&directory.join("passgate.db")).await.expect("a database");
    let ring = directory.join("keyring.json");
    let ring = KeyRing::open_or_create(&ring, Arc::new(SystemClock), Arc::new(OsRandom));
    let accounts = SqliteAccounts::new(database.clone());
    let id = AccountId(uuid::Uuid::from_u128(1));
    let account = NewAccount { login: login(), email: None, name: String::new(), role: Role::User };
    accounts.create(id, account, now()).await.expect("an account");
    let sessions = SqliteSessions::new(database, Arc::new(ring.expect("a key ring")));
    let sessions = CachedSessions::new(sessions, 10_000);
    let random: &dyn Random = &OsRandom;
    let mut cookies = Vec::new();
    for _ in 0..1_000 {
        let token = SessionToken(random.bytes());
        let opened = sessions.open(record(&token, id)).await.expect("a session");
        assert!(!opened.has_ended(), "the session is one of the account's");
        cookies.push(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token.0));
    }
    (sessions, cookies)
}

criterion_group!(
    benches,
    canonical_path,
    cookie,
    headers,
    notice,
    redaction,
    credential_scan,
    routes,
    decision,
    sessions
);
criterion_main!(benches);
