//! What users do alone on the page about account security: another e-mail address (R-D5), and their
//! sessions (R-C8).

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Answer, Browser, Client, Gateway, Pbx, Scheme, Screen, Settings, Smtp, Socket, THEMES, alice,
};

const OLD: &str = "alice@corp.example";
const NEW: &str = "alice@home.example";
const PASSWORD: &str = "Lighthouse-42";
const PAGE: &str = "/account/security";

/// Alice has a portal password and an address on file, and is signed in in this browser.
struct World {
    browser: Client,
    gateway: Gateway,
    smtp: Smtp,
    // Ends with the test.
    _pbx: Pbx,
}

impl World {
    async fn new() -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
        gateway.put_on_file(&alice().login, OLD).await;
        let browser = gateway.client().signed_in(&alice()).await;
        assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
        assert_eq!(smtp.mail_to(OLD).await.subject(), "Your portal password was set");
        Self { browser, gateway, smtp, _pbx: pbx }
    }

    async fn another_browser(&self) -> Client {
        let browser = self.gateway.client();
        let landed = browser.log_in(&alice().login, PASSWORD).await;
        assert_eq!(landed.location(), "/portal/home", "{}", landed.text());
        browser
    }

    async fn address(&self) -> Value {
        self.gateway.account(&alice().login).await["email"].clone()
    }
}

/// Sends a form of the page with the page's token.
async fn send(browser: &Client, fields: &[(&str, &str)]) -> Answer {
    let csrf = browser.get(PAGE).await.input("csrf");
    browser.post(PAGE, &[&[("csrf", csrf.as_str())], fields].concat()).await
}

/// R-D5: the whole way by real mail: a link to the new address, used on another device; then the
/// old one is told, the new one gets the mails, and whoever asked is still signed in.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_changed_by_mail() {
    let world = World::new().await;
    let wrong = send(&world.browser, &[("email", NEW), ("current_password", &alice().pin)]).await;
    assert_eq!(wrong.status, 403, "the voicemail PIN is not enough: {}", wrong.text());
    let asked = send(&world.browser, &[("email", NEW), ("current_password", PASSWORD)]).await;
    assert_eq!((asked.status, asked.location()), (303, PAGE));
    let page = world.browser.get(PAGE).await.text();
    let toast = page.find("class=\"toast\" role=\"status\"").expect("a green pop-up");
    assert!(page[toast..].contains("We sent a link to alice@home.example"), "{page}");
    assert_eq!(world.address().await, OLD);

    let mail = world.smtp.mail_to(NEW).await;
    assert_eq!(mail.subject(), "Confirm your e-mail address");
    assert!(mail.link().starts_with("https://localhost/account/confirm-email?code="));
    let phone = world.gateway.client();
    assert_eq!(phone.use_link(mail.path(), &[]).await.status, 200);
    assert_eq!(world.address().await, NEW);

    let told = world.smtp.mail_to(OLD).await;
    assert_eq!(told.subject(), "Your e-mail address was changed");
    assert!(told.text.contains(&alice().login) && told.text.contains("This was not you?"));
    assert!(told.links().is_empty() && !told.raw.contains(NEW), "{}", told.raw);
    assert!(world.browser.get(PAGE).await.text().contains(NEW));
    world.gateway.ask(&alice().login, "reset").await;
    assert_eq!(world.smtp.mail_to(NEW).await.subject(), "Set your portal password");
}

/// R-C8: a session that its owner ends is gone at once, and its WebSocket within a second; the one
/// that asked stays, with its own WebSocket.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_with_its_websocket() {
    let world = World::new().await;
    for all in [false, true] {
        let other = world.another_browser().await;
        let open = async |client: &Client| {
            let path = "/portal/socket?ticks=off";
            let mut socket =
                Socket::open(&world.gateway, client, path, Some(&client.base)).await.unwrap();
            assert!(socket.next().await.is_some(), "it greets");
            socket
        };
        let (mut others, mut own) = (open(&other).await, open(&world.browser).await);
        let page = world.browser.get(PAGE).await;
        let reference = page.input("session");
        let field = if all { ("others", "end") } else { ("session", reference.as_str()) };
        let ended = send(&world.browser, &[field]).await;
        assert_eq!((ended.status, ended.location()), (303, PAGE), "{}", ended.text());
        let closed = tokio::time::timeout(Duration::from_secs(1), others.next()).await;
        assert!(matches!(closed, Ok(None)), "{closed:?}");
        assert_eq!(other.get("/portal/home").await.status, 303);
        let page = world.browser.get(PAGE).await;
        assert!(page.text().contains("1 other device is signed out."), "{}", page.text());
        assert!(!page.text().contains("name=\"session\""), "{}", page.text());
        own.send("still here").await;
        assert_eq!(own.next().await, Some("still here".into()));
    }
}

/// R-D5, R-D7, R-C8 in a real browser: the address is asked for, and another device signed out, on
/// a page that fits a phone.
#[tokio::test(flavor = "multi_thread")]
async fn account_security_in_a_browser() {
    let world = World::new().await;
    let _other = world.another_browser().await;
    let browser =
        Browser::start(&format!("https://localhost:{}", world.gateway.https.port())).await;
    browser.open("/account/login").await;
    browser.fill("#login", &alice().login).await;
    browser.fill("#password", PASSWORD).await;
    browser.follow("main form button.main").await;
    browser.arrives("/portal/home").await;

    browser.open(PAGE).await;
    browser.fill("#email", NEW).await;
    browser.fill("#email-password", "Not-The-Password-1").await;
    browser.follow("form:has(#email) button.main").await;
    assert!(browser.text(".alert").await.contains("The current portal password is wrong"));
    assert_eq!(browser.value("#email").await, NEW, "what was typed is kept");
    browser.pictures("security-email-refused", &[Scheme::Light]).await;
    browser.fill("#email-password", PASSWORD).await;
    browser.follow("form:has(#email) button.main").await;
    assert!(browser.text(".toast[role=status]").await.contains("We sent a link to"));
    browser.pictures("security", &THEMES).await;

    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0);
    browser.look(Screen::Desktop, Scheme::Light).await;
    assert!(browser.text(".devices").await.contains("Chrome on Linux"));
    browser.follow("form:has([name=others]) button").await;
    assert!(browser.text(".toast[role=status]").await.contains("devices are signed out"));
    assert!(!browser.has("form:has([name=others])").await);
}
