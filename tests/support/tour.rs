//! A tour of everything that users see of Passgate, in a real browser, as they come to it: each own
//! page in each state that looks different, and what goes into the portal's pages. Tests of how
//! pages are made go the same tour and look at what they like: `sees` is called at each stop with
//! its name.

use passgate::demo::portal::Failure;

use super::{ABC_COMPANY, Browser, Gateway, PORTAL_ADMIN, Pbx, Settings, Smtp, alice};

const PASSWORD: &str = "Lighthouse-4711";
const ADDRESS: &str = "alice@abc-company.example";
const ANOTHER: &str = "alice@home.example";

/// A gateway in front of the example portal, a mail server, and a browser, in one language.
struct Tour {
    pbx: Pbx,
    smtp: Smtp,
    gateway: Gateway,
    browser: Browser,
}

impl Tour {
    /// Warn since 20 May; force on 15 June, reject on 29 June; it is this day in June. Alice is on
    /// file, with an address.
    async fn on(day: u8, language: &str) -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let settings = Settings {
            now: format!("2031-06-{day:02}T13:12:00Z"),
            rollout: "[rollout]\ntime_zone = \"America/New_York\"\nwarn = 2031-05-20\n\
                      force = 2031-06-15\nreject = 2031-06-29\n\
                      affected = [\"Web portal\", \"API\", \"Softphone\"]\n\
                      [rollout.tenants.wickedsprockets]\nreject = 2031-07-29\n\
                      [support]\ncontact = \"the help desk, 555-0100\"\n"
                .into(),
            more: format!(
                "[pages]\ndefault_locale = \"{language}\"\n{PORTAL_ADMIN}{}",
                smtp.config()
            ),
            ..Settings::default()
        };
        let gateway = Gateway::with(&pbx, settings).await;
        gateway.put_on_file(&alice().login, ADDRESS).await;
        let base = format!("https://localhost:{}", gateway.https.port());
        let browser = Browser::of_reader(&base, true, language).await;
        browser.open("/account/login").await;
        let title = if language == "es" { "Iniciar sesión" } else { "Sign in" };
        assert_eq!(browser.text("h1").await, title, "the tour's language");
        Self { pbx, smtp, gateway, browser }
    }

    /// Opens a page, types into the fields of a form and sends it.
    async fn send(&self, page: &str, fields: &[(&str, &str)]) {
        self.browser.open(page).await;
        self.fill_in(fields).await;
    }

    async fn fill_in(&self, fields: &[(&str, &str)]) {
        for (css, text) in fields {
            self.browser.fill(css, text).await;
        }
        self.browser.follow(&format!("main form:has({}) button.main", fields[0].0)).await;
    }

    async fn link_to(&self, address: &str) -> String {
        self.smtp.mail_to(address).await.path().to_owned()
    }

    async fn log_in(&self, login: &str, secret: &str) {
        self.browser.open("/portal/login").await;
        self.browser.log_in(login, secret).await;
    }
}

/// What people see who are not signed in: our login page, the public forms, help, errors.
pub async fn visitors(language: &str, sees: &impl AsyncFn(&Browser, &str)) {
    let tour = Tour::on(3, language).await;
    let browser = &tour.browser;
    let at = async |page: &str, name: &str| {
        browser.open(page).await;
        sees(browser, name).await;
    };
    at("/account/login", "login").await;
    at("/account/help", "help").await;
    at("/account/forgot-password", "forgot-password").await;
    at("/account/forgot-login-name", "forgot-login-name").await;
    at("/account/new-user", "new-user").await;
    at("/account/reset", "reset, without its link").await;
    at("/account/nowhere", "a page that is not there").await;

    let alice = alice();
    let wrong = [("#login", alice.login.as_str()), ("#password", "Not-The-Password-1")];
    tour.send("/account/login", &wrong).await;
    sees(browser, "login, refused").await;
    for _ in 0..5 {
        tour.send("/account/login", &[("#login", "1009@locked"), wrong[1]]).await;
    }
    sees(browser, "login, locked").await;
    browser.open("/account/login").await;
    browser.script("document.querySelector('main [name=csrf]').value = 'old'").await;
    tour.fill_in(&wrong).await;
    sees(browser, "login, from a page that is too old").await;

    tour.send("/account/forgot-password", &[("#login", "1009@nobody")]).await;
    sees(browser, "forgot-password, unknown").await;
    tour.send("/account/forgot-password", &[("#login", &alice.login)]).await;
    sees(browser, "forgot-password, sent").await;
    for login in [format!("1002@{ABC_COMPANY}"), "1002@wickedsprockets".into()] {
        tour.gateway.put_on_file(&login, "desk@abc-company.example").await;
    }
    tour.send("/account/new-user", &[("#email", "desk@abc-company.example")]).await;
    sees(browser, "new-user, which of them").await;
    tour.send("/account/new-user", &[("#email", "nobody@abc-company.example")]).await;
    sees(browser, "new-user, unknown").await;

    tour.pbx.0.fail_with(Failure::Close);
    at("/portal/login", "the portal does not answer").await;
}

