//! The page first asked for (R-C3), over everything that stands before the portal (R-A3, R-B6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};
use crate::web::cookies;

const CALLS: &str = "/portal/calls?page=2";

/// The gateway remembered a page; our own login page leads there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_login_page_leads_there() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.asks_for(CALLS);
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to(CALLS);
    assert!(!browser.cookies.contains_key(cookies::NEXT), "once");

    let mut browser = world.browser();
    browser.asks_for(CALLS);
    let login = [("login", ALICE), ("password", ALICES_PIN)];
    let page = browser.fill_in("/account/login?next=/portal/contacts", &login).await;
    page.leads_to("/portal/contacts");
}

/// In the force phase, on saving they are on the page first asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_set_password_page_leads_there() {
    let world = World::with(EQUIPPED).await;
    world.pass(15);
    let login = [("login", ALICE), ("password", ALICES_PIN)];
    let fields = [("pin", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    let mut browser = world.browser();
    let place = "/account/login?next=/portal/calls%3Fpage%3D2";
    browser.fill_in(place, &login).await.leads_to("/account/set-password");
    let wrong = [("pin", "1234"), ("password", PASSWORD), ("confirm", PASSWORD)];
    let page = browser.fill_in("/account/set-password", &wrong).await;
    browser.send_form(&page, "/account/set-password", &fields).await.leads_to(CALLS);
    assert!(!browser.cookies.contains_key(cookies::NEXT));
}

/// A session that ends before the form is sent does not take it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_the_session() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    browser.cookies.remove(cookies::SESSION);
    browser.asks_for(CALLS);
    browser.get("/account/set-password").await.leads_to("/account/login");
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/account/set-password");
    let fields = [("pin", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    browser.fill_in("/account/set-password", &fields).await.leads_to(CALLS);
}

/// The page that asks for the current PIN does so, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_pin_page_leads_there() {
    let world = World::new().await;
    drop(world.with_password().await);
    assert!(world.portal.set_pin(ALICE, "90210"));
    let mut browser = world.browser();
    browser.asks_for(CALLS);
    browser.sign_in(ALICE, PASSWORD).await.leads_to("/account/current-pin");
    browser.fill_in("/account/current-pin", &[("pin", "90210")]).await.leads_to(CALLS);
    assert!(!browser.cookies.contains_key(cookies::NEXT));
}

/// Who signs out has asked for nothing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_forgets_it() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    browser.asks_for(CALLS);
    browser.fill_in("/account/sign-out", &[]).await.leads_to("/portal/login");
    assert!(!browser.cookies.contains_key(cookies::NEXT));
}

/// security.md "Browser": a planted cookie leads to no other origin, from no page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_cookie_leads_nowhere_else() {
    let world = World::with(EQUIPPED).await;
    world.pass(15);
    for evil in ["//evil.example", "/\\evil.example", "/%09/evil.example", "https://evil.example"] {
        let mut browser = world.browser();
        browser.cookies.insert(cookies::NEXT.into(), URL_SAFE_NO_PAD.encode(evil));
        browser.sign_in("1002@abc-company.11111.service", "7305").await;
        assert!(!browser.cookies.contains_key(cookies::NEXT), "{evil}: forgotten at the login");
    }
    let mut browser = world.browser();
    browser.sign_in(ALICE, ALICES_PIN).await;
    browser.cookies.insert(cookies::NEXT.into(), URL_SAFE_NO_PAD.encode("//evil.example"));
    let fields = [("pin", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    browser.fill_in("/account/set-password", &fields).await.leads_to("/portal/home");
}
