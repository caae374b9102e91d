//! The list of one's own sessions, and ending them (R-C8).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::StatusCode;

use super::browser::{Browser, Page};
use super::{ALICE, ALICES_PIN, World};
use crate::domain::grant::GrantKind;
use crate::domain::session::ObtainedWith;
use crate::web::cookies;

const PAGE: &str = "/account/security";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                      Gecko) Chrome/126.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

async fn signed_in<'w>(world: &'w World, user_agent: &'static str) -> Browser<'w> {
    let mut browser = world.browser();
    browser.user_agent = user_agent;
    browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/home");
    browser
}

/// What the rows of the page call the sessions that can be ended.
fn references(page: &Page) -> Vec<String> {
    let inputs = page.tags("input").into_iter();
    inputs
        .filter(|tag| tag.get("name").is_some_and(|name| name == "session"))
        .map(|tag| tag["value"].clone())
        .collect()
}

/// Presses a button of the list: the one of a row, or the one for all others.
async fn end(browser: &mut Browser<'_>, page: &Page, field: (&str, &str)) -> Page {
    let csrf = page.field("csrf")["value"].clone();
    browser.post(PAGE, &[("csrf", csrf.as_str()), field]).await
}

async fn is_signed_in(browser: &mut Browser<'_>) -> bool {
    browser.get(PAGE).await.status == StatusCode::OK
}

/// R-C8: device, address, last seen and "this one", in words; each of the others has a button, and
/// the button ends that one alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_listed_and_ended_one_by_one() {
    let world = World::new().await;
    let mut phone = signed_in(&world, FIREFOX).await;
    world.pass_minutes(40);
    let mut curl = signed_in(&world, "curl/8.5.0").await;
    world.pass_minutes(3);
    let mut desk = signed_in(&world, CHROME).await;

    let page = desk.get(PAGE).await;
    let words = page.words();
    let list = &words[words.find("Where you are signed in").unwrap()..];
    let places = [
        "Chrome on Windows This one 203.0.113.7 · last used just now Sign out",
        "curl 203.0.113.7 · last used 3 minutes ago Sign out",
        "Firefox on Linux 203.0.113.7 · last used 43 minutes ago Sign out",
        "Sign out all others",
    ]
    .map(|row| list.find(row).unwrap_or_else(|| panic!("{row} is not in {list}")));
    assert!(places.is_sorted(), "{list}");
    assert_eq!(list.matches("This one").count(), 1);

    let [second, third] = references(&page).try_into().unwrap();
    end(&mut desk, &page, ("session", &third)).await.leads_to(PAGE);
    let page = desk.get(PAGE).await;
    assert_eq!(page.said("status"), "1 other device is signed out. Back to the portal");
    assert_eq!(references(&page), [second]);
    assert!(!is_signed_in(&mut phone).await);
    assert!(is_signed_in(&mut curl).await);
    // A second click, from a page that was open: it has ended already.
    end(&mut desk, &page, ("session", &third)).await.leads_to(PAGE);
    assert!(is_signed_in(&mut desk).await && is_signed_in(&mut curl).await);
}

/// All others at once; this one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_others_are_ended_at_once() {
    let world = World::new().await;
    let (mut one, mut other) = (signed_in(&world, FIREFOX).await, signed_in(&world, CHROME).await);
    let mut bob = world.browser();
    bob.sign_in("1002@abc-company.11111.service", "7305").await;
    let mut desk = signed_in(&world, CHROME).await;
    let page = desk.get(PAGE).await;
    end(&mut desk, &page, ("others", "end")).await.leads_to(PAGE);
    let page = desk.get(PAGE).await;
    assert_eq!(page.said("status"), "2 other devices are signed out. Back to the portal");
    assert!(references(&page).is_empty());
    assert!(!page.words().contains("Sign out all others"));
    assert!(!is_signed_in(&mut one).await && !is_signed_in(&mut other).await);
    assert!(is_signed_in(&mut desk).await && is_signed_in(&mut bob).await);
}

