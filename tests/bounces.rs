//! Addresses that take no mail: found out when a mail is handed over, or told by an administrator.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Mailed, Pbx, Settings, Smtp, alice, until};

const ADDRESS: &str = Mailed::ADDRESS;

/// A form for people who cannot sign in.
async fn asks(gateway: &Gateway, page: &str, field: &str, typed: &str) -> Answer {
    let client = gateway.client();
    let csrf = client.get(page).await.last_form_input("csrf");
    client.post(page, &[("csrf", csrf.as_str()), (field, typed)]).await
}

/// The mail server says that nobody has the address: the mail is a dead letter, the account shows
/// it, nothing more is sent there, and people are told whom to ask, as without an address. Another
/// address ends it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_has_is_not_written_to() {
    let world = Mailed::new().await;
    let (gateway, smtp, login) = (&world.gateway, &world.smtp, alice().login);
    smtp.fail_with(json!({ "rcpt": "550 5.1.1 user unknown" })).await;
    gateway.ask(&login, "reset").await;
    until(async || gateway.account(&login).await["bounced"].is_object()).await;
    let account = gateway.account(&login).await;
    assert!(account["bounced"]["reason"].as_str().unwrap().contains("user unknown"), "{account}");
    assert_eq!(account["email"], ADDRESS, "it stays on file");
    until(async || gateway.outbox().await[0]["state"] == "dead").await;

    smtp.work_again().await;
    gateway.advance("1h").await;
    for (page, field, typed) in [
        ("/account/forgot-password", "login", login.as_str()),
        ("/account/forgot-login-name", "email", ADDRESS),
        ("/account/new-user", "email", ADDRESS),
    ] {
        let told = asks(gateway, page, field, typed).await;
        assert_eq!(told.status, 422, "{page}: {}", told.text());
        assert!(told.text().contains("Please contact"), "{page}: {}", told.text());
    }
    let path = format!("/api/v1/accounts/{login}/welcome");
    let (status, problem) = gateway.api("POST", &path, Value::Null).await;
    assert_eq!((status, &problem["reason"]), (422, &json!("bounced")), "{problem}");
    let dead = gateway.outbox().await[0]["id"].as_str().unwrap().to_owned();
    let retry = format!("/api/v1/outbox/{dead}/retry");
    let (status, problem) = gateway.api("POST", &retry, Value::Null).await;
    assert_eq!((status, &problem["reason"]), (422, &json!("bounced")), "{problem}");
    assert_eq!(gateway.outbox().await.len(), 1, "nothing was queued");
    gateway.logs("address_bounced").await;

    gateway.put_on_file(&login, "jane@corp.example").await;
    assert!(gateway.account(&login).await["bounced"].is_null());
    gateway.ask(&login, "reset").await;
    smtp.mail_to("jane@corp.example").await;
}

/// What may be policy, or a full mailbox, says nothing about the address.
#[tokio::test(flavor = "multi_thread")]
async fn other_refusals_mark_nothing() {
    let world = Mailed::new().await;
    let (gateway, login) = (&world.gateway, alice().login);
    for (number, answer) in ["550 5.7.1 not wanted", "552 5.2.2 full"].into_iter().enumerate() {
        world.smtp.fail_with(json!({ "rcpt": answer })).await;
        gateway.ask(&login, "reset").await;
        until(async || {
            let mails = gateway.outbox().await;
            mails.len() == number + 1 && mails.iter().all(|mail| mail["state"] == "dead")
        })
        .await;
        assert!(gateway.account(&login).await["bounced"].is_null(), "{answer}");
        gateway.advance("3m").await;
    }
}

/// R-A4: at reject, an address that takes no mail is none.
#[tokio::test(flavor = "multi_thread")]
async fn at_reject_it_is_no_address() {
    let (smtp, pbx) = (Smtp::start().await, Pbx::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("reject", &smtp)).await;
    let login = alice().login;
    gateway.put_on_file(&login, ADDRESS).await;
    let path = format!("/api/v1/accounts/{login}/bounce");
    assert_eq!(gateway.api("POST", &path, json!({ "address": ADDRESS })).await.0, 200);
    let browser = gateway.client();
    assert_eq!(browser.log_in(&login, &alice().pin).await.location(), "/portal/login");
    let page = browser.get("/portal/login").await.text();
    assert!(page.contains("there is no e-mail address on file for you"), "{page}");
    assert!(gateway.outbox().await.is_empty());
}

/// R-E1: an administrator marks an address and lifts the mark, over the API and the command line;
/// what waited is not sent there, before and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn administrators_mark_addresses() {
    let mut world = Mailed::new().await;
    let login = alice().login;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    world.gateway.ask(&login, "reset").await;
    until(async || world.gateway.outbox().await[0]["last_error"].is_string()).await;
    let gateway = &world.gateway;
    let said = gateway.command(&["accounts", "bounce", &login, "--reason", "came back"]).await;
    let table = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.status.success() && table.contains("alice@corp.example (takes no mail)"),
        "{table}"
    );
    let shown = gateway.command(&["accounts", "show", &login]).await.stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("e-mail comes back") && shown.contains("came back"), "{shown}");

    world.smtp.work_again().await;
    world.gateway.restart().await;
    world.gateway.advance("3m").await;
    until(async || world.gateway.outbox().await[0]["state"] == "dropped").await;
    let gateway = &world.gateway;
    let path = |what: &str| format!("/api/v1/accounts/{login}/{what}");
    let other = json!({ "address": "other@corp.example", "reason": "x" });
    let (status, problem) = gateway.api("POST", &path("bounce"), other).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("other_address")), "{problem}");
    let (status, problem) =
        gateway.api("POST", &path("bounce"), json!({ "adress": ADDRESS })).await;
    assert_eq!(status, 422, "{problem}");
    let said = gateway.command(&["accounts", "unbounce", &login]).await;
    assert!(said.status.success());
    assert!(gateway.account(&login).await["bounced"].is_null());
    gateway.ask(&login, "reset").await;
    world.smtp.mail_to(ADDRESS).await;
}
