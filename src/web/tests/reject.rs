//! The reject phase (R-A4): the PIN is refused, a link goes to the address on file, and the page
//! says so.

use std::time::Duration;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::Value;

use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, STRICT, Setup, World, look};
use crate::flows::RolloutRules;
use crate::flows::set_password::PinFate;
use crate::web::notice::{Message, Notices};

const ADDRESS: &str = "jane@corp.example";
const SAID: &str = "Your voicemail PIN no longer opens the portal. We sent a link to set your \
                    portal password to j•••@c•••.example at 12:00. It works for 1 hour; check the \
                    spam folder.";

/// The reject phase has begun. Alice has this address on file.
async fn late(setup: Setup, address: Option<&str>) -> World {
    let world = World::with(setup).await;
    world.import_alice(address).await;
    world.pass(29);
    world
}

/// R-A4: refused, mailed, and said; asked again, when it was sent. The link opens the portal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_mailed_and_the_page_says_so() {
    let world = late(EQUIPPED, Some(ADDRESS)).await;
    let mut browser = world.browser();
    let page = browser.sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(page.said("alert"), SAID);
    assert_eq!(page.field("login")["value"], ALICE);
    let code = world.link().await;
    world.pass_minutes(1);
    assert_eq!(browser.sign_in(ALICE, ALICES_PIN).await.said("alert"), SAID);
    assert!(world.mails().await.is_empty(), "not twice");

    let page = browser.get(&format!("/account/reset?code={code}")).await;
    let fields = [("pin", "902184"), ("password", PASSWORD), ("confirm", PASSWORD)];
    browser.send_form(&page, "/account/reset", &fields).await.leads_to("/portal/home");
}

/// A link belongs to those who proved the PIN: a wrong one learns nothing and sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_pin_sends_nothing() {
    let world = late(EQUIPPED, Some(ADDRESS)).await;
    let page = world.browser().sign_in(ALICE, "55512").await;
    assert!(page.said("alert").starts_with("Login name or portal password is wrong."));
    assert!(world.mails().await.is_empty());
}

/// R-A4: no address on file, or no e-mail at all: whom to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_address_support_is_named() {
    let world = late(EQUIPPED, None).await;
    let page = world.browser().sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(
        page.said("alert"),
        "Your voicemail PIN no longer opens the portal, and there is no e-mail address on file for \
         you. Please contact the Acme help desk, 555-0100."
    );
    let world = late(Setup { mail: false, ..EQUIPPED }, Some(ADDRESS)).await;
    let page = world.browser().sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(
        page.said("alert"),
        "Your voicemail PIN no longer opens the portal. Please contact the Acme help desk, \
         555-0100."
    );
}

/// R-A4: with `reject_action = "redirect"` the user is led to the page that says where the link is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn or_the_user_is_led_into_the_reset() {
    let rules = RolloutRules { redirect_at_reject: true, ..EQUIPPED.rules };
    let world = late(Setup { rules, ..EQUIPPED }, Some(ADDRESS)).await;
    let mut browser = world.browser();
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/account/reset");
    assert!(browser.session().await.is_none());
    let page = browser.get("/account/reset").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.said("status").starts_with(SAID), "{}", page.said("status"));
    assert!(page.words().contains("Check your mailbox"));
    let again = browser.get("/account/reset").await;
    assert!(!again.text.contains("j•••"), "it is said once");
    assert_eq!(world.mails().await.len(), 1);

    let mut script = world.browser();
    let form = script.get("/account/login").await;
    script.script = true;
    let fields = [("login", ALICE), ("password", ALICES_PIN)];
    let answer = script.send_form(&form, "/account/login", &fields).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let problem: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(problem["detail"], SAID);
}

/// The words for every message of this release, in the portal's page of whatever encoding.
#[test]
fn messages_go_into_pages_of_any_encoding() {
    let notices = Notices::new(look());
    let now: jiff::Timestamp = "2018-12-04T09:12:30Z".parse().unwrap();
    let mailed_in = |tenant: &str, at, works_for| Message::Mailed {
        tenant: tenant.to_owned(),
        to: "ü•••@ö•••.example".into(),
        at,
        works_for,
        told_at: now,
    };
    let mailed = |at, works_for| mailed_in("abc-company.11111.service", at, works_for);
    let hour = Duration::from_secs(3600);
    for (message, good, said) in [
        (mailed(now, hour), false, "to ü•••@ö•••.example at 09:12. It works for 1 hour;"),
        (
            mailed(now - SignedDuration::from_hours(10), 3 * hour),
            false,
            "at 23:12 on 3 December 2018. It works for 3 hours;",
        ),
        (mailed_in(STRICT, now, hour), false, "at 11:12. It works"),
        (Message::NoAddress, false, "Please contact the Acme help desk, 555-0100."),
        (
            Message::Saved { pin: PinFate::Pending, confirming: Some("<b>@x.example".into()) },
            true,
            "We sent a link to <b>@x.example; open it to confirm the address.",
        ),
        (
            Message::SavedOnly { pin: PinFate::Pending },
            true,
            "It is still taking over your new voicemail PIN",
        ),
        (Message::EmailConfirmed { address: "a@b.example".into() }, true, "a@b.example is now"),
    ] {
        assert!(notices.message_text(&message).contains(said), "{message:?}");
        let html = notices.message_html(&message);
        assert!(html.is_ascii() && !html.contains("<b>"), "{html}");
        assert!(html.contains(if good { "role=\"status\"" } else { "role=\"alert\"" }));
        assert_eq!(Message::read(&message.spelled()), Some(message));
    }
    let html = notices.message_html(&mailed(now, hour));
    assert!(html.contains("&#252;&#8226;&#8226;&#8226;@&#246;"), "{html}");
}
