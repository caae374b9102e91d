//! In a real browser: the pages of the force and the reject phase, and those that links in mails
//! lead to. With `PASSGATE_SCREENSHOTS=FOLDER` the same tests take the pictures of
//! `docs/screenshots/`.

use crate::support::{
    Browser, Gateway, PORTAL_ADMIN, Pbx, Scheme, Screen, Settings, Smtp, THEMES, alice,
};

const PASSWORD: &str = "Lighthouse-4711";
const NEW_PIN: &str = "80246";
const ADDRESS: &str = "alice@abc-company.example";

/// Warn since 20 May; force on 15 June, reject on 29 June, and it is this day in June.
async fn on(day: u8, pbx: &Pbx, smtp: &Smtp, rollout: &str) -> Gateway {
    let settings = Settings {
        now: format!("2031-06-{day:02}T13:12:00Z"),
        rollout: format!(
            "[rollout]\ntime_zone = \"America/New_York\"\nwarn = 2031-05-20\nforce = 2031-06-15\n\
             reject = 2031-06-29\n{rollout}\n[support]\ncontact = \"the help desk, 555-0100\"\n"
        ),
        more: format!("{PORTAL_ADMIN}\n{}", smtp.config()),
        ..Settings::default()
    };
    Gateway::with(pbx, settings).await
}

async fn browser(gateway: &Gateway) -> Browser {
    Browser::start(&format!("https://localhost:{}", gateway.https.port())).await
}

/// Fills in the portal's own login form with Alice's PIN and sends it.
async fn log_in(browser: &Browser) {
    browser.open("/portal/login").await;
    browser.fill("#LoginUsername", &alice().login).await;
    browser.fill("#LoginPassword", &alice().pin).await;
    browser.follow("#LoginIndexForm input[type=submit]").await;
}

/// The path of the link in the next mail to this address.
async fn path_in(smtp: &Smtp, address: &str) -> String {
    let mail = smtp.mail_to(address).await;
    mail.link().strip_prefix("https://localhost").unwrap().to_owned()
}

async fn fits_a_phone(browser: &Browser) {
    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0, "{}", browser.path().await);
    browser.look(Screen::Desktop, Scheme::Light).await;
}

/// R-A3, R-B3, R-C3: held back at force, a user declares a PIN and a password, is told what is
/// wrong with them, gives an address, lands on the page first asked for, and confirms the address.
#[tokio::test]
async fn force_in_a_browser() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = on(16, &pbx, &smtp, "").await;
    let browser = browser(&gateway).await;
    browser.open("/portal/calls?page=2").await;
    browser.arrives("/portal/login").await;
    log_in(&browser).await;
    browser.arrives("/account/set-password").await;
    fits_a_phone(&browser).await;

    assert_eq!(browser.attribute("#pin", "autocomplete").await, "off");
    let masked = "return getComputedStyle(document.querySelector('#pin')).webkitTextSecurity";
    assert_eq!(browser.script(masked).await, "disc");
    browser.click(".peek[aria-controls=pin]").await;
    assert_eq!(browser.script(masked).await, "none", "it can be looked at");

    browser.fill("#pin", "1234").await;
    browser.fill("#password", "summer").await;
    browser.fill("#confirm", "summer").await;
    browser.fill("#email", ADDRESS).await;
    browser.follow("form[data-check] button.main").await;
    browser.shows(".alert[role=alert]").await;
    let wrong = browser.text(".alert").await;
    assert!(wrong.contains("another voicemail PIN") && wrong.contains("8 characters"), "{wrong}");
    assert_eq!(browser.value("#email").await, ADDRESS);
    assert_eq!(browser.value("#pin").await + &browser.value("#password").await, "");
    assert_eq!(browser.script("return document.activeElement.id").await, "pin");
    browser.pictures("force-errors", &[Scheme::Light]).await;
    fits_a_phone(&browser).await;

    browser.fill("#pin", NEW_PIN).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/calls?page=2").await;
    let done = browser.text("#passgate-message").await;
    assert!(done.contains("use the new voicemail PIN") && done.contains(ADDRESS), "{done}");
    browser.pictures("force-saved", &[Scheme::Light]).await;

    let link = path_in(&smtp, ADDRESS).await;
    browser.open(&link).await;
    browser.shows("form button.main").await;
    browser.pictures("confirm-email", &[Scheme::Light]).await;
    fits_a_phone(&browser).await;
    browser.follow("main form button.main").await;
    browser.arrives("/account/security").await;
    assert!(browser.text(".toast[role=status]").await.contains("E-mail address confirmed"));
    assert_eq!(gateway.account(&alice().login).await["email"], ADDRESS);
    let refused = "status of 422";
    assert!(browser.errors().await.iter().all(|error| error.contains(refused)));
}