/// What links in mails lead to.
pub async fn links(language: &str, sees: &impl AsyncFn(&Browser, &str)) {
    let tour = Tour::on(3, language).await;
    let browser = &tour.browser;
    let mailed = async |kind: &str| {
        tour.gateway.ask(&alice().login, kind).await;
        tour.link_to(ADDRESS).await
    };
    let reset = mailed("reset").await;
    browser.open(&reset).await;
    sees(browser, "reset").await;
    tour.fill_in(&[("#password", "summer"), ("#confirm", "summer")]).await;
    sees(browser, "reset, refused").await;
    browser.open(&reset[..reset.len() - 5]).await;
    sees(browser, "reset, damaged").await;
    tour.gateway.advance("61m").await;
    browser.open(&reset).await;
    sees(browser, "reset, too old").await;

    let welcome = mailed("welcome").await;
    browser.open(&welcome).await;
    sees(browser, "welcome").await;
    tour.fill_in(&[("#pin", "1111"), ("#password", "summer"), ("#confirm", "summer")]).await;
    sees(browser, "welcome, refused").await;
    tour.fill_in(&[("#pin", "80246"), ("#password", PASSWORD), ("#confirm", PASSWORD)]).await;
    browser.arrives("/portal/home").await;
    browser.open(&welcome).await;
    sees(browser, "welcome, used").await;
}

/// The page about account security, from the PIN to a portal password and another address.
pub async fn security(language: &str, sees: &impl AsyncFn(&Browser, &str)) {
    const PAGE: &str = "/account/security";
    let tour = Tour::on(3, language).await;
    let browser = &tour.browser;
    let alice = alice();
    tour.log_in(&alice.login, &alice.pin).await;
    browser.open(PAGE).await;
    sees(browser, "security, with the PIN").await;
    browser.type_in("#current_password", &alice.pin).await;
    browser.type_in("#password", "Lighthouse").await;
    browser.type_in("#confirm", "Harbour").await;
    browser.click("#password").await;
    browser.until("the strength in words", async || !browser.text("#score").await.is_empty()).await;
    sees(browser, "security, while typing").await;
    let save = async |current: &str, new: &str| {
        let fields = [("#current_password", current), ("#password", new), ("#confirm", new)];
        tour.send(PAGE, &fields).await;
    };
    save("90210", PASSWORD).await;
    sees(browser, "security, wrong PIN").await;
    save(&alice.pin, "summer").await;
    sees(browser, "security, refused").await;
    save(&alice.pin, PASSWORD).await;
    browser.shows(".toast[role=status]").await;
    sees(browser, "security, saved").await;
    save("Not-The-Password-1", "Harbour-Lights-9").await;
    sees(browser, "security, wrong password").await;

    let change = async |address: &str, password: &str| {
        tour.send(PAGE, &[("#email", address), ("#email-password", password)]).await;
    };
    change(ANOTHER, "Not-The-Password-1").await;
    sees(browser, "security, address refused").await;
    let other = tour.gateway.client();
    assert_eq!(other.log_in(&alice.login, PASSWORD).await.location(), "/portal/home");
    change(ANOTHER, PASSWORD).await;
    browser.shows(".toast[role=status]").await;
    sees(browser, "security, address asked for").await;
    browser.follow("form:has([name=others]) button").await;
    browser.shows(".toast[role=status]").await;
    sees(browser, "security, others signed out").await;

    browser.open(&tour.link_to(ANOTHER).await).await;
    sees(browser, "confirm-email").await;
    browser.follow("main form button.main").await;
    browser.shows(".toast[role=status]").await;
    sees(browser, "security, address confirmed").await;
    browser.open("/account/help").await;
    browser.script("document.querySelector('details.menu').open = true").await;
    sees(browser, "help, with the menu open").await;
    browser.open("/account/sign-out").await;
    sees(browser, "sign-out").await;
    tour.gateway.advance("13h").await;
    browser.open(PAGE).await;
    sees(browser, "login, after the session's end").await;
    tour.log_in(&alice.login, PASSWORD).await;
    browser.open("/portal/profile").await;
    tour.gateway.advance("13h").await;
    browser.follow("#ProfileIndexForm input[type=submit]").await;
    browser.arrives("/portal/login").await;
    browser.log_in(&alice.login, PASSWORD).await;
    browser.arrives("/account/kept-form").await;
    sees(browser, "kept-form").await;
}

