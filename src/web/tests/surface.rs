//! Headers, sizes, static files, scripts, error pages, and the elements for the portal's pages.

use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::Value;

use super::browser::{Browser, Page};
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World, look};
use crate::domain::mail::MailKind;
use crate::web::notice::{Message, Notices};
use crate::web::{ErrorKind, ErrorPages, cookies, flash};

#[track_caller]
fn assert_protected(page: &Page) {
    let policy = page.header("content-security-policy");
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    // Only the script that warns of a session's end may ask anything, and that of this origin.
    let asks = page.text.contains("/session.js");
    assert_eq!(policy.contains("connect-src 'self';"), asks, "{policy}");
    assert_eq!(policy.contains("connect-src"), asks, "{policy}");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("cache-control"), "no-store");
}

/// interfaces.md: every page a strict CSP, no referrer, no frames, no store; nothing inline; and
/// a page with everything it loads stays under 50 KB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_protected_and_small() {
    let world = World::new().await;
    let mut out = world.browser();
    let mut pin = world.with_pin().await;
    let before = pin.get("/account/security").await;
    let mut password = world.with_password().await;
    let mut seen = vec![
        out.get("/account/login").await,
        out.get("/account/nowhere").await,
        out.sign_in(ALICE, "11111").await,
        before,
        password.get("/account/security").await,
        password.get("/account/sign-out").await,
    ];
    world.pass(15);
    let mut held = world.browser();
    held.sign_in("1002@abc-company.11111.service", "7305").await;
    seen.push(held.get("/account/set-password").await);
    seen.extend(pages_of_links(&mut out).await);
    let assets = assets(&mut out, &seen[0]).await;
    for page in &seen {
        assert_protected(page);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(
            page.text.starts_with("<!doctype html>")
                || page.text.trim_start().starts_with("<!doctype")
        );
        assert!(!page.text.contains(" style="), "{}", page.text);
        assert!(!page.text.contains("<style") && !page.text.contains(" onclick"));
        assert!(page.tags("script").iter().all(|script| script.contains_key("src")));
        assert!(!page.text.contains("t(\""), "a text is missing: {}", page.text);
        let size = page.text.len() + assets;
        assert!(size < 50 * 1024, "{size} bytes");
    }
    for redirect in [out.get("/account/security").await, out.get("/account").await] {
        assert_eq!(redirect.status, StatusCode::SEE_OTHER);
        assert_protected(&redirect);
    }
}

/// The pages that links lead to, of a world of their own.
async fn pages_of_links(out: &mut Browser<'_>) -> Vec<Page> {
    let world = World::with(EQUIPPED).await;
    let mut held = world.held().await;
    let force = held.get("/account/set-password").await;
    let fields = [
        ("pin", ALICES_PIN),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
        ("email", "alice@corp.example"),
    ];
    held.send_form(&force, "/account/set-password", &fields).await.leads_to("/portal/home");
    let confirm = held.get(&format!("/account/confirm-email?code={}", world.link().await)).await;
    world.address("alice@corp.example").await;
    let reset = world.mailed(MailKind::Reset).await;
    let reset = world.browser().get(&format!("/account/reset?code={reset}")).await;
    let mut pages = vec![force, confirm, reset];
    pages.extend([out.get("/account/reset").await, out.get("/account/welcome?code=x").await]);
    pages
}

