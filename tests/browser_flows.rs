//! In a real browser: each flow end to end, as a user goes it: from the portal's own login page,
//! through the e-mail where there is one, and back into the portal. On a phone and on a desktop, with
//! JavaScript and without, in English and in Spanish (R-D1…R-D7); what is read is compared with
//! `locales`. With `PASSGATE_SCREENSHOTS=FOLDER` the same tests take a picture of every page, from
//! top to bottom: to look at, not for the documentation.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use passgate::demo::portal::PortalUser;
use serde_json::Value;

use crate::support::{
    ABC_COMPANY, Browser, Gateway, Pbx, Received, Scheme, Screen, Settings, Smtp, Socket, Words,
    alice, at,
};

const PASSWORD: &str = "Lighthouse-4711";
const ANOTHER: &str = "Harbour-Lights-9";
const NEW_PIN: &str = "80246";
const SAVE: &str = "form[data-check] button.main";

/// Walks all flows in one kind of browser. The gateway speaks both languages, and English to who
/// asks for none: Spanish is what the browser asks for.
macro_rules! journeys {
    ($($name:ident: $screen:ident, $scripts:literal, $language:literal;)*) => {$(
        /// R-D1…R-D7, R-A3, R-A4, R-C8, R-E1: each flow, from the portal's login page and back.
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            Journey::begin(Screen::$screen, $scripts, $language).await.all_flows().await;
        }
    )*};
}

journeys! {
    on_a_desktop: Desktop, true, "en";
    on_a_desktop_in_spanish: Desktop, true, "es";
    on_a_desktop_without_scripts: Desktop, false, "en";
    on_a_desktop_without_scripts_in_spanish: Desktop, false, "es";
    on_a_phone: Phone, true, "en";
    on_a_phone_in_spanish: Phone, true, "es";
    on_a_phone_without_scripts: Phone, false, "en";
    on_a_phone_without_scripts_in_spanish: Phone, false, "es";
}

/// One browser on its way, and the world that it is in.
struct Journey {
    screen: Screen,
    scripts: bool,
    language: &'static str,
    words: Words,
    pbx: Pbx,
    smtp: Smtp,
    gateway: Gateway,
    browser: Browser,
}

/// Somebody of the tests' tenant.
fn login(extension: &str) -> String {
    format!("{extension}@{ABC_COMPANY}")
}

impl Journey {
    async fn begin(screen: Screen, scripts: bool, language: &'static str) -> Self {
        let people =
            [("1003", "73519", "Dora"), ("1004", "91827", "Erin"), ("1005", "60417", "Finn")];
        let pbx = Pbx::with(|options| {
            let people = people.map(|(extension, pin, name)| {
                PortalUser::new(extension, ABC_COMPANY, pin, &format!("{name} Example"))
            });
            options.users.extend(people);
            options.strict_csp = true;
        })
        .await;
        let smtp = Smtp::start().await;
        let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
        let base = format!("https://localhost:{}", gateway.https.port());
        let browser = Browser::of_reader(&base, scripts, language).await;
        browser.look(screen, Scheme::Light).await;
        let words = Words::of(language);
        Self { screen, scripts, language, words, pbx, smtp, gateway, browser }
    }

    async fn all_flows(&self) {
        self.forgotten_password().await;
        self.forgotten_login_name().await;
        self.changed_password().await;
        self.changed_address().await;
        self.new_user().await;
        self.initial_password().await;
        self.gateway.set_clock(at("force")).await;
        self.held_back_at_force().await;
        self.gateway.set_clock(at("reject")).await;
        self.refused_at_reject().await;
        // Of requests that were refused the console tells; nothing else went wrong in it.
        let errors = self.browser.errors().await;
        assert!(errors.iter().all(|error| error.contains("status of 4")), "{errors:?}");
    }

