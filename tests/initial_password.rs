//! One-time initial passwords (R-E1), from the operator's command to the user's portal, with the
//! real binary.

use serde_json::{Value, json};

use crate::support::{Client, Gateway, PORTAL_ADMIN, Pbx, Settings, alice};

const PASSWORD: &str = "Lighthouse-42";
const NEW_PIN: &str = "80246";

async fn in_phase(pbx: &Pbx, phase: &str) -> Gateway {
    let more = PORTAL_ADMIN.into();
    Gateway::with(pbx, Settings { more, ..Settings::in_phase(phase) }).await
}

/// What the operator's command prints: the initial password alone on its line.
async fn by_command(gateway: &Gateway) -> String {
    let output = gateway.command(&["accounts", "initial-password", &alice().login]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("shown once"), "{said}");
    let out = String::from_utf8(output.stdout).unwrap();
    let groups: Vec<_> = out.trim_end().split('-').collect();
    assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4), "{out}");
    out.trim_end().to_owned()
}

async fn by_api(gateway: &Gateway) -> Value {
    let path = format!("/api/v1/accounts/{}/initial-password", alice().login);
    let (status, issued) = gateway.api("POST", &path, Value::Null).await;
    assert_eq!(status, 200, "{issued}");
    issued
}

/// Logs in at our own page.
async fn at_own_page(browser: &Client, secret: &str) -> u16 {
    let csrf = browser.get("/account/login").await.input("csrf");
    let form = [("csrf", csrf.as_str()), ("login", &alice().login), ("password", secret)];
    let answer = browser.post("/account/login", &form).await;
    assert!(answer.status != 303 || answer.location() == "/account/set-password");
    answer.status
}

/// R-E1: issued on the command line, typed at the portal's own form in the reject phase, replaced
/// together with the PIN; then only the new password opens the portal (R-A5).
#[tokio::test(flavor = "multi_thread")]
async fn from_the_command_line_into_the_portal() {
    let pbx = Pbx::start().await;
    let gateway = in_phase(&pbx, "reject").await;
    assert_eq!(gateway.import("", &format!("login\n{}\n", alice().login)).await.0, 200);
    let initial = by_command(&gateway).await;
    let shown = gateway.account(&alice().login).await;
    assert_eq!(shown["state"], "pin_only");
    assert!(shown["initial_password_expires_at"].is_string(), "{shown}");

    let browser = gateway.client();
    let answer = browser.log_in(&alice().login, &initial.to_uppercase()).await;
    assert_eq!((answer.status, answer.location()), (303, "/account/set-password"));
    assert!(pbx.tried().is_empty(), "the PBX was not asked: {:?}", pbx.tried());
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    assert!(browser.get("/portal/home").await.text().contains("Saved."));
    assert!(browser.opens_mailbox(NEW_PIN).await);
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);

    for secret in [initial.as_str(), NEW_PIN, &alice().pin] {
        let answer = gateway.client().log_in(&alice().login, secret).await;
        assert_eq!(answer.location(), "/portal/login", "{secret}");
    }
    let anew = gateway.client().log_in(&alice().login, PASSWORD).await;
    assert_eq!(anew.location(), "/portal/home");
    let shown = gateway.account(&alice().login).await;
    assert_eq!(
        (&shown["state"], &shown["initial_password_expires_at"]),
        (&json!("password"), &Value::Null)
    );
}

/// R-E1: it leads to its page and nowhere else: not to the portal, not to its API, not to another
/// page of ours; a script gets no further.
#[tokio::test(flavor = "multi_thread")]
async fn it_opens_nothing_but_its_page() {
    let pbx = Pbx::start().await;
    let gateway = in_phase(&pbx, "warn").await;
    gateway.client().signed_in(&alice()).await;
    let initial = by_api(&gateway).await["initial_password"].as_str().unwrap().to_owned();
    let browser = gateway.client();
    assert_eq!(at_own_page(&browser, &initial).await, 303);
    pbx.0.clear_record();
    for page in ["/portal/home", "/portal/voicemail", "/account/security", "/account/current-pin"] {
        assert_eq!(browser.get(page).await.location(), "/account/set-password", "{page}");
    }
    for path in ["/portal/home/checkSession", "/ns-api/v2/domains", "/ns-api/?object=subscriber"] {
        assert!(matches!(browser.fetch(path).await.status, 401 | 403), "{path}");
    }
    let upgrade = browser
        .request(reqwest::Method::GET, "/portal/live")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("origin", &browser.base);
    assert_ne!(browser.send(upgrade).await.status, 101);
    let form = [("grant_type", "password"), ("username", &alice().login), ("password", &initial)];
    let token = gateway.client().post("/ns-api/oauth2/token", &form).await;
    assert!(token.status >= 400 || token.status == 303, "{} {}", token.status, token.text());
    assert!(!token.text().contains("access_token"), "{}", token.text());
    let basic = gateway.client().request(reqwest::Method::GET, "/portal/home");
    let basic = browser.send(basic.basic_auth(&alice().login, Some(&initial))).await;
    assert_ne!(basic.status, 200);
    assert_eq!(pbx.0.record().len(), 0, "{:?}", pbx.0.record());

    let (_, sessions) = gateway
        .api("GET", &format!("/api/v1/sessions?account={}", alice().login), Value::Null)
        .await;
    assert_eq!(sessions["items"][0]["obtained_with"], "initial_password", "{sessions}");
}

