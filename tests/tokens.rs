//! Tokens for applications: what they share with the portal's login, and how they go on and end
//! (R-F1 to R-F3, R-C5).

use futures::future::join_all;
use passgate::demo::portal::Failure;
use serde_json::{Value, json};

use crate::support::{APP, Gateway, Mailed, Pbx, Said, Settings, Shape, Smtp, TOKEN, alice, until};

const PASSWORD: &str = "Lighthouse-42";
const ANOTHER: &str = "Lighthouse-43";

async fn with_tokens(pbx: &Pbx, phase: &str, tokens: &str) -> Gateway {
    let more = format!("[tokens]\n{tokens}\n");
    Gateway::with(pbx, Settings { more, ..Settings::in_phase(phase) }).await
}

async fn jwt(pbx: &Pbx) -> Gateway {
    with_tokens(pbx, "warn", "mode = \"jwt\"").await
}

/// Alice has a portal password.
async fn has_password(gateway: &Gateway) {
    let browser = gateway.client().signed_in(&alice()).await;
    let saved = browser.set_password(&alice().pin, PASSWORD).await;
    assert!(saved.status < 400, "{}", saved.text());
}

/// One number of the metrics.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

async fn hashes(gateway: &Gateway) -> u64 {
    metric(gateway, "passgate_password_hash_seconds_count").await
}

async fn at_portal(gateway: &Gateway, secret: &str) -> bool {
    gateway.client().log_in(&alice().login, secret).await.location() == "/portal/home"
}

/// R-C5: three failures at the portal and two at the API lock both; a lock says how long, and costs
/// no hash.
#[tokio::test(flavor = "multi_thread")]
async fn portal_and_api_share_one_lock() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    let app = gateway.app();
    for wrong in ["11111", "22222", "33333"] {
        assert!(!at_portal(&gateway, wrong).await);
    }
    for wrong in ["44444", "55555"] {
        assert_eq!(app.log_in(&alice().login, wrong).await.error(), "invalid_grant");
    }
    let before = hashes(&gateway).await;
    let locked = app.log_in(&alice().login, PASSWORD).await;
    assert_eq!((locked.status, locked.error()), (429, "temporarily_unavailable"));
    let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((890..=900).contains(&wait), "{wait}");
    assert!(!at_portal(&gateway, PASSWORD).await, "the portal is locked, too");
    assert_eq!(hashes(&gateway).await, before, "a lock costs no hash");

    gateway.advance("15m").await;
    app.log_in(&alice().login, PASSWORD).await.tokens();
    let metrics = gateway.metrics().await;
    for line in [
        "passgate_logins_total{channel=\"api\",result=\"bad_password\"} 2",
        "passgate_logins_total{channel=\"api\",result=\"locked_name\"} 1",
        "passgate_logins_total{channel=\"api\",result=\"ok\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// R-C5: applications that nobody told about the password, or about the new one, never lock their
/// owner out, and cost one hash, not one each time.
#[tokio::test(flavor = "multi_thread")]
async fn polling_with_what_was_right_once_never_locks() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    browser.set_password(&alice().pin, PASSWORD).await;
    let saved = browser.set_password(PASSWORD, ANOTHER).await;
    assert!(saved.status < 400, "{}", saved.text());
    let app = gateway.app();
    for former in [&*alice().pin, PASSWORD] {
        assert_eq!(app.log_in(&alice().login, former).await.error(), "invalid_grant");
        let before = hashes(&gateway).await;
        pbx.0.clear_record();
        for _ in 0..50 {
            assert_eq!(app.log_in(&alice().login, former).await.error(), "invalid_grant");
        }
        assert_eq!(hashes(&gateway).await, before, "fifty refusals cost no hash");
        assert!(pbx.0.record().is_empty(), "nor does the PBX hear of them");
    }
    app.log_in(&alice().login, ANOTHER).await.tokens();
    assert!(at_portal(&gateway, ANOTHER).await);
}

/// R-C5: an application that asks for six tokens at once, with the right password, gets them.
#[tokio::test(flavor = "multi_thread")]
async fn six_right_requests_at_once() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    let app = gateway.app();
    let login = alice().login;
    for said in join_all((0..6).map(|_| app.log_in(&login, PASSWORD))).await {
        said.tokens();
    }
}

