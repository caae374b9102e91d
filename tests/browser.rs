//! In a real browser: what users see and do, from the PIN to the portal password. With
//! `PASSGATE_SCREENSHOTS=FOLDER` the same tests take the pictures of `docs/screenshots/`.

use passgate::demo::portal::Failure;

use crate::support::{Browser, Gateway, Pbx, Person, Scheme, Screen, Settings, THEMES, alice};

/// Every page of the example portal that a signed-in user can open.
const PAGES: [&str; 6] = ["home", "messages", "contacts", "calls", "voicemail", "profile"];
const PASSWORD: &str = "Lighthouse-4711";

/// Warn since 20 May; force on 15 June, reject on 29 June. It is 1 June: 28 days are left.
fn june() -> Settings {
    Settings {
        now: "2031-06-01T12:00:00Z".into(),
        rollout: "[rollout]\ntime_zone = \"UTC\"\nwarn = 2031-05-20\nforce = 2031-06-15\n\
                  reject = 2031-06-29\n[support]\ncontact = \"the help desk, 555-0100\"\n"
            .into(),
        ..Settings::default()
    }
}

fn base(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.https.port())
}

async fn logged_in(browser: &Browser, person: &Person) {
    browser.open("/portal/login").await;
    browser.log_in(&person.login, &person.pin).await;
    browser.arrives("/portal/home").await;
}

/// R-A2, R-A5, R-C1, R-C3, R-C6: a user logs in with the PIN and sees the notice on every page,
/// sets a portal password, and from then on only that opens the portal; voicemail keeps the PIN.
#[tokio::test]
async fn from_the_pin_to_a_portal_password() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, june()).await;
    let browser = Browser::start(&base(&gateway)).await;
    let alice = alice();

    browser.open("/portal/login").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/home").await;
    for page in PAGES {
        browser.open(&format!("/portal/{page}")).await;
        let notice = browser.text("#passgate-notice").await;
        assert!(notice.contains("will stop opening this portal in 28 days"), "{page}: {notice}");
    }
    browser.open("/portal/home").await;
    browser.pictures("notice", &THEMES).await;

    browser.follow("#passgate-notice a").await;
    browser.arrives("/account/security").await;
    browser.pictures("security", &THEMES).await;
    browser.fill("#current_password", &alice.pin).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.follow("form[data-check] button.main").await;
    browser.shows(".toast[role=status]").await;
    let done = browser.text(".toast").await;
    assert!(done.contains("Saved.") && done.contains("keep using your PIN"), "{done}");
    browser.pictures("security-done", &THEMES).await;
    assert_eq!(browser.errors().await, [""; 0]);

    for page in PAGES {
        browser.open(&format!("/portal/{page}")).await;
        assert!(!browser.has("#passgate-notice").await, "the notice is still on {page}");
    }

    browser.follow("#logout-link").await;
    browser.arrives("/portal/login").await;
    assert_eq!(browser.text("#passgate-message").await, "You are signed out.");
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/login").await;
    let message = browser.text("#passgate-message").await;
    assert!(message.contains("your voicemail PIN no longer opens the portal"), "{message}");
    assert_eq!(browser.attribute("#passgate-message", "role").await, "alert");
    assert_eq!(browser.value("#LoginUsername").await, alice.login);
    browser.pictures("login-refused", &[Scheme::Light]).await;

    browser.log_in(&alice.login, PASSWORD).await;
    browser.arrives("/portal/home").await;
    assert!(!browser.has("#passgate-notice").await);

    browser.open("/portal/voicemail").await;
    browser.fill("#VoicemailPin", &alice.pin).await;
    browser.follow("#VoicemailForm input[type=submit]").await;
    browser.shows("#mailbox-open").await;

    assert!(pbx.tried().iter().all(|(secret, _)| *secret == alice.pin), "{:?}", pbx.tried());
}

/// R-D5, R-C8: a portal password is changed with the current one; a wrong one changes nothing, and
/// the user stays signed in.
#[tokio::test]
async fn a_portal_password_is_changed_at_will() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::start(&base(&gateway)).await;
    let alice = alice();
    logged_in(&browser, &alice).await;
    let save = async |current: &str, new: &str| {
        browser.open("/account/security").await;
        browser.fill("#current_password", current).await;
        browser.fill("#password", new).await;
        browser.fill("#confirm", new).await;
        browser.follow("form[data-check] button.main").await;
    };
    save(&alice.pin, PASSWORD).await;
    assert!(browser.text(".toast").await.contains("Your portal password is set"));

    save("Not-the-1-I-have", "Harbour-Lights-9").await;
    let refused = browser.text(".alert[role=alert]").await;
    assert!(refused.contains("The current portal password is wrong"), "{refused}");
    save(PASSWORD, "Harbour-Lights-9").await;
    assert!(browser.text(".toast").await.contains("Your portal password is changed"));

    browser.follow(".toast a").await;
    browser.arrives("/portal/home").await;
    browser.follow("#logout-link").await;
    browser.log_in(&alice.login, "Harbour-Lights-9").await;
    browser.arrives("/portal/home").await;
}

