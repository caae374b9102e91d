//! Changing one's e-mail address on the page about account security (R-D5).

use futures::future::join_all;
use http::StatusCode;

use super::browser::{Browser, Page};
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};
use crate::domain::mail::MailKind;
use crate::flows::redeem::confirm_email;

const OLD: &str = "alice@corp.example";
const NEW: &str = "alice@home.example";
const PAGE: &str = "/account/security";

/// Alice has a portal password and this address on file, and is signed in.
async fn with_address(world: &World) -> Browser<'_> {
    let browser = world.with_password().await;
    world.address(OLD).await;
    world.mails().await;
    browser
}

/// Fills in the form about the address, and sends it.
async fn ask(browser: &mut Browser<'_>, address: &str, password: &str) -> Page {
    let page = browser.get(PAGE).await;
    let csrf = page.field("csrf")["value"].clone();
    let form = [("csrf", csrf.as_str()), ("email", address), ("current_password", password)];
    browser.post(PAGE, &form).await
}

/// As [`ask`], and what the page says then.
async fn told(browser: &mut Browser<'_>, address: &str) -> String {
    ask(browser, address, PASSWORD).await.leads_to(PAGE);
    browser.get(PAGE).await.said("status")
}

/// R-D5: the link goes to the new address, the address changes when it is used, and the one before
/// is told; the user stays signed in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_changed_by_a_link_to_the_new_one() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    let page = browser.get(PAGE).await;
    assert!(page.words().contains(OLD), "{}", page.words());
    assert_eq!(page.field("email")["autocomplete"], "email");
    assert_eq!(
        page.tags("input")
            .iter()
            .filter(|tag| tag.get("id") == Some(&"current_password".into()))
            .count(),
        1
    );

    let told = told(&mut browser, NEW).await;
    assert!(told.starts_with("Check your mailbox We sent a link to alice@home.example."), "{told}");
    assert!(told.contains("it works for 1 hour"), "{told}");
    assert_eq!(world.alice().await.email.as_deref(), Some(OLD));
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].to.as_str(), mails[0].kind), (NEW, MailKind::ConfirmEmail));

    // On another device, where nobody is signed in.
    let mut phone = world.browser();
    let link = format!("/account/confirm-email?code={}", mails[0].code);
    let page = phone.get(&link).await;
    let done = phone.send_form(&page, "/account/confirm-email", &[]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(world.alice().await.email.as_deref(), Some(NEW));
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].to.as_str(), mails[0].kind), (OLD, MailKind::EmailChanged));
    let page = browser.get(PAGE).await;
    assert!(page.words().contains(NEW) && !page.words().contains(OLD), "{}", page.words());
}

/// Of 20 parallel uses of one link one changes the address, and the one before is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_uses_one_is_reported() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    told(&mut browser, NEW).await;
    let code = world.link().await;
    let uses = (0..20).map(|_| {
        let (services, code) = (std::sync::Arc::clone(&world.services), code.clone());
        tokio::spawn(
            async move { confirm_email(&services, &code, [203, 0, 113, 9].into(), None).await },
        )
    });
    let outcomes = join_all(uses).await;
    let won = outcomes.into_iter().filter(|one| matches!(one, Ok(Ok(Ok(_))))).count();
    assert_eq!(won, 1);
    let kinds: Vec<_> = world.mails().await.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [MailKind::EmailChanged]);
}

/// The first address has none before it that could be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_address_is_reported_to_nobody() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.with_password().await;
    assert!(browser.get(PAGE).await.words().contains("None on file"));
    told(&mut browser, NEW).await;
    let link = format!("/account/confirm-email?code={}", world.link().await);
    let page = browser.get(&link).await;
    browser.send_form(&page, "/account/confirm-email", &[]).await.leads_to(PAGE);
    assert_eq!(world.alice().await.email.as_deref(), Some(NEW));
    assert!(world.mails().await.is_empty());
}

/// R-D5: a session obtained with a PIN neither sets nor changes the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_session_neither_sets_nor_changes_it() {
    for on_file in [None, Some(OLD)] {
        let world = World::with(EQUIPPED).await;
        let mut browser = world.with_pin().await;
        if let Some(address) = on_file {
            world.address(address).await;
        }
        let page = browser.get(PAGE).await;
        assert!(!page.fields().contains(&"email".to_owned()), "{:?}", page.fields());
        assert!(page.words().contains("Set a portal password first."), "{}", page.words());
        for secret in [ALICES_PIN, PASSWORD, ""] {
            let refused = ask(&mut browser, NEW, secret).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN);
            assert!(refused.said("alert").starts_with("Set a portal password first."));
        }
        assert!(world.mails().await.is_empty());
        assert_eq!(world.alice().await.email.as_deref(), on_file);
    }
}