/// What stands before the portal: a portal password to choose, a PIN to say.
pub async fn held(language: &str, sees: &impl AsyncFn(&Browser, &str)) {
    let tour = Tour::on(16, language).await;
    let browser = &tour.browser;
    tour.log_in(&format!("1002@{ABC_COMPANY}"), "62342").await;
    browser.arrives("/account/set-password").await;
    sees(browser, "set-password").await;
    let fields =
        [("#pin", "1234"), ("#password", "summer"), ("#confirm", "summer"), ("#email", "no@one")];
    tour.fill_in(&fields).await;
    sees(browser, "set-password, refused").await;

    let alice = alice();
    let client = tour.gateway.client();
    client.log_in(&alice.login, &alice.pin).await;
    assert_eq!(client.choose(&alice.pin, PASSWORD).await.status, 303);
    // Changed elsewhere, and not to be read there: the records do not answer.
    assert!(tour.pbx.0.set_pin(&alice.login, "90210"));
    tour.pbx.0.fail_on("/ns-api", Failure::Status(500));
    browser.follow(".bar form.wide button").await;
    tour.log_in(&alice.login, PASSWORD).await;
    browser.arrives("/account/current-pin").await;
    sees(browser, "current-pin").await;
    tour.fill_in(&[("#pin", "55555")]).await;
    sees(browser, "current-pin, wrong").await;
}

/// What goes into the portal's pages: `sees` is called with its selector, and its name.
pub async fn portal(language: &str, sees: &impl AsyncFn(&Browser, &str, &str)) {
    let tour = Tour::on(3, language).await;
    let browser = &tour.browser;
    let alice = alice();
    browser.open("/portal/login").await;
    sees(browser, "#passgate-links", "the links").await;
    browser.log_in(&alice.login, "90210").await;
    sees(browser, "#passgate-message[role=alert]", "the message, refused").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/home").await;
    sees(browser, "#passgate-notice", "the notice").await;
    tour.gateway.ask(&alice.login, "reset").await;
    browser.open(&tour.link_to(ADDRESS).await).await;
    tour.fill_in(&[("#password", PASSWORD), ("#confirm", PASSWORD)]).await;
    browser.arrives("/portal/home").await;
    sees(browser, "#passgate-message[role=status]", "the message, saved").await;
    browser.follow("#logout-link").await;
    for _ in 0..6 {
        browser.log_in(&alice.login, "90210").await;
    }
    sees(browser, "#passgate-message a", "the message, locked").await;
    tour.gateway.set_clock("2031-06-30T13:12:00Z").await;
    browser.log_in(&format!("1002@{ABC_COMPANY}"), "62342").await;
    sees(browser, "#passgate-message[role=alert]", "the message, too late").await;
}
