//! Links in mails that lead to a new portal password (R-D1, R-D4).

use axum::body::Body;
use http::{Method, StatusCode};

use super::desk::Manner;
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, Setup, World};
use crate::demo::portal::Failure;
use crate::domain::mail::MailKind;
use crate::domain::session::Standing;
use crate::web::cookies;

const ADDRESS: &str = "alice@corp.example";
const NEW: &str = "Another-Harbour-8-Lamps";
const NEW_PIN: &str = "902184";
const WORDS: [(&str, &str); 2] = [("password", NEW), ("confirm", NEW)];

/// Alice has a portal password, and a reset link in her mailbox.
async fn with_reset_link(world: &World) -> String {
    drop(world.with_password().await);
    world.address(ADDRESS).await;
    format!("/account/reset?code={}", world.mailed(MailKind::Reset).await)
}

/// Alice was imported, and has a welcome link in her mailbox.
async fn with_welcome_link(world: &World) -> String {
    world.import_alice(Some(ADDRESS)).await;
    format!("/account/welcome?code={}", world.mailed(MailKind::Welcome).await)
}

/// R-D1: the link opens a form, as often as it is looked at; the form sets the password, once, and
/// opens the portal. Every other session of the user ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_link_works_once() {
    let world = World::with(EQUIPPED).await;
    let link = with_reset_link(&world).await;
    let mut elsewhere = world.browser();
    elsewhere.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");

    let mut scanner = world.browser();
    for _ in 0..3 {
        assert_eq!(scanner.get(&link).await.status, StatusCode::OK);
        let head = scanner.send(Method::HEAD, &link, "", Body::empty()).await;
        assert_eq!(head.status, StatusCode::OK);
    }
    assert!(elsewhere.session().await.is_some());

    let mut browser = world.browser();
    let page = browser.get(&link).await;
    assert_eq!(page.fields(), ["password", "confirm"], "the PIN is known");
    assert!(page.words().contains(ALICE) && page.words().contains("Your voicemail PIN stays"));
    browser.send_form(&page, "/account/reset", &WORDS).await.leads_to("/portal/home");
    assert_eq!(browser.session().await.unwrap().1, Standing::Full { notice: false });
    assert!(browser.cookies.contains_key(cookies::DEVICE), "this browser is known from now on");
    assert!(browser.message().starts_with("Saved. Use the portal password"));
    assert!(elsewhere.session().await.is_none());

    for (again, way) in [
        (browser.get(&link).await, "/portal/home"),
        (scanner.get(&link).await, "/portal/login"),
        (browser.send_form(&page, "/account/reset", &WORDS).await, "/portal/home"),
    ] {
        assert_eq!(again.status, StatusCode::GONE);
        assert_eq!(
            again.said("alert"),
            "This link was used already, or your portal password was changed since. Sign in with \
             the portal password."
        );
        assert!(again.tags("a").iter().any(|link| link["href"] == way));
    }
    assert_eq!(world.browser().sign_in(ALICE, PASSWORD).await.status, StatusCode::FORBIDDEN);
    world.browser().sign_in(ALICE, NEW).await.leads_to("/portal/home");
}

/// interfaces.md "Autocomplete": the password manager learns for which login name the password is;
/// the code stands in one hidden field and in no address that the page leads to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_keeps_the_code_to_itself() {
    let world = World::with(EQUIPPED).await;
    let link = with_welcome_link(&world).await;
    let page = world.browser().get(&link).await;
    let user = page.field("username");
    assert_eq!((&*user["autocomplete"], &*user["value"]), ("username", ALICE));
    assert!(user.contains_key("hidden"));
    for name in ["password", "confirm"] {
        assert_eq!(page.field(name)["autocomplete"], "new-password");
    }
    assert_eq!(page.field("pin")["autocomplete"], "off");
    let code = link.split_once('=').unwrap().1;
    assert_eq!(page.text.matches(code).count(), 1);
    assert_eq!(page.field("code")["value"], code);
    assert_eq!(page.field("code")["type"], "hidden");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
}

