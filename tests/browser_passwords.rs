//! R-D7: "plays well with password managers (autocomplete attributes; PIN fields are not password
//! fields)": with Chromium's own, on a screen; and by what all of them go by, on every page.

use std::cell::Cell;

use crate::support::{Browser, Desktop, Gateway, Pbx, Settings, Smtp, alice, tour};

const ADDRESS: &str = "alice@abc-company.example";
const FIRST: &str = "Lighthouse-4711";
const SECOND: &str = "Harbour-Lights-9";
const NEW_PIN: &str = "80246";

/// R-D7: Chromium saves the portal password under the login name, from the page behind a welcome
/// link and from a change; it signs in with it on our login page and on the portal's. What was
/// refused is not saved, and never a PIN.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_saves_the_portal_password_and_no_pin() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    // Without access to the PBX's records: a PIN that was changed elsewhere is asked for.
    let settings = Settings { more: smtp.config(), ..Settings::in_phase("force") };
    let gateway = Gateway::with(&pbx, settings).await;
    let login = alice().login;
    gateway.put_on_file(&login, ADDRESS).await;
    gateway.client().log_in(&login, &alice().pin).await;
    gateway.ask(&login, "welcome").await;
    let link = smtp.mail_to(ADDRESS).await.path().to_owned();
    let desktop = Desktop::start(&gateway).await;
    let browser = Browser::on_screen(&base(&gateway), &desktop).await;
    // It tells there what it decides, while that page is open.
    browser.open("chrome://password-manager-internals").await;
    browser.open_tab().await;

    browser.open(&link).await;
    let choose = async |pin: &str, password: &str| {
        browser.fill("#pin", pin).await;
        browser.fill("#password", password).await;
        browser.fill("#confirm", password).await;
        browser.follow("form[data-check] button.main").await;
    };
    choose("55555", FIRST).await;
    browser.shows(".alert[role=alert]").await;
    choose(&alice().pin, FIRST).await;
    browser.arrives("/portal/home").await;
    browser.save_password(&desktop, &[]).await;
    let saved = browser.saved().await;
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert_eq!((&saved[0].login, &saved[0].fields[1]), (&login, &"password".to_owned()));

    browser.follow("#logout-link").await;
    browser.open("/account/login").await;
    browser.filled_in(&["#login", "#password"]).await;
    browser.follow("main form button.main").await;
    browser.arrives("/portal/home").await;

    browser.open("/account/security").await;
    browser.filled_in(&["#current_password"]).await;
    browser.fill("#password", SECOND).await;
    browser.fill("#confirm", SECOND).await;
    browser.follow("form[data-check] button.main").await;
    browser.shows(".toast[role=status]").await;
    browser.save_password(&desktop, &saved).await;
    let changed = browser.saved().await;
    assert_eq!((changed.len(), &changed[0].login), (1, &login));

    browser.open("/portal/home").await;
    browser.follow("#logout-link").await;
    browser.open("/portal/login").await;
    browser.filled_in(&["#LoginUsername", "#LoginPassword"]).await;
    browser.follow("#LoginIndexForm input[type=submit]").await;
    browser.arrives("/portal/home").await;

    // A page that asks for the PIN alone gets no password filled in, and none is saved from it.
    browser.follow("#logout-link").await;
    assert!(pbx.0.set_pin(&login, NEW_PIN));
    browser.open("/account/login").await;
    browser.filled_in(&["#login", "#password"]).await;
    browser.follow("main form button.main").await;
    browser.arrives("/account/current-pin").await;
    assert_eq!(browser.value("#pin").await, "");
    browser.fill("#pin", NEW_PIN).await;
    browser.follow("main form button.main").await;
    browser.arrives("/portal/home").await;
    assert_eq!(browser.saved().await, changed);

    // It asked after the two changes, and never else: not after what was refused, not for a PIN.
    let decisions = decisions(&browser).await;
    let those = |words: &str| decisions.iter().filter(|said| said.starts_with(words)).count();
    assert!(decisions[0].starts_with("DROP"), "{decisions:?}");
    assert_eq!(those("ASK"), 2, "{decisions:?}");
    assert_eq!(those("SAVE"), 1, "{decisions:?}");
    assert_eq!(those("UPDATE the saved credential with a new password"), 1, "{decisions:?}");
}

