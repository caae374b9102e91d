//! The force phase (R-A3): a PIN leads to the page where a portal password is chosen and the
//! voicemail PIN declared anew, and nowhere else.

use passgate::demo::portal::Failure;

use crate::support::{Answer, Client, Gateway, PHASES, PORTAL_ADMIN, Pbx, Settings, alice};

const PASSWORD: &str = "Lighthouse-42";
const NEW_PIN: &str = "80246";

async fn in_force(pbx: &Pbx) -> Gateway {
    let more = PORTAL_ADMIN.into();
    Gateway::with(pbx, Settings { more, ..Settings::in_phase("force") }).await
}

async fn held(gateway: &Gateway) -> Client {
    let browser = gateway.client();
    let answer = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!((answer.status, answer.location()), (303, "/account/set-password"));
    browser
}

fn is_in(answer: &Answer) -> bool {
    (answer.status, answer.location()) == (303, "/portal/home")
}

/// R-A3: on saving they are logged into the portal; the new PIN opens voicemail, and only the
/// password opens the portal (R-A5).
#[tokio::test(flavor = "multi_thread")]
async fn a_new_pin_and_a_password_open_portal_and_voicemail() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert!(is_in(&saved), "{} {}", saved.location(), saved.text());

    let home = browser.get("/portal/home").await.text();
    assert!(home.contains("passgate-message") && home.contains("Saved."), "{home}");
    assert!(browser.opens_mailbox(NEW_PIN).await);
    assert!(!browser.opens_mailbox(&alice().pin).await);
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);

    let anew = gateway.client();
    assert!(is_in(&anew.log_in(&alice().login, PASSWORD).await));
    for pin in [NEW_PIN, &alice().pin] {
        let answer = gateway.client().log_in(&alice().login, pin).await;
        assert_eq!(answer.location(), "/portal/login", "a PIN never logs in again");
    }
    assert!(pbx.tried().iter().all(|(_, accepted)| *accepted), "no wrong PIN reached the PBX");
}

/// R-A3: the page first asked for is where they land (R-C3).
#[tokio::test(flavor = "multi_thread")]
async fn they_land_on_the_page_first_asked_for() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = gateway.client();
    assert_eq!(browser.get("/portal/calls?page=2").await.location(), "/portal/login");
    browser.log_in(&alice().login, &alice().pin).await;
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/calls?page=2"));
    assert_eq!(browser.cookie("__Host-passgate-next"), None, "it is remembered once");
}

/// R-B3: a new PIN keeps the rules; what breaks them is refused with its reason, nothing is written
/// and no attempt is used up.
#[tokio::test(flavor = "multi_thread")]
async fn bad_pins_are_refused_with_their_reasons() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    let bad = ["1234", "1111", "1001", "9876", "2727", "12a4", "123", "١٢٣٤٥", "12345678901234567"];
    for pin in bad {
        let answer = browser.choose(pin, PASSWORD).await;
        assert_eq!(answer.status, 422, "{pin}: {}", answer.text());
        assert!(answer.text().contains("role=\"alert\""), "{pin}: {}", answer.text());
    }
    assert_eq!(browser.choose("", PASSWORD).await.status, 422, "the PIN is asked for");
    assert_eq!(browser.choose(NEW_PIN, "short").await.status, 422);
    assert_eq!(browser.choose(NEW_PIN, NEW_PIN).await.status, 422, "a PIN is no password");
    assert_eq!(pbx.pin_of(&alice().login), alice().pin);
    assert!(is_in(&browser.choose(NEW_PIN, PASSWORD).await));
}

/// R-A3: the same PIN may be declared again if it passes the rules; then nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_pin_may_be_declared_again() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    pbx.0.clear_record();
    assert!(is_in(&browser.choose(&alice().pin, PASSWORD).await));
    let wrote = pbx.0.record().iter().any(|request| request.method != "GET");
    assert!(!wrote, "{:?}", pbx.0.record());
    assert!(is_in(&gateway.client().log_in(&alice().login, PASSWORD).await));
}

/// R-A3: `redeclare_pin = false` keeps the PIN: it is not even asked for. A tenant may differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_may_keep_the_pin() {
    let pbx = Pbx::start().await;
    let rollout = format!(
        "{PHASES}redeclare_pin = false\n[rollout.tenants.\"wickedsprockets\"]\nredeclare_pin = true\n"
    );
    let more = PORTAL_ADMIN.into();
    let settings = Settings { rollout, more, ..Settings::in_phase("force") };
    let gateway = Gateway::with(&pbx, settings).await;
    let browser = held(&gateway).await;
    let page = browser.get("/account/set-password").await;
    assert!(!page.text().contains("name=\"pin\""), "{}", page.text());
    assert!(is_in(&browser.choose("", PASSWORD).await));
    assert_eq!(pbx.pin_of(&alice().login), alice().pin);

    let carol = gateway.client();
    carol.log_in("201@wickedsprockets", "77123").await;
    let page = carol.get("/account/set-password").await;
    assert!(page.text().contains("name=\"pin\""), "{}", page.text());
}

/// R-A3, R-B4: without an access of its own Passgate writes the PIN with the user's PBX session.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_access_of_its_own_the_users_session_writes() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let browser = held(&gateway).await;
    assert!(is_in(&browser.choose(NEW_PIN, PASSWORD).await));
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);
    assert!(browser.opens_mailbox(NEW_PIN).await);
    assert_eq!(pbx.0.signed_in(), 1, "no PBX session is left behind");
}