/// R-C3: after the login a user lands on the page that was first asked for.
#[tokio::test]
async fn a_login_leads_to_the_page_first_asked_for() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::start(&base(&gateway)).await;
    let alice = alice();

    browser.open("/portal/contacts?sort=name").await;
    browser.arrives("/portal/login").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/contacts?sort=name").await;
    browser.shows("#passgate-notice").await;
}

/// R-C4: a page that only polls does not keep a session alive; a page that is used does.
#[tokio::test]
async fn four_idle_hours_end_a_session_although_its_page_polls() {
    let pbx = Pbx::with(|portal| portal.poll_every = std::time::Duration::from_millis(150)).await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::start(&base(&gateway)).await;
    logged_in(&browser, &alice()).await;

    let polls = || {
        let asked = |path: &str| path.eq_ignore_ascii_case("/portal/home/checkSession");
        pbx.0.record().iter().filter(|request| asked(&request.path)).count()
    };
    let polls_again = async || {
        let before = polls();
        // Two: the first may have been on its way when the clock was moved.
        browser.until("two more polls", async || polls() >= before + 2).await;
    };

    gateway.advance("3h").await;
    polls_again().await;
    browser.follow("#nav-buttons a[href='/portal/contacts']").await;
    browser.arrives("/portal/contacts").await;

    gateway.advance("3h").await;
    polls_again().await;
    browser.follow("#nav-buttons a[href='/portal/calls']").await;
    browser.arrives("/portal/calls").await;

    for _ in 0..3 {
        gateway.advance("79m").await;
        polls_again().await;
    }
    assert_eq!(browser.path().await, "/portal/calls", "237 minutes are not four hours");
    gateway.advance("4m").await;
    browser.arrives("/portal/login").await;
    let message = browser.text("#passgate-message").await;
    assert!(message.contains("Your session has ended"), "{message}");
    browser.open("/portal/home").await;
    browser.arrives("/portal/login").await;
    assert!(!browser.has("#passgate-message").await, "it is said once");
}

/// R-C5: after five wrong tries the right one is refused, too, and the page says how long to wait;
/// after that time it works.
#[tokio::test]
async fn five_wrong_tries_lock_for_fifteen_minutes() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, june()).await;
    let browser = Browser::start(&base(&gateway)).await;
    let alice = alice();

    browser.open("/portal/login").await;
    for wrong in ["90210", "90211", "90212", "90213", "90214"] {
        browser.log_in(&alice.login, wrong).await;
        let message = browser.text("#passgate-message").await;
        assert!(message.contains("Login name or portal password is wrong"), "{wrong}: {message}");
    }
    browser.log_in(&alice.login, &alice.pin).await;
    let message = browser.text("#passgate-message").await;
    assert!(message.contains("Too many attempts. Wait 15 minutes"), "{message}");
    browser.pictures("login-locked", &[Scheme::Light]).await;

    gateway.advance("16m").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/home").await;
}

/// R-D7: everything works without JavaScript: the own login page, setting the password, signing
/// out.
#[tokio::test]
async fn the_own_pages_work_without_scripts() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::without_scripts(&base(&gateway)).await;
    let alice = alice();
    let sent = |place: &'static str| browser.arrives_without_scripts(place);

    browser.open("/account/login?next=/portal/calls").await;
    assert!(!browser.displayed("#theme").await && !browser.displayed(".peek").await);
    browser.fill("#login", &alice.login).await;
    browser.fill("#password", "00000").await;
    browser.click("button.main").await;
    browser.shows(".alert[role=alert]").await;
    assert_eq!(browser.value("#login").await, alice.login);
    browser.fill("#password", &alice.pin).await;
    browser.click("button.main").await;
    sent("/portal/calls").await;

    browser.open("/account/security").await;
    browser.fill("#current_password", &alice.pin).await;
    browser.fill("#password", "too short").await;
    browser.fill("#confirm", "too short").await;
    browser.click("form[data-check] button.main").await;
    browser.shows(".alert[role=alert] li").await;
    browser.fill("#current_password", &alice.pin).await;
    browser.fill("#password", PASSWORD).await;
    browser.fill("#confirm", PASSWORD).await;
    browser.click("form[data-check] button.main").await;
    browser.shows(".toast[role=status]").await;

    browser.click(".bar form.wide button").await;
    sent("/portal/login").await;
}