/// R-F1: whoever sends the wrong id or secret of the application has not failed to sign in, and the
/// failures that were there stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_is_no_wrong_password() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    let app = gateway.app();
    for wrong in ["11111", "22222", "33333", "44444"] {
        app.log_in(&alice().login, wrong).await.error();
    }
    let stranger = gateway.app().called(APP.0, "wr0ng");
    for _ in 0..6 {
        let said = stranger.log_in(&alice().login, PASSWORD).await;
        assert_eq!((said.status, said.error()), (401, "invalid_client"));
        assert_eq!(said.header("www-authenticate"), None);
    }
    let fields = [("grant_type", "password"), ("username", &alice().login), ("password", PASSWORD)];
    let said = stranger.ask_in(Shape::FormAndBasic, &fields).await;
    assert!(said.header("www-authenticate").unwrap().starts_with("Basic "), "{said:?}");
    assert_eq!(app.log_in(&alice().login, "55555").await.error(), "invalid_grant");
    assert_eq!(app.log_in(&alice().login, PASSWORD).await.status, 429, "the four still counted");
}

/// R-F2: who uses an app with a PIN is mailed once a day how to go on; the link in it works, and
/// before the warn phase nobody hears anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_an_app_is_told_once_a_day() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("quiet", &smtp)).await;
    gateway.put_on_file(&alice().login, Mailed::ADDRESS).await;
    let app = gateway.app();
    let notices = async || {
        let outbox = gateway.outbox().await;
        outbox.iter().filter(|mail| mail["kind"] == "app_notice").count()
    };
    app.log_in(&alice().login, &alice().pin).await.tokens();
    for (phase, told) in [("warn", 1), ("force", 2), ("reject", 3)] {
        gateway.set_clock(crate::support::at(phase)).await;
        for _ in 0..3 {
            app.log_in(&alice().login, &alice().pin).await;
        }
        until(async || notices().await == told).await;
        let mail = smtp.mail_to(Mailed::ADDRESS).await;
        assert_eq!(mail.subject(), "An app uses your voicemail PIN");
        let ends = mail.text.contains("From 1 January 2032");
        assert_eq!(ends, phase == "warn", "{}", mail.text);
        assert!(!mail.raw.contains(&alice().pin), "{}", mail.raw);
        gateway.advance("23h").await;
        app.log_in(&alice().login, &alice().pin).await;
        assert_eq!(notices().await, told, "{phase}: not again on the same day");
    }
    let mail = gateway.outbox().await;
    assert!(mail.iter().all(|mail| mail["login"] == alice().login.as_str()), "{mail:?}");
}

/// R-C5, R-F2: an app that polls with the PIN after its time costs one login at the PBX, not one
/// each time.
#[tokio::test(flavor = "multi_thread")]
async fn polling_with_a_pin_after_its_time_is_cheap() {
    let pbx = Pbx::start().await;
    let gateway = with_tokens(&pbx, "force", "mode = \"jwt\"").await;
    let app = gateway.app();
    for _ in 0..50 {
        let said = app.log_in(&alice().login, &alice().pin).await;
        assert!(said.words().starts_with("The voicemail PIN is no longer accepted"), "{said:?}");
    }
    assert_eq!(pbx.tried(), [(alice().pin, true)]);
    assert_eq!(pbx.0.signed_in(), 0, "the session at the PBX was left");
    let metric = metric(&gateway, "passgate_lockouts_total{scope=\"name\"}").await;
    assert_eq!(metric, 0);
}

/// R-B6: a PIN that was changed at the PBX stops replay of the old one; the application's user is
/// sent to the portal, and no failure is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_drifted_is_asked_for_in_the_portal() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    pbx.0.set_pin(&alice().login, "77777");
    pbx.0.clear_record();
    let app = gateway.app();
    for _ in 0..7 {
        let said = app.log_in(&alice().login, PASSWORD).await;
        assert_eq!((said.status, said.error()), (400, "invalid_grant"));
        assert!(said.words().contains("https://localhost/account/login"), "{said:?}");
    }
    assert_eq!(pbx.tried(), [(alice().pin, false)], "the PBX saw the old PIN once");
    assert_eq!(metric(&gateway, "passgate_pin_drift_total").await, 1);
}