/// R-D7, in the warn phase: a PIN that opens the portal may be saved, as ever. When its owner sets a
/// portal password, Chromium takes that instead, and the PIN is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_saved_pin_gives_way_to_the_portal_password() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let desktop = Desktop::start(&gateway).await;
    let browser = Browser::on_screen(&base(&gateway), &desktop).await;
    browser.open("/portal/login").await;
    browser.log_in(&alice().login, &alice().pin).await;
    browser.arrives("/portal/home").await;
    browser.save_password(&desktop, &[]).await;
    let with_pin = browser.saved().await;

    browser.open("/account/security").await;
    assert_eq!(browser.value("#current_password").await, "", "a PIN's field is left alone");
    browser.fill("#current_password", &alice().pin).await;
    browser.fill("#password", FIRST).await;
    browser.fill("#confirm", FIRST).await;
    browser.follow("form[data-check] button.main").await;
    browser.shows(".toast[role=status]").await;
    browser.save_password(&desktop, &with_pin).await;
    let saved = browser.saved().await;
    assert_eq!((saved.len(), &saved[0].login), (1, &alice().login));
    assert_ne!(saved[0].secret, with_pin[0].secret);

    browser.open("/portal/home").await;
    browser.follow("#logout-link").await;
    browser.open("/portal/login").await;
    browser.filled_in(&["#LoginUsername", "#LoginPassword"]).await;
    browser.follow("#LoginIndexForm input[type=submit]").await;
    browser.arrives("/portal/home").await;
}

/// R-D7, R-A3: at force, where the PIN leads to one page only, Chromium does not ask to save it; it
/// asks for the portal password that is chosen there.
#[tokio::test(flavor = "multi_thread")]
async fn at_force_only_the_portal_password_is_asked_for() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let desktop = Desktop::start(&gateway).await;
    let browser = Browser::on_screen(&base(&gateway), &desktop).await;
    browser.open("chrome://password-manager-internals").await;
    browser.open_tab().await;
    browser.open("/portal/login").await;
    browser.log_in(&alice().login, &alice().pin).await;
    browser.arrives("/account/set-password").await;
    browser.fill("#pin", &alice().pin).await;
    browser.fill("#password", FIRST).await;
    browser.fill("#confirm", FIRST).await;
    browser.follow("form[data-check] button.main").await;
    browser.arrives("/portal/home").await;
    browser.save_password(&desktop, &[]).await;
    assert_eq!(browser.saved().await[0].login, alice().login);
    let decisions = decisions(&browser).await;
    let first: Vec<_> = decisions.iter().filter_map(|said| said.split(' ').next()).collect();
    assert_eq!(first, ["DROP", "ASK", "SAVE"], "{decisions:?}");
}

fn base(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.https.port())
}

/// What the password manager decided, as its page in the first tab tells.
async fn decisions(browser: &Browser) -> Vec<String> {
    browser.return_to_first_tab().await;
    let log = browser.text("body").await;
    let decision = |line: &str| Some(line.split_once("Decision: ")?.1.to_owned());
    log.lines().filter_map(decision).collect()
}

/// What a password manager sees of a form: its fields in their order, hidden ones of ours aside.
const FORMS: &str = "
    const known = ['csrf', 'code', 'next', 'session', 'others'];
    return [...document.forms].map(form => [...form.elements]
      .filter(field => field.name && !known.includes(field.name))
      .map(field => ({
        name: field.name, type: field.type, autocomplete: field.autocomplete, value: field.value,
        pin: field.classList.contains('pin'), numeric: field.inputMode === 'numeric',
        masked: getComputedStyle(field).webkitTextSecurity,
      })))";

