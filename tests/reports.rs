//! Whoever sets a portal password, the owner of the account hears of it (R-D5); and an address goes
//! on file only after its owner has confirmed it (R-A3).

use serde_json::{Value, json};

use crate::support::{Answer, Client, Gateway, Pbx, Settings, Smtp, alice};

const ADDRESS: &str = "alice@corp.example";
const PASSWORD: &str = "Lighthouse-42";
const ANOTHER: &str = "Lighthouse-43";
const NEW_PIN: &str = "80246";
const SET: &str = "Your portal password was set";
const CHANGED: &str = "Your portal password was changed";

struct World {
    smtp: Smtp,
    gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

impl World {
    async fn in_phase(phase: &str) -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let gateway = Gateway::with(&pbx, Settings::with_mail(phase, &smtp)).await;
        Self { smtp, gateway, _pbx: pbx }
    }

    /// The next mail to Alice is this report. It names her login, and has no link and no secret.
    async fn reported(&self, subject: &str) {
        let mail = self.smtp.mail_to(ADDRESS).await;
        assert_eq!(mail.subject(), subject, "{}", mail.text);
        assert!(mail.text.contains(&alice().login), "{}", mail.text);
        assert!(mail.text.contains("This was not you?"), "{}", mail.text);
        for secret in ["code=", PASSWORD, ANOTHER, NEW_PIN, &alice().pin] {
            assert!(!mail.raw.contains(secret) && !mail.html.contains(secret), "{}", mail.raw);
        }
    }

    /// Nothing waits, and no mail was sent but these.
    async fn mails(&self, expected: usize) {
        let outbox = self.gateway.outbox().await;
        assert_eq!(outbox.len(), expected, "{outbox:?}");
    }

    async fn address(&self) -> Value {
        self.gateway.account(&alice().login).await["email"].clone()
    }

    /// Held back at force, Alice chooses, and gives this address.
    async fn chooses_with(&self, address: &str) -> (Client, Answer) {
        let browser = self.gateway.client();
        let held = browser.log_in(&alice().login, &alice().pin).await;
        assert_eq!(held.location(), "/account/set-password");
        let page = browser.get("/account/set-password").await;
        let csrf = page.input("csrf");
        let form = [
            ("csrf", csrf.as_str()),
            ("pin", NEW_PIN),
            ("password", PASSWORD),
            ("confirm", PASSWORD),
            ("email", address),
        ];
        let answer = browser.post("/account/set-password", &form).await;
        (browser, answer)
    }
}

/// R-D5: the first portal password is reported to the address on file, and so is every change; what
/// was refused is not.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_the_security_page_are_reported() {
    let world = World::in_phase("warn").await;
    world.gateway.put_on_file(&alice().login, ADDRESS).await;
    let browser = world.gateway.client().signed_in(&alice()).await;
    for (current, new) in [("50505", PASSWORD), (&alice().pin, "short")] {
        let refused = browser.set_password(current, new).await.status;
        assert!(matches!(refused, 403 | 422), "{refused}");
    }
    world.mails(0).await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    world.reported(SET).await;
    assert_eq!(browser.set_password(PASSWORD, ANOTHER).await.status, 303);
    world.reported(CHANGED).await;
    world.mails(2).await;
}

/// The same at force, and by links.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_force_and_of_links_are_reported() {
    let world = World::in_phase("force").await;
    world.gateway.put_on_file(&alice().login, ADDRESS).await;
    let browser = world.gateway.client();
    browser.log_in(&alice().login, &alice().pin).await;
    let page = browser.get("/account/set-password").await;
    assert!(!page.text().contains("name=\"email\""), "there is an address on file");
    assert_eq!(browser.choose(NEW_PIN, PASSWORD).await.location(), "/portal/home");
    world.reported(SET).await;

    world.gateway.ask(&alice().login, "reset").await;
    let link = world.smtp.mail_to(ADDRESS).await.path().to_owned();
    let words = [("password", ANOTHER), ("confirm", ANOTHER)];
    assert_eq!(browser.use_link(&link, &words).await.location(), "/portal/home");
    world.reported(CHANGED).await;
    world.mails(3).await;
}