/// R-F1: the PBX's question after a second factor is handed on, and its answer brings tokens; the
/// portal password comes twice, and never reaches the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_in_two_calls() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    pbx.0.require_mfa(&alice().login, true);
    let app = gateway.app();
    let call = async |grant: &str, secret: &str, code: &str| {
        let fields = [
            ("grant_type", grant),
            ("username", &*alice().login),
            ("password", secret),
            ("passcode", code),
        ];
        let fields = if code.is_empty() { &fields[..3] } else { &fields[..] };
        app.ask_in(Shape::VersionTwo, fields).await
    };
    let question = call("password", PASSWORD, "").await;
    assert_eq!((question.status, &question.body["mfa_type"]), (200, &json!("totp")));
    assert_eq!(question.body.get("access_token"), None);
    call("mfa", PASSWORD, passgate::demo::portal::MFA_CODE).await.tokens();
    assert_eq!(metric(&gateway, "passgate_tokens_issued_total{grant=\"mfa\"}").await, 1);
    // The code alone opens nothing.
    let said = call("mfa", ANOTHER, passgate::demo::portal::MFA_CODE).await;
    assert_eq!(said.error(), "invalid_grant");
    assert!(pbx.0.record().iter().all(|request| !request.contains(PASSWORD)));
    // Right name and PIN, and still open: the account keeps its PIN.
    assert_eq!(metric(&gateway, "passgate_pin_drift_total").await, 0);
}

/// Bad input gets RFC 6749's errors in JSON, and is answered without the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_errors_of_the_standard() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    let app = gateway.app();
    let url = format!("{}{TOKEN}", app.base);
    let form = "application/x-www-form-urlencoded";
    let post =
        |kind: &str, body: String| app.http.post(&url).header("content-type", kind).body(body);
    for (request, status, error) in [
        (post(form, String::new()), 400, "invalid_request"),
        (post(form, "grant_type=password&username=a".into()), 400, "invalid_request"),
        (
            post(form, "grant_type=password&username=a&username=b&password=c".into()),
            400,
            "invalid_request",
        ),
        (post(form, "grant_type=authorization_code&code=1".into()), 400, "unsupported_grant_type"),
        (post("text/plain", "grant_type=password".into()), 415, "invalid_request"),
        (post("application/json", "{\"grant_type\":".into()), 400, "invalid_request"),
        (post(form, "a".repeat(70_000)), 413, "invalid_request"),
        (app.http.put(&url), 405, "invalid_request"),
        (app.http.request(reqwest::Method::OPTIONS, &url), 405, "invalid_request"),
    ] {
        let said = app.send(request).await;
        assert_eq!((said.status, said.error()), (status, error), "{said:?}");
        said.check_form();
        assert!(said.words().is_ascii() && !said.words().is_empty(), "{said:?}");
        if status == 405 {
            assert_eq!(said.header("allow"), Some("POST, GET"), "{said:?}");
        }
    }
    assert!(pbx.0.record().is_empty(), "{:?}", pbx.0.record());
}

/// An outage is never a wrong password: it is said as one, in JSON, and counts as nothing.
#[tokio::test(flavor = "multi_thread")]
async fn outages_are_told_as_such() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    for failure in [Failure::Status(500), Failure::Status(503)] {
        pbx.0.fail_with(failure);
        for _ in 0..6 {
            let said = gateway.app().log_in(&alice().login, &alice().pin).await;
            assert_eq!((said.status, said.error()), (502, "temporarily_unavailable"));
            assert!(said.header("retry-after").is_some() && !said.body.to_string().contains('<'));
        }
    }
    pbx.0.fail_with(Failure::None);
    gateway.app().log_in(&alice().login, &alice().pin).await.tokens();
}

async fn refused(said: Said) {
    assert_eq!((said.status, said.error()), (400, "invalid_grant"), "{said:?}");
}

/// R-F3: refresh tokens are used once; who shows an old one has a copy, and ends the family.
#[tokio::test(flavor = "multi_thread")]
async fn reuse_of_a_refresh_token_ends_the_family() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    has_password(&gateway).await;
    let app = gateway.app();
    let (access, first) = app.log_in(&alice().login, PASSWORD).await.tokens();
    let said = app.refresh(&first).await;
    assert_eq!(said.body["displayName"], "Alice Adams", "the PBX's fields are kept");
    let (next, second) = said.tokens();
    assert!(next != access && second != first);
    let (_, third) = app.refresh(&second).await.tokens();
    refused(app.refresh(&first).await).await;
    refused(app.refresh(&third).await).await;
    gateway.logs("event=\"refresh_reuse\"").await;
    // Another family of the same person goes on.
    app.log_in(&alice().login, PASSWORD).await.tokens();
}