async fn assets(browser: &mut Browser<'_>, page: &Page) -> usize {
    let links = page.tags("link").into_iter().filter_map(|mut link| link.remove("href"));
    let scripts = page.tags("script").into_iter().filter_map(|mut script| script.remove("src"));
    let mut size = 0;
    for path in links.chain(scripts).collect::<Vec<_>>() {
        let file = browser.get(&path).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        let tag = file.header("etag").to_owned();
        assert!(tag.len() > 8, "{tag}");
        browser.headers.push(("if-none-match", tag));
        let again = browser.get(&path).await;
        browser.headers.clear();
        assert_eq!((again.status, again.text.len()), (StatusCode::NOT_MODIFIED, 0));
        size += file.text.len();
    }
    size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_pages_methods_and_files() {
    let world = World::new().await;
    let mut browser = world.browser();
    for path in ["/account/nowhere", "/account/static/x/y.css", "/account/static/x/../account.css"]
    {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.text.contains("There is nothing here"));
    }
    let page = browser.send(Method::DELETE, "/account/login", "", Body::empty()).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(page.header("allow").contains("POST"), "{:?}", page.headers);
    let head = browser.send(Method::HEAD, "/account/login", "", Body::empty()).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    let old = browser.get("/account/static/0123456789ab/account.css").await;
    assert_eq!((old.status, old.header("cache-control")), (StatusCode::OK, "no-cache"));
}

/// interfaces.md: scripts get JSON problem documents and never a redirect to a page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_answered_in_json() {
    let world = World::new().await;
    let mut script = world.browser();
    let form = script.get("/account/login").await;
    script.script = true;
    let problem = |page: &Page, status: u16| {
        assert_eq!(page.status.as_u16(), status, "{}", page.text);
        assert_eq!(page.header("content-type"), "application/problem+json");
        let body: Value = serde_json::from_str(&page.text).unwrap();
        assert_eq!(body["status"], status);
        body["detail"].as_str().unwrap().to_owned()
    };
    problem(&script.get("/account/security").await, 401);
    problem(&script.get("/account/nowhere").await, 404);
    let wrong = [("login", ALICE), ("password", "11111")];
    let answer = script.send_form(&form, "/account/login", &wrong).await;
    assert!(problem(&answer, 403).starts_with("Login name or portal password is wrong."));
    for _ in 0..4 {
        script.send_form(&form, "/account/login", &wrong).await;
    }
    let answer = script.send_form(&form, "/account/login", &wrong).await;
    problem(&answer, 429);
    assert_eq!(answer.header("retry-after"), "900");
    world.pass_minutes(16);
    let right = [("login", ALICE), ("password", ALICES_PIN)];
    let answer = script.send_form(&form, "/account/login", &right).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text, r#"{"location":"/portal/home"}"#);
    assert!(script.session().await.is_some());
    problem(&script.get("/account/current-pin").await, 403);
}

/// The gateway's own answers: one page and one problem document for each kind.
#[test]
fn every_kind_of_error_has_words() {
    let pages = ErrorPages::new(look());
    let minute = Duration::from_secs(61);
    for (kind, status) in [
        (ErrorKind::BadRequest, 400),
        (ErrorKind::SignedOut, 401),
        (ErrorKind::Forbidden, 403),
        (ErrorKind::NotFound, 404),
        (ErrorKind::MethodNotAllowed, 405),
        (ErrorKind::TooLarge, 413),
        (ErrorKind::TooManyRequests { retry_after: minute }, 429),
        (ErrorKind::PbxDown, 502),
        (ErrorKind::PbxTimeout, 504),
        (ErrorKind::StoreDown, 503),
        (ErrorKind::Busy { retry_after: Duration::from_millis(1500) }, 503),
        (ErrorKind::Internal, 500),
    ] {
        let page = pages.page(kind, false);
        assert_eq!((page.status().as_u16(), kind.status().as_u16()), (status, status));
        let text = std::str::from_utf8(page.body()).unwrap().to_owned();
        assert!(text.contains("<h1>") && !text.contains("error.") && !text.contains('{'), "{text}");
        let waits = matches!(status, 429 | 502 | 503 | 504);
        assert_eq!(page.headers().contains_key("retry-after"), waits, "{kind:?}");
        assert!(page.headers().contains_key("content-security-policy"));
        let problem = pages.page(kind, true);
        let body: Value = serde_json::from_slice(problem.body()).unwrap();
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(body["title"].as_str().is_some_and(|title| !title.contains("error.")));
    }
    let limited = pages.page(ErrorKind::TooManyRequests { retry_after: minute }, false);
    assert!(std::str::from_utf8(limited.body()).unwrap().contains("Please wait 2 minutes"));
    assert_eq!(limited.headers()["retry-after"], "61");
}

