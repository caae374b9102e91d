//! Calls of the API without tokens of ours: HTTP Basic (R-F4), scripts of the portal (R-F5), tokens
//! from before Passgate (R-F6), and credentials in the wrong place.

use reqwest::Method;

use crate::api_calls::{CALL, PASSWORD, calls, with_password, with_tokens};
use crate::sessions::bob;
use crate::support::{APP, App, Gateway, Pbx, Person, Said, Settings, TOKEN, alice};

async fn basic(app: &App, login: &str, secret: &str) -> Said {
    app.send(app.http.get(format!("{}{CALL}", app.base)).basic_auth(login, Some(secret))).await
}

/// A token of the PBX that Passgate never saw.
async fn from_before(pbx: &Pbx, person: &Person) -> String {
    let (login, pin) = (person.login.as_str(), person.pin.as_str());
    let form = [
        ("grant_type", "password"),
        ("client_id", APP.0),
        ("client_secret", APP.1),
        ("username", login),
        ("password", pin),
    ];
    let ask = reqwest::Client::new().post(format!("{}{TOKEN}", pbx.0.url())).form(&form);
    let answer: serde_json::Value =
        serde_json::from_str(&ask.send().await.unwrap().text().await.unwrap()).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// R-F4: Basic is a login. The password is hashed once, the PBX sees the PIN; the PIN of who has a
/// password is refused without locking anybody out; who has none gets in with it until force.
#[tokio::test(flavor = "multi_thread")]
async fn basic_is_judged_like_a_login() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    with_password(&gateway, &alice()).await;
    let app = gateway.app();
    let hashes = async || {
        let metrics = gateway.metrics().await;
        let name = "passgate_password_hash_seconds_count ";
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<u64>().unwrap()
    };
    let before = hashes().await;
    pbx.0.clear_record();
    for _ in 0..20 {
        assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 200);
    }
    assert_eq!(hashes().await, before + 1);
    let seen = calls(&pbx);
    assert_eq!(seen.len(), 20);
    assert!(
        seen.iter().all(|call| !call.contains(PASSWORD) && call.logins[0].secret == alice().pin)
    );

    for _ in 0..20 {
        let former = basic(&app, &alice().login, &alice().pin).await;
        assert_eq!((former.status, former.error()), (401, "invalid_grant"), "{former:?}");
        assert!(former.header("www-authenticate").unwrap().starts_with("Basic "));
    }
    assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 200, "nobody is locked out");

    assert_eq!(basic(&app, &bob().login, &bob().pin).await.status, 200);
    pbx.0.clear_record();
    assert_eq!(basic(&app, &bob().login, &bob().pin).await.status, 200);
    assert_eq!(pbx.tried().len(), 1, "the call's own; the PIN is judged once");
    gateway.set_clock(crate::support::at("force")).await;
    for _ in 0..3 {
        let late = basic(&app, &bob().login, &bob().pin).await;
        assert_eq!((late.status, late.error()), (401, "invalid_token"), "{late:?}");
        assert!(late.words().contains("portal password"), "{}", late.words());
    }
    assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 200);
    gateway.ask(&alice().login, "disable").await;
    assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 401);
}

/// R-C5: wrong logins lock, with `Retry-After`; a lock is the same for all doors.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_basic_locks() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    with_password(&gateway, &alice()).await;
    let app = gateway.app();
    for wrong in ["a-1", "b-2", "c-3", "d-4", "e-5"] {
        assert_eq!(basic(&app, &alice().login, wrong).await.status, 401);
    }
    let locked = basic(&app, &alice().login, PASSWORD).await;
    assert_eq!((locked.status, locked.error()), (429, "temporarily_unavailable"));
    assert!(locked.header("retry-after").is_some());
    assert_ne!(gateway.client().log_in(&alice().login, PASSWORD).await.location(), "/portal/home");
}

/// R-C8, R-B6: a new password ends what the old one opened at once; a PIN that was changed at the
/// PBX is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn basic_ends_with_its_password() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = with_password(&gateway, &alice()).await;
    let app = gateway.app();
    assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 200);
    assert_eq!(browser.set_password(PASSWORD, "Lighthouse-43").await.status, 303);
    assert_eq!(basic(&app, &alice().login, PASSWORD).await.status, 401);
    assert_eq!(basic(&app, &alice().login, "Lighthouse-43").await.status, 200);
    pbx.0.set_pin(&alice().login, "99999");
    let said = basic(&app, &alice().login, "Lighthouse-43").await;
    assert_eq!(said.status, 503, "the password is right: {said:?}");

    assert_eq!(basic(&app, &bob().login, &bob().pin).await.status, 200);
    pbx.0.set_pin(&bob().login, "88888");
    assert_eq!(basic(&app, &bob().login, &bob().pin).await.status, 401);
    assert_eq!(basic(&app, &bob().login, "88888").await.status, 200);
}