/// R-A6: a held session reaches its page and nothing else: no page, no call of a script, no API,
/// no WebSocket, no event stream; nothing of it reaches the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_session_reaches_nothing_else() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    pbx.0.clear_record();
    for page in ["/portal/home", "/portal/voicemail", "/account/security", "/account/current-pin"] {
        assert_eq!(browser.get(page).await.location(), "/account/set-password", "{page}");
    }
    for path in ["/portal/home/checkSession", "/ns-api/v2/domains", "/ns-api/?object=subscriber"] {
        assert!(matches!(browser.fetch(path).await.status, 401 | 403), "{path}");
    }
    let posted = browser.post("/portal/profile", &[("data[Profile][vmail_pin]", "5150")]).await;
    assert_eq!(posted.location(), "/account/set-password");
    let upgrade = browser
        .request(reqwest::Method::GET, "/portal/live")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("origin", &browser.base);
    assert_ne!(browser.send(upgrade).await.status, 101);
    assert_eq!(pbx.0.record().len(), 0, "{:?}", pbx.0.record());
}

/// Two tabs: the second finds the work done and is led on; one that comes at the same moment is
/// told so.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_do_it_once() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    let page = browser.get("/account/set-password").await;
    let csrf = page.input("csrf");
    let form = |pin| {
        [
            ("csrf", csrf.clone()),
            ("pin", pin),
            ("password", PASSWORD.into()),
            ("confirm", PASSWORD.into()),
        ]
    };
    let post = |pin: &str| {
        let request = browser.request(reqwest::Method::POST, "/account/set-password");
        request.header("origin", &browser.base).form(&form(pin.to_owned())).send()
    };
    let answers = futures::future::join_all([NEW_PIN, "70513", "61942"].map(post)).await;
    let places: Vec<_> = answers
        .iter()
        .map(|answer| {
            let answer = answer.as_ref().unwrap();
            let place = answer.headers().get("location");
            (answer.status().as_u16(), place.map_or("", |place| place.to_str().unwrap()))
        })
        .collect();
    let won = places.iter().filter(|place| **place == (303, "/portal/home")).count();
    assert_eq!(won, 1, "{places:?}");
    assert!(places.iter().all(|(status, _)| matches!(status, 303 | 409)), "{places:?}");
    assert!([NEW_PIN, "70513", "61942"].contains(&pbx.pin_of(&alice().login).as_str()));
    let fresh = gateway.client();
    assert!(is_in(&fresh.log_in(&alice().login, PASSWORD).await));
    assert_eq!(fresh.get("/account/set-password").await.location(), "/account/security");
}

/// R-B4: a closed browser cancels nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_goes_away_cancels_nothing() {
    let pbx = Pbx::start().await;
    let gateway = in_force(&pbx).await;
    let browser = held(&gateway).await;
    let csrf = browser.get("/account/set-password").await.input("csrf");
    let slow = std::time::Duration::from_millis(300);
    pbx.0.fail_on("/ns-api", Failure::Slow(slow));
    let form =
        [("csrf", csrf.as_str()), ("pin", NEW_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    let request = browser.request(reqwest::Method::POST, "/account/set-password");
    let request = request.header("origin", &browser.base).form(&form).timeout(slow / 2).send();
    assert!(request.await.is_err(), "the browser does not wait");
    crate::support::until(async || gateway.account(&alice().login).await["state"] == "password")
        .await;
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);
    assert!(is_in(&gateway.client().log_in(&alice().login, PASSWORD).await));
}

/// A session that was opened long ago proves nothing any more: the present PIN is asked for, too,
/// and wrong ones are counted with logins (R-C5).
#[tokio::test(flavor = "multi_thread")]
async fn an_old_session_proves_itself_again() {
    let pbx = Pbx::start().await;
    let more = PORTAL_ADMIN.into();
    let gateway = Gateway::with(
        &pbx,
        Settings { more, now: "2031-12-31T23:30:00Z".into(), ..Settings::default() },
    )
    .await;
    let browser = gateway.client().signed_in(&alice()).await;
    gateway.advance("45m").await;
    assert_eq!(browser.get("/portal/home").await.location(), "/account/set-password");
    let page = browser.get("/account/set-password").await;
    assert!(page.text().contains("name=\"current_password\""), "{}", page.text());
    assert_eq!(browser.choose(NEW_PIN, PASSWORD).await.status, 422, "it is asked for");
    let csrf = page.input("csrf");
    let with_proof = |proof| {
        [
            ("csrf", csrf.as_str()),
            ("current_password", proof),
            ("pin", NEW_PIN),
            ("password", PASSWORD),
            ("confirm", PASSWORD),
        ]
    };
    assert_eq!(browser.post("/account/set-password", &with_proof("50505")).await.status, 403);
    assert_eq!(pbx.pin_of(&alice().login), alice().pin);
    // fail2ban reads it like a wrong login (R-G5).
    gateway.logs("authentication failure; channel=page").await;
    let saved = browser.post("/account/set-password", &with_proof(&alice().pin)).await;
    assert!(is_in(&saved), "{}", saved.text());
}

/// R-A6: a session that was opened in warn is held back at force, and ends at reject; moving the
/// clock is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_warn_phase_meets_the_next_phases() {
    let pbx = Pbx::start().await;
    let gateway =
        Gateway::with(&pbx, Settings { now: "2031-12-31T23:30:00Z".into(), ..Settings::default() })
            .await;
    let browser = gateway.client().signed_in(&alice()).await;
    gateway.set_clock("2032-01-01T00:00:00Z").await;
    assert_eq!(browser.get("/portal/home").await.location(), "/account/set-password");
    gateway.set_clock("2032-12-31T23:59:00Z").await;
    let late = held(&gateway).await;
    gateway.set_clock("2033-01-01T00:00:00Z").await;
    assert_eq!(late.get("/account/set-password").await.location(), "/account/login");
    assert_eq!(late.get("/portal/home").await.location(), "/portal/login");
}
