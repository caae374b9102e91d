//! In a real browser: from the portal's login page through the public forms and the e-mail into the
//! portal, with and without JavaScript, on a phone and on a desktop. With
//! `PASSGATE_SCREENSHOTS=FOLDER` the tests take pictures.

use crate::support::{Browser, Gateway, Pbx, Scheme, Screen, Settings, Smtp, THEMES, alice};

const ADDRESS: &str = "alice@abc-company.example";
const PASSWORD: &str = "Lighthouse-4711";

struct World {
    smtp: Smtp,
    gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

impl World {
    /// Warn since 20 May; force on 15 June, reject on 29 June; it is 3 June. Alice is new.
    async fn new() -> Self {
        let pbx = Pbx::with(|options| options.strict_csp = true).await;
        let smtp = Smtp::start().await;
        let mail = Settings::with_mail("warn", &smtp).more;
        let rollout = "[rollout]\ntime_zone = \"America/New_York\"\nwarn = 2031-05-20\n\
                       force = 2031-06-15\nreject = 2031-06-29\n\
                       affected = [\"Web portal\", \"API\", \"Softphone\"]\n\
                       [rollout.tenants.wickedsprockets]\nreject = 2031-07-29\n\
                       [support]\ncontact = \"the help desk, 555-0100\"\n";
        let settings = Settings {
            now: "2031-06-03T13:12:00Z".into(),
            rollout: rollout.into(),
            more: mail,
            ..Settings::default()
        };
        let gateway = Gateway::with(&pbx, settings).await;
        gateway.put_on_file(&alice().login, ADDRESS).await;
        Self { smtp, gateway, _pbx: pbx }
    }

    fn base(&self) -> String {
        format!("https://localhost:{}", self.gateway.https.port())
    }

    /// The path of the link in the next mail.
    async fn link(&self) -> String {
        self.smtp.mail_to(ADDRESS).await.path().to_owned()
    }
}

/// Nothing is cut off on a phone.
async fn fits_a_phone(browser: &Browser, name: &str) {
    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0, "{name}");
    browser.look(Screen::Desktop, Scheme::Light).await;
    browser.pictures(name, &THEMES).await;
}

/// R-C1, R-D1: the link below the portal's form, the login name, the mail, the portal. R-D2: the
/// page for a forgotten login name. Under the portal's strict policy.
#[tokio::test]
async fn a_forgotten_password_in_a_browser() {
    let world = World::new().await;
    let browser = Browser::start(&world.base()).await;
    browser.open("/portal/login").await;
    fits_a_phone(&browser, "portal-login-links").await;
    assert_eq!(browser.text("#passgate-links a").await, "Forgot password?");
    browser.follow("#passgate-links a").await;
    browser.arrives("/account/forgot-password").await;
    fits_a_phone(&browser, "forgot-password").await;
    assert_eq!(browser.script("return document.activeElement.id").await, "login");
    browser.fill("#login", &alice().login).await;
    browser.follow("main form button.main").await;
    browser.shows(".said[role=status]").await;
    fits_a_phone(&browser, "forgot-password-sent").await;
    browser.open(&world.link().await).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;

    browser.open("/account/forgot-login-name").await;
    fits_a_phone(&browser, "forgot-login-name").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.fill("#email", "nobody@abc-company.example").await;
    browser.follow("main form button.main").await;
    browser.shows(".said[role=alert]").await;
    fits_a_phone(&browser, "forgot-login-name-unknown").await;
}

/// R-D3, R-D7: a new user completes the setup without JavaScript.
#[tokio::test]
async fn a_new_user_without_scripts() {
    let world = World::new().await;
    let browser = Browser::without_scripts(&world.base()).await;
    browser.open("/portal/login").await;
    browser.follow("#passgate-links a[href='/account/new-user']").await;
    browser.arrives_without_scripts("/account/new-user").await;
    browser.fill("#email", ADDRESS).await;
    browser.fill("#extension", "1001").await;
    browser.follow("main form button.main").await;
    assert!(browser.text(".said").await.contains("We sent you a welcome e-mail"));
    browser.open(&world.link().await).await;
    browser.fill("#pin", "80246").await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives_without_scripts("/portal/home").await;
}

/// R-A7, R-D7: the help page and our own login page, on every screen.
#[tokio::test]
async fn help_and_login_in_a_browser() {
    let world = World::new().await;
    let browser = Browser::start(&world.base()).await;
    browser.open("/account/login").await;
    fits_a_phone(&browser, "login-links").await;
    browser.follow("footer a").await;
    browser.arrives("/account/help").await;
    fits_a_phone(&browser, "help").await;
    let text = browser.text("main").await;
    for words in ["15 June 2031", "America/New_York", "Dates may differ by company", "Softphone"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// An address on file that takes no mail: its owner sees it on the page where another one is entered.
#[tokio::test]
async fn an_address_that_takes_no_mail_in_a_browser() {
    let world = World::new().await;
    let browser = Browser::start(&world.base()).await;
    world.gateway.ask(&alice().login, "reset").await;
    browser.open(&world.link().await).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    let bounce = format!("/api/v1/accounts/{}/bounce", alice().login);
    let answer = world.gateway.api("POST", &bounce, serde_json::json!({})).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    browser.open("/account/security").await;
    let said = browser.text("aside.facts dd:last-of-type").await;
    assert!(said.contains(ADDRESS) && said.contains("come back"), "{said}");
    fits_a_phone(&browser, "security-bounced").await;
}
