//! What the forms are made of, and what they refuse.

use axum::body::Body;
use http::{Method, StatusCode};

use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};
use crate::web::cookies;

const FORM: &str = "application/x-www-form-urlencoded";

/// interfaces.md, R-D7: field names and autocomplete as password managers need them; the PIN is
/// no password field and stands above the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_play_well_with_password_managers() {
    let world = World::new().await;
    let page = world.browser().get("/account/login").await;
    assert_eq!(page.field("login")["autocomplete"], "username");
    assert_eq!(page.field("password")["autocomplete"], "current-password");
    assert_eq!(page.field("password")["type"], "password");

    let mut browser = world.with_pin().await;
    let page = browser.get("/account/security").await;
    let pin = page.field("current_password");
    assert_eq!((pin["type"].as_str(), pin["inputmode"].as_str()), ("text", "numeric"));
    assert_eq!(pin["autocomplete"], "off");
    for name in ["password", "confirm"] {
        assert_eq!(page.field(name)["autocomplete"], "new-password");
        assert_eq!(page.field(name)["type"], "password");
    }
    let names: Vec<_> =
        page.tags("input").into_iter().filter_map(|mut field| field.remove("name")).collect();
    let place = |name: &str| names.iter().rposition(|other| other == name).unwrap();
    assert!(place("current_password") < place("password"));
    let user = page.field("username");
    assert_eq!((user["autocomplete"].as_str(), user["value"].as_str()), ("username", ALICE));
    assert!(user.contains_key("hidden"));

    let page = world.with_password().await.get("/account/security").await;
    let current = page.field("current_password");
    assert_eq!(current["type"], "password");
    assert_eq!(current["autocomplete"], "current-password");

    world.pass(15);
    let mut browser = world.browser();
    browser.sign_in("1002@abc-company.11111.service", "7305").await;
    let page = browser.get("/account/set-password").await;
    let pin = page.field("pin");
    assert_eq!((pin["type"].as_str(), pin["inputmode"].as_str()), ("text", "numeric"));
    assert_eq!(pin["autocomplete"], "off");
    assert_eq!(page.field("password")["autocomplete"], "new-password");
}

/// WCAG 2.2: every field that is seen has a label of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_has_a_label() {
    let world = World::new().await;
    let mut browser = world.with_pin().await;
    let equipped = World::with(EQUIPPED).await;
    for page in [
        world.browser().get("/account/login").await,
        browser.get("/account/security").await,
        equipped.held().await.get("/account/set-password").await,
    ] {
        let labels: Vec<_> =
            page.tags("label").into_iter().filter_map(|mut label| label.remove("for")).collect();
        let seen = page.tags("input").into_iter().filter(|field| {
            field.get("type").is_none_or(|kind| kind != "hidden") && !field.contains_key("hidden")
        });
        let mut count = 0;
        for field in seen {
            assert!(labels.contains(&field["id"]), "{field:?}");
            count += 1;
        }
        assert!(count >= 2);
    }
}

