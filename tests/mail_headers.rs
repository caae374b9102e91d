//! Header injection (security.md): whatever stands in a name, an address or the configuration, a mail
//! has our header fields, one sender and one recipient.

use serde_json::json;

use crate::support::{ABC_COMPANY, Gateway, Pbx, Received, Settings, Smtp, alice};

const ADDRESS: &str = "alice@corp.example";

/// What no name, address or login name may hold: each would end a line of a header.
const BREAKS: [&str; 5] = ["\r\n", "\n", "\r", "\0", "\u{85}"];

/// As RFC 5321 and 5322 have it, with our fields and no others, to one recipient.
fn check(mail: &Received) {
    let fields: Vec<&str> = mail.headers.keys().map(String::as_str).collect();
    let ours = [
        "auto-submitted",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ];
    assert_eq!(fields, ours, "{}", mail.raw);
    assert_eq!(
        (mail.sender.as_str(), &mail.recipients[..]),
        ("x@acme.example", &[ADDRESS.into()][..])
    );
    assert!(mail.raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    let head = mail.raw.split("\r\n\r\n").next().unwrap();
    assert!(head.is_ascii(), "{head}");
}

/// Names, addresses and login names that would break a header are refused at every door, in words.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_break_a_header_is_refused() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    gateway.put_on_file(&alice().login, ADDRESS).await;
    let account = format!("/api/v1/accounts/{}", alice().login);
    for line_break in BREAKS {
        let hostile = |text: &str| format!("{text}{line_break}Bcc: x@evil.example");
        let login = hostile("1999@acme");
        for (method, path, body) in [
            ("PATCH", account.as_str(), json!({ "name": hostile("Eve") })),
            ("PATCH", account.as_str(), json!({ "email": hostile("eve@corp.example") })),
            ("POST", "/api/v1/accounts", json!({ "login": "1999@acme", "name": hostile("Eve") })),
            (
                "POST",
                "/api/v1/accounts",
                json!({ "login": "1999@acme", "email": hostile("e@c.example") }),
            ),
            ("POST", "/api/v1/accounts", json!({ "login": login })),
        ] {
            let (status, problem) = gateway.api(method, path, body.clone()).await;
            assert_eq!(status, 422, "{method} {body}: {problem}");
        }
        let csv = format!("login,email,name\n1999@acme,e@c.example,\"{}\"\n", hostile("Eve"));
        let (status, report) = gateway.import("", &csv).await;
        assert_eq!(status, 422, "{report}");
        assert_eq!(report["failed"].as_array().map(Vec::len), Some(1), "{report}");
    }
    let shown = gateway.account(&alice().login).await;
    assert_eq!((&shown["name"], &shown["email"]), (&json!(""), &json!(ADDRESS)));
    assert!(gateway.account("1999@acme").await.is_null());
}

/// What may be said stays what it is, however long and in whatever letters: of each mail, in each
/// language.
#[tokio::test(flavor = "multi_thread")]
async fn long_and_foreign_names_arrive() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let long = "Müller & Söhne <Ämter>: ".repeat(20);
    let brand = format!(
        "[[brand]]\nhosts = [\"localhost\"]\ntenants = [\"{ABC_COMPANY}\"]\n\
         public_url = \"https://localhost\"\nname = \"{long}\"\nsupport = \"{long}\"\n\
         mail_from = \"{} <x@acme.example>\"\n",
        "日本語 ".repeat(60)
    );
    let settings = Settings::with_mail("warn", &smtp);
    let more = format!("{}{brand}", settings.more);
    let gateway = Gateway::with(&pbx, Settings { more, ..settings }).await;
    let name = "Jürgen \"J\" Ω, <b>Bcc: x@evil.example</b> ".repeat(4);
    let body = json!({ "login": alice().login, "email": ADDRESS, "name": name.trim() });
    assert_eq!(gateway.api("POST", "/api/v1/accounts", body).await.0, 201);
    for (language, subject) in
        [("en", "Set your portal password"), ("es", "Elija su contraseña del portal")]
    {
        let client = gateway.reader("localhost", language);
        let form = client.get("/account/forgot-password").await;
        let csrf = form.last_form_input("csrf");
        let fields = [("csrf", csrf.as_str()), ("login", &alice().login)];
        assert_eq!(client.post("/account/forgot-password", &fields).await.status, 200);
        let mail = smtp.mail_to(ADDRESS).await;
        check(&mail);
        assert_eq!(mail.subject(), subject);
        assert!(mail.headers["from"].starts_with("日本語 日本語"), "{}", mail.headers["from"]);
        gateway.advance("3m").await;
    }
    for guess in 0..5 {
        gateway.client().log_in(&alice().login, &format!("0000{guess}")).await;
    }
    check(&smtp.mail_to(ADDRESS).await);
    let welcome = gateway.ask(&alice().login, "welcome").await;
    assert_eq!(welcome["mail"], "queued");
    check(&smtp.mail_to(ADDRESS).await);
}
