//! Setting and changing the portal password (R-B1, R-B2, R-D5 as far as this release goes).

use crate::support::{Gateway, Pbx, Settings, alice};

const PASSWORD: &str = "Lighthouse-42";

/// R-B1: every rule, each refused with its reason, without costing an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn weak_passwords_are_refused_with_their_reasons() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let long = format!("A1{}", "x".repeat(127));
    for weak in
        ["Short1", "nocapital1", "NoDigitHere", "Password1", &alice().login, "Alice48151", &long]
    {
        let answer = browser.set_password(&alice().pin, weak).await;
        assert_eq!(answer.status, 422, "{weak}: {}", answer.text());
    }
    let page = browser.get("/account/security").await;
    let csrf = page.input("csrf");
    let form = [
        ("csrf", csrf.as_str()),
        ("current_password", &alice().pin),
        ("password", PASSWORD),
        ("confirm", "Lighthouse-43"),
    ];
    assert_eq!(browser.post("/account/security", &form).await.status, 422);
    let saved = browser.set_password(&alice().pin, PASSWORD).await;
    assert_eq!(saved.status, 303, "no attempt was used up: {}", saved.text());
}

/// R-C8: a change ends the other sessions at once and keeps this one, under a new id; R-C5: the
/// previous password counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_ends_the_other_sessions() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let other = gateway.client().signed_in(&alice()).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let before = browser.cookie("__Host-passgate");
    browser.set_password(&alice().pin, PASSWORD).await;
    assert_ne!(browser.cookie("__Host-passgate"), before);
    assert_eq!(browser.get("/portal/home").await.status, 200);
    assert_eq!(other.get("/portal/home").await.location(), "/portal/login");

    let changed = browser.set_password(PASSWORD, "Copper-Kettle-7").await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    for _ in 0..10 {
        assert_eq!(
            gateway.client().log_in(&alice().login, PASSWORD).await.location(),
            "/portal/login"
        );
    }
    let answer = gateway.client().log_in(&alice().login, "Copper-Kettle-7").await;
    assert_eq!(answer.location(), "/portal/home");
}

/// R-B1: all Unicode is allowed, and one spelling of it is as good as the other.
#[tokio::test(flavor = "multi_thread")]
async fn unicode_passwords_are_normalised() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let composed = "Caf\u{e9}-Gr\u{fc}n-77";
    let decomposed = "Cafe\u{301}-Gru\u{308}n-77";
    assert_eq!(browser.set_password(&alice().pin, composed).await.status, 303);
    let answer = gateway.client().log_in(&alice().login, decomposed).await;
    assert_eq!(answer.location(), "/portal/home");
}

/// CSRF: a form without our token changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_token_changes_nothing() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let other = gateway.client().signed_in(&alice()).await;
    let foreign = other.get("/account/security").await.input("csrf");
    for csrf in ["", "x", foreign.as_str()] {
        let form = [
            ("csrf", csrf),
            ("current_password", &alice().pin),
            ("password", PASSWORD),
            ("confirm", PASSWORD),
        ];
        let answer = browser.post("/account/security", &form).await;
        assert_ne!(answer.status, 200, "{csrf}: {}", answer.text());
        assert_eq!(gateway.account(&alice().login).await["state"], "pin_only", "{csrf}");
    }
}

/// R-B5: a password that looks like a PIN could reach the PBX when it is typed with a wrong login
/// name, so none can be set, under whichever rules.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_never_looks_like_a_pin() {
    let pbx = Pbx::start().await;
    let nist = Settings { more: "[password]\nprofile = \"nist\"".into(), ..Settings::default() };
    let gateway = Gateway::with(&pbx, nist).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let answer = browser.set_password(&alice().pin, "482913750264819377").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("looks like a voicemail PIN"), "{}", answer.text());
    let saved = browser.set_password(&alice().pin, "four quiet wooden ships").await;
    assert_eq!(saved.status, 303, "{}", saved.text());
}
