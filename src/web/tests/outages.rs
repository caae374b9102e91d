//! An outage is never a wrong password (architecture, decision 9).

use http::StatusCode;

use super::{ALICE, ALICES_PIN, PASSWORD, World};
use crate::demo::portal::Failure;

/// PBX unreachable → our 502 page that says it is not the user's fault, nothing counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_pbx_is_nobodys_fault() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get("/account/login").await;
    world.portal.fail_with(Failure::Close);
    for _ in 0..7 {
        let fields = [("login", ALICE), ("password", ALICES_PIN)];
        let answer = browser.send_form(&page, "/account/login", &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.header("retry-after"), "30");
        assert!(answer.text.contains("Your login is fine; please try again in a minute."));
        assert!(!answer.text.contains("wrong"));
    }
    world.portal.fail_with(Failure::None);
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/home");
}

/// A store that does not answer → 503 with Retry-After, on every page that needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_is_nobodys_fault() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get("/account/login").await;
    world.database.close().await;
    let fields = [("login", ALICE), ("password", PASSWORD)];
    let answer = browser.send_form(&page, "/account/login", &fields).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "30");
    assert!(answer.text.contains("This is not") || answer.text.contains("Your login is fine"));
    assert!(!answer.text.contains("wrong"));

    browser.script = true;
    let answer = browser.send_form(&page, "/account/login", &fields).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("content-type"), "application/problem+json");
}
