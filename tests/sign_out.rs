//! Signing out (R-C6), and what reaches a WebSocket that nobody speaks on.

use std::time::Duration;

use passgate::demo::portal::Failure;
use serde_json::Value;

use crate::sessions::{SESSION, is_signed_in};
use crate::support::{Client, Gateway, Pbx, Raw, alice};

/// The sweep runs every five seconds; a loaded machine gets more.
const SWEPT: Duration = Duration::from_secs(40);

/// The portal's own link ends the Passgate session and the PBX session and removes the cookies.
#[tokio::test]
async fn the_portals_link_signs_out_of_both() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for path in ["/portal/login/logout", "/portal/login/logout/expired"] {
        let browser = gateway.client().signed_in(&alice()).await;
        let cookie = browser.cookie(SESSION).unwrap();
        assert_eq!(pbx.0.signed_in(), 1);
        let out = browser.get(path).await;
        assert_eq!((out.status, out.location()), (303, "/portal/login"), "{path}");
        assert!(out.headers.contains_key("clear-site-data"), "{path}");
        assert_eq!(browser.cookie(SESSION), None, "{path}");
        assert_eq!(pbx.0.signed_in(), 0, "{path}: the PBX session goes on");
        let other = gateway.client();
        other.set_cookie(SESSION, &cookie);
        assert!(!is_signed_in(&other).await, "{path}: the session goes on");
    }
}

/// Passgate's own button does the same; its GET only asks.
#[tokio::test]
async fn our_page_signs_out_of_both() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let page = browser.get("/account/sign-out").await;
    assert_eq!(page.status, 200);
    assert!(is_signed_in(&browser).await, "a GET has signed out");
    let cookie = browser.cookie(SESSION).unwrap();
    let out = browser.post("/account/sign-out", &[("csrf", &page.input("csrf"))]).await;
    assert_eq!(out.status, 303, "{}", out.text());
    assert_eq!((browser.cookie(SESSION), pbx.0.signed_in()), (None, 0));
    browser.set_cookie(SESSION, &cookie);
    assert!(!is_signed_in(&browser).await);
}

/// It succeeds here even when the PBX is down.
#[tokio::test]
async fn signing_out_needs_no_pbx() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for failure in [Failure::Close, Failure::Status(500)] {
        pbx.0.fail_with(Failure::None);
        let browser = gateway.client().signed_in(&alice()).await;
        let cookie = browser.cookie(SESSION).unwrap();
        pbx.0.fail_with(failure);
        let out = browser.get("/portal/login/logout").await;
        assert_eq!((out.status, out.location()), (303, "/portal/login"), "{failure:?}");
        pbx.0.fail_with(Failure::None);
        browser.set_cookie(SESSION, &cookie);
        assert!(!is_signed_in(&browser).await, "{failure:?}");
    }
}

/// ASVS V7: an idle WebSocket is closed when its user signs out.
#[tokio::test]
async fn an_idle_websocket_ends_with_the_sign_out() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let other = gateway.client().signed_in(&alice()).await;
    let mut socket = websocket(&gateway, &browser).await;
    let mut others = websocket(&gateway, &other).await;
    assert_eq!(browser.get("/portal/login/logout").await.status, 303);
    assert!(socket.closed(Duration::from_secs(5)).await.is_some(), "it outlives its session");
    assert!(others.closed(Duration::from_millis(200)).await.is_none(), "another session's closed");
}

/// R-A6: a WebSocket of a PIN session ends when its phase holds the session back or ends it.
#[tokio::test]
async fn an_idle_websocket_ends_with_the_phase() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for moment in ["2032-01-01T00:00:00Z", "2033-01-01T00:00:00Z"] {
        gateway.set_clock("2031-12-31T23:00:00Z").await;
        let browser = gateway.client().signed_in(&alice()).await;
        let mut socket = websocket(&gateway, &browser).await;
        gateway.set_clock(moment).await;
        assert!(socket.closed(SWEPT).await.is_some(), "open in a phase that forbids it: {moment}");
    }
}

/// Disabling an account closes its WebSockets.
#[tokio::test]
async fn an_idle_websocket_ends_with_the_account() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let mut socket = websocket(&gateway, &browser).await;
    let account = gateway.account(&alice().login).await;
    let path = format!("/api/v1/accounts/{}/disable", account["id"].as_str().unwrap());
    assert!(gateway.api("POST", &path, Value::Null).await.0 < 300);
    assert!(socket.closed(SWEPT).await.is_some(), "open for a disabled account");
}

/// Origin check for WebSocket: other sites cannot open one with this browser's cookies.
#[tokio::test]
async fn other_sites_open_no_websocket() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    pbx.0.clear_record();
    for origin in ["https://evil.example", "http://localhost", "null"] {
        let mut connection = gateway.raw().await;
        connection.send(upgrade(&browser, &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(connection.answer().await.unwrap().status, 403, "{origin}");
    }
    assert_eq!(pbx.0.record().len(), 0);
}

/// An open WebSocket on which nothing moves.
async fn websocket(gateway: &Gateway, browser: &Client) -> Raw {
    let mut connection = gateway.raw().await;
    connection.send(upgrade(browser, "")).await;
    let answer = connection.answer().await.expect("an answer");
    assert_eq!(answer.status, 101, "{}", answer.head);
    connection
}

fn upgrade(browser: &Client, more: &str) -> String {
    format!(
        "GET /portal/socket?ticks=off HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
        browser.cookie_header()
    )
}
