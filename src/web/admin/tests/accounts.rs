//! Accounts and their sessions.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::domain::account::SealedPin;
use crate::domain::grant::GrantKind;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject};
use crate::domain::login_name::LoginName;
use crate::domain::pin_journal::{JournalEntry, Stage};
use crate::domain::session::SessionToken;
use crate::ports::{CredentialChange, NewPassword, Reserved};
use crate::web::admin::Access;
use crate::web::admin::testing::{START, gateway, lockout};
use crate::web::admin::tokens::hex;

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
               "extension": "1001", "email": "jane@acme.example", "bounced": null, "name": "Jane Doe",
               "role": "manager", "state": "pin_only", "locked_until": null,
               "password_set_at": null, "initial_password_expires_at": null,
               "pin_write_back": null, "last_login_at": null,
               "created_at": START})
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
    for (epoch, phc) in [(0, "$argon2id$canary-one"), (1, "$argon2id$canary-two")] {
        let change = CredentialChange {
            password: Some(NewPassword { phc: phc.into(), at: now, expected_epoch: epoch }),
            pin: Some(SealedPin(b"canary-pin".to_vec())),
            ..CredentialChange::of(id)
        };
        services.credentials.commit(change).await.unwrap().unwrap();
    }
    gateway.session("1001@acme").await;
    for path in [
        "/accounts",
        "/accounts/1001@acme",
        "/accounts/export",
        "/sessions?account=1001@acme",
        "/outbox",
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
    assert_eq!(listed["items"][0]["kind"], "portal");
    assert_eq!(listed["items"][0]["client_id"], Value::Null);
    let id = hex(&first.id().0);
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

/// R-C8: applications are listed with the sessions, by name, and without a secret.
#[tokio::test]
async fn applications_are_listed() {
    let gateway = gateway().await;
    gateway.account("1001@acme").await;
    for (kind, client) in [
        (GrantKind::Jwt, Some("softphone")),
        (GrantKind::Pass, Some("wallboard")),
        (GrantKind::Basic, None),
    ] {
        gateway.family("1001@acme", kind, client).await;
    }
    let listed = gateway.get("/sessions?account=1001@acme").await.1;
    assert!(!listed.to_string().contains("canary"), "{listed}");
    let items = listed["items"].as_array().unwrap().iter();
    let mut found: Vec<_> =
        items.map(|one| (one["kind"].as_str().unwrap(), one["client_id"].as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, [("basic", None), ("jwt", Some("softphone")), ("pass", Some("wallboard"))]);
    let (status, ended) = gateway.post("/accounts/1001@acme/sign-out").await;
    assert_eq!((status, ended), (StatusCode::OK, json!({"ended": 3})));
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

/// R-B4: "inconclusive stays pending": the account says so, and a gauge counts, without the PIN.
#[tokio::test]
async fn a_pin_on_its_way_is_shown() {
    let gateway = gateway().await;
    assert_eq!(gateway.account("1001@acme").await["pin_write_back"], Value::Null);
    gateway.account("1002@acme").await;
    let services = &gateway.state.services;
    let account = services.accounts.find(&LoginName::parse("1001@acme").unwrap()).await.unwrap();
    let account = account.unwrap();
    let now = services.clock.now();
    let entry = JournalEntry {
        account: account.id,
        stage: Stage::Writing,
        phc: Some("$argon2id$canary".into()),
        epoch: account.epoch,
        old: None,
        new: SealedPin(b"canary-pin".to_vec()),
        holder: services.process,
        began_at: now,
        attempts: 0,
        next_attempt_at: now,
    };
    services.credentials.begin(entry).await.unwrap();
    let shown = gateway.get("/accounts/1001@acme").await.1;
    assert_eq!(shown["pin_write_back"], "pending");
    assert!(!shown.to_string().contains("canary"), "{shown}");
    let other = gateway.get("/accounts/1002@acme").await.1;
    assert_eq!(other["pin_write_back"], Value::Null);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let text = gateway.send(Access::Token, request).await.1;
    let open = "passgate_pin_writebacks_open 1";
    assert!(text.as_str().unwrap().lines().any(|line| line == open), "{text}");
}