/// R-D4: the new user chooses a password and a voicemail PIN, and is on the portal's home page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_welcome_link_sets_everything_up() {
    let world = World::with(EQUIPPED).await;
    let link = with_welcome_link(&world).await;
    let mut browser = world.browser();
    browser.asks_for("/portal/calls");
    let page = browser.get(&link).await;
    assert!(page.words().contains("Complete your setup") && page.words().contains("Welcome!"));
    assert_eq!(page.fields(), ["pin", "password", "confirm"]);

    let missing = browser.send_form(&page, "/account/welcome", &WORDS).await;
    assert_eq!(missing.said("alert"), "Enter your voicemail PIN.");
    let weak = [("pin", "1111"), ("password", NEW), ("confirm", NEW)];
    let weak = browser.send_form(&missing, "/account/welcome", &weak).await;
    assert_eq!((weak.status.as_u16(), weak.wrong_fields()), (422, vec!["pin".to_owned()]));
    world.desk.set(Manner::Refuses);
    let fields = [("pin", NEW_PIN), ("password", NEW), ("confirm", NEW)];
    let refused = browser.send_form(&weak, "/account/welcome", &fields).await;
    assert!(refused.said("alert").starts_with("The phone system does not take this"));
    world.desk.set(Manner::Writes);
    browser.send_form(&refused, "/account/welcome", &fields).await.leads_to("/portal/home");
    assert_eq!(world.portal.user(ALICE).unwrap().pin, NEW_PIN);
    assert!(!browser.cookies.contains_key(cookies::NEXT), "and nowhere else, later");
    world.browser().sign_in(ALICE, NEW).await.leads_to("/portal/home");
}

/// interfaces.md: where no PIN is known and none can be written, the current one is asked for once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_pin_is_asked_for_once() {
    let world = World::with(Setup { writes_pins: false, ..EQUIPPED }).await;
    let link = with_welcome_link(&world).await;
    let mut browser = world.browser();
    browser.asks_for("/portal/calls");
    let page = browser.get(&link).await;
    assert_eq!(page.fields(), ["password", "confirm"]);
    browser.send_form(&page, "/account/welcome", &WORDS).await.leads_to("/account/current-pin");
    let page = browser.get("/account/current-pin").await;
    assert!(page.said("status").starts_with("Saved."), "the password is");
    let wrong = browser.send_form(&page, "/account/current-pin", &[("pin", "")]).await;
    assert_eq!(wrong.wrong_fields(), ["pin"]);
    let fields = [("pin", ALICES_PIN)];
    browser.send_form(&page, "/account/current-pin", &fields).await.leads_to("/portal/home");
    world.browser().sign_in(ALICE, NEW).await.leads_to("/portal/home");
}

/// R-D1, R-D4: a link that is too old, unknown, cut off or of another kind says what to do next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_does_not_work_says_what_to_do() {
    let world = World::with(EQUIPPED).await;
    let reset = with_reset_link(&world).await;
    let mut browser = world.browser();
    let code = reset.split_once('=').unwrap().1;
    for (link, way) in [
        (format!("/account/reset?code={}", &code[..20]), "/portal/login"),
        ("/account/reset?code=".to_owned(), "/portal/login"),
        ("/account/reset?code=%22%3E%3Cscript%3E".to_owned(), "/portal/login"),
        (format!("/account/welcome?code={code}"), "/portal/home"),
        ("/account/welcome".to_owned(), "/portal/home"),
        (format!("/account/confirm-email?code={code}"), "/portal/home"),
        ("/account/confirm-email".to_owned(), "/portal/home"),
    ] {
        let page = browser.get(&link).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{link}");
        assert_eq!(
            page.said("alert"),
            "Perhaps it is not complete: please copy the whole link from the e-mail. If that does \
             not help, contact the Acme help desk, 555-0100.",
            "{link}"
        );
        assert!(page.tags("a").iter().any(|link| link["href"] == way), "{link}");
        assert!(!page.text.contains("<script>") && !page.text.contains(code));
    }
    assert_eq!(browser.get(&reset).await.status, StatusCode::OK, "it still works");

    let page = browser.get(&reset).await;
    world.pass_minutes(61);
    for old in [browser.get(&reset).await, browser.send_form(&page, "/account/reset", &WORDS).await]
    {
        assert_eq!(old.status, StatusCode::GONE);
        assert_eq!(
            old.said("alert"),
            "The link worked for 1 hour. To get a new one, say that you forgot your portal \
             password, or contact the Acme help desk, 555-0100."
        );
        let ways: Vec<_> = old.tags("a").into_iter().filter(|a| a.contains_key("class")).collect();
        let first = ways.iter().find(|a| a["class"] == "main").unwrap();
        assert_eq!(first["href"], "/account/forgot-password");
    }
    browser.script = true;
    let problem = browser.get(&reset).await;
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert!(problem.text.contains("The link worked for 1 hour."), "{}", problem.text);

    let world = World::with(EQUIPPED).await;
    let welcome = with_welcome_link(&world).await;
    world.pass(4);
    let page = world.browser().get(&welcome).await;
    assert!(page.said("alert").starts_with("The link worked for 3 days."), "{}", page.text);
    assert!(page.tags("a").iter().any(|link| link["href"] == "/account/new-user"));
}