/// R-F5: pages hand the PBX's own token to their scripts. Opaque ones are asked about at the PBX,
/// once a minute; another account's is refused, and so is every one without a full session.
#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_the_portal_call_with_their_own_token() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let own = format!("Bearer {}", from_before(&pbx, &alice()).await);
    let others = format!("Bearer {}", from_before(&pbx, &bob()).await);
    let script = |token: &str| browser.as_script(CALL).header("authorization", token);
    pbx.0.clear_record();
    for _ in 0..10 {
        assert_eq!(browser.send(script(&own)).await.status, 200);
    }
    assert_eq!(pbx.0.record().len(), 11, "ten calls, and one question whose it is");
    for _ in 0..3 {
        assert_eq!(browser.send(script(&others)).await.status, 403);
    }
    assert_eq!(pbx.0.record().len(), 12);
    gateway.advance("1m").await;
    assert_eq!(browser.send(script(&own)).await.status, 200);
    assert_eq!(pbx.0.record().len(), 14, "asked again after a minute");
    assert_eq!(browser.send(browser.as_script(CALL)).await.status, 403, "a session alone");
    let stranger = gateway.client();
    let alone = stranger.as_script(CALL).header("authorization", &own);
    assert_eq!(stranger.send(alone).await.status, 401);
}

/// R-F6: tokens from before Passgate pass until the configured date, at the latest until force,
/// for those without a portal password, and are counted.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_before_pass_until_their_day() {
    let pbx = Pbx::start().await;
    let gateway = with_tokens(&pbx, "quiet", "accept_legacy_until = 2030-12-01").await;
    with_password(&gateway, &bob()).await;
    let app = gateway.app();
    let (own, bobs) = (from_before(&pbx, &alice()).await, from_before(&pbx, &bob()).await);
    let status = async |token: &str| app.call(CALL, &format!("Bearer {token}")).await.status;
    assert_eq!(status(&own).await, 200);
    assert_eq!(status(&own).await, 200);
    assert_eq!(status(&bobs).await, 401, "he has a portal password");
    assert_eq!(status("0123456789abcdef0123456789abcdef").await, 401, "the PBX does not know it");
    let metrics = gateway.metrics().await;
    let count = "passgate_legacy_tokens_total{use=\"access\"} 2";
    assert!(metrics.contains(count), "{metrics}");
    gateway.client().signed_in(&alice()).await;
    gateway.ask(&alice().login, "disable").await;
    assert_eq!(status(&own).await, 401);
    gateway.ask(&alice().login, "enable").await;
    assert_eq!(status(&own).await, 200);
    gateway.set_clock("2030-12-01T00:00:00Z").await;
    assert_eq!(status(&own).await, 401, "its day is over");

    let gateway = with_tokens(&pbx, "warn", "accept_legacy_until = 2040-01-01").await;
    let app = gateway.app();
    let status = async |token: &str| app.call(CALL, &format!("Bearer {token}")).await.status;
    assert_eq!(status(&own).await, 200);
    gateway.set_clock("2032-01-01T00:00:00Z").await;
    assert_eq!(status(&own).await, 401, "force");
    let gateway = Gateway::start(&pbx).await;
    let said = gateway.app().call(CALL, &format!("Bearer {own}")).await;
    assert_eq!(said.status, 401, "by default none passes");
}

/// RFC 9700: tokens in the query or in a form are refused, with and without a session; so is who
/// shows nothing. Whatever is answered is JSON.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_stand_in_the_header_only() {
    let pbx = Pbx::start().await;
    let more = "[tokens]\nmode = \"jwt\"\n".to_owned();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::default() }).await;
    let browser = with_password(&gateway, &alice()).await;
    let app = gateway.app();
    let (token, _) = app.log_in(&alice().login, PASSWORD).await.tokens();
    let bearer = format!("Bearer {token}");
    let foreign = from_before(&pbx, &bob()).await;
    pbx.0.clear_record();
    let misplaced = |answer: &crate::support::Answer| {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("\"invalid_request\""), "{}", answer.text());
    };
    for spelling in ["access_token", "access%5Ftoken", "access.token"] {
        let path = format!("{CALL}&{spelling}={foreign}");
        for client in [&browser, &gateway.client()] {
            let ask = client.request(Method::GET, &path);
            misplaced(&client.send(ask.header("authorization", &bearer)).await);
            misplaced(&client.send(client.as_script(&path)).await);
        }
    }
    let form = [("object", "subscriber"), ("access_token", foreign.as_str())];
    let post = browser.request(Method::POST, "/ns-api/").header("authorization", &bearer);
    misplaced(&browser.send(post.form(&form)).await);
    // The head of the form had gone on; the PBX never gets to act on it.
    assert!(calls(&pbx).iter().all(|call| !call.contains(&foreign) && call.status.is_none()));

    let json = app.http.post(format!("{}/ns-api/", app.base)).header("authorization", &bearer);
    let json = json.json(&serde_json::json!({ "object": "subscriber", "action": "read" }));
    assert_eq!(json.send().await.unwrap().status(), 200, "JSON passes");

    let nothing = app.send(app.http.get(format!("{}{CALL}", app.base))).await;
    assert_eq!(nothing.status, 401);
    assert_eq!(nothing.header("www-authenticate"), Some("Bearer realm=\"API\""));
    for odd in ["Bearer", "Bearer ", "Basic ???", "Digest x", "Negotiate abc"] {
        assert_eq!(app.call(CALL, odd).await.status, 401, "{odd}");
    }
}
