//! In a real browser: the way through the phases, as a user goes it, from the voicemail PIN to the
//! portal password; what is in no reach on that way; and what a link leads to, whatever its state.

use std::time::Duration;

use crate::support::{Browser, Gateway, PORTAL_ADMIN, Pbx, Settings, Smtp, alice};

const PASSWORD: &str = "Lighthouse-4711";
const NEW_PIN: &str = "80246";
const ADDRESS: &str = "alice@abc-company.example";

async fn browser(gateway: &Gateway) -> Browser {
    Browser::start(&format!("https://localhost:{}", gateway.https.port())).await
}

/// Fills in a page that asks for a portal password and a PIN, and sends it. Where it must not ask
/// for a PIN, that is empty.
async fn choose(browser: &Browser, pin: &str, password: &str) {
    assert_eq!(browser.has("#pin").await, !pin.is_empty(), "whether a PIN is asked for");
    if !pin.is_empty() {
        browser.fill("#pin", pin).await;
    }
    browser.fill("#password", password).await;
    browser.fill("#confirm", password).await;
    browser.follow("form[data-check] button.main").await;
}

/// Types this PIN on the portal's voicemail page; whether the mailbox opens.
async fn opens_mailbox(browser: &Browser, pin: &str) -> bool {
    browser.open("/portal/voicemail").await;
    browser.fill("#VoicemailPin", pin).await;
    browser.follow("#VoicemailForm input[type=submit]").await;
    browser.has("#mailbox-open").await
}

/// The path of the link in the next mail to Alice.
async fn link_to_alice(smtp: &Smtp) -> String {
    smtp.mail_to(ADDRESS).await.link().strip_prefix("https://localhost").unwrap().to_owned()
}

/// R-A3, R-A5, R-B3, R-C3: at force a PIN leads to one page, whatever else is asked for. A new PIN
/// and a portal password lead on to the page first asked for; the new PIN opens voicemail, and only
/// the password opens the portal.
#[tokio::test]
async fn force_from_a_deep_page_to_voicemail() {
    let pbx = Pbx::start().await;
    let more = PORTAL_ADMIN.into();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("force") }).await;
    let browser = browser(&gateway).await;
    let alice = alice();
    browser.open("/portal/calls?page=2").await;
    browser.arrives("/portal/login").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/account/set-password").await;

    pbx.0.clear_record();
    let elsewhere = ["/", "/portal/", "/portal/home", "/portal/voicemail", "/portal/profile"];
    for place in elsewhere.iter().chain(&["/account/security", "/account/current-pin"]) {
        browser.open(place).await;
        browser.arrives("/account/set-password").await;
    }
    assert_eq!(pbx.0.record().len(), 0, "{:?}", pbx.0.record());
    // A page of the portal itself, whose scripts may ask for anything.
    browser.open("/portal/login").await;
    for place in ["home", "home/checkSession", "socket", "events", "../ns-api/v2/domains"] {
        assert_eq!(browser.fetch(&format!("/portal/{place}")).await, "403", "{place}");
    }
    browser.open("/portal/calls?page=2").await;
    browser.arrives("/account/set-password").await;

    // What password managers go by: whose password it is, and which field is one. The PIN stands
    // above, apart from them, and is no password to any of them.
    let fields = "return [...document.querySelector('form[data-check]').elements] \
                  .filter(field => field.name && field.name !== 'csrf') \
                  .map(field => [field.name, field.type, field.autocomplete].join(' ')).join(', ')";
    assert_eq!(
        browser.script(fields).await,
        "username text username, pin text off, password password new-password, \
         confirm password new-password"
    );
    assert_eq!(browser.value("[name=username]").await, alice.login);
    assert!(!browser.displayed("[name=username]").await);

    choose(&browser, "1234", PASSWORD).await;
    browser.arrives("/account/set-password").await;
    let refused = browser.text(".alert[role=alert]").await;
    assert!(refused.contains("Please choose another voicemail PIN:"), "{refused}");
    assert!(refused.contains("one of the most frequently used voicemail PINs"), "{refused}");
    assert_eq!(browser.attribute("#pin", "aria-invalid").await, "true");
    assert_eq!(pbx.pin_of(&alice.login), alice.pin);

    choose(&browser, NEW_PIN, PASSWORD).await;
    browser.arrives("/portal/calls?page=2").await;
    let saved = browser.text("#passgate-message").await;
    assert!(saved.contains("Saved.") && saved.contains("use the new voicemail PIN"), "{saved}");
    browser.reload().await;
    assert!(!browser.has("#passgate-message").await, "it is said once");
    assert!(!opens_mailbox(&browser, &alice.pin).await);
    assert!(opens_mailbox(&browser, NEW_PIN).await);

    browser.follow("#logout-link").await;
    browser.arrives("/portal/login").await;
    for pin in [NEW_PIN, &alice.pin] {
        browser.log_in(&alice.login, pin).await;
        browser.arrives("/portal/login").await;
        let refused = browser.text("#passgate-message[role=alert]").await;
        assert!(refused.contains("your voicemail PIN no longer opens the portal"), "{refused}");
    }
    browser.log_in(&alice.login, PASSWORD).await;
    browser.arrives("/portal/home").await;
}

