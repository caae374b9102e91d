//! E-mail as an operator meets it: is it on, does the mail server work, does a link arrive.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Gateway, MailTls, Pbx, Settings, Smtp, alice, passgate, until};

async fn gateway(pbx: &Pbx, mail: &str) -> Gateway {
    Gateway::with(pbx, Settings { more: mail.into(), ..Settings::default() }).await
}

async fn readiness(gateway: &Gateway) -> (u16, Value) {
    let answer = reqwest::get(format!("http://{}/readyz", gateway.admin)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// `passgate check --connect` with the configuration as `change` leaves it: whether all is well,
/// and what it says of the mail server.
async fn check(gateway: &Gateway, change: impl Fn(String) -> String) -> (bool, String) {
    let text = change(std::fs::read_to_string(gateway.config()).unwrap());
    let file = gateway.directory().join("changed.toml");
    std::fs::write(&file, text).unwrap();
    let output = passgate(&file, &["check", "--connect"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("mail server ")).unwrap_or_default();
    (output.status.success(), line.to_owned())
}

/// Nobody learns on the day of reject that no mail goes out: the start and `/readyz` say that
/// e-mail is off. The gateway is ready all the same.
#[tokio::test]
async fn without_a_mail_server() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "").await;
    let (status, body) = readiness(&gateway).await;
    assert_eq!((status, &body["checks"]["mail"]), (200, &json!("off")), "{body}");
    let log = gateway.logs("E-MAIL IS OFF").await;
    let warning = log.lines().find(|line| line.contains("E-MAIL IS OFF")).unwrap();
    assert!(warning.contains("WARN") && warning.contains("at reject, users"), "{warning}");
}

/// A mail server that does not answer takes nothing from those who need no link: the gateway
/// starts and is ready. What could not be sent waits and is sent when the server is back.
#[tokio::test]
async fn the_mail_server_comes_and_goes() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    smtp.fail_with(json!({ "refuse": true })).await;
    let gateway = gateway(&pbx, &smtp.config()).await;
    let (status, body) = readiness(&gateway).await;
    assert_eq!((status, &body["checks"]["mail"]), (200, &json!("on")), "{body}");
    assert!(!gateway.log().contains("E-MAIL IS OFF"));

    ask_for_reset(&gateway).await;
    until(async || {
        gateway.metrics().await.contains(r#"mails_total{kind="reset",result="unavailable"}"#)
    })
    .await;
    smtp.work_again().await;
    gateway.advance("1m").await;
    let mail = smtp.mail_to("alice@abc-company.example").await;
    assert!(mail.link().starts_with("https://localhost/account/reset?code="), "{}", mail.text);
    until(async || {
        let metrics = gateway.metrics().await;
        metrics.contains(r#"mails_total{kind="reset",result="sent"} 1"#)
            && metrics.contains(r#"mail_outbox{state="sent"} 1"#)
            && metrics.contains(r#"mail_outbox{state="queued"} 0"#)
    })
    .await;
    let code = mail.link().rsplit('=').next().unwrap().to_owned();
    assert!(!gateway.log().contains(&code), "the log has a link");
    assert!(!gateway.log().contains("canary-smtp"), "the log has the mail server's password");
}

/// `check --connect` logs in at the mail server and sends nothing; what is wrong is said in words
/// that an operator can act on.
#[tokio::test]
async fn the_mail_server_is_tried() {
    let pbx = Pbx::start().await;
    for tls in [MailTls::StartTls, MailTls::Implicit, MailTls::None] {
        let smtp = Smtp::with(tls).await;
        let gateway = gateway(&pbx, &smtp.config()).await;
        let (good, line) = check(&gateway, |text| text).await;
        assert!(good && line.ends_with(": works"), "{tls:?}: {line}");
        assert!(smtp.mails().await.is_empty() && smtp.logins().await.len() == 1);
    }

    let smtp = Smtp::start().await;
    let gateway = gateway(&pbx, &smtp.config()).await;
    // A private authority that nobody named; nothing was said to whoever this is.
    let (good, line) = check(&gateway, |text| without(&text, "ca = ")).await;
    assert!(!good && line.contains("is not trusted") && line.contains("mail.ca"), "{line}");
    assert!(smtp.logins().await.is_empty());

    let password = gateway.directory().join("wrong-password");
    std::fs::write(&password, "canary-wrong-Password").unwrap();
    let (good, line) = check(&gateway, |text| {
        let path = |path: &Path| format!("password_file = \"{}\"", path.display());
        without(&text, "password_file = ")
            .replace("user = ", &format!("{}\nuser = ", path(&password)))
    })
    .await;
    assert!(!good && line.contains("does not take the login of portal (535)"), "{line}");
    assert!(!line.contains("canary"), "{line}");

    smtp.fail_with(json!({ "no_starttls": true })).await;
    let logins = smtp.logins().await.len();
    let (good, line) = check(&gateway, |text| text).await;
    assert!(!good && line.contains("does not offer STARTTLS"), "{line}");
    assert_eq!(smtp.logins().await.len(), logins, "a login over an open connection");

    smtp.fail_with(json!({ "refuse": true })).await;
    let (good, line) = check(&gateway, |text| text).await;
    assert!(!good && line.contains("cannot be reached"), "{line}");
}

/// A file for `mail.ca` that is none is said at once.
#[tokio::test]
async fn an_authority_that_cannot_be_read() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = gateway(&pbx, &smtp.config()).await;
    let (good, line) = check(&gateway, |text| {
        without(&text, "ca = ").replace("user = ", "ca = \"nowhere.pem\"\nuser = ")
    })
    .await;
    assert!(!good && line.contains("mail.ca") && line.contains("nowhere.pem"), "{line}");
}

/// The text without the lines that begin so.
fn without(text: &str, key: &str) -> String {
    text.lines().filter(|line| !line.starts_with(key)).flat_map(|line| [line, "\n"]).collect()
}

/// An administrator has a reset link sent to Alice, who has an address on file.
async fn ask_for_reset(gateway: &Gateway) {
    let login = &alice().login;
    let csv = format!("login,email,name,role\n{login},alice@abc-company.example,Alice,user\n");
    let (status, report) = gateway.import("", &csv).await;
    assert_eq!(status, 200, "{report}");
    let id = gateway.account(login).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/accounts/{id}/reset");
    let (status, answer) = gateway.api("POST", &path, Value::Null).await;
    assert!((200..300).contains(&status), "{status} {answer}");
}