    /// R-D1: the login name, the link in the mail, a portal password.
    async fn forgotten_password(&self) {
        let alice = alice().login;
        self.gateway.put_on_file(&alice, "alice@corp.example").await;
        self.begin_at_login("forgot-password", "ways.forgot_password").await;
        self.page("forgot-password", "forgot_password.title").await;
        self.send(&[("#login", "1009@nobody")]).await;
        self.told("forgot-password-unknown", "ask.unknown_title", "forgot_password.unknown").await;
        self.begin_at_login("forgot-password", "ways.forgot_password").await;
        self.send(&[("#login", &alice)]).await;
        self.told("forgot-password-sent", "ask.mailed_title", "ask.mailed_reset").await;
        let too_old = self.mail("alice@corp.example", "mail.reset").await;
        self.gateway.advance("61m").await;
        self.browser.open(too_old.path()).await;
        self.told("reset-too-old", "link.expired", "reset.expired").await;
        self.browser.follow("main a.main").await;
        self.browser.arrives("/account/forgot-password").await;
        self.send(&[("#login", &alice)]).await;

        let mail = self.mail("alice@corp.example", "mail.reset").await;
        self.browser.open(&mail.path()[..mail.path().len() - 5]).await;
        self.told("reset-damaged", "link.unknown", "reset.unknown").await;
        self.browser.open(mail.path()).await;
        self.page("reset", "reset.title").await;
        self.choose(None, PASSWORD).await;
        self.in_portal("message.done").await;
        self.mail("alice@corp.example", "mail.password_set").await;
        self.browser.open(mail.path()).await;
        self.told("reset-spent", "link.spent", "reset.spent").await;
        self.browser.follow("main a.main").await;
        self.leave().await;
    }

    /// R-D2: the e-mail address, the login name in the mail, our login page behind its link.
    async fn forgotten_login_name(&self) {
        self.begin_at_login("forgot-login-name", "ways.forgot_login_name").await;
        self.page("forgot-login-name", "forgot_login_name.title").await;
        self.send(&[("#email", "alice@corp.example")]).await;
        self.told("forgot-login-name-sent", "ask.mailed_title", "ask.mailed_login_names").await;
        let mail = self.mail("alice@corp.example", "mail.login_names").await;
        assert!(mail.text.contains(&alice().login), "{}", mail.text);
        self.browser.open(mail.path()).await;
        self.page("own-login", "login.title").await;
        self.send(&[("#login", &alice().login), ("#password", PASSWORD)]).await;
        self.browser.arrives("/portal/home").await;
    }

    /// R-D5, R-C8: the green pop-up; another session and its WebSocket end, this one stays.
    async fn changed_password(&self) {
        let other = self.gateway.client();
        assert_eq!(other.log_in(&alice().login, PASSWORD).await.location(), "/portal/home");
        let path = "/portal/socket?ticks=off";
        let mut socket =
            Socket::open(&self.gateway, &other, path, Some(&other.base)).await.unwrap();
        let greeting = socket.0.next().await;
        let greets = matches!(greeting, Some(Ok(_)));
        assert!(greets, "{greeting:?}\n{}", self.gateway.log());
        let ended = tokio::spawn(async move {
            while socket.next().await.is_some() {}
            Instant::now()
        });

        self.browser.follow("#passgate-security").await;
        self.page("security", "security.title").await;
        let fields =
            [("#current_password", PASSWORD), ("#password", ANOTHER), ("#confirm", ANOTHER)];
        for (css, text) in fields {
            self.browser.fill(css, text).await;
        }
        self.browser.follow(SAVE).await;
        let changed = Instant::now();
        self.toast("security-changed", "message.changed_title").await;
        let ended = tokio::time::timeout(Duration::from_secs(1), ended).await.unwrap().unwrap();
        assert!(ended < changed + Duration::from_secs(1), "{:?}", ended - changed);
        assert_eq!(other.get("/portal/home").await.location(), "/portal/login");
        self.mail("alice@corp.example", "mail.password_changed").await;
        self.browser.follow(".toast a").await;
        self.browser.arrives("/portal/home").await;
        if self.scripts {
            self.warned_and_stays().await;
        }
    }