/// R-F3: of twenty refreshes at once one goes through; without grace the family has ended then, with
/// it all hear the same.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_refreshes_at_once() {
    let pbx = Pbx::start().await;
    for (grace, answered) in [("0s", 1), ("10s", 20)] {
        let tokens = format!("mode = \"jwt\"\nreuse_grace = \"{grace}\"");
        let gateway = with_tokens(&pbx, "warn", &tokens).await;
        let app = gateway.app();
        let (_, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
        let said = join_all((0..20).map(|_| app.refresh(&refresh))).await;
        let given: Vec<&Value> =
            said.iter().filter(|said| said.status == 200).map(|said| &said.body).collect();
        assert_eq!(given.len(), answered, "{grace}");
        assert!(given.iter().all(|body| *body == given[0]), "{grace}: {given:?}");
        let next = given[0]["refresh_token"].as_str().unwrap();
        assert_eq!(app.refresh(next).await.status == 200, grace != "0s", "{grace}");
    }
}

/// R-F3: an answer that was lost is repeated while its successor is unused and fresh, not longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_repeated_for_a_while() {
    let pbx = Pbx::start().await;
    let gateway = with_tokens(&pbx, "warn", "mode = \"jwt\"\nreuse_grace = \"10s\"").await;
    let app = gateway.app();
    let (_, first) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let once = app.refresh(&first).await;
    gateway.advance("9s").await;
    assert_eq!(app.refresh(&first).await.body, once.body, "as it was");
    let (_, second) = once.tokens();
    gateway.advance("2s").await;
    refused(app.refresh(&first).await).await;
    refused(app.refresh(&second).await).await;
}

/// R-F3: a refresh token belongs to the application that it was given to.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_are_bound_to_their_application() {
    let pbx = Pbx::with(|options| {
        options.api_clients.push(("other-app".into(), "0ther".into()));
    })
    .await;
    for mode in ["jwt", "pass"] {
        let gateway = with_tokens(&pbx, "warn", &format!("mode = \"{mode}\"")).await;
        let app = gateway.app();
        let (_, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
        for (id, secret) in [("other-app", "0ther"), (APP.0, "wr0ng")] {
            let said = gateway.app().called(id, secret).refresh(&refresh).await;
            assert_eq!((said.status, said.error()), (401, "invalid_client"), "{mode} {id}");
        }
        app.refresh(&refresh).await.tokens();
    }
}

/// R-F3: a family ends at its moment, however often it was refreshed.
#[tokio::test(flavor = "multi_thread")]
async fn a_family_has_an_end() {
    let pbx = Pbx::start().await;
    let gateway =
        with_tokens(&pbx, "warn", "mode = \"jwt\"\nrefresh = \"2h\"\naccess = \"1h\"").await;
    let app = gateway.app();
    let (_, first) = app.log_in(&alice().login, &alice().pin).await.tokens();
    gateway.advance("90m").await;
    let said = app.refresh(&first).await;
    assert_eq!(said.body["expires_in"], 1800, "an access token does not outlive its family");
    let (_, second) = said.tokens();
    gateway.advance("30m").await;
    refused(app.refresh(&second).await).await;
}

/// R-C8, R-A6: a new password, an account switched off, and the force date end refresh tokens, in
/// both modes.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_sessions_ends_tokens() {
    let pbx = Pbx::start().await;
    for mode in ["jwt", "pass"] {
        let gateway = with_tokens(&pbx, "warn", &format!("mode = \"{mode}\"")).await;
        let app = gateway.app();
        let (_, by_pin) = app.log_in(&alice().login, &alice().pin).await.tokens();
        gateway.set_clock(crate::support::at("force")).await;
        let said = app.refresh(&by_pin).await;
        assert_eq!(said.error(), "invalid_grant", "{mode}");
        gateway.set_clock(crate::support::at("warn")).await;

        let (_, by_pin) = app.log_in(&alice().login, &alice().pin).await.tokens();
        has_password(&gateway).await;
        refused(app.refresh(&by_pin).await).await;
        let (_, by_password) = app.log_in(&alice().login, PASSWORD).await.tokens();
        gateway.ask(&alice().login, "disable").await;
        refused(app.refresh(&by_password).await).await;
        gateway.ask(&alice().login, "enable").await;
        refused(app.refresh(&by_password).await).await;
        let (_, again) = app.log_in(&alice().login, PASSWORD).await.tokens();
        gateway.ask(&alice().login, "sign-out").await;
        refused(app.refresh(&again).await).await;
    }
}

/// R-F3: in mode `pass` the PBX rotates its refresh tokens, and each is used once.
#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_the_pbx_are_refreshed_by_it() {
    let pbx = Pbx::start().await;
    let gateway = with_tokens(&pbx, "warn", "mode = \"pass\"").await;
    let app = gateway.app();
    let (access, first) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let (next, second) = app.refresh(&first).await.tokens();
    assert!(next != access && second != first);
    refused(app.refresh(&first).await).await;
    app.refresh(&second).await.tokens();
    // An access token is not good for it, and was not tried at the PBX.
    pbx.0.clear_record();
    refused(app.refresh(&next).await).await;
    assert!(pbx.0.record().is_empty());
}

