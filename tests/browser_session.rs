//! In a real browser: a session's end is announced (R-C4), and the link to account security in the
//! portal's menu (R-D5). With `PASSGATE_SCREENSHOTS=FOLDER` the tests take pictures.

use crate::support::{Browser, Gateway, Pbx, Practices, Scheme, Screen, Settings, THEMES, alice};

const BOX: &str = "#passgate-session[role=alert]";

/// R-C4: five minutes before the end "Stay signed in" is offered, in a page of the portal under its
/// strict policy and in one of ours. It takes no focus, goes with the button and with whatever is
/// done in another window, and at the end it says so and leads back to the page.
#[tokio::test]
async fn the_end_is_announced_and_can_be_put_off() {
    let pbx = Pbx::with(|options| options.strict_csp = true).await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    let browser = signed_in(&gateway).await;
    for page in ["/portal/contacts", "/portal/profile", "/account/security"] {
        browser.open(page).await;
        gateway.advance("3h54m").await;
        returned_to(&browser).await;
        assert!(!browser.has(BOX).await, "{page}: six minutes are left");
        if page == "/portal/profile" {
            browser.type_in("#ProfileName", "Alice").await;
        }
        gateway.advance("1m").await;
        returned_to(&browser).await;
        browser.shows(BOX).await;
        let words = browser.text(BOX).await;
        assert!(words.contains("You will be signed out at "), "{page}: {words}");
        assert!(words.contains("Stay signed in") && !words.contains('{'), "{page}: {words}");
        if page == "/portal/profile" {
            let focused = browser.script("return document.activeElement.id").await;
            assert_eq!(focused, "ProfileName", "it takes no focus");
        }
        browser.look(Screen::Phone, Scheme::Light).await;
        assert_eq!(browser.overflow().await, 0, "{page}");
        browser.look(Screen::Desktop, Scheme::Light).await;
        // Over text of the page axe cannot tell what lies behind which word: on this page is none.
        for scheme in THEMES.into_iter().filter(|_| page == "/portal/contacts") {
            browser.look(Screen::Desktop, scheme).await;
            let wrong = browser.wrong_for_axe("#passgate-session", Practices::NotAsked).await;
            assert_eq!(wrong, [""; 0], "{page} {scheme:?}");
        }
        browser.look(Screen::Desktop, Scheme::Light).await;
        let name = page.trim_start_matches('/').replace('/', "-");
        browser.pictures(&format!("session-end-{name}"), &THEMES).await;
        browser.click(&format!("{BOX} button")).await;
        browser.until("the button's answer", async || !browser.has(BOX).await).await;
        gateway.advance("3h54m").await;
        returned_to(&browser).await;
        assert!(!browser.has(BOX).await, "{page}: the end was put off");
        assert_eq!(browser.errors().await, [""; 0]);
    }

    // What another window does counts too: a script's request stands for it here.
    browser.open("/portal/contacts").await;
    gateway.advance("3h56m").await;
    returned_to(&browser).await;
    browser.shows(BOX).await;
    assert_eq!(browser.fetch("/portal/calls").await, "200");
    browser.until("the warning to go", async || !browser.has(BOX).await).await;

    gateway.advance("4h").await;
    returned_to(&browser).await;
    browser.until("the end", async || browser.text(BOX).await.contains("has ended")).await;
    browser.pictures("session-over", &THEMES).await;
    browser.follow(&format!("{BOX} a")).await;
    browser.arrives("/portal/login").await;
    assert!(browser.text("#passgate-message").await.contains("Your session has ended"));
    browser.log_in(&alice().login, &alice().pin).await;
    browser.arrives("/portal/contacts").await;
}

/// R-C4: before the absolute limit nothing can be put off: there is no such button, and what is
/// there closes the warning until the end.
#[tokio::test]
async fn the_absolute_limit_is_announced() {
    let pbx = Pbx::start().await;
    let more = "[session]\nidle = \"8h\"\nabsolute = \"8h\"\n".to_owned();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("quiet") }).await;
    let browser = signed_in(&gateway).await;
    gateway.advance("7h56m").await;
    browser.open("/portal/calls").await;
    returned_to(&browser).await;
    browser.shows(BOX).await;
    let words = browser.text(BOX).await;
    assert!(words.contains("8 hours after signing in") && !words.contains("Stay"), "{words}");
    browser.pictures("session-end-absolute", &THEMES).await;
    browser.click(&format!("{BOX} button")).await;
    assert!(!browser.has(BOX).await);
    returned_to(&browser).await;
    assert!(!browser.has(BOX).await, "it stays closed");
    gateway.advance("4m").await;
    returned_to(&browser).await;
    browser.shows(&format!("{BOX} a")).await;
}

