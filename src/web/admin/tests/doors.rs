//! Tokens, the socket, health, metrics, clock, keys, and the description of it all.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::web::admin::testing::gateway;
use crate::web::admin::{Access, AdminListeners, SOCKET_NAME, Scope, admin};

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
               "checks": {"store": "ok", "cache": "ok", "pbx": "unavailable", "mail": "on"}})
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
    let routes = include_str!("../mod.rs").matches(".route(\"/").count()
        + include_str!("../mod.rs").matches("            \"/accounts/").count();
    // `/livez`, `/readyz` and `/metrics` are not below `/api/v1`.
    assert_eq!(paths.len(), routes - 3, "a route is missing from openapi.json");
}

/// Interfaces: the socket is its owner's only, replaces one left behind, and is not shared.
#[tokio::test]
async fn the_socket_belongs_to_one_gateway() {
    use std::os::unix::fs::PermissionsExt as _;
    let gateway = gateway().await;
    let socket = gateway.directory.path().join(SOCKET_NAME);
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

/// Interfaces: the description knows every kind of mail.
#[tokio::test]
async fn every_kind_of_mail_is_described() {
    let gateway = gateway().await;
    let (_, description) = gateway.get("/openapi.json").await;
    let described = &description["components"]["schemas"]["Mail"]["properties"]["kind"]["enum"];
    assert_eq!(described, &serde_json::json!(MailKind::ALL.map(MailKind::name)));
}
