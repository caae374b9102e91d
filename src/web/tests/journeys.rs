//! What users do, from page to page.

use http::StatusCode;

use super::{ALICE, ALICES_PIN, PASSWORD, World};
use crate::demo::portal::Failure;
use crate::domain::session::Standing;
use crate::web::cookies;

/// R-B1, R-A5, R-C6: sign in with the PIN, set the portal password with it, stay signed in; after
/// signing out the PIN is refused and the password is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_pin_to_portal_password() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/home");
    let before = browser.cookies[cookies::SESSION].clone();

    let page = browser.get("/account/security").await;
    assert!(page.text.contains("Set a portal password"));
    assert!(page.text.contains("Your voicemail PIN stops opening the portal in 28 days."));
    assert!(page.text.contains("Softphone"));
    let fields = [("current_password", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    let answer = browser.send_form(&page, "/account/security", &fields).await;
    answer.leads_to("/account/security");
    assert_ne!(browser.cookies[cookies::SESSION], before, "a new session id");

    let page = browser.get("/account/security").await;
    assert!(
        page.said("status").contains(
            "Saved. Use the portal password in the softphone, apps and API code too. Voicemail: \
             keep using your PIN. Desk phones: nothing changes."
        ),
        "{}",
        page.text
    );
    assert!(page.text.contains("Change portal password"));
    assert!(page.text.contains("Set on 5 November 2018"));
    assert!(!page.text.contains("stops opening the portal"));
    let again = browser.get("/account/security").await;
    assert_eq!(again.said("status"), "", "a message is shown once");

    browser.cookies.insert("theme_of_portal".into(), "x".into());
    let answer = browser.fill_in("/account/sign-out", &[]).await;
    answer.leads_to("/portal/login");
    assert!(browser.session().await.is_none());
    assert!(!browser.cookies.contains_key(cookies::SESSION));
    assert!(!browser.cookies.contains_key("theme_of_portal"), "passed cookies go, too");
    assert!(browser.cookies.contains_key(cookies::DEVICE), "the device stays known");
    assert_eq!(answer.header("clear-site-data"), "\"cache\"");
    assert_eq!(world.portal.signed_in(), 0, "the PBX session ended, too");

    let page = browser.sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(
        page.said("alert"),
        "Login name or portal password is wrong. If you have set a portal password, your \
         voicemail PIN no longer opens the portal."
    );
    assert_eq!(page.field("login")["value"], ALICE, "the login name is kept");
    assert!(!page.field("password").contains_key("value"));
    browser.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
    let pbx_saw = world.portal.login_attempts();
    assert!(pbx_saw.iter().all(|attempt| format!("{attempt:?}").contains(ALICES_PIN)));
}

/// R-D5: the password is changed with the present one as proof; all other sessions end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_at_will() {
    let world = World::new().await;
    let mut browser = world.with_password().await;
    let mut other = world.browser();
    other.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");

    let new = "Another-Harbour-8-Lamps";
    let wrong = [("current_password", ALICES_PIN), ("password", new), ("confirm", new)];
    let page = browser.fill_in("/account/security", &wrong).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(page.said("alert"), "The current portal password is wrong. Nothing was changed.");
    assert_eq!(page.field("current_password")["aria-invalid"], "true");

    let right = [("current_password", PASSWORD), ("password", new), ("confirm", new)];
    browser.send_form(&page, "/account/security", &right).await.leads_to("/account/security");
    assert!(browser.session().await.is_some());
    assert!(other.session().await.is_none(), "the other device is signed out");
    assert!(
        browser.get("/account/security").await.text.contains("Your portal password is changed")
    );
}

/// R-A3: in the force phase a session obtained with the PIN reaches only the set-password page;
/// on saving they are in the portal. A second tab leads on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn force_phase() {
    let world = World::new().await;
    world.pass(15);
    let mut browser = world.browser();
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/account/set-password");
    for page in ["/account/security", "/account/current-pin", "/account/login"] {
        browser.get(page).await.leads_to("/account/set-password");
    }
    let page = browser.get("/account/set-password").await;
    assert!(page.text.contains("Choose a portal password to continue"));
    let fields = [("pin", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    let wrong = [("pin", "99999"), ("password", PASSWORD), ("confirm", PASSWORD)];
    let refused = browser.send_form(&page, "/account/set-password", &wrong).await;
    assert_eq!(refused.said("alert"), "The voicemail PIN is wrong. Nothing was changed.");
    browser.send_form(&page, "/account/set-password", &fields).await.leads_to("/portal/home");
    let (_, standing) = browser.session().await.unwrap();
    assert_eq!(standing, Standing::Full { notice: false });

    browser.send_form(&page, "/account/set-password", &fields).await.leads_to("/portal/home");
    browser.get("/account/set-password").await.leads_to("/account/security");
}

/// R-A4: in the reject phase the PIN is refused, and the page says so and whom to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reject_phase() {
    let world = World::new().await;
    world.pass(29);
    let page = world.browser().sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!page.text.contains("Use your voicemail PIN."));
    assert_eq!(
        page.said("alert"),
        "Your voicemail PIN no longer opens the portal. Please contact the Acme help desk, \
         555-0100."
    );
}

