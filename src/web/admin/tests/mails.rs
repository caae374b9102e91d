//! Links for users, and the queue of mails.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, Portion, StoredMail};
use crate::ports::{CredentialChange, NewPassword};
use crate::web::admin::testing::{Gateway, START, gateway};

/// An account with an address on file.
async fn with_address(gateway: &Gateway, login: &str) {
    let body = json!({"login": login, "email": "jane@acme.example"});
    assert_eq!(gateway.call("POST", "/accounts", body).await.0, StatusCode::CREATED);
}

/// Takes up everything that is due, as the background task does.
async fn take_up(gateway: &Gateway) -> Vec<StoredMail> {
    let services = &gateway.state.services;
    services
        .outbox
        .claim(services.clock.now(), Duration::from_secs(60), Portion::of(100))
        .await
        .unwrap()
}

async fn give_up(gateway: &Gateway, id: MailId) {
    let services = &gateway.state.services;
    services.outbox.give_up(id, "550 no such user", services.clock.now()).await.unwrap();
}

async fn set_password(gateway: &Gateway, login: &str) {
    let services = &gateway.state.services;
    let account = services.accounts.find(&LoginName::parse(login).unwrap()).await.unwrap();
    let (id, epoch) = account.map(|account| (account.id, account.epoch)).unwrap();
    let (phc, at) = ("$argon2id$x".into(), services.clock.now());
    let new = NewPassword { phc, at, expected_epoch: epoch };
    let change = CredentialChange { password: Some(new), ..CredentialChange::of(id) };
    services.credentials.commit(change).await.unwrap().unwrap();
}

fn without_mail(gateway: &mut Gateway) {
    Arc::make_mut(&mut gateway.state.services).mail = None;
}

/// R-E1: an administrator "can send a welcome e-mail, trigger a password reset"; who asks again a
/// moment later is told when the first was asked for, and nothing more is queued.
#[tokio::test]
async fn a_link_is_sent_to_a_user() {
    let gateway = gateway().await;
    with_address(&gateway, "1001@acme").await;
    for (action, event) in [("reset", "reset_requested"), ("welcome", "welcome_requested")] {
        let path = format!("/accounts/1001@acme/{action}");
        let (status, asked) = gateway.post(&path).await;
        let expected = |mail: &str| {
            json!({"mail": mail, "kind": action, "login": "1001@acme",
                   "to": "jane@acme.example", "asked_at": START})
        };
        assert_eq!((status, asked), (StatusCode::ACCEPTED, expected("queued")));
        gateway.call("POST", "/clock", json!({"advance": "1m"})).await;
        assert_eq!(gateway.post(&path).await, (StatusCode::ACCEPTED, expected("already")));
        let heard = gateway.heard.0.lock().clone();
        let by_admin: Vec<_> = heard
            .iter()
            .filter(|heard| heard.event == event)
            .map(|heard| (heard.channel, heard.login.as_str(), heard.result))
            .collect();
        let expected = |result| ("admin", "1001@acme", result);
        assert_eq!(by_admin, [expected("queued"), expected("not_again")]);
        gateway.call("POST", "/clock", json!({"set": START})).await;
    }
    let listed = gateway.get("/outbox").await.1;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(gateway.post("/accounts/9@acme/reset").await.0, StatusCode::NOT_FOUND);
}

/// R-E1: who has put a mistyped address right need not wait for the mail to the right one, nor who
/// sees that the mail server refused the first. Security: "at most 3 e-mails per account and hour"
/// all the same.
#[tokio::test]
async fn a_corrected_address_gets_its_mail_at_once() {
    let gateway = gateway().await;
    with_address(&gateway, "1001@acme").await;
    let reset = async || gateway.post("/accounts/1001@acme/reset").await.1["mail"].take();
    assert_eq!(reset().await, "queued");
    let patch = json!({"email": "joe@acme.example"});
    gateway.call("PATCH", "/accounts/1001@acme", patch).await;
    assert_eq!(reset().await, "queued");
    assert_eq!(reset().await, "already");
    for mail in take_up(&gateway).await {
        give_up(&gateway, mail.mail.id).await;
    }
    assert_eq!(reset().await, "queued");
    give_up(&gateway, take_up(&gateway).await.remove(0).mail.id).await;
    assert_eq!(reset().await, "already", "the limit of an hour");
    gateway.call("POST", "/clock", json!({"advance": "61m"})).await;
    assert_eq!(reset().await, "queued");
}

