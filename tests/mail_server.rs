//! What becomes of a mail at a real mail server, and what its failures are taken for.

use std::time::Duration;

use passgate::adapters::smtp::{Protection, SmtpSettings, SmtpTransport};
use passgate::domain::mail::{MailId, MailKind};
use passgate::domain::secret::Secret;
use passgate::ports::{Mail, MailTransport, SendError};
use serde_json::json;
use uuid::Uuid;

use crate::support::{MailTls, Smtp};

fn mail(to: &str) -> Mail {
    Mail {
        id: MailId(Uuid::from_u128(0xfeed)),
        kind: MailKind::Reset,
        from: "Müller & Söhne <no-reply@acme.example>".into(),
        to: to.into(),
        subject: "Set your portal password – now".into(),
        text: "Hello ü,\n\nhttps://portal.example/account/reset?code=canaryCode\n.\n..x\n".into(),
        html: "<p>Hello <b>ü</b></p>\n".into(),
        date: "2018-12-03T14:12:00Z".parse().unwrap(),
    }
}

fn transport(settings: SmtpSettings) -> SmtpTransport {
    SmtpTransport::new(settings).unwrap()
}

async fn fails(settings: SmtpSettings) -> SendError {
    transport(settings).send(&mail("jane@corp.example")).await.unwrap_err()
}

fn outage(error: SendError) -> String {
    match error {
        SendError::Outage(why) => why,
        other => panic!("not an outage: {other:?}"),
    }
}

/// A mail arrives as it was written, over each kind of connection; the login is said inside TLS.
#[tokio::test]
async fn mails_arrive() {
    for (tls, login) in
        [(MailTls::StartTls, "tls"), (MailTls::Implicit, "tls"), (MailTls::None, "plain")]
    {
        let server = Smtp::with(tls).await;
        let transport = transport(server.settings());
        transport.ping().await.unwrap();
        transport.send(&mail("jane@corp.example")).await.unwrap();
        let arrived = server.mail_to("jane@corp.example").await;
        assert_eq!(arrived.sender, "no-reply@acme.example");
        assert_eq!(arrived.headers["from"], "Müller & Söhne <no-reply@acme.example>");
        assert_eq!(arrived.headers["to"], "jane@corp.example");
        assert_eq!(arrived.subject(), "Set your portal password – now");
        assert_eq!(arrived.headers["date"], "Mon, 03 Dec 2018 14:12:00 +0000");
        assert_eq!(arrived.headers["auto-submitted"], "auto-generated");
        let id = "<0000000000000000000000000000feed@portal.example>";
        assert_eq!(arrived.headers["message-id"], id);
        let sent = mail("jane@corp.example");
        assert_eq!((arrived.text, arrived.html), (sent.text, sent.html));
        assert!(arrived.raw.lines().all(|line| line.len() < 998), "{}", arrived.raw);
        assert_eq!(server.logins().await, [login, login], "{tls:?}");
    }
}

/// Several mails go over one connection: one login. After 50 it is a new one: many servers count.
#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Smtp::start().await;
    let transport = transport(server.settings());
    for (mails, logins) in [(50, 1), (1, 2)] {
        for _ in 0..mails {
            transport.send(&mail("jane@corp.example")).await.unwrap();
        }
        assert_eq!(server.logins().await.len(), logins);
    }
    assert_eq!(server.mails().await.len(), 51);
}

/// An address outside of ASCII is handed over as such.
#[tokio::test]
async fn addresses_outside_of_ascii() {
    let server = Smtp::start().await;
    transport(server.settings()).send(&mail("jürgen@exämple.example")).await.unwrap();
    assert_eq!(server.mails().await[0].recipients, ["jürgen@xn--exmple-cua.example"]);
}

