//! What operators do about mails: a link for a user, what became of it, another try; over the API
//! and the command line, with a real mail server behind.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Gateway, PORTAL_ADMIN, Pbx, Settings, Smtp, alice, until};

const ALICE: &str = "alice@abc-company.example";
const PASSWORD: &str = "Lighthouse-42";

/// A gateway whose mails go to `smtp`, with Alice and her address on file, and Bob without one.
async fn gateway(pbx: &Pbx, smtp: &Smtp) -> Gateway {
    let more = smtp.config() + PORTAL_ADMIN;
    let gateway = Gateway::with(pbx, Settings { more, ..Settings::default() }).await;
    let csv = format!("login,email,name\n{},{ALICE},Alice\n{},,Bob\n", alice().login, bob());
    assert_eq!(gateway.import("", &csv).await.0, 200);
    gateway
}

fn bob() -> String {
    alice().login.replace("1001", "1002")
}

/// Whether the command succeeded, and what it said on standard output and standard error.
async fn passgate(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = gateway.command(arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// What `passgate mail list --state STATE` shows, latest first.
async fn mails(gateway: &Gateway, state: &str) -> Vec<Value> {
    let (code, out, _) = passgate(gateway, &["mail", "list", "--state", state, "--json"]).await;
    assert_eq!(code, Some(0));
    let mut page: Value = serde_json::from_str(&out).unwrap();
    serde_json::from_value(page["items"].take()).unwrap()
}

async fn the_mail_is(gateway: &Gateway, state: &str) -> Value {
    until(async || !mails(gateway, state).await.is_empty()).await;
    mails(gateway, state).await.remove(0)
}

/// The path of a link, as a browser asks for it here.
fn path(link: &str) -> &str {
    link.strip_prefix("https://localhost").unwrap()
}

/// R-E1: an administrator can "trigger a password reset" and "send a welcome e-mail", over the API
/// and the command line; the links work, and no operator ever sees one.
#[tokio::test(flavor = "multi_thread")]
async fn links_arrive_and_work() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = gateway(&pbx, &smtp).await;
    let login = alice().login;
    let (status, asked) =
        gateway.api("POST", &format!("/api/v1/accounts/{login}/reset"), Value::Null).await;
    assert_eq!((status, &asked["mail"], &asked["to"]), (202, &json!("queued"), &json!(ALICE)));
    let reset = smtp.mail_to(ALICE).await;

    // Bob has no address yet; that does not stop Alice's welcome.
    let (code, out, said) = passgate(&gateway, &["accounts", "welcome", &bob(), &login]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1002@") && said.contains("no e-mail address on file"), "{said}");
    assert!(out.contains(&login) && out.contains("queued") && out.contains(ALICE), "{out}");
    let welcome = smtp.mail_to(ALICE).await;
    let (code, again, _) = passgate(&gateway, &["accounts", "welcome", &login]).await;
    assert_eq!(code, Some(0));
    assert!(again.contains("already"), "{again}");

    for (mail, page) in [(&reset, "/account/reset?code="), (&welcome, "/account/welcome?code=")] {
        assert!(path(mail.link()).starts_with(page), "{}", mail.link());
        assert_eq!(gateway.client().get(path(mail.link())).await.status, 200);
    }
    until(async || mails(&gateway, "sent").await.len() == 2).await;
    let (_, table, _) = passgate(&gateway, &["mail", "list"]).await;
    let listed = gateway.api("GET", "/api/v1/outbox", Value::Null).await.1.to_string();
    for code in [&reset, &welcome].map(|mail| mail.link().rsplit('=').next().unwrap()) {
        assert!(!table.contains(code) && !listed.contains(code), "an operator sees a link");
        assert!(!gateway.log().contains(code), "the log has a link");
    }
    let id = mails(&gateway, "sent").await[0]["id"].as_str().unwrap().to_owned();
    assert!(welcome.headers["message-id"].contains(&id), "{:?}", welcome.headers);

    let browser = gateway.client();
    let page = browser.get(path(reset.link())).await;
    let (csrf, code) = (page.input("csrf"), page.input("code"));
    let form = [
        ("csrf", csrf.as_str()),
        ("code", code.as_str()),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
        ("pin", &alice().pin),
    ];
    let saved = browser.post("/account/reset", &form).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    let (_, shown, _) = passgate(&gateway, &["accounts", "show", &login, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["state"], &shown["pin_write_back"]), (&json!("password"), &Value::Null));
    let (code, _, said) = passgate(&gateway, &["accounts", "welcome", &login]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("send a reset link instead"), "{said}");
}

/// R-D4: an account made with `--welcome` gets its link in the same step.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_welcomed() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = gateway(&pbx, &smtp).await;
    let add = ["accounts", "add", "1003@acme", "--email", "new@acme.example", "--welcome"];
    let (code, _, said) = passgate(&gateway, &add).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("The welcome mail is queued."), "{said}");
    let mail = smtp.mail_to("new@acme.example").await;
    assert!(path(mail.link()).starts_with("/account/welcome?code="), "{}", mail.link());
    assert_eq!(passgate(&gateway, &add).await.0, Some(1), "it exists now");
    the_mail_is(&gateway, "sent").await;
    assert_eq!(smtp.mails().await.len(), 1, "one mail, not two");
}

