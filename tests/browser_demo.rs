//! The demo in a real browser: its people, its clock, its mailbox. With
//! `PASSGATE_SCREENSHOTS=FOLDER` the same tests take pictures for `docs/screenshots/`.

use passgate::demo::people::{SamplePerson, SampleState, sample_people};
use passgate::demo::portal::MFA_CODE;

use crate::support::{Browser, Demo, Scheme, Screen, THEMES};

const PASSWORD: &str = "Lighthouse-4711";

/// R-G7: the demo starts with one command; its page lists everybody, steps through the phases, and
/// leads into the portal.
#[tokio::test]
async fn the_demo_can_be_clicked_through() {
    let demo = Demo::start().await;
    let browser = Browser::start(&demo.start).await;
    browser.open("/").await;
    browser.pictures("demo", &THEMES).await;
    assert_eq!(browser.errors().await, [""; 0]);
    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0);
    browser.look(Screen::Desktop, Scheme::Light).await;

    let alice = "1001@abc-company.11111.service";
    browser.open(&browser.attribute("a.button", "href").await).await;
    browser.arrives("/portal/login").await;
    browser.log_in(alice, "48271").await;
    browser.arrives("/portal/home").await;
    browser.shows("#passgate-notice").await;

    browser.open(&demo.start).await;
    browser.follow("button[value=force]").await;
    browser.shows("button[value=force][aria-current]").await;
    browser.open(&demo.portal).await;
    browser.log_in(alice, "48271").await;
    browser.arrives("/account/set-password").await;
    browser.pictures("force", &THEMES).await;
    browser.fill("#pin", "48271").await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    let done = browser.text("#passgate-message").await;
    assert!(done.contains("Saved."), "{done}");

    browser.open(&demo.start).await;
    browser.follow("button[value=reject]").await;
    browser.open(&demo.portal).await;
    browser.log_in("1006@abc-company.11111.service", "39027").await;
    let message = browser.text("#passgate-message").await;
    assert!(message.contains("no longer opens the portal"), "{message}");
    browser.log_in(alice, PASSWORD).await;
    browser.arrives("/portal/home").await;
}

/// R-A4, R-D1, R-G7: at reject the demo refuses a PIN and says where the link went; the mail is in
/// the mailbox, as text and as it is drawn; its link sets the portal password and leads into the
/// portal. Whoever has no address on file is told whom to ask.
#[tokio::test]
async fn the_demo_mails_a_link_at_reject() {
    let demo = Demo::start().await;
    let browser = Browser::start(&demo.start).await;
    let (alice, carla) = ("1001@abc-company.11111.service", "1003@abc-company.11111.service");
    browser.open("/").await;
    browser.follow("button[value=reject]").await;
    browser.shows("button[value=reject][aria-current]").await;

    browser.open(&demo.portal).await;
    browser.log_in(alice, "48271").await;
    browser.arrives("/portal/login").await;
    let message = browser.text("#passgate-message").await;
    assert!(message.starts_with("Your voicemail PIN no longer opens the portal."), "{message}");
    assert!(message.contains("a link to set your portal password to a•••@a•••.example"));
    browser.log_in(carla, "91463").await;
    let message = browser.text("#passgate-message").await;
    assert!(message.contains("no e-mail address on file for you"), "{message}");
    assert!(message.contains("Please contact Example Voice, 555-0100."), "{message}");

    // The start page counts the mails while it is open.
    browser.open("/").await;
    browser.until("the mail", async || browser.text("#mails").await == "1").await;
    browser.follow("nav a[href='/mail']").await;
    assert!(browser.text(".mails li p").await.contains("To alice@abc-company.example"));
    assert_eq!(browser.text(".mails a").await, "Your voicemail PIN no longer opens the portal");
    browser.follow(".mails a").await;
    browser.shows("iframe").await;
    browser.pictures("demo-mail", &THEMES).await;
    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0);
    browser.look(Screen::Desktop, Scheme::Light).await;

    let link = browser.attribute("pre a", "href").await;
    assert!(link.contains("/account/reset?code="), "{link}");
    assert!(browser.text("pre").await.contains("Your login name:"));
    browser.enter_frame("iframe").await;
    assert_eq!(browser.text(".fact .ink").await, alice);
    assert_eq!(browser.attribute("a.button", "href").await, link, "both parts have the same link");
    browser.follow_to_new_tab("a.button").await;
    browser.shows("#password").await;
    assert_eq!(browser.text("dl.whose dd").await, alice);
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    assert!(browser.text("#user-toolbar .who").await.contains("Alice Marsh"));
    assert!(browser.text("#passgate-message").await.contains("Saved."));

    // The password's first day is reported to the address on file, without a link (R-D5).
    browser.open(&demo.start).await;
    browser.until("the report", async || browser.text("#mails").await == "2").await;
    browser.follow("nav a[href='/mail']").await;
    browser.follow(".mails li:first-child a").await;
    assert_eq!(browser.text("h1").await, "Your portal password was set");
    assert!(!browser.has("pre a").await, "a report has no link");
}

/// R-G7: everybody whom the demo's page lists gets what it says for the warn phase, and every link
/// of the page leads somewhere.
#[tokio::test]
async fn everybody_of_the_demo_gets_what_the_page_says() {
    let demo = Demo::start().await;
    let browser = Browser::start(&demo.start).await;
    for person in sample_people() {
        browser.open(&demo.portal).await;
        browser.log_in(&person.login, person.password().unwrap_or(&person.pin)).await;
        if person.state == SampleState::Locked {
            let message = browser.text("#passgate-message").await;
            assert!(message.contains("Too many attempts. Wait 1"), "{}: {message}", person.name);
            browser.open(&demo.start).await;
            browser.follow("button[value='+15m']").await;
            browser.open(&demo.portal).await;
            browser.log_in(&person.login, &person.pin).await;
        }
        if person.state == SampleState::SecondFactor {
            browser.arrives("/portal/login/mfa/1").await;
            browser.fill("#LoginPasscode", MFA_CODE).await;
            browser.follow("#LoginMfaForm input[type=submit]").await;
        }
        is_home_of(&browser, &person).await;
        browser.follow("#logout-link").await;
        browser.arrives("/portal/login").await;
    }

    browser.open(&demo.start).await;
    let links = "return [...document.querySelectorAll('a[href]')].map(a => a.href).join(' ')";
    let links = browser.script(links).await;
    assert!(links.split(' ').count() >= 8, "{links}");
    for link in links.split(' ') {
        browser.open(link).await;
        let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
        assert_eq!(browser.script(status).await, "200", "{link}");
    }
}

async fn is_home_of(browser: &Browser, person: &SamplePerson) {
    browser.arrives("/portal/home").await;
    let who = browser.text("#user-toolbar .who").await;
    assert!(who.contains(&person.name), "{} is shown {who}", person.name);
    assert_eq!(browser.has("#passgate-notice").await, person.password().is_none(), "{who}");
}