/// Faults: 4xx to a mail is "later", 5xx is "never"; both leave the server usable for the next.
#[tokio::test]
async fn answers_about_a_mail() {
    let server = Smtp::start().await;
    let transport = transport(server.settings());
    for step in ["mail", "rcpt", "data"] {
        server.fail_with(json!({ step: "451 4.3.0 try again" })).await;
        let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
        assert!(matches!(&error, SendError::Later(why) if why.contains("try again")), "{error:?}");
        // It wants a login for this recipient: no reason to let all other mails wait.
        server.fail_with(json!({ step: "530 5.7.0 authentication required" })).await;
        let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
        let expected = match step {
            "mail" => matches!(error, SendError::Outage(_)),
            _ => matches!(error, SendError::Later(_)),
        };
        assert!(expected, "{step}: {error:?}");
        server.fail_with(json!({ step: "550 5.7.1 not wanted" })).await;
        let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
        assert!(matches!(&error, SendError::Never(why) if why.contains("not wanted")), "{error:?}");
    }
    assert_eq!(server.mails().await.len(), 0);
    server.work_again().await;
    transport.send(&mail("jane@corp.example")).await.unwrap();
    assert_eq!(server.mails().await.len(), 1);
}

/// A server that quotes the link does not bring it into the outbox or a log.
#[tokio::test]
async fn a_refusal_that_quotes_the_link() {
    let server = Smtp::start().await;
    let refusal = "554 bad link https://portal.example/account/reset?code=canaryCode";
    server.fail_with(json!({ "data": refusal })).await;
    let SendError::Never(why) = fails(server.settings()).await else { panic!() };
    assert!(why.contains("bad link https://portal.example") && !why.contains("canary"), "{why}");
}

/// Faults: what fails before MAIL FROM says nothing about the mail: it is an outage, with a reason
/// that an operator can act on.
#[tokio::test]
async fn a_server_that_cannot_be_used() {
    let server = Smtp::start().await;
    let settings = || server.settings();

    server.fail_with(json!({ "auth": "454 4.7.0 temporary authentication failure" })).await;
    assert!(outage(fails(settings()).await).contains("does not take the login of portal"));
    server.work_again().await;
    let wrong = Some(("portal".to_owned(), Secret::new("canary-wrong")));
    let why = outage(fails(SmtpSettings { login: wrong, ..settings() }).await);
    assert!(why.contains("does not take the login of portal (535)"), "{why}");
    assert!(!why.contains("canary"), "{why}");

    let why = outage(fails(SmtpSettings { login: None, ..settings() }).await);
    assert!(why.contains("530"), "it wants a login: {why}");

    let why = outage(fails(SmtpSettings { ca_pem: None, ..settings() }).await);
    assert!(why.contains("not trusted") && why.contains("mail.ca"), "{why}");
    let why = outage(fails(SmtpSettings { protection: Protection::Tls, ..settings() }).await);
    assert!(why.contains("no TLS with localhost"), "{why}");

    server.fail_with(json!({ "refuse": true })).await;
    assert!(outage(fails(settings()).await).contains("cannot be reached"));
    assert_eq!(server.mails().await.len(), 0);
    server.work_again().await;
    transport(settings()).send(&mail("jane@corp.example")).await.unwrap();
}

/// Where STARTTLS is wanted but not offered, neither login nor mail goes over the open connection.
#[tokio::test]
async fn no_starttls_no_login() {
    let server = Smtp::start().await;
    server.fail_with(json!({ "no_starttls": true })).await;
    let why = outage(fails(server.settings()).await);
    assert!(why.contains("does not offer STARTTLS"), "{why}");
    assert!(server.logins().await.is_empty() && server.mails().await.is_empty());
}

/// What somebody on the way says before TLS is not taken for an answer inside TLS (as in
/// CVE-2021-38371 and others).
#[tokio::test]
async fn answers_put_in_before_tls_are_refused() {
    let server = Smtp::start().await;
    server.fail_with(json!({ "inject": "250 AUTH PLAIN" })).await;
    let why = outage(fails(server.settings()).await);
    assert!(why.contains("said more before TLS"), "{why}");
    assert!(server.logins().await.is_empty());
}