/// R-E1: it survives a restart, and ends after 72 hours; the one before ends with the next.
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_after_seventy_two_hours() {
    let pbx = Pbx::start().await;
    let mut gateway = in_phase(&pbx, "warn").await;
    gateway.client().signed_in(&alice()).await;
    let first = by_command(&gateway).await;
    let issued = by_api(&gateway).await;
    let initial = issued["initial_password"].as_str().unwrap().to_owned();
    assert_ne!(first, initial);
    gateway.restart().await;
    assert_ne!(at_own_page(&gateway.client(), &first).await, 303, "void");
    gateway.advance("71h59m").await;
    assert_eq!(at_own_page(&gateway.client(), &initial).await, 303);
    gateway.advance("1m").await;
    assert_ne!(at_own_page(&gateway.client(), &initial).await, 303, "expired");
}

/// R-E1, R-E4: "shown once", audited, and never written down: not in the log, not in the store, in
/// no listing.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_audited_and_written_down_nowhere() {
    let pbx = Pbx::start().await;
    let mut gateway = in_phase(&pbx, "warn").await;
    gateway.client().signed_in(&alice()).await;
    let initial = by_command(&gateway).await;
    at_own_page(&gateway.client(), &initial).await;
    let mistyped = format!("{}{}", if initial.starts_with('f') { "h" } else { "f" }, &initial[1..]);
    at_own_page(&gateway.client(), &mistyped).await;
    let mut shown = String::new();
    for path in ["/api/v1/accounts", "/api/v1/accounts/export", "/api/v1/outbox"] {
        shown += &gateway.api("GET", path, Value::Null).await.1.to_string();
    }
    assert!(gateway.stop().await);
    let log = gateway.log();
    assert!(log.contains("initial_password_issued") && log.contains(&alice().login), "{log}");
    assert!(log.contains("ok_initial"), "told apart from a login with a portal password: {log}");
    let failures = log.lines().filter(|line| line.contains("authentication failure;"));
    assert_eq!(failures.count(), 1, "the mistyped one: {log}");
    let mut files = gateway.written();
    files.push(("listings".into(), shown.into_bytes()));
    files.push(("log".into(), log.into_bytes()));
    for secret in [&initial, &initial.replace('-', ""), &mistyped, &mistyped.replace('-', "")] {
        for (name, bytes) in &files {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "an initial password is in {name}");
        }
    }
}

/// R-E1: nobody is given one whose account is switched off or unknown, and a token that may only
/// read issues none.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_where_it_would_not_work() {
    let pbx = Pbx::start().await;
    let gateway = in_phase(&pbx, "warn").await;
    gateway.client().signed_in(&alice()).await;
    let login = alice().login;
    let unknown = gateway.command(&["accounts", "initial-password", "7777@nowhere"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(unknown.stdout.is_empty());
    let (_, token) = gateway.api("POST", "/api/v1/tokens", json!({ "scope": "read" })).await;
    let admin = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/v1/accounts/{login}/initial-password", gateway.admin);
    let request = admin.post(url).bearer_auth(token["token"].as_str().unwrap());
    assert_eq!(request.send().await.unwrap().status(), 403);
    let path = format!("/api/v1/accounts/{login}/disable");
    assert_eq!(gateway.api("POST", &path, Value::Null).await.0, 200);
    let path = format!("/api/v1/accounts/{login}/initial-password");
    let (status, problem) = gateway.api("POST", &path, Value::Null).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("disabled")));
}

/// R-E1, R-B4: where only the user's own PBX session can write a PIN, the PIN on file opens one for
/// it; nothing is left open at the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_access_of_its_own_the_pin_on_file_writes() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("warn")).await;
    gateway.client().signed_in(&alice()).await;
    let browser = gateway.client();
    assert_eq!(at_own_page(&browser, &by_command(&gateway).await).await, 303);
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    assert_eq!(pbx.pin_of(&alice().login), NEW_PIN);
}

/// R-B6: the PIN on file is not the PBX's any more: it is sent once, and nobody is stuck on the
/// page. At the next try no PIN is asked for, and the present one is asked for afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_changed_elsewhere_holds_nobody_up() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("warn")).await;
    gateway.client().signed_in(&alice()).await;
    let initial = by_command(&gateway).await;
    pbx.0.set_pin(&alice().login, "60606");
    let browser = gateway.client();
    assert_eq!(at_own_page(&browser, &initial).await, 303);
    let refused = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let saved = browser.choose("", PASSWORD).await;
    assert_eq!((saved.status, saved.location()), (303, "/account/current-pin"), "{}", saved.text());
    let wrong = pbx.tried().iter().filter(|(_, accepted)| !accepted).count();
    assert_eq!(wrong, 1, "{:?}", pbx.tried());
    assert_eq!(pbx.pin_of(&alice().login), "60606");
}