/// R-D5, R-D7: the link in the portal's menu leads to account security, without JavaScript too, and
/// looks like its neighbours on a phone and on a desktop.
#[tokio::test]
async fn the_portals_menu_leads_to_account_security() {
    let pbx = Pbx::with(|options| options.strict_csp = true).await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    let browser = Browser::without_scripts(&base(&gateway)).await;
    browser.open("/portal/login").await;
    enter(&browser, "/portal/home").await;
    browser.shows("#user-toolbar #passgate-security").await;
    browser.pictures("security-link", &[Scheme::Light]).await;
    browser.click("#passgate-security").await;
    browser.arrives_without_scripts("/account/security").await;
    assert_eq!(browser.text("h1").await, "Account security");
}

/// R-C4: a form that is filled in for longer than the session lives is not lost: its user signs in,
/// is asked, and it is sent; without JavaScript, too.
#[tokio::test]
async fn a_form_that_comes_too_late_is_not_lost() {
    let pbx = Pbx::with(|options| options.strict_csp = true).await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    for scripts in [true, false] {
        let browser = match scripts {
            true => Browser::start(&base(&gateway)).await,
            false => Browser::without_scripts(&base(&gateway)).await,
        };
        browser.open("/portal/login").await;
        enter(&browser, "/portal/home").await;
        browser.open("/portal/profile").await;
        browser.fill("#ProfileName", "Alice Ámbar").await;
        gateway.advance("4h").await;
        browser.click("#ProfileIndexForm input[type=submit]").await;
        browser.arrives_without_scripts("/portal/login").await;
        let said = browser.text("#passgate-message[role=alert]").await;
        assert!(said.contains("What you sent is kept for an hour"), "{said}");
        browser.pictures("kept-form-login", &[Scheme::Light]).await;
        enter(&browser, "/account/kept-form").await;
        assert_eq!(browser.text(".whose dd").await, "/portal/profile");
        browser.look(Screen::Phone, Scheme::Light).await;
        if scripts {
            assert_eq!(browser.overflow().await, 0);
            assert_eq!(browser.wrong_for_axe("html", Practices::Asked).await, [""; 0]);
        }
        browser.look(Screen::Desktop, Scheme::Light).await;
        browser.pictures("kept-form", &THEMES).await;
        browser.click("button[value=send]").await;
        browser.arrives_without_scripts("/portal/profile").await;
        browser.shows("#profile-saved").await;
        assert_eq!(browser.attribute("#ProfileName", "value").await, "Alice Ámbar");
        browser.click("#logout-link").await;
        browser.arrives_without_scripts("/portal/login").await;
    }
}

/// R-A3: a page of the portal that was left open when the force phase begins polls in vain and signs
/// its user out by itself; that is led to the page where a portal password is set instead, and the
/// other window where it is being set is not disturbed.
#[tokio::test]
async fn a_page_that_was_left_open_signs_nobody_out_who_sets_a_password() {
    let pbx = Pbx::with(|options| options.poll_every = std::time::Duration::from_millis(100)).await;
    let settings = Settings { now: "2031-12-31T23:55:00Z".into(), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    let browser = signed_in(&gateway).await;
    browser.open_in_new_tab("/portal/calls").await;
    gateway.set_clock("2032-01-01T00:00:00Z").await;
    // Two refused polls later both are where they belong.
    browser.arrives("/account/set-password").await;
    browser.fill("#pin", &alice().pin).await;
    browser.fill("#password", "Lighthouse-4711").await;
    browser.fill("#confirm", "Lighthouse-4711").await;
    browser.other_tab().await;
    browser.arrives("/account/set-password").await;
    browser.other_tab().await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    // The portal's own link signs out, as ever.
    browser.follow("#logout-link").await;
    browser.arrives("/portal/login").await;
}

/// Fills in the portal's login form and sends it, with or without scripts.
async fn enter(browser: &Browser, leads_to: &str) {
    browser.fill("#LoginUsername", &alice().login).await;
    browser.fill("#LoginPassword", &alice().pin).await;
    browser.click("#LoginIndexForm input[type=submit]").await;
    browser.arrives_without_scripts(leads_to).await;
}

fn base(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.https.port())
}

async fn signed_in(gateway: &Gateway) -> Browser {
    let browser = Browser::start(&base(gateway)).await;
    browser.open("/portal/login").await;
    browser.log_in(&alice().login, &alice().pin).await;
    browser.arrives("/portal/home").await;
    browser
}

/// As if its user had been in another window and came back: then the page asks. Waits for the
/// answer, which the browser lists among what it loaded.
async fn returned_to(browser: &Browser) {
    let asked = "return performance.getEntriesByType('resource')\
                 .filter(one => one.name.endsWith('/account/session') && one.responseEnd).length";
    let before: u32 = browser.script(asked).await.parse().unwrap();
    browser.script("document.dispatchEvent(new Event('visibilitychange'))").await;
    let more = async || browser.script(asked).await.parse::<u32>().is_ok_and(|now| now > before);
    browser.until("the page to ask", more).await;
    // What it does with the answer happens in the turn after.
    browser.script("return new Promise(done => setTimeout(done, 0))").await;
}