/// R-C5: five wrong, the sixth and right one waits; the page says how long, in minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_says_how_long_to_wait() {
    let world = World::new().await;
    let mut browser = world.browser();
    for _ in 0..5 {
        let page = browser.sign_in(ALICE, "11111").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
    world.pass_minutes(2);
    let page = browser.sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(page.said("alert"), "Too many attempts. Wait 13 minutes, then try again.");
    assert_eq!(page.header("retry-after"), "780");
    world.pass_minutes(13);
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/home");
}

/// R-B6: the PIN was changed by phone; the user signs in with the password and is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_pin_is_asked_once() {
    let world = World::new().await;
    drop(world.with_password().await);
    assert!(world.portal.set_pin(ALICE, "90210"));
    let mut browser = world.browser();
    browser.sign_in(ALICE, PASSWORD).await.leads_to("/account/current-pin");
    browser.get("/account/security").await.leads_to("/account/current-pin");
    let page = browser.get("/account/current-pin").await;
    assert!(page.text.contains("Your voicemail PIN was changed elsewhere."));
    let page = browser.send_form(&page, "/account/current-pin", &[("pin", "55555")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.said("alert").contains("does not accept this voicemail PIN"));
    browser
        .send_form(&page, "/account/current-pin", &[("pin", "90210")])
        .await
        .leads_to("/portal/home");
    browser.get("/account/current-pin").await.leads_to("/portal/home");
    let mut later = world.browser();
    later.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// R-C3: the user lands on the page first asked for, if it is one of this origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_leads_back_and_nowhere_else() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.get("/account/security").await.leads_to("/account/login?next=%2Faccount%2Fsecurity");
    let login = [("login", ALICE), ("password", ALICES_PIN)];
    let page = browser.fill_in("/account/login?next=%2Faccount%2Fsecurity", &login).await;
    page.leads_to("/account/security");
    browser.get("/account/login?next=/portal/cdr").await.leads_to("/portal/cdr");
    browser.get("/account/login?next=//evil.example").await.leads_to("/portal/home");

    for evil in ["//evil.example", "https://evil.example", "/\\evil.example", "/%09/evil.example"] {
        let mut browser = world.browser();
        let page = browser.get("/account/login").await;
        let fields = [("login", ALICE), ("password", ALICES_PIN), ("next", evil)];
        browser.send_form(&page, "/account/login", &fields).await.leads_to("/portal/home");
    }
}

/// R-C6: sign-out succeeds locally even when the PBX is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_out_needs_no_pbx() {
    let world = World::new().await;
    let mut browser = world.with_pin().await;
    world.portal.fail_with(Failure::Close);
    browser.fill_in("/account/sign-out", &[]).await.leads_to("/portal/login");
    assert!(browser.session().await.is_none());
    browser.get("/account/sign-out").await.leads_to("/portal/login");
}

/// The PBX's second question is asked where the PBX asks it; our pages stay closed until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_leads_to_the_pbx() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser
        .sign_in("1007@abc-company.11111.service", "275093")
        .await
        .leads_to("/portal/login/mfa/1");
    let page = browser.get("/account/security").await;
    page.leads_to("/account/login?next=%2Faccount%2Fsecurity");
    assert!(browser.session().await.is_some(), "it still can be answered");
    assert_eq!(browser.get("/account/login").await.status, StatusCode::OK);
}

/// A session whose account was switched off meanwhile is told so, and its cookie goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_of_a_disabled_account_ends() {
    use crate::ports::AccountChange;
    let world = World::new().await;
    let mut browser = world.with_pin().await;
    let (session, _) = browser.session().await.unwrap();
    let change = AccountChange::Disabled(true);
    world.services.accounts.change(session.record().account, change, None).await.unwrap();
    let page = browser.get("/account/security").await;
    page.leads_to("/account/login?next=%2Faccount%2Fsecurity");
    assert!(!browser.cookies.contains_key(cookies::SESSION));
    assert_eq!(browser.message(), "Your session has ended. Please sign in again.");
    // Who never had one is told nothing of the kind.
    browser.get("/account/security").await.leads_to("/account/login?next=%2Faccount%2Fsecurity");
    assert_eq!(browser.message(), "");
}