/// A certificate for another name is none.
#[tokio::test]
async fn a_certificate_for_another_name() {
    for tls in [MailTls::Implicit, MailTls::StartTls] {
        let server = Smtp::misnamed(tls).await;
        let why = outage(fails(server.settings()).await);
        assert!(why.contains("not trusted") && why.contains("mail.example"), "{why}");
        assert!(server.logins().await.is_empty());
    }
}

/// When the answer to the message is lost, the server may have it: it is sent again under the same
/// `Message-ID`, rather than lost.
#[tokio::test]
async fn a_lost_answer_means_again() {
    let server = Smtp::start().await;
    let transport = transport(server.settings());
    server.fail_with(json!({ "lose_answer": true })).await;
    let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
    assert!(matches!(error, SendError::Later(_)), "{error:?}");
    server.work_again().await;
    transport.send(&mail("jane@corp.example")).await.unwrap();
    let ids: Vec<_> =
        server.mails().await.into_iter().map(|mail| mail.headers["message-id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

/// A server that stops answering holds nobody up for long. In the middle of a mail it is asked
/// again later; before one begins, it cannot be used.
#[tokio::test]
async fn a_server_that_hangs() {
    let server = Smtp::start().await;
    let impatient =
        || SmtpSettings { answer_within: Duration::from_millis(700), ..server.settings() };
    for step in ["rcpt", "data"] {
        server.fail_with(json!({ "hang": step })).await;
        let error = fails(impatient()).await;
        assert!(matches!(&error, SendError::Later(why) if why.contains("within")), "{error:?}");
    }
    server.fail_with(json!({ "hang": "mail" })).await;
    assert!(outage(fails(impatient()).await).contains("no answer to MAIL FROM"));
}

/// A server that does not take our login is asked by one: what it says holds for all that waited
/// for the same connection.
#[tokio::test]
async fn one_connects_at_a_time() {
    let server = Smtp::start().await;
    server.fail_with(json!({ "auth": "535 5.7.8 no", "slow": 0.1 })).await;
    let transport = transport(server.settings());
    let mail = mail("jane@corp.example");
    let answers = futures::future::join_all((0..4).map(|_| transport.send(&mail))).await;
    for answer in answers {
        assert!(outage(answer.unwrap_err()).contains("does not take the login"));
    }
    assert_eq!(server.logins().await.len(), 1);
    server.work_again().await;
    let answers = futures::future::join_all((0..4).map(|_| transport.send(&mail))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Faults: an address that nobody has is told apart from what may be policy, a full mailbox, or a
/// name that was not found today.
#[tokio::test]
async fn an_address_that_nobody_has() {
    let server = Smtp::start().await;
    let transport = transport(server.settings());
    for (answer, unknown) in [
        ("550 5.1.1 <jane@corp.example>: Recipient address rejected: User unknown", true),
        ("551 5.1.6 has moved", true),
        ("556 5.1.10 the domain takes no mail", true),
        ("550 User unknown", false),
        ("550 5.1.2 no such domain", false),
        ("550 5.7.1 blocked: 5.1.1", false),
        ("550 5.1.11 x", false),
        ("552 5.2.2 mailbox full", false),
        ("554 5.7.0 spam", false),
    ] {
        server.fail_with(json!({ "rcpt": answer })).await;
        let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
        match error {
            SendError::NoSuchAddress(_) => assert!(unknown, "{answer}"),
            SendError::Never(_) => assert!(!unknown, "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
    // Only where the recipient is spoken of; and "not now" stays so.
    server.fail_with(json!({ "data": "550 5.1.1 sender unknown" })).await;
    let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
    assert!(matches!(error, SendError::Never(_)), "{error:?}");
    server.fail_with(json!({ "rcpt": "450 4.1.1 not now" })).await;
    let error = transport.send(&mail("jane@corp.example")).await.unwrap_err();
    assert!(matches!(error, SendError::Later(_)), "{error:?}");
}
