//! R-D7: "accessible (WCAG 2.2 AA)", in a real browser with axe-core: every own page in every state
//! that looks different, in light and dark, chosen by the system and by the button, on a phone and on
//! a desktop, in each language; what goes into the portal's pages; and the e-mails.

use std::cell::RefCell;

use passgate::domain::mail::MailKind;

use crate::support::{
    ABC_COMPANY, Browser, Gateway, Mailed, Pbx, Practices, Received, Scheme, Screen, THEMES, alice,
    at, tour,
};

const SCREENS: [Screen; 2] = [Screen::Desktop, Screen::Phone];

/// What was found wrong on a tour.
#[derive(Default)]
struct Findings(RefCell<Vec<String>>);

impl Findings {
    /// Looks at a part of a page in every look that the system decides about.
    async fn look(&self, browser: &Browser, css: &str, name: &str, practices: Practices) {
        for scheme in THEMES {
            for screen in SCREENS {
                browser.look(screen, scheme).await;
                self.note(browser, css, &format!("{name} ({screen:?}, {scheme:?})"), practices)
                    .await;
            }
        }
        browser.look(Screen::Desktop, Scheme::Light).await;
    }

    /// Looks at an own page: also in the themes of its button, against the system's.
    async fn look_at_page(&self, browser: &Browser, name: &str) {
        // It lies above the page, whose colours nobody sees there.
        let css = if name.ends_with("menu open") { ".bar" } else { "html" };
        self.look(browser, css, name, Practices::Asked).await;
        for (scheme, chosen) in [(Scheme::Dark, "light"), (Scheme::Light, "dark")] {
            browser.look(Screen::Desktop, scheme).await;
            browser.click("#theme").await;
            let theme = browser.script("return document.documentElement.dataset.theme").await;
            assert_eq!(theme, chosen, "{name}");
            self.note(browser, "html", &format!("{name} ({chosen})"), Practices::Asked).await;
        }
        browser.click("#theme").await;
    }

    async fn note(&self, browser: &Browser, css: &str, look: &str, practices: Practices) {
        let wrong = browser.wrong_for_axe(css, practices).await;
        self.0.borrow_mut().extend(wrong.into_iter().map(|line| format!("{look}: {line}")));
    }

    fn are_none(self) {
        let found = self.0.into_inner();
        assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    }
}

/// Goes a tour in a language.
macro_rules! tours {
    ($($name:ident: $scene:ident in $language:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let findings = Findings::default();
            tour::$scene($language, &async |browser: &Browser, name: &str| {
                findings.look_at_page(browser, name).await;
            })
            .await;
            findings.are_none();
        }
    )*};
}

tours! {
    pages_for_visitors: visitors in "en";
    pages_behind_links: links in "en";
    account_security: security in "en";
    pages_before_the_portal: held in "en";
    pages_for_visitors_in_spanish: visitors in "es";
    pages_behind_links_in_spanish: links in "es";
    account_security_in_spanish: security in "es";
    pages_before_the_portal_in_spanish: held in "es";
}

/// The other tests could not fail if axe looked at nothing, or in one theme only.
#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_what_is_wrong() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::start(&format!("https://localhost:{}", gateway.https.port())).await;
    let spoil = "const main = document.querySelector('main');
                 main.insertAdjacentHTML('beforeend', arguments[0]);
                 main.lastElementChild.style.color = arguments[1]";
    for (html, colour, rule, scheme) in [
        ("<input name=x>", "", "label at", Scheme::Light),
        ("<h4>x</h4>", "", "heading-order at", Scheme::Light),
        ("<p><a href=/1>.</a><a href=/2>.</a></p>", "", "target-size at", Scheme::Light),
        ("<p>x</p>", "#16191f", "color-contrast at", Scheme::Dark),
        ("<p>x</p>", "#eceef2", "color-contrast at", Scheme::Light),
    ] {
        browser.open("/account/help").await;
        browser.look(Screen::Desktop, scheme).await;
        assert_eq!(browser.wrong_for_axe("html", Practices::Asked).await, [""; 0]);
        browser.call(spoil, vec![html.into(), colour.into()]).await;
        let found = browser.wrong_for_axe("html", Practices::Asked).await;
        let all_of_it = found.iter().all(|line| line.starts_with(rule));
        assert!(!found.is_empty() && all_of_it, "{html}: {found:?}");
    }
}