/// Security: what names a session in the page is neither its id nor its token, and means nothing to
/// another account; without the page's own token nothing ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_open_and_end_nothing_elsewhere() {
    let world = World::new().await;
    let mut phone = signed_in(&world, FIREFOX).await;
    let mut desk = signed_in(&world, CHROME).await;
    let page = desk.get(PAGE).await;
    for browser in [&phone, &desk] {
        let (session, _) = browser.session().await.unwrap();
        let id = session.record().id.0;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = browser.cookies[cookies::SESSION].as_str();
        for secret in [&hex, &URL_SAFE_NO_PAD.encode(id), &STANDARD_NO_PAD.encode(id), token] {
            assert!(!page.text.contains(secret));
        }
    }
    let [reference] = references(&page).try_into().unwrap();

    let mut bob = world.browser();
    bob.sign_in("1002@abc-company.11111.service", "7305").await;
    let bobs = bob.get(PAGE).await;
    end(&mut bob, &bobs, ("session", &reference)).await.leads_to(PAGE);
    for field in [("session", reference.as_str()), ("others", "end")] {
        // With a token of somebody else's page, and from another site.
        assert_eq!(end(&mut desk, &bobs, field).await.status, StatusCode::FORBIDDEN);
        desk.headers.push(("sec-fetch-site", "cross-site".into()));
        assert_eq!(end(&mut desk, &page, field).await.status, StatusCode::FORBIDDEN);
        desk.headers.clear();
    }
    assert!(is_signed_in(&mut phone).await && is_signed_in(&mut desk).await);
}

/// What ended by itself is not listed; and this session is ended by signing out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_live_sessions_are_listed() {
    let world = World::new().await;
    signed_in(&world, FIREFOX).await;
    world.pass_minutes(4 * 60 + 1);
    let mut desk = signed_in(&world, CHROME).await;
    let page = desk.get(PAGE).await;
    assert!(references(&page).is_empty());
    assert!(!page.words().contains("Firefox"), "{}", page.words());
    let out = desk.send_form(&page, "/account/sign-out", &[]).await;
    out.leads_to("/portal/login");
    assert!(desk.session().await.is_none());
}

/// Who is held back, or not signed in, ends nothing here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_full_sessions_end_others() {
    let world = World::new().await;
    let mut held = world.held().await;
    held.post(PAGE, &[("others", "end")]).await.leads_to("/account/set-password");
    let mut stranger = world.browser();
    let answer = stranger.post(PAGE, &[("others", "end")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(answer.header("location").starts_with("/account/login"));
}

/// R-C8: applications are listed by their name and ended like browsers; the page says that "all
/// others" means them, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_are_listed_and_ended() {
    let world = World::new().await;
    let mut desk = signed_in(&world, CHROME).await;
    let page = desk.get(PAGE).await;
    assert!(!page.words().contains("signs out your apps"), "{}", page.words());
    let tokens = [
        world.token(ALICE, GrantKind::Jwt, ObtainedWith::Password).await,
        world.token(ALICE, GrantKind::Pass, ObtainedWith::Password).await,
    ];
    let works = async |token: &str| world.introspected(token).await["active"] == true;
    world.pass_minutes(3);
    let page = desk.get(PAGE).await;
    let row = "App (softphone) 203.0.113.9 · last used 3 minutes ago Sign out";
    assert_eq!(page.words().matches(row).count(), 2, "{}", page.words());
    assert!(page.words().contains("This signs out your apps, too"), "{}", page.words());
    assert!(!page.text.contains("s3cret"));
    let first = &references(&page)[0];
    end(&mut desk, &page, ("session", first)).await.leads_to(PAGE);
    let left = [works(&tokens[0]).await, works(&tokens[1]).await];
    assert_eq!(left.iter().filter(|works| **works).count(), 1, "one was ended: {left:?}");
    let page = desk.get(PAGE).await;
    end(&mut desk, &page, ("others", "end")).await.leads_to(PAGE);
    assert!(!works(&tokens[0]).await && !works(&tokens[1]).await);
    assert!(is_signed_in(&mut desk).await);
}