/// R-A3, R-D7: the page of the force phase works without JavaScript; what is not configured is not
/// asked for.
#[tokio::test]
async fn force_without_scripts() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let base = format!("https://localhost:{}", gateway.https.port());
    let browser = Browser::without_scripts(&base).await;
    browser.open("/account/login").await;
    browser.fill("#login", &alice().login).await;
    browser.fill("#password", &alice().pin).await;
    browser.click("button.main").await;
    browser.arrives_without_scripts("/account/set-password").await;
    assert!(!browser.has("#email").await && !browser.displayed(".peek").await);
    browser.fill("#pin", &alice().pin).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.click("form[data-check] button.main").await;
    browser.arrives_without_scripts("/portal/home").await;
}

/// R-A4, R-D1: refused at reject, a user reads where the link went, follows it, and is in the
/// portal with a password; the link works once.
#[tokio::test]
async fn reject_in_a_browser() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = on(30, &pbx, &smtp, "").await;
    gateway.put_on_file(&alice().login, ADDRESS).await;
    let browser = browser(&gateway).await;
    log_in(&browser).await;
    browser.arrives("/portal/login").await;
    let message = browser.text("#passgate-message").await;
    assert_eq!(
        message,
        "Your voicemail PIN no longer opens the portal. We sent a link to set your portal password \
         to a•••@a•••.example at 09:12. It works for 1 hour; check the spam folder."
    );
    browser.pictures("reject-mailed", &[Scheme::Light]).await;

    let link = path_in(&smtp, ADDRESS).await;
    browser.open(&link).await;
    browser.shows("#password").await;
    browser.pictures("reset", &THEMES).await;
    fits_a_phone(&browser).await;
    if browser.has("#pin").await {
        browser.fill("#pin", NEW_PIN).await;
    }
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    assert!(browser.text("#passgate-message").await.contains("Saved."));

    browser.open(&link).await;
    assert!(browser.text("[role=alert]").await.contains("This link was used already"));
    browser.pictures("reset-spent", &[Scheme::Dark]).await;
    browser.follow("main a.main").await;
    browser.arrives("/portal/home").await;
}

/// R-A4: with `reject_action = "redirect"` the reset's own page says where the link went.
#[tokio::test]
async fn reject_leads_into_the_reset() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = on(30, &pbx, &smtp, "reject_action = \"redirect\"").await;
    gateway.put_on_file(&alice().login, ADDRESS).await;
    let browser = browser(&gateway).await;
    log_in(&browser).await;
    browser.arrives("/account/reset").await;
    let said = browser.text("[role=status]").await;
    assert!(said.contains("to a•••@a•••.example at 09:12."), "{said}");
    browser.pictures("reset-mailbox", &[Scheme::Light]).await;
    fits_a_phone(&browser).await;
    assert!(path_in(&smtp, ADDRESS).await.starts_with("/account/reset?code="));
}

/// R-D4, R-D7: a welcome link sets up a new user; what does not work says what to do next.
#[tokio::test]
async fn links_in_a_browser() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = on(1, &pbx, &smtp, "").await;
    gateway.put_on_file(&alice().login, ADDRESS).await;
    let browser = browser(&gateway).await;

    gateway.ask(&alice().login, "reset").await;
    let reset = path_in(&smtp, ADDRESS).await;
    gateway.advance("61m").await;
    browser.open(&reset).await;
    assert!(browser.text("[role=alert]").await.contains("The link worked for 1 hour."));
    browser.open(&reset[..reset.len() - 5]).await;
    assert!(browser.text("[role=alert]").await.contains("Perhaps it is not complete"));
    fits_a_phone(&browser).await;

    gateway.ask(&alice().login, "welcome").await;
    let welcome = path_in(&smtp, ADDRESS).await;
    browser.open(&welcome).await;
    browser.shows("#pin").await;
    browser.pictures("welcome", &THEMES).await;
    fits_a_phone(&browser).await;
    browser.fill("#pin", NEW_PIN).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);
    // Of the two pages that are no success, the browser's console says so.
    assert!(browser.errors().await.iter().all(|error| error.contains("status of 4")));
}