/// What goes into the portal's pages: the rest of them is the portal's.
#[tokio::test(flavor = "multi_thread")]
async fn within_the_portals_pages() {
    for language in ["en", "es"] {
        let findings = Findings::default();
        tour::portal(language, &async |browser: &Browser, css: &str, name: &str| {
            findings.look(browser, css, name, Practices::NotAsked).await;
        })
        .await;
        findings.are_none();
    }
}

/// Every e-mail, as a mail program that shows HTML shows it.
#[tokio::test(flavor = "multi_thread")]
async fn e_mails() {
    for language in ["en", "es"] {
        let folder = tempfile::TempDir::new().unwrap();
        let world = Mailed::with(&format!("[pages]\ndefault_locale = \"{language}\"\n")).await;
        let mut mails = Vec::new();
        let browser = Browser::start("file:///").await;
        let findings = Findings::default();
        for mail in every_mail(&world).await {
            let file = folder.path().join(format!("{}.html", mails.len()));
            std::fs::write(&file, &mail.html).unwrap();
            browser.open(&format!("file://{}", file.display())).await;
            findings.look(&browser, "html", mail.subject(), Practices::NotAsked).await;
            mails.push(mail.subject().to_owned());
        }
        findings.are_none();
        mails.sort_unstable();
        mails.dedup();
        assert_eq!(mails.len(), MailKind::ALL.len(), "one of each kind: {mails:?}");
    }
}

/// One mail of each kind.
async fn every_mail(world: &Mailed) -> Vec<Received> {
    const NEW: &str = "alice@home.example";
    const BOB: &str = "bob@corp.example";
    let (gateway, smtp) = (&world.gateway, &world.smtp);
    let to_alice = async || smtp.mail_to(Mailed::ADDRESS).await;
    let login = alice().login;
    let client = gateway.client();
    let send = async |page: &str, fields: &[(&str, &str)]| {
        let csrf = client.get(page).await.last_form_input("csrf");
        client.post(page, &[&[("csrf", csrf.as_str())], fields].concat()).await
    };
    send("/account/forgot-login-name", &[("email", Mailed::ADDRESS)]).await;
    let mut mails = vec![to_alice().await];
    gateway.ask(&login, "welcome").await;
    mails.push(to_alice().await);
    gateway.ask(&login, "reset").await;
    let reset = to_alice().await;
    let words = [("password", "Lighthouse-42"), ("confirm", "Lighthouse-42")];
    assert_eq!(client.use_link(reset.path(), &words).await.location(), "/portal/home");
    mails.extend([reset, to_alice().await]);
    client.set_password("Lighthouse-42", "Lighthouse-43").await;
    mails.push(to_alice().await);
    let fields = [("email", NEW), ("current_password", "Lighthouse-43")];
    send("/account/security", &fields).await;
    let confirm = smtp.mail_to(NEW).await;
    client.use_link(confirm.path(), &[]).await;
    mails.extend([confirm, to_alice().await]);
    let bob = format!("1002@{ABC_COMPANY}");
    gateway.put_on_file(&bob, BOB).await;
    let sent = gateway.command(&["campaign", "start", "reminder", &bob]).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    mails.push(smtp.mail_to(BOB).await);
    assert_eq!(gateway.app().log_in(&bob, "62342").await.status, 200);
    mails.push(smtp.mail_to(BOB).await);
    gateway.set_clock(at("reject")).await;
    gateway.client().log_in(&bob, "62342").await;
    mails.push(smtp.mail_to(BOB).await);
    for _ in 0..5 {
        gateway.client().log_in(&bob, "90210").await;
    }
    mails.push(smtp.mail_to(BOB).await);
    mails
}