/// Without a link the page says where to find one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_link_the_page_says_where_to_find_one() {
    let world = World::with(EQUIPPED).await;
    let page = world.browser().get("/account/reset").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.said("status").contains("open the link that we sent you by e-mail"));
    let mut browser = world.browser();
    let page = browser.post("/account/reset", &WORDS).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

/// security.md "Browser": the form is taken only from the browser that was given it; what is
/// refused uses nothing up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_of_a_link_belongs_to_its_browser() {
    let world = World::with(EQUIPPED).await;
    let link = with_reset_link(&world).await;
    let mut browser = world.browser();
    let page = browser.get(&link).await;
    let mut other = world.browser();
    let refused = other.send_form(&page, "/account/reset", &WORDS).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.said("alert").starts_with("This page was open for too long"));
    browser.headers.push(("sec-fetch-site", "cross-site".into()));
    let refused = browser.send_form(&page, "/account/reset", &WORDS).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    browser.headers.clear();
    for (password, confirm, said) in [
        ("short", "short", "Please choose another portal password:"),
        (NEW, PASSWORD, "The two new portal passwords are not the same."),
        ("", "", "Please fill in all fields."),
    ] {
        let fields = [("password", password), ("confirm", confirm)];
        let page = browser.send_form(&page, "/account/reset", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.said("alert").starts_with(said), "{}", page.said("alert"));
        assert!(!page.text.contains(NEW) && !page.text.contains("value=\"short\""));
    }
    // A client that takes the code from the address instead of the field.
    let csrf = page.field("csrf")["value"].clone();
    let fields = [("csrf", csrf.as_str()), WORDS[0], WORDS[1]];
    browser.post(&link, &fields).await.leads_to("/portal/home");
}

/// Whoever was signed in here before is not any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_session_in_this_browser_ends() {
    let world = World::with(EQUIPPED).await;
    let link = with_reset_link(&world).await;
    let mut browser = world.browser();
    browser.sign_in("1002@abc-company.11111.service", "7305").await.leads_to("/portal/home");
    let before = browser.cookies[cookies::SESSION].clone();
    let page = browser.get(&link).await;
    browser.send_form(&page, "/account/reset", &WORDS).await.leads_to("/portal/home");
    let (session, _) = browser.session().await.unwrap();
    assert_eq!(session.record().login.to_string(), ALICE);
    browser.cookies.insert(cookies::SESSION.into(), before);
    assert!(browser.session().await.is_none());
}

/// In the force phase, too, a link sets the password of a session that is held back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_session_may_use_a_link() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    world.address(ADDRESS).await;
    let link = format!("/account/reset?code={}", world.mailed(MailKind::Reset).await);
    let page = browser.get(&link).await;
    browser.send_form(&page, "/account/reset", &WORDS).await.leads_to("/portal/home");
    assert_eq!(browser.session().await.unwrap().1, Standing::Full { notice: false });
}

/// What was saved stays saved while the PBX is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saved_by_a_link_while_the_portal_is_silent() {
    let world = World::with(EQUIPPED).await;
    let link = with_reset_link(&world).await;
    let mut browser = world.browser();
    browser.asks_for("/portal/calls");
    let page = browser.get(&link).await;
    world.portal.fail_with(Failure::Close);
    browser.send_form(&page, "/account/reset", &WORDS).await.leads_to("/account/login");
    let page = browser.get("/account/login").await;
    assert!(page.said("status").starts_with("Your portal password is saved."), "{}", page.text);
    world.portal.fail_with(Failure::None);
    let fields = [("login", ALICE), ("password", NEW)];
    browser.send_form(&page, "/account/login", &fields).await.leads_to("/portal/home");
}

/// A store that does not answer is nobody's fault, and no link is called wrong for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_calls_no_link_wrong() {
    let world = World::with(EQUIPPED).await;
    let link = with_reset_link(&world).await;
    let mut browser = world.browser();
    let page = browser.get(&link).await;
    world.database.close().await;
    for answer in
        [browser.get(&link).await, browser.send_form(&page, "/account/reset", &WORDS).await]
    {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!answer.words().contains("This link"), "{}", answer.words());
    }
}