    /// R-C4: before the session ends its user is asked, and stays.
    async fn warned_and_stays(&self) {
        let (browser, warning) = (&self.browser, "#passgate-session[role=alert]");
        self.gateway.advance("3h56m").await;
        // As if its user had been in another window and came back: then the page asks.
        browser.script("document.dispatchEvent(new Event('visibilitychange'))").await;
        browser.shows(warning).await;
        self.portal_page("session-ends").await;
        let said = browser.text(warning).await;
        self.words.are_said("session.ends", &said);
        self.words.are_said("session.stay", &said);
        // The time of day, too, is written as in the language of the words.
        assert_eq!(said.contains(" AM") || said.contains(" PM"), self.language == "en", "{said}");
        browser.click(&format!("{warning} button")).await;
        browser.until("the warning to go", async || !browser.has(warning).await).await;
        self.gateway.advance("1h").await;
        browser.reload().await;
        browser.arrives("/portal/home").await;
    }

    /// R-D6: the new address counts when its link was followed; the one before is told.
    async fn changed_address(&self) {
        self.browser.follow("#passgate-security").await;
        self.send(&[("#email", "alice@home.example"), ("#email-password", ANOTHER)]).await;
        self.toast("security-address-asked", "message.email_asked").await;
        let mail = self.mail("alice@home.example", "mail.confirm_email").await;
        self.browser.open(mail.path()).await;
        self.page("confirm-email", "confirm_email.title").await;
        self.browser.follow("main form button.main").await;
        self.browser.arrives("/account/security").await;
        self.toast("security-address-confirmed", "message.email_confirmed").await;
        self.mail("alice@corp.example", "mail.email_changed").await;
        assert_eq!(self.gateway.account(&alice().login).await["email"], "alice@home.example");
        self.browser.follow(".toast a").await;
        self.leave().await;
    }

    /// R-D3, R-D4: the welcome mail, a portal password and a voicemail PIN.
    async fn new_user(&self) {
        let bob = login("1002");
        self.gateway.put_on_file(&bob, "bob@corp.example").await;
        self.begin_at_login("new-user", "ways.new_user").await;
        self.page("new-user", "new_user.title").await;
        self.send(&[("#email", "bob@corp.example"), ("#extension", "1002")]).await;
        self.told("new-user-sent", "ask.mailed_title", "ask.mailed_welcome").await;
        let mail = self.mail("bob@corp.example", "mail.welcome").await;
        self.browser.open(mail.path()).await;
        self.page("welcome", "welcome.title").await;
        self.choose(Some("1111"), "short").await;
        self.page("welcome-refused", "welcome.title").await;
        let wrong = self.browser.text(".alert[role=alert]").await;
        self.words.are_said("message.pin_against", &wrong);
        self.words.are_said("message.against", &wrong);
        self.choose(Some(NEW_PIN), PASSWORD).await;
        self.in_portal("message.done_new_pin").await;
        assert_eq!(self.pbx.pin_of(&bob), NEW_PIN);
        self.leave().await;
    }

    /// R-E1: what the administrator hands out opens the page on which it is replaced.
    async fn initial_password(&self) {
        let dora = login("1003");
        assert_eq!(self.gateway.import("", &format!("login\n{dora}\n")).await.0, 200);
        let issued = self.gateway.ask(&dora, "initial-password").await;
        self.log_in(&dora, issued["initial_password"].as_str().unwrap()).await;
        self.browser.arrives("/account/set-password").await;
        self.page("initial-password", "set_password.title").await;
        self.words.are_said("set_password.lead_initial", &self.browser.text("main").await);
        self.choose(Some(NEW_PIN), PASSWORD).await;
        self.in_portal("message.done_new_pin").await;
        self.leave().await;
    }