/// Security: "dead letters visible". A mail that the server refused for good is listed with the
/// server's words, and sent when an administrator has it tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_and_sent_after_all() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = gateway(&pbx, &smtp).await;
    smtp.fail_with(json!({ "rcpt": "550 5.7.1 not wanted here" })).await;
    let login = alice().login;
    assert_eq!(passgate(&gateway, &["accounts", "reset", &login]).await.0, Some(0));
    let dead = the_mail_is(&gateway, "dead").await;
    assert_eq!((&dead["kind"], &dead["to"]), (&json!("reset"), &json!(ALICE)), "{dead}");
    assert_eq!(
        (&dead["attempts"], &dead["next_attempt_at"], &dead["login"]),
        (&json!(1), &Value::Null, &json!(login))
    );
    let why = dead["last_error"].as_str().unwrap();
    assert!(why.contains("550") && why.contains("not wanted here"), "{why}");
    let (_, table, _) = passgate(&gateway, &["mail", "list", "--state", "dead"]).await;
    assert!(table.contains("not wanted here"), "{table}");

    // Time alone brings it back to nobody.
    gateway.advance("1d").await;
    smtp.work_again().await;
    let id = dead["id"].as_str().unwrap();
    let (code, out, said) = passgate(&gateway, &["mail", "retry", id, "nonsense"]).await;
    assert_eq!(code, Some(1), "one of the two is no mail");
    assert!(out.contains(id) && said.contains("there is no such mail"), "{out}{said}");
    let mail = smtp.mail_to(ALICE).await;
    assert_eq!(gateway.client().get(path(mail.link())).await.status, 200);
    assert_eq!(the_mail_is(&gateway, "sent").await["id"], *id);
    assert_eq!(smtp.mails().await.len(), 1, "sent once");
    let (code, _, said) = passgate(&gateway, &["mail", "retry", id]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("has this mail already"), "{said}");
}

/// Security: "SMTP down … queued": the operator sees why a mail waits, and can have it tried now
/// instead of later. What is not needed any more is not sent, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_mail_is_tried_at_once() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = gateway(&pbx, &smtp).await;
    smtp.fail_with(json!({ "mail": "451 4.7.1 greylisted, come again" })).await;
    let login = alice().login;
    for action in ["reset", "welcome"] {
        assert_eq!(passgate(&gateway, &["accounts", action, &login]).await.0, Some(0));
    }
    let waiting = async || {
        let mails = mails(&gateway, "queued").await;
        let tried = mails.iter().filter(|mail| mail["last_error"].is_string()).count();
        (tried == 2).then_some(mails)
    };
    until(async || waiting().await.is_some()).await;
    let queued = waiting().await.unwrap();
    for mail in &queued {
        assert!(mail["last_error"].as_str().unwrap().contains("greylisted"), "{mail}");
        assert!(mail["next_attempt_at"].is_string(), "{mail}");
    }
    smtp.work_again().await;
    let reset = queued.iter().find(|mail| mail["kind"] == "reset").unwrap();
    let retry = ["mail", "retry", reset["id"].as_str().unwrap()];
    assert_eq!(passgate(&gateway, &retry).await.0, Some(0));
    let mail = smtp.mail_to(ALICE).await;
    assert!(mail.link().contains("/account/reset?"), "{}", mail.link());

    // The other one still waits when the account is switched off.
    assert_eq!(passgate(&gateway, &["accounts", "disable", &login]).await.0, Some(0));
    gateway.advance("2m").await;
    let dropped = the_mail_is(&gateway, "dropped").await;
    assert_eq!(dropped["kind"], "welcome");
    let retry = format!("/api/v1/outbox/{}/retry", dropped["id"].as_str().unwrap());
    let (status, problem) = gateway.api("POST", &retry, Value::Null).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("dropped")), "{problem}");
    assert_eq!(smtp.mails().await.len(), 1, "the dropped one was not sent");
}

/// Without `mail.url` nobody is told that a mail is on its way: the problem says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_it_says_so() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let login = alice().login;
    assert_eq!(gateway.import("", &format!("login,email\n{login},{ALICE}\n")).await.0, 200);
    for action in ["reset", "welcome"] {
        let path = format!("/api/v1/accounts/{login}/{action}");
        let (status, problem) = gateway.api("POST", &path, Value::Null).await;
        assert_eq!((status, &problem["reason"]), (409, &json!("mail_off")), "{problem}");
        let (code, out, said) = passgate(&gateway, &["accounts", action, &login]).await;
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(said.contains("e-mail is off: set mail.url"), "{said}");
    }
    let add = ["accounts", "add", "1003@acme", "--email", "new@acme.example", "--welcome"];
    assert_eq!(passgate(&gateway, &add).await.0, Some(1));
    assert_eq!(gateway.account("1003@acme").await, Value::Null, "no account without its welcome");
    assert_eq!(mails(&gateway, "queued").await, [Value::Null; 0]);
}