/// R-E1: why no mail goes out is told in words and as `reason`. R-D3: who has a password gets a
/// reset link instead of a welcome.
#[tokio::test]
async fn why_no_link_is_sent() {
    let mut gateway = gateway().await;
    gateway.account("1001@acme").await;
    for login in ["1002@acme", "1003@acme"] {
        with_address(&gateway, login).await;
    }
    set_password(&gateway, "1002@acme").await;
    gateway.post("/accounts/1003@acme/disable").await;
    let refused = async |gateway: &Gateway, path: &str, status: StatusCode, reason: &str| {
        let (was, problem) = gateway.post(path).await;
        assert_eq!((was, problem["reason"].as_str()), (status, Some(reason)), "{path}: {problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    let (conflict, impossible) = (StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY);
    for action in ["reset", "welcome"] {
        let path = format!("/accounts/1001@acme/{action}");
        let why = refused(&gateway, &path, impossible, "no_address").await;
        assert!(why.contains("no e-mail address on file"), "{why}");
        let path = format!("/accounts/1003@acme/{action}");
        let why = refused(&gateway, &path, conflict, "disabled").await;
        assert!(why.contains("enable it first"), "{why}");
    }
    let why = refused(&gateway, "/accounts/1002@acme/welcome", conflict, "has_password").await;
    assert!(why.contains("send a reset link instead"), "{why}");
    assert_eq!(gateway.get("/outbox").await.1["items"], json!([]));
    assert_eq!(gateway.post("/accounts/1002@acme/reset").await.0, StatusCode::ACCEPTED);

    let mail = gateway.get("/outbox").await.1["items"][0]["id"].as_str().unwrap().to_owned();
    without_mail(&mut gateway);
    for path in ["/accounts/1002@acme/reset".to_owned(), format!("/outbox/{mail}/retry")] {
        let why = refused(&gateway, &path, conflict, "mail_off").await;
        assert!(why.contains("set mail.url"), "{why}");
    }
}

/// R-D4: an account can be made with its welcome; where that cannot go out, none is made.
#[tokio::test]
async fn an_account_is_made_with_its_welcome() {
    let mut gateway = gateway().await;
    let new =
        |login: &str, email: Value| json!({"login": login, "email": email, "send_welcome": true});
    let (status, made) =
        gateway.call("POST", "/accounts", new("1001@acme", json!("jane@acme.example"))).await;
    assert_eq!((status, &made["welcome_mail"]), (StatusCode::CREATED, &json!("queued")), "{made}");
    assert_eq!(made["login"], "1001@acme");
    let mail = gateway.get("/outbox").await.1["items"][0].take();
    assert_eq!((&mail["kind"], &mail["login"]), (&json!("welcome"), &json!("1001@acme")));

    let (status, problem) = gateway.call("POST", "/accounts", new("1002@acme", Value::Null)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["reason"], "no_address");
    without_mail(&mut gateway);
    let body = new("1002@acme", json!("joe@acme.example"));
    let (status, problem) = gateway.call("POST", "/accounts", body).await;
    assert_eq!((status, &problem["reason"]), (StatusCode::CONFLICT, &json!("mail_off")));
    assert_eq!(gateway.get("/accounts/1002@acme").await.0, StatusCode::NOT_FOUND);
    // Without the wish all is as before.
    let (status, made) = gateway.call("POST", "/accounts", json!({"login": "1002@acme"})).await;
    assert_eq!((status, made.get("welcome_mail")), (StatusCode::CREATED, None));
}

/// Interfaces: "queued and failed e-mails" by page and state, never the link. What is being handed
/// over is shown as queued.
#[tokio::test]
async fn mails_are_listed() {
    let gateway = gateway().await;
    for extension in 1..=4 {
        with_address(&gateway, &format!("{extension}@acme")).await;
        gateway.post(&format!("/accounts/{extension}@acme/reset")).await;
        gateway.call("POST", "/clock", json!({"advance": "1s"})).await;
    }
    let logins = async |query: &str| {
        let (status, page) = gateway.get(&format!("/outbox{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        let logins: Vec<String> =
            items.map(|mail| mail["login"].as_str().unwrap().to_owned()).collect();
        (logins.join(" "), page["next_cursor"].clone())
    };
    assert_eq!(logins("").await, ("4@acme 3@acme 2@acme 1@acme".into(), Value::Null));
    let mails = take_up(&gateway).await;
    let services = &gateway.state.services;
    let now = services.clock.now();
    assert_eq!(mails.len(), 4);
    services.outbox.sent(mails[0].mail.id, now).await.unwrap();
    give_up(&gateway, mails[1].mail.id).await;
    let later = now + SignedDuration::from_mins(1);
    services.outbox.retry_later(mails[3].mail.id, "451 later", later, true).await.unwrap();

    // Of the two that are queued for people, one is being handed over.
    let (first, cursor) = logins("?state=queued&limit=1").await;
    assert_eq!(first, "4@acme");
    let (second, cursor) =
        logins(&format!("?state=queued&limit=1&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!(second, "3@acme");
    let cursor = cursor.as_str().unwrap();
    assert_eq!(
        logins(&format!("?state=queued&limit=1&cursor={cursor}")).await,
        (String::new(), Value::Null)
    );
    assert_eq!(logins("?state=sent").await.0, "1@acme");
    assert_eq!(logins("?state=dropped").await.0, "");

    let dead = gateway.get("/outbox?state=dead").await.1["items"][0].take();
    let asked_at: Timestamp = START.parse().unwrap();
    assert_eq!(
        dead,
        json!({"id": mails[1].mail.id.to_string(), "kind": "reset", "login": "2@acme",
               "to": "jane@acme.example", "state": "dead", "attempts": 1,
               "last_error": "550 no such user",
               "asked_at": asked_at + SignedDuration::from_secs(1), "next_attempt_at": null})
    );
    let waiting = gateway.get("/outbox?limit=1").await.1["items"][0].take();
    assert_eq!(waiting["next_attempt_at"], later.to_string());
    for bad in ["?limit=0", "?limit=1001", "?state=sending", "?state=odd", "?cursor=odd", "?q=x"] {
        let (status, _) = gateway.get(&format!("/outbox{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

/// Security: "dead letters visible"; one is tried again when an administrator wants it. What is
/// gone or under way is not.
#[tokio::test]
async fn a_dead_letter_is_tried_again() {
    let gateway = gateway().await;
    with_address(&gateway, "1001@acme").await;
    gateway.post("/accounts/1001@acme/reset").await;
    let mail = take_up(&gateway).await.remove(0).mail;
    let path = format!("/outbox/{}/retry", mail.id);
    let refused = async |reason: &str, why: &str| {
        let (status, problem) = gateway.post(&path).await;
        assert_eq!((status, &problem["reason"]), (StatusCode::CONFLICT, &json!(reason)));
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    };
    refused("sending", "handed over at this moment").await;
    give_up(&gateway, mail.id).await;
    gateway.call("POST", "/clock", json!({"advance": "1h"})).await;
    let now = gateway.state.services.clock.now();
    let (status, again) = gateway.post(&path).await;
    assert_eq!((status, &again["state"]), (StatusCode::OK, &json!("queued")), "{again}");
    assert_eq!(again["next_attempt_at"], now.to_string());
    let last = gateway.heard.0.lock().last().cloned().unwrap();
    assert_eq!((last.event, last.login.as_str()), ("mail_retried", "1001@acme"));
    // One that waits is tried at once, too.
    assert_eq!(gateway.post(&path).await.0, StatusCode::OK);

    let taken = take_up(&gateway).await;
    assert_eq!((taken.len(), taken[0].mail.id, taken[0].attempts), (1, mail.id, 1));
    gateway.state.services.outbox.sent(mail.id, now).await.unwrap();
    refused("sent", "the mail server has this mail already").await;

    with_address(&gateway, "1002@acme").await;
    gateway.post("/accounts/1002@acme/reset").await;
    let other = take_up(&gateway).await.remove(0).mail.id;
    gateway.state.services.outbox.drop_mail(other, now).await.unwrap();
    let (status, problem) = gateway.post(&format!("/outbox/{other}/retry")).await;
    assert_eq!((status, &problem["reason"]), (StatusCode::CONFLICT, &json!("dropped")));
    for unknown in [Uuid::nil().to_string(), "odd".into()] {
        let (status, _) = gateway.post(&format!("/outbox/{unknown}/retry")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{unknown}");
    }
}