/// The fields of PINs are looked at and hidden again, as their buttons do it.
const LOOK_AT_PINS: &str = "
    return [...document.querySelectorAll('.pin')].every(pin => {
      const button = document.querySelector('[aria-controls=' + pin.id + ']');
      const masked = () => getComputedStyle(pin).webkitTextSecurity + ' ' + pin.type;
      const states = [masked()];
      for (let click = 0; click < 2; click++) { button.click(); states.push(masked()); }
      return states.join() === 'disc text,none text,disc text';
    })";

/// What kind of answer the page came with.
const STATUS: &str = "return performance.getEntriesByType('navigation')[0].responseStatus";

/// R-D7: on every page in every state: the name of the account stands before the password, in a
/// field of its own; passwords say which they are; PINs stand above them, are no password fields
/// (whether looked at or not) and are masked. What is refused comes with an error status, so that
/// nothing of it is saved.
#[tokio::test(flavor = "multi_thread")]
async fn every_form_says_what_its_fields_are() {
    let forms = Cell::new(0);
    let check = async |browser: &Browser, name: &str| {
        let found = browser.call(FORMS, Vec::new()).await;
        for fields in found.as_array().unwrap().iter().filter_map(|form| form.as_array()) {
            let at = |holds: &dyn Fn(&serde_json::Value) -> bool| fields.iter().position(holds);
            for field in fields.iter().filter(|field| field["pin"] == true) {
                let is =
                    (&field["type"], &field["autocomplete"], &field["numeric"], &field["masked"]);
                assert_eq!(
                    (is.0.as_str(), is.1.as_str(), is.2.as_bool(), is.3.as_str()),
                    (Some("text"), Some("off"), Some(true), Some("disc")),
                    "{name}: {fields:?}"
                );
            }
            let Some(password) = at(&|field| field["type"] == "password") else { continue };
            forms.set(forms.get() + 1);
            let user = at(&|field| field["autocomplete"] == "username");
            assert!(user.is_some_and(|user| user < password), "{name}: {fields:?}");
            let pins_below = fields[password..].iter().any(|field| field["pin"] == true);
            assert!(!pins_below, "{name}: {fields:?}");
            let kinds: Vec<_> = fields
                .iter()
                .filter(|field| field["type"] == "password")
                .map(|field| field["autocomplete"].as_str().unwrap_or_default())
                .collect();
            let known = [
                vec!["current-password"],
                vec!["new-password", "new-password"],
                vec!["current-password", "new-password", "new-password"],
            ];
            assert!(known.contains(&kinds), "{name}: {kinds:?}");
            // Where it is known whose password it is, it is said.
            if kinds.len() > 1 {
                let login = fields[user.unwrap()]["value"].as_str().unwrap_or_default();
                assert!(login.contains('@'), "{name}: {fields:?}");
            }
        }
        assert_eq!(browser.script(LOOK_AT_PINS).await, "true", "{name}");
        let status: u16 = browser.script(STATUS).await.parse().unwrap();
        let is = |words: &[&str]| {
            let state = name.split_once(", ").map_or("", |(_, state)| state);
            words.iter().any(|word| state.contains(word))
        };
        if is(&["refused", "wrong", "locked", "unknown", "which of them", "too old"]) {
            assert!((400..500).contains(&status), "{name}: {status}");
        }
        if is(&["saved", "sent", "asked for", "confirmed", "signed out"]) {
            assert_eq!(status, 200, "{name}");
        }
    };
    tokio::join!(
        tour::visitors("en", &check),
        tour::links("en", &check),
        tour::security("en", &check),
        tour::held("en", &check),
    );
    assert!(forms.get() > 20, "{}", forms.get());
}