/// Where nothing is on file, nobody can be told; and that takes nobody's password away.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_there_is_no_report() {
    let world = World::in_phase("warn").await;
    let browser = world.gateway.client().signed_in(&alice()).await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    assert_eq!(browser.set_password(PASSWORD, ANOTHER).await.status, 303);
    world.mails(0).await;
}

/// R-A3: an address that was given at force is put on file by the button behind the link that went
/// there, and by nothing before it. Then it gets the mails.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_on_file_after_it_was_confirmed() {
    let world = World::in_phase("force").await;
    let (browser, saved) = world.chooses_with(ADDRESS).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    let home = browser.get("/portal/home").await;
    assert!(home.text().contains("We sent a link to alice@corp.example"), "{}", home.text());
    world.mails(1).await;
    assert_eq!(world.address().await, Value::Null);
    let mail = world.smtp.mail_to(ADDRESS).await;
    assert_eq!(mail.subject(), "Confirm your e-mail address");
    assert!(mail.path().starts_with("/account/confirm-email?code="), "{}", mail.text);

    let scanner = world.gateway.client();
    for _ in 0..10 {
        assert_eq!(scanner.get(mail.path()).await.status, 200);
        let head = scanner.request(reqwest::Method::HEAD, mail.path());
        assert_eq!(scanner.send(head).await.status, 200);
    }
    // It proves an address and nothing else.
    for place in ["reset", "welcome"] {
        let elsewhere = mail.path().replace("confirm-email", place);
        assert_eq!(scanner.get(&elsewhere).await.status, 404, "{place}");
    }
    let without_token = scanner.post("/account/confirm-email", &[("code", mail.code())]).await;
    assert_eq!(without_token.status, 403);
    assert_eq!(world.address().await, Value::Null);

    let confirmed = browser.use_link(mail.path(), &[]).await;
    assert_eq!((confirmed.status, confirmed.location()), (303, "/account/security"));
    assert!(browser.get("/account/security").await.text().contains(ADDRESS));
    assert_eq!(world.address().await, ADDRESS);
    assert_eq!(browser.get(mail.path()).await.status, 410, "it works once");
    world.gateway.ask(&alice().login, "reset").await;
    assert!(world.smtp.mail_to(ADDRESS).await.path().starts_with("/account/reset?code="));
}

/// An address that is none is refused and nothing is saved; one that is left out is not asked for
/// again; one that nobody confirms in time never goes on file.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_confirmed() {
    let world = World::in_phase("force").await;
    for bad in ["alice", "alice@corp.example, eve@evil.example", "a@b.example\r\nBcc: c@d.example"]
    {
        let (_, refused) = world.chooses_with(bad).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.text());
        assert!(refused.text().contains("This is no e-mail address."), "{}", refused.text());
    }
    world.mails(0).await;
    let (_, saved) = world.chooses_with(ADDRESS).await;
    assert_eq!(saved.location(), "/portal/home");
    let mail = world.smtp.mail_to(ADDRESS).await;
    world.gateway.advance("61m").await;
    let late = world.gateway.client().get(mail.path()).await;
    assert_eq!(late.status, 410);
    assert!(late.text().contains("the address was not put on file"), "{}", late.text());
    assert_eq!(world.address().await, Value::Null);
}

/// A link that confirms an address is void once an administrator has set another, or the password
/// was changed: whoever typed the address may have been somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_is_void_after_a_change() {
    for by_admin in [true, false] {
        let world = World::in_phase("force").await;
        let (browser, _) = world.chooses_with(ADDRESS).await;
        let mail = world.smtp.mail_to(ADDRESS).await;
        if by_admin {
            let path = format!("/api/v1/accounts/{}", alice().login);
            let change = json!({ "email": "boss@corp.example" });
            assert_eq!(world.gateway.api("PATCH", &path, change).await.0, 200);
        } else {
            assert_eq!(browser.set_password(PASSWORD, ANOTHER).await.status, 303);
        }
        assert_eq!(browser.get(mail.path()).await.status, 410);
        let on_file = if by_admin { json!("boss@corp.example") } else { Value::Null };
        assert_eq!(world.address().await, on_file);
    }
}