/// R-F6: a refresh token from before Passgate works until the date, and until the force date, of
/// somebody who has no password; then the PBX is not even asked.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_of_before() {
    let pbx = Pbx::start().await;
    let before = async || {
        let fields = [
            ("grant_type", "password"),
            ("client_id", APP.0),
            ("client_secret", APP.1),
            ("username", &*alice().login),
            ("password", &*alice().pin),
        ];
        let url = format!("{}{TOKEN}", pbx.0.url());
        let answer = reqwest::Client::new().post(url).form(&fields).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["refresh_token"].as_str().unwrap().to_owned()
    };
    for mode in ["jwt", "pass"] {
        let legacy = format!("mode = \"{mode}\"\naccept_legacy_until = 2031-07-01");
        let gateway = with_tokens(&pbx, "warn", &legacy).await;
        let app = gateway.app();
        let said = app.refresh(&before().await).await;
        assert!(said.body["password_notice"].is_string(), "{mode}: {said:?}");
        let (access, next) = said.tokens();
        assert_eq!(access.contains('.'), mode == "jwt", "{mode}");
        app.refresh(&next).await.tokens();
        assert_eq!(metric(&gateway, "passgate_legacy_tokens_total{use=\"refresh\"}").await, 1);

        has_password(&gateway).await;
        refused(app.refresh(&before().await).await).await;
        let old = before().await;
        gateway.set_clock("2031-07-01T00:00:00Z").await;
        pbx.0.clear_record();
        refused(app.refresh(&old).await).await;
        assert!(pbx.0.record().is_empty(), "{mode}: {:?}", pbx.0.record());
    }
}

/// R-F3, RFC 7009: who ends a token ends all of its family; a token that nobody knows has ended.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_token_ends_its_family() {
    let pbx = Pbx::start().await;
    for mode in ["jwt", "pass"] {
        let gateway = with_tokens(&pbx, "warn", &format!("mode = \"{mode}\"")).await;
        let app = gateway.app();
        let (access, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
        let delete = || app.http.delete(format!("{}/ns-api/v2/jwt", app.base));
        let without = app.send(delete()).await;
        assert_eq!((without.status, without.error()), (401, "invalid_request"), "{mode}");
        for _ in 0..2 {
            let answer = delete().bearer_auth(&access).send().await.unwrap();
            assert_eq!(answer.status(), 204, "{mode}");
        }
        refused(app.refresh(&refresh).await).await;
    }
}

/// R-E1: an initial password gives no tokens, is told apart from a wrong one, and neither counts as
/// a failure nor clears any.
#[tokio::test(flavor = "multi_thread")]
async fn an_initial_password_gives_no_tokens() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    gateway.put_on_file(&alice().login, "").await;
    let issued = gateway.ask(&alice().login, "initial-password").await;
    let initial = issued["initial_password"].as_str().unwrap();
    let app = gateway.app();
    for wrong in ["11111", "22222", "33333", "44444"] {
        refused(app.log_in(&alice().login, wrong).await).await;
    }
    pbx.0.clear_record();
    for _ in 0..6 {
        let said = app.log_in(&alice().login, initial).await;
        assert!(said.words().starts_with("An initial password only opens"), "{said:?}");
    }
    assert!(pbx.0.record().is_empty(), "it is never sent to the PBX");
    refused(app.log_in(&alice().login, "55555").await).await;
    assert_eq!(app.log_in(&alice().login, &alice().pin).await.status, 429);
}

/// R-F3: the PBX's own token behind ours goes on by itself, and a refresh says when it cannot.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_sees_to_the_token_of_the_pbx() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    let app = gateway.app();
    let (_, first) = app.log_in(&alice().login, &alice().pin).await.tokens();
    gateway.advance("2h").await;
    pbx.0.fail_with(Failure::Status(503));
    let said = app.refresh(&first).await;
    assert_eq!((said.status, said.error()), (502, "temporarily_unavailable"));
    pbx.0.fail_with(Failure::None);
    pbx.0.clear_record();
    gateway.advance("2m").await;
    // The outage used nothing up.
    app.refresh(&first).await.tokens();
    let asked: Vec<_> = pbx.0.record().into_iter().map(|one| one.path).collect();
    assert_eq!(asked, [TOKEN], "the PBX was asked for another one");
}