/// R-A2, R-A6: a session of the warn phase with its notice is held back at force, and over at
/// reject, without another login: its scripts are refused, its open WebSocket is closed, and the
/// next click leads to what is to be done.
#[tokio::test]
async fn an_open_session_meets_every_phase() {
    let (pbx, smtp) = (Pbx::with(|portal| portal.poll_every = HOUR).await, Smtp::start().await);
    let gateway = Gateway::with(
        &pbx,
        Settings {
            now: "2031-12-31T23:30:00Z".into(),
            rollout: "[rollout]\ntime_zone = \"UTC\"\nwarn = 2031-12-01\nforce = 2032-01-01\n\
                      reject = 2032-01-01T01:00:00\n"
                .into(),
            more: format!("{PORTAL_ADMIN}{}", smtp.config()),
            ..Settings::default()
        },
    )
    .await;
    let alice = alice();
    gateway.put_on_file(&alice.login, ADDRESS).await;
    let browser = browser(&gateway).await;
    browser.open("/portal/login").await;
    browser.log_in(&alice.login, &alice.pin).await;
    browser.arrives("/portal/home").await;
    browser.open("/portal/messages").await;
    browser.shows("#passgate-notice").await;
    let connection = async |state: &str| {
        browser.until(state, async || browser.text("#socket-state").await == state).await;
    };
    connection("open").await;
    assert_eq!(browser.fetch("/portal/home/checkSession").await, "200");

    gateway.set_clock("2032-01-01T00:00:00Z").await;
    connection("closed").await;
    assert_eq!(browser.fetch("/portal/home/checkSession").await, "403");
    let opens = "return new Promise(done => { \
                 const socket = new WebSocket('wss://' + location.host + '/portal/socket'); \
                 socket.onopen = () => done('open'); socket.onerror = () => done('refused') })";
    assert_eq!(browser.script(opens).await, "refused");
    browser.follow("#nav-buttons a[href='/portal/calls']").await;
    browser.arrives("/account/set-password").await;

    gateway.set_clock("2032-01-01T01:00:00Z").await;
    browser.fill("#current_password", &alice.pin).await;
    choose(&browser, NEW_PIN, PASSWORD).await;
    browser.arrives("/account/login").await;
    let ended = browser.text("main").await;
    assert!(ended.contains("Your session has ended. Please sign in again."), "{ended}");
    assert_eq!(pbx.pin_of(&alice.login), alice.pin, "what was sent too late changed nothing");
    browser.open("/portal/calls").await;
    browser.arrives("/portal/login").await;
    browser.log_in(&alice.login, &alice.pin).await;
    let refused = browser.text("#passgate-message").await;
    assert!(refused.contains("We sent a link"), "{refused}");
    let link = link_to_alice(&smtp).await;
    browser.open(&link).await;
    choose(&browser, "", PASSWORD).await;
    browser.arrives("/portal/home").await;
}