    /// R-A3, R-B3, R-D6: at force the PIN leads to the page for a portal password; the address given
    /// there is on file when its link was followed.
    async fn held_back_at_force(&self) {
        let erin = login("1004");
        self.log_in(&erin, "91827").await;
        self.browser.arrives("/account/set-password").await;
        self.page("set-password", "set_password.title").await;
        self.browser.fill("#email", "erin@corp.example").await;
        self.choose(Some(NEW_PIN), PASSWORD).await;
        self.in_portal("message.done_new_pin").await;
        let said = self.browser.text("#passgate-message").await;
        self.words.are_said("message.confirm_sent", &said);
        assert_eq!(self.gateway.account(&erin).await["email"], Value::Null);
        let mail = self.mail("erin@corp.example", "mail.confirm_email").await;
        self.browser.open(mail.path()).await;
        self.page("confirm-first-email", "confirm_email.title").await;
        self.browser.follow("main form button.main").await;
        self.browser.arrives("/account/security").await;
        self.toast("security-first-address", "message.email_confirmed").await;
        assert_eq!(self.gateway.account(&erin).await["email"], "erin@corp.example");
        self.browser.follow(".toast a").await;
        self.leave().await;
    }

    /// R-A4: at reject the PIN opens nothing, and a link is mailed that leads into the portal.
    async fn refused_at_reject(&self) {
        let finn = login("1005");
        self.gateway.put_on_file(&finn, "finn@corp.example").await;
        self.log_in(&finn, "60417").await;
        self.browser.arrives("/portal/login").await;
        self.portal_page("rejected").await;
        self.words.are_said("message.mailed", &self.browser.text("#passgate-message").await);
        let mail = self.mail("finn@corp.example", "mail.rejected").await;
        self.browser.open(mail.path()).await;
        self.page("reset-at-reject", "reset.title").await;
        self.choose(None, PASSWORD).await;
        self.in_portal("message.done").await;
        self.mail("finn@corp.example", "mail.password_set").await;
        self.browser.open("/account/help").await;
        self.page("help", "help.title").await;
        self.browser.open("/account/sign-out").await;
        self.page("sign-out", "common.sign_out").await;
        self.browser.follow("main form button.main").await;
        self.browser.arrives("/portal/login").await;
    }

    /// Opens the portal's login page and follows one of the links below its form.
    async fn begin_at_login(&self, page: &str, key: &str) {
        self.browser.open("/portal/login").await;
        self.portal_page("login").await;
        let link = format!("#passgate-links a[href='/account/{page}']");
        self.words.are_said(key, &self.browser.text(&link).await);
        self.browser.follow(&link).await;
        self.browser.arrives(&format!("/account/{page}")).await;
    }

    async fn log_in(&self, login: &str, secret: &str) {
        self.browser.open("/portal/login").await;
        self.browser.log_in(login, secret).await;
    }

    /// Types into the fields of a form and sends it.
    async fn send(&self, fields: &[(&str, &str)]) {
        for (css, text) in fields {
            self.browser.fill(css, text).await;
        }
        self.browser.follow(&format!("main form:has({}) button.main", fields[0].0)).await;
    }

    /// Fills in a page that asks for a portal password, and for a PIN where one is given.
    async fn choose(&self, pin: Option<&str>, password: &str) {
        assert_eq!(self.browser.has("#pin").await, pin.is_some(), "whether a PIN is asked for");
        if let Some(pin) = pin {
            self.browser.fill("#pin", pin).await;
        }
        self.browser.fill("#password", password).await;
        self.browser.fill("#confirm", password).await;
        self.browser.follow(SAVE).await;
    }

