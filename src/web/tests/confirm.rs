//! The link that puts an e-mail address on file (R-A3, R-D5).

use axum::body::Body;
use http::{Method, StatusCode};

use super::browser::Browser;
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};

const ADDRESS: &str = "alice@corp.example";

/// Alice gave an address when she set her password; this is the link in it, and her browser.
async fn with_link(world: &World) -> (Browser<'_>, String) {
    let mut browser = world.held().await;
    let fields =
        [("pin", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD), ("email", ADDRESS)];
    browser.fill_in("/account/set-password", &fields).await.leads_to("/portal/home");
    browser.message();
    (browser, format!("/account/confirm-email?code={}", world.link().await))
}

/// Looking at the link changes nothing; its button puts the address on file, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_on_file_once_it_is_confirmed() {
    let world = World::with(EQUIPPED).await;
    let (_, link) = with_link(&world).await;
    let mut phone = world.browser();
    for _ in 0..2 {
        assert_eq!(phone.get(&link).await.status, StatusCode::OK);
        phone.send(Method::HEAD, &link, "", Body::empty()).await;
    }
    assert_eq!(world.alice().await.email, None);

    let page = phone.get(&link).await;
    assert!(page.words().contains(ADDRESS) && page.words().contains(ALICE));
    let code = link.split_once('=').unwrap().1;
    assert_eq!(page.text.matches(code).count(), 1);
    let done = phone.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(
        done.said("status"),
        "alice@corp.example is now the e-mail address on file for you."
    );
    assert_eq!(world.alice().await.email.as_deref(), Some(ADDRESS));

    let again = phone.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(again.status, StatusCode::GONE);
    assert!(again.said("alert").starts_with("This link was used already"), "{}", again.text);
    assert_eq!(phone.get(&link).await.status, StatusCode::GONE);
}

/// Whoever is signed in is led to the page about their account, and told there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_in_is_told_on_the_security_page() {
    let world = World::with(EQUIPPED).await;
    let (mut browser, link) = with_link(&world).await;
    let page = browser.get(&link).await;
    let done = browser.send_form(&page, "/account/confirm-email", &[]).await;
    done.leads_to("/account/security");
    let page = browser.get("/account/security").await;
    assert_eq!(
        page.said("status"),
        "E-mail address confirmed alice@corp.example is now the e-mail address on file for you. \
         Back to the portal"
    );
}

/// A browser in which somebody else is signed in is not led into that account's page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_page_is_left_alone() {
    let world = World::with(EQUIPPED).await;
    let (_, link) = with_link(&world).await;
    let mut bob = world.browser();
    bob.sign_in("1002@abc-company.11111.service", "7305").await;
    let page = bob.get(&link).await;
    let done = bob.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(bob.session().await.is_some());
}

/// The form is taken only from the browser that was given it; an old link says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_forms_and_old_links_confirm_nothing() {
    let world = World::with(EQUIPPED).await;
    let (_, link) = with_link(&world).await;
    let mut browser = world.browser();
    let page = browser.get(&link).await;
    let mut other = world.browser();
    let refused = other.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    browser.headers.push(("sec-fetch-site", "cross-site".into()));
    let refused = browser.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    browser.headers.clear();
    world.pass_minutes(61);
    let old = browser.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(old.status, StatusCode::GONE);
    assert!(old.said("alert").contains("and the address was not put on file."));
    assert_eq!(world.alice().await.email, None);
}