/// R-A2: one element, with the days and the link, that needs neither script nor inline style.
#[test]
fn the_notice_is_one_element_for_the_strictest_policy() {
    let notices = Notices::new(look());
    let html = notices.notice_html(Some(28));
    assert!(html.starts_with("<div id=\"passgate-notice\" role=\"status\""));
    assert_eq!(html.matches("<div").count(), 1);
    let plain = html.replace("<b>", "").replace("</b>", "");
    assert!(plain.contains(
        "Your voicemail PIN will stop opening this portal in 28 days. Set a portal password now. \
         Voicemail keeps your PIN."
    ));
    assert!(html.contains("<a href=\"/account/security\">"));
    assert!(html.contains("<b>28 days</b>"));
    assert!(html.contains("align=\"center\""));
    for html in [html, notices.notice_html(None), notices.message_html(&Message::Refused)] {
        assert!(
            !html.contains("style=\"") && !html.contains("<script") && !html.contains("<style")
        );
        assert!(!html.contains('{'), "{html}");
        assert!(html.is_ascii());
    }
    assert!(notices.notice_html(Some(1)).contains("<b>1 day</b>"));
}

/// R-C1: a message on the portal's login page.
#[test]
fn login_messages_have_their_role() {
    let notices = Notices::new(look());
    let locked = Message::Locked { wait: Duration::from_secs(61) };
    for (message, role, text) in [
        (Message::Refused, "alert", "Login name or portal password is wrong."),
        (locked, "alert", "Too many attempts. Wait 2 minutes"),
        (Message::TooLate, "alert", "Please contact the Acme help desk, 555-0100."),
        (Message::SignedOut, "status", "You are signed out."),
        (Message::PasswordSet, "status", "Saved. Use the portal password"),
    ] {
        let html = notices.message_html(&message);
        assert!(html.starts_with("<div id=\"passgate-message\""), "{html}");
        assert!(html.contains(&format!("role=\"{role}\"")) && html.contains(text), "{html}");
        assert!(notices.message_text(&message).contains(text));
        assert_eq!(Message::read(&message.spelled()), Some(message));
    }
}

/// A message is sealed, belongs to this key ring, and goes stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashes_are_sealed_and_short_lived() {
    let world = World::new().await;
    let vault = world.services.vault.as_ref();
    let now = world.services.clock.now();
    let wait = Duration::from_secs(900);
    let flash = flash::Flash { message: Message::Locked { wait }, login: "<b>\n1001@x".into() };
    let header = flash::create(vault, &flash, now);
    let header = header.to_str().unwrap();
    let value = header.split(['=', ';']).nth(1).unwrap();
    assert!(header.starts_with(cookies::FLASH) && !header.contains("1001"));
    assert_eq!(flash::parse(vault, value, now), Some(flash));
    world.pass_minutes(3);
    assert_eq!(flash::parse(vault, value, world.services.clock.now()), None);
    for bad in ["", "x", &value[2..], &value.replace(&value[20..24], "AAAA")] {
        assert_eq!(flash::parse(vault, bad, now), None, "{bad}");
    }
    // Shown on our own login page, with the login name kept.
    let mut browser = world.browser();
    let flash = flash::Flash { message: Message::Refused, login: ALICE.into() };
    let header = flash::create(vault, &flash, world.services.clock.now());
    let value = header.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    browser.cookies.insert(cookies::FLASH.into(), value);
    let page = browser.get("/account/login").await;
    assert_eq!(page.field("login")["value"], ALICE);
    assert!(page.text.contains("Login name or portal password is wrong."));
    assert!(!browser.cookies.contains_key(cookies::FLASH), "shown once");
}