const HOUR: Duration = Duration::from_secs(3600);

/// R-D4, R-E1: an operator's `accounts welcome` mails a link; a portal password and a new voicemail
/// PIN are chosen there, and the portal and voicemail open with them.
#[tokio::test]
async fn a_welcome_by_command_line() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    let alice = alice();
    gateway.put_on_file(&alice.login, ADDRESS).await;
    let sent = gateway.command(&["accounts", "welcome", &alice.login]).await;
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));

    let browser = browser(&gateway).await;
    browser.open(&link_to_alice(&smtp).await).await;
    assert_eq!(browser.text("h1").await, "Complete your setup");
    assert_eq!(browser.text("dl.whose dd").await, alice.login);
    choose(&browser, "1111", "short").await;
    let refused = browser.text(".alert[role=alert]").await;
    assert!(refused.contains("another voicemail PIN"), "{refused}");
    assert!(refused.contains("another portal password"), "{refused}");

    choose(&browser, NEW_PIN, PASSWORD).await;
    browser.arrives("/portal/home").await;
    assert!(browser.text("#user-toolbar .who").await.contains("Alice Adams"));
    assert!(!browser.has("#passgate-notice").await);
    assert!(opens_mailbox(&browser, NEW_PIN).await);
    browser.follow("#logout-link").await;
    browser.log_in(&alice.login, NEW_PIN).await;
    assert!(browser.text("#passgate-message").await.contains("no longer opens the portal"));
    browser.log_in(&alice.login, PASSWORD).await;
    browser.arrives("/portal/home").await;
}

/// R-D1, R-D4: a link that is too old, used or damaged says so, and the next step that its page
/// offers can be clicked and leads on.
#[tokio::test]
async fn links_that_do_not_work_lead_on() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    let login = alice().login;
    gateway.put_on_file(&login, ADDRESS).await;
    let mailed = async |what| {
        let sent = gateway.command(&["accounts", what, &login]).await;
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        link_to_alice(&smtp).await
    };
    let browser = browser(&gateway).await;
    let leads_to = async |place: &str, link: &str, says: &str| {
        browser.open(link).await;
        let said = browser.text("main [role=alert]").await;
        assert!(said.contains(says), "{link}: {said}");
        assert!(!browser.has("main form").await);
        browser.follow("main a.main").await;
        browser.arrives(place).await;
    };
    let leads_to_login = async |link: &str, says: &str| {
        leads_to("/portal/login", link, says).await;
    };

    for (what, pin, life, instead) in [
        ("reset", "", "1 hour", "/account/forgot-password"),
        ("welcome", NEW_PIN, "3 days", "/account/new-user"),
    ] {
        let link = mailed(what).await;
        browser.open(&link).await;
        browser.shows("#password").await;
        gateway.advance(if what == "reset" { "61m" } else { "73h" }).await;
        // Too late, also for who had the page open already.
        choose(&browser, pin, PASSWORD).await;
        assert_eq!(browser.text("h1").await, "This link is too old");
        leads_to(instead, &link, &format!("The link worked for {life}.")).await;
        let page = format!("/account/{what}?code=");
        for damaged in [&link[..link.len() - 4], &format!("{page}%00%FF\"><b>"), &page] {
            leads_to_login(damaged, "Perhaps it is not complete").await;
        }
    }
    leads_to_login("/account/confirm-email?code=nonsense", "Perhaps it is not complete").await;

    let welcome = mailed("welcome").await;
    browser.open(&welcome).await;
    choose(&browser, NEW_PIN, PASSWORD).await;
    browser.arrives("/portal/home").await;
    browser.follow("#logout-link").await;
    leads_to_login(&welcome, "This link was used already").await;
    browser.log_in(&login, PASSWORD).await;
    browser.arrives("/portal/home").await;
    assert!(pbx.tried().iter().all(|(_, accepted)| *accepted), "no wrong PIN reached the PBX");
}