/// R-D7: the half circle goes from light to dark to the system's theme, and the choice persists.
#[tokio::test]
async fn the_theme_is_chosen_once_and_stays() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, june()).await;
    let browser = Browser::start(&base(&gateway)).await;
    browser.open("/account/login").await;
    browser.pictures("own-login", &THEMES).await;

    let theme =
        async || browser.script("return document.documentElement.dataset.theme || ''").await;
    let ground =
        async || browser.script("return getComputedStyle(document.body).backgroundColor").await;
    let light = ground().await;
    browser.look(Screen::Desktop, Scheme::Dark).await;
    let dark = ground().await;
    assert_ne!(light, dark, "without a choice the system's theme is used");

    for (chosen, seen) in [("light", &light), ("dark", &dark), ("", &dark)] {
        browser.click("#theme").await;
        assert_eq!((theme().await.as_str(), &ground().await), (chosen, seen));
        browser.reload().await;
        assert_eq!((theme().await.as_str(), &ground().await), (chosen, seen), "after a reload");
        let label = browser.attribute("#theme", "aria-label").await;
        let word = if chosen.is_empty() { "system" } else { chosen };
        assert!(label.starts_with(&format!("Theme: {word}.")), "{label}");
    }
    assert_eq!(browser.errors().await, [""; 0]);
}

/// R-D7, R-B1: while a new portal password is typed its rules are ticked off, it can be looked at,
/// and the two spellings are compared; on a phone nothing is cut off, and the menu signs out.
#[tokio::test]
async fn the_security_page_helps_while_one_types() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = Browser::start(&base(&gateway)).await;
    logged_in(&browser, &alice()).await;
    browser.open("/account/security").await;

    let met = async || {
        let kinds = "return [...document.querySelectorAll('.rules li.met')]\
                     .map(rule => rule.dataset.rule).join(' ')";
        browser.script(kinds).await
    };
    assert_eq!(met().await, "");
    browser.type_in("#password", "B").await;
    assert_eq!(met().await, "capitals");
    browser.type_in("#password", "ravo-lima").await;
    assert_eq!(met().await, "length capitals");
    browser.type_in("#password", "7").await;
    assert_eq!(met().await, "length capitals digits");
    browser.shows("#strength").await;
    browser.until("the strength in words", async || !browser.text("#score").await.is_empty()).await;

    assert_eq!(browser.property("#password", "type").await, "password");
    browser.click(".peek[aria-controls=password]").await;
    assert_eq!(browser.property("#password", "type").await, "text");
    assert_eq!(browser.text(".peek[aria-controls=password]").await, "Hide");
    browser.click(".peek[aria-controls=password]").await;
    assert_eq!(browser.property("#password", "type").await, "password");

    browser.type_in("#confirm", "Bravo-limo").await;
    browser.shows("#match").await;
    browser.fill("#confirm", "Bravo-lima7").await;
    browser.until("no more difference", async || !browser.displayed("#match").await).await;

    browser.look(Screen::Phone, Scheme::Light).await;
    assert_eq!(browser.overflow().await, 0);
    assert_eq!(browser.errors().await, [""; 0]);
    assert!(!browser.displayed(".bar form.wide").await);
    browser.click(".menu summary").await;
    browser.follow(".menu .sheet button[type=submit]").await;
    browser.arrives("/portal/login").await;
    browser.open("/account/security").await;
    browser.arrives("/account/login?next=%2Faccount%2Fsecurity").await;
}

/// R-A2: the notice is seen on a portal whose policy allows no styles and scripts of others.
#[tokio::test]
async fn the_notice_survives_a_strict_policy() {
    let pbx = Pbx::with(|portal| portal.strict_csp = true).await;
    let gateway = Gateway::with(&pbx, june()).await;
    let browser = Browser::start(&base(&gateway)).await;
    logged_in(&browser, &alice()).await;

    browser.shows("#passgate-notice").await;
    let notice = browser.text("#passgate-notice").await;
    assert!(notice.contains("28 days") && notice.contains("Set portal password"), "{notice}");
    let middle =
        "const box = document.querySelector('#passgate-notice td').getBoundingClientRect();
        return box.top === 0 && Math.abs(box.left + box.right - innerWidth) <= 2";
    assert_eq!(browser.script(middle).await, "true", "centred at the top");
    browser.look(Screen::Phone, Scheme::Dark).await;
    assert_eq!(browser.overflow().await, 0);
    browser.follow("#passgate-notice a").await;
    browser.arrives("/account/security").await;
}

/// R-C1: a portal that does not answer is not the user's fault, and our page says so.
#[tokio::test]
async fn a_silent_portal_gets_our_page() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, june()).await;
    let browser = Browser::start(&base(&gateway)).await;
    logged_in(&browser, &alice()).await;
    browser.open("/account/security").await;

    pbx.0.fail_with(Failure::Close);
    browser.open("/portal/home").await;
    let page = browser.text("main").await;
    assert!(page.contains("does not answer right now. Your login is fine"), "{page}");
    browser.pictures("portal-down", &THEMES).await;
    pbx.0.fail_with(Failure::None);
    browser.follow("main a.main").await;
    browser.arrives("/portal/home").await;
}