    /// The next mail to an address is of this kind, in the reader's language.
    async fn mail(&self, address: &str, kind: &str) -> Received {
        let mail = self.smtp.mail_to(address).await;
        assert_eq!(mail.subject(), self.words.get(&format!("{kind}.subject")));
        self.words.are_said(&format!("{kind}.lead"), &mail.text);
        self.words.are_all_of(&mail.text);
        assert!(mail.html.contains(&format!("<html lang=\"{}\">", self.language)), "{}", mail.html);
        mail
    }

    /// In the portal, which says what was done.
    async fn in_portal(&self, key: &str) {
        self.browser.arrives("/portal/home").await;
        self.portal_page("portal").await;
        self.words.are_said(key, &self.browser.text("#passgate-message").await);
    }

    /// Signs out in the portal.
    async fn leave(&self) {
        self.browser.arrives("/portal/home").await;
        self.browser.follow("#logout-link").await;
        self.browser.arrives("/portal/login").await;
        self.words.are_said("message.signed_out", &self.browser.text("#passgate-message").await);
    }

    /// A page that answers what was sent, or says why a link does not work.
    async fn told(&self, name: &str, title: &str, key: &str) {
        self.page(name, title).await;
        self.words.are_said(key, &self.browser.text(".said").await);
    }

    /// Account security, with the green pop-up.
    async fn toast(&self, name: &str, key: &str) {
        self.page(name, "security.title").await;
        let toast = ".toast[role=status]";
        self.words.are_said(key, &self.browser.text(toast).await);
        let green = "const style = getComputedStyle(document.querySelector('.toast'));
                     const [red, green, blue] = style.backgroundColor.match(/\\d+/g).map(Number);
                     return green > red && green > blue";
        assert_eq!(self.browser.script(green).await, "true", "{name}");
    }

    /// What holds on each page of ours.
    async fn page(&self, name: &str, title: &str) {
        let (browser, words) = (&self.browser, &self.words);
        assert_eq!(browser.attribute("html", "lang").await, self.language, "{name}");
        assert_eq!(browser.title().await, format!("{} – localhost", words.get(title)), "{name}");
        words.are_all_of(&browser.source().await);
        assert_eq!(browser.displayed("#theme").await, self.scripts, "{name}: what needs a script");
        assert_eq!(browser.overflow().await, 0, "{name}: wider than the window");
        if self.scripts {
            self.has_focus(name).await;
        }
        browser.whole_pictures(&self.picture(name), self.screen).await;
    }

    /// Who comes to a page goes on at what it says, or in the first field; where a page has several
    /// forms nothing is chosen for its user.
    async fn has_focus(&self, name: &str) {
        let focused = "const seen = all => [...document.querySelectorAll(all)]
                         .filter(one => one.getClientRects().length);
                       const forms = seen('main form');
                       const first = seen('.said, .toast')[0]
                         || seen('main [aria-invalid]')[0] || seen('.alert')[0]
                         || (forms.length === 1 && seen('main form input')[0]) || document.body;
                       return document.activeElement === first";
        let there = async || self.browser.script(focused).await == "true";
        self.browser.until(&format!("the focus on {name}"), there).await;
    }

    /// What holds on a page of the portal: it fits, and what we put in is in the reader's language.
    async fn portal_page(&self, name: &str) {
        for part in [
            "#passgate-message",
            "#passgate-links",
            "#passgate-notice",
            "#passgate-session",
            "#passgate-security",
        ] {
            if self.browser.has(part).await {
                self.words.are_all_of(&self.browser.text(part).await);
                assert_eq!(self.browser.attribute(part, "lang").await, self.language, "{part}");
            }
        }
        assert_eq!(self.browser.overflow().await, 0, "{name}: wider than the window");
        self.browser.whole_pictures(&self.picture(&format!("portal-{name}")), self.screen).await;
    }

    fn picture(&self, name: &str) -> String {
        let scripts = if self.scripts { "" } else { "-without-scripts" };
        format!("flow-{name}-{}{scripts}", self.language)
    }
}