/// What is refused says why, at its own form, keeps what was typed, and mails nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_mails_nobody() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    for (address, password, status, says, wrong) in [
        (
            NEW,
            "Not-The-Password-1",
            403,
            "The current portal password is wrong.",
            "current_password",
        ),
        ("alice", PASSWORD, 422, "This is no e-mail address.", "email"),
        ("a@b.example\r\nBcc: c@d.example", PASSWORD, 422, "This is no e-mail address.", "email"),
        ("a@b.example, c@d.example", PASSWORD, 422, "This is no e-mail address.", "email"),
        ("", PASSWORD, 422, "Please fill in all fields.", ""),
        (NEW, "", 422, "Please fill in all fields.", ""),
    ] {
        let refused = ask(&mut browser, address, password).await;
        assert_eq!(refused.status.as_u16(), status, "{address:?}");
        assert!(refused.said("alert").starts_with(says), "{}", refused.said("alert"));
        // The form is down the page: the browser goes to the field, or to the words.
        assert_eq!(refused.text.matches(" autofocus").count(), 1);
        let expected: Vec<&str> = [wrong].into_iter().filter(|wrong| !wrong.is_empty()).collect();
        assert_eq!(refused.wrong_fields(), expected);
        assert_eq!(refused.field("email")["value"].trim(), address.trim());
        assert!(!refused.text.contains(PASSWORD));
        let (alert, form) =
            (refused.text.find("id=\"problem\""), refused.text.find("id=\"email\""));
        assert!(refused.text.find("id=\"confirm\"") < alert && alert < form);
    }
    let told = told(&mut browser, "Alice@Corp.Example").await;
    assert!(told.starts_with("This is the e-mail address on file"), "{told}");
    assert!(world.mails().await.is_empty());
    assert_eq!(world.alice().await.email.as_deref(), Some(OLD));
}

/// R-C5: wrong portal passwords are counted together with those of logins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    for guess in ["Guess-1-of-5", "Guess-2-of-5", "Guess-3-of-5", "Guess-4-of-5", "Guess-5-of-5"] {
        assert_eq!(ask(&mut browser, NEW, guess).await.status, StatusCode::FORBIDDEN);
    }
    let locked = ask(&mut browser, NEW, PASSWORD).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(locked.header("retry-after"), "900");
    assert!(world.mails().await.is_empty());
}

/// Without e-mail the page says that it cannot be changed here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mail_it_cannot_be_changed_here() {
    let world = World::new().await;
    let mut browser = world.with_password().await;
    let page = browser.get(PAGE).await;
    assert!(!page.fields().contains(&"email".to_owned()));
    let says = "The e-mail address cannot be changed here. Please contact the Acme help desk";
    assert!(page.words().contains(says), "{}", page.words());
    let refused = ask(&mut browser, NEW, PASSWORD).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.said("alert").starts_with(says), "{}", refused.said("alert"));
}

/// The account's limit of mails: a second click sends nothing, a mistyped address can be put right,
/// and after three in an hour it is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_links_go_out() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    assert!(told(&mut browser, "alice@hmoe.example").await.contains("alice@hmoe.example"));
    let again = told(&mut browser, "alice@hmoe.example").await;
    assert!(again.starts_with("We sent no further link"), "{again}");
    assert!(told(&mut browser, NEW).await.contains(NEW));
    world.pass_minutes(3);
    assert!(told(&mut browser, NEW).await.contains("We sent a link to"));
    world.pass_minutes(3);
    assert!(told(&mut browser, NEW).await.starts_with("We sent no further link"));
    assert_eq!(world.mails().await.len(), 3);
}

/// An expired confirmation is asked for again on this page, and the link of before stays dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_link_is_asked_for_again() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    told(&mut browser, NEW).await;
    let old = format!("/account/confirm-email?code={}", world.link().await);
    world.pass_minutes(61);
    let expired = browser.get(&old).await;
    assert_eq!(expired.status, StatusCode::GONE);
    assert!(expired.said("alert").contains("enter it once more"), "{}", expired.said("alert"));
    told(&mut browser, NEW).await;
    let link = format!("/account/confirm-email?code={}", world.link().await);
    let page = browser.get(&link).await;
    browser.send_form(&page, "/account/confirm-email", &[]).await.leads_to(PAGE);
    assert_eq!(world.alice().await.email.as_deref(), Some(NEW));
    assert_eq!(browser.get(&old).await.status, StatusCode::GONE);
}

/// A link replaces the address that was on file when it was asked for, and none that an
/// administrator has put there since: neither before the mail leaves nor after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_address_is_not_replaced() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    told(&mut browser, NEW).await;
    world.address("boss@corp.example").await;
    assert!(world.mails().await.is_empty(), "it had not left, and is not wanted any more");
    world.pass_minutes(3);
    told(&mut browser, NEW).await;
    let link = format!("/account/confirm-email?code={}", world.link().await);
    world.address("support@corp.example").await;
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE);
    assert_eq!(world.alice().await.email.as_deref(), Some("support@corp.example"));
}

/// The form is taken only from its own page and session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_forms_change_nothing() {
    let world = World::with(EQUIPPED).await;
    let mut browser = with_address(&world).await;
    let mut other = world.browser();
    other.sign_in("1002@abc-company.11111.service", "7305").await;
    let foreign = other.get(PAGE).await.field("csrf")["value"].clone();
    for csrf in ["", foreign.as_str()] {
        let form = [("csrf", csrf), ("email", NEW), ("current_password", PASSWORD)];
        assert_eq!(browser.post(PAGE, &form).await.status, StatusCode::FORBIDDEN);
    }
    browser.headers.push(("sec-fetch-site", "cross-site".into()));
    assert_eq!(ask(&mut browser, NEW, PASSWORD).await.status, StatusCode::FORBIDDEN);
    assert!(world.mails().await.is_empty());
    assert!(world.alice().await.login.to_string() == ALICE);
}