/// security.md "Browser": CSRF on every state change. A missing, foreign, cut or other session's
/// token, and every form that another site sends, is refused and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_of_others_are_refused() {
    let world = World::new().await;
    let mut victim = world.with_pin().await;
    let mut attacker = world.browser();
    attacker.sign_in("1002@abc-company.11111.service", "7305").await.leads_to("/portal/home");
    let foreign = attacker.get("/account/security").await.field("csrf")["value"].clone();
    let own = victim.get("/account/security").await.field("csrf")["value"].clone();

    for csrf in ["", "x", &foreign, &own[1..], &format!("{own}AA"), &own.to_uppercase()] {
        let fields = [
            ("current_password", ALICES_PIN),
            ("password", PASSWORD),
            ("confirm", PASSWORD),
            ("csrf", csrf),
        ];
        let page = victim.post("/account/security", &fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{csrf}");
        assert!(page.said("alert").contains("Please try again"), "{}", page.text);
        let page = victim.post("/account/sign-out", &[("csrf", csrf)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{csrf}");
    }
    victim.headers.push(("sec-fetch-site", "cross-site".into()));
    let page = victim.post("/account/sign-out", &[("csrf", &own)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    victim.headers.clear();
    assert!(victim.session().await.is_some());
    let page = victim.get("/account/security").await;
    assert!(page.text.contains("Set a portal password"), "nothing was changed");
}

/// Login CSRF: a login form is only taken from the browser that was given it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_form_belongs_to_its_browser() {
    let world = World::new().await;
    let mut attacker = world.browser();
    let page = attacker.get("/account/login").await;
    let csrf = page.field("csrf")["value"].clone();
    let fields = [("login", ALICE), ("password", ALICES_PIN), ("csrf", csrf.as_str())];

    let mut victim = world.browser();
    let page = victim.post("/account/login", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "no form cookie");
    let page = victim.post("/account/login", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "another form cookie");
    assert!(!victim.cookies.contains_key(cookies::SESSION));
    assert!(world.portal.login_attempts().is_empty(), "nothing was tried");
    // The page that said so can be used at once.
    let again = victim.send_form(&page, "/account/login", &fields[..2]).await;
    again.leads_to("/portal/home");
    attacker.post("/account/login", &fields).await.leads_to("/portal/home");
}

/// security.md "Browser": pages escape everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_type_never_becomes_markup() {
    let world = World::new().await;
    for evil in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' autofocus onfocus=alert(1) x='",
        "</input><svg/onload=alert(1)>",
        "{{ 7*7 }}{% raw %}",
        "{minutes}{support}",
        "&lt;script&gt;",
        "javascript:alert(1)",
        "\u{202e}<b>\u{2028}",
        "]]><!--",
    ] {
        let mut browser = world.browser();
        let page = browser.sign_in(evil, "Wrong-1-password").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{evil}");
        assert_eq!(page.field("login")["value"], evil);
        let scripts = page.tags("script");
        assert_eq!(scripts.len(), 2, "{evil}: {}", page.text);
        assert!(page.tags("img").is_empty() && !page.text.contains("<svg/onload"), "{evil}");
        let next = format!("/account/login?next=/x%22%3E{}", "%3Cscript%3E");
        assert!(!browser.get(&next).await.text.contains("<script>"));
    }
    assert!(!world.browser().get("/account/login").await.text.contains("<Voice>"));
}

/// R-B1: each broken rule is named, in one go, and nothing is counted or asked of the PBX.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_rules_are_named() {
    let world = World::new().await;
    let mut browser = world.with_pin().await;
    world.portal.clear_record();
    for (password, confirm, status, expected) in [
        (
            "short",
            "short",
            422,
            "It needs at least 8 characters. It needs at least 1 capital letter. It needs at least 1 digit.",
        ),
        ("Password1", "Password1", 422, "It is one of the most frequently used passwords."),
        ("Long-Enough-1", "Long-Enough-2", 422, "The two new portal passwords are not the same."),
        ("Long-Enough-1", "", 422, "Please fill in all fields."),
    ] {
        let fields =
            [("current_password", ALICES_PIN), ("password", password), ("confirm", confirm)];
        let page = browser.fill_in("/account/security", &fields).await;
        assert_eq!(page.status.as_u16(), status, "{password}");
        assert!(page.said("alert").contains(expected), "{password}: {}", page.said("alert"));
        assert!(!page.text.contains("Long-Enough") && !page.text.contains(ALICES_PIN));
    }
    assert!(world.portal.login_attempts().is_empty());
    let long = format!("A1{}", "x".repeat(200));
    let fields = [("current_password", ALICES_PIN), ("password", &*long), ("confirm", &*long)];
    let page = browser.fill_in("/account/security", &fields).await;
    assert!(page.said("alert").contains("It may have at most 128 characters."));
}

/// Body over 64 KiB → 413; undecodable form → 400; neither reaches a flow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_and_undecodable_forms() {
    let world = World::new().await;
    let mut browser = world.browser();
    let big = format!("login=1001&password={}", "x".repeat(1024 * 1024));
    for path in ["/account/login", "/account/security", "/account/sign-out"] {
        let page = browser.send(Method::POST, path, FORM, Body::from(big.clone())).await;
        assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(page.text.contains("That was too much"));
        for (kind, body) in [
            (FORM, &b"login=%zz"[..]),
            (FORM, b"login=\xff"),
            (FORM, b"login=1&login=2"),
            ("application/json", b"{}"),
            ("multipart/form-data; boundary=x", b"--x--"),
            ("", b"login=1"),
        ] {
            let page = browser.send(Method::POST, path, kind, Body::from(body)).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path} {kind}");
        }
    }
    // The same without a Content-Length.
    let chunks = futures::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 1024])));
    let page = browser.send(Method::POST, "/account/login", FORM, Body::from_stream(chunks)).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(world.portal.login_attempts().is_empty());
}

/// R-B1: the rules of a tenant are the ones that its users see and meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_rules_of_its_own() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.sign_in("201@wickedsprockets", "9372").await.leads_to("/portal/home");
    let page = browser.get("/account/security").await;
    assert!(page.text.contains("At least 15 characters") && !page.text.contains("capital letter"));
    let fields = [("current_password", "9372"), ("password", PASSWORD), ("confirm", PASSWORD)];
    browser.send_form(&page, "/account/security", &fields).await.leads_to("/account/security");
    let page = world.with_pin().await.get("/account/security").await;
    assert!(page.text.contains("At least 8 characters") && page.text.contains("1 capital letter"));
}
