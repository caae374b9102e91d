//! The login, from the portal's own form to the portal's home.

use crate::support::{Client, Gateway, Pbx, Person, Settings, alice};

const PASSWORD: &str = "Lighthouse-42";

/// R-C1, R-C3: the portal's own form logs in, and the browser lands on the portal's home.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_logs_in_through_the_portals_own_form() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let home = browser.get("/portal/home").await;
    assert_eq!(home.status, 200);
    assert!(home.text().contains("Alice"), "{}", home.text());
    assert_eq!(pbx.tried(), [(alice().pin, true)]);
    let account = gateway.account(&alice().login).await;
    assert_eq!(account["state"], "pin_only");
    assert!(account["last_login_at"].is_string(), "{account}");
}

/// R-C2: both spellings, any case and surrounding space are the same account.
#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_a_login_name_are_one_account() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for spelling in [
        "201@wickedsprockets",
        "201-wickedsprockets",
        " 201-WickedSprockets ",
        "201@WICKEDSPROCKETS",
    ] {
        let person = Person { login: spelling.into(), pin: "77123".into() };
        gateway.client().signed_in(&person).await;
    }
    let (_, list) = gateway
        .api("GET", "/api/v1/accounts?tenant=wickedsprockets", serde_json::Value::Null)
        .await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
}

/// R-A5, R-B5: with a password set only it logs in, the PIN goes on opening the mailbox, and the
/// PBX never sees the password, nor anything mistyped in its place.
#[tokio::test(flavor = "multi_thread")]
async fn once_there_is_a_password_only_it_logs_in() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let saved = browser.set_password(&alice().pin, PASSWORD).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    assert_eq!(browser.get("/portal/home").await.status, 200, "this browser stays signed in");
    assert_eq!(gateway.account(&alice().login).await["state"], "password");

    let seen_before = pbx.tried().len();
    for wrong in [alice().pin.as_str(), "Lighthouse-43", "lighthouse-42", ""] {
        let answer = gateway.client().log_in(&alice().login, wrong).await;
        assert_eq!(answer.location(), "/portal/login", "{wrong:?}");
    }
    assert_eq!(pbx.tried().len(), seen_before, "nothing wrong reached the PBX");

    let other = gateway.client();
    let answer = other.log_in(&alice().login, PASSWORD).await;
    assert_eq!(answer.location(), "/portal/home");
    let listened = other.post("/portal/voicemail", &[("data[Voicemail][pin]", &alice().pin)]).await;
    assert!(listened.status < 400, "{} {}", listened.status, listened.text());
    assert!(
        pbx.0.record().iter().all(|request| !request.contains(PASSWORD)),
        "the portal password reached the PBX"
    );
    assert!(pbx.tried().iter().all(|(secret, _)| *secret == alice().pin));
}

/// R-B5: what is typed with a wrong name is not sent to the PBX either.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_typed_with_a_wrong_name_stays_here() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for login in ["1001@nowhere", "nonsense", "", "1001"] {
        let answer = gateway.client().log_in(login, PASSWORD).await;
        assert_eq!((answer.status, answer.location()), (303, "/portal/login"), "{login:?}");
    }
    assert_eq!(pbx.tried(), []);
}

/// R-C3: the page first asked for is where the login ends; another origin's is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_first_asked_for_is_remembered() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client();
    let sent_away = browser.get("/portal/calls?page=2").await;
    assert_eq!((sent_away.status, sent_away.location()), (303, "/portal/login"));
    let answer = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(answer.location(), "/portal/calls?page=2");
    assert_eq!(browser.cookie("__Host-passgate-next"), None, "it is remembered once");
}

/// R-C3, R-A3: so it is over the page on which a password must be set, whenever it was asked for;
/// credentials in its query are kept nowhere, and who signs out has asked for nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_first_asked_for_is_remembered_in_force() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let next = "__Host-passgate-next";
    let browser = gateway.client();
    browser.get("/portal/calls?page=2").await;
    let held = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(held.location(), "/account/set-password");
    browser.get("/portal/contacts?sort=name").await;
    browser.get("/portal/contacts?data[Login][password]=48271").await;
    browser.fetch("/portal/home/checkSession").await;
    browser.get("/.well-known/change-password").await;
    let saved = set_in_force(&browser, &alice().pin).await;
    assert_eq!(saved.location(), "/portal/contacts?sort=name", "{}", saved.text());
    assert_eq!(browser.cookie(next), None);

    let other = gateway.client();
    let bob = "1002@abc-company.11111.service";
    other.log_in(bob, "7305").await;
    other.get("/portal/calls").await;
    assert!(other.cookie(next).is_some());
    other.get("/portal/login/logout").await;
    assert_eq!(other.cookie(next), None);
}

/// R-A3, R-A4 as far as this release goes: in force a PIN leads to the set-password page and
/// nowhere else; in reject it is refused and the page says so.
#[tokio::test(flavor = "multi_thread")]
async fn later_phases_hold_back_and_refuse() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let browser = gateway.client();
    let held = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(held.location(), "/account/set-password");
    for page in ["/portal/home", "/portal/profile", "/account/security"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.location(), "/account/set-password", "{page}");
    }
    assert_eq!(browser.fetch("/portal/home/checkSession").await.status, 403);

    gateway.set_clock(crate::support::at("reject")).await;
    let answer = browser.get("/portal/home").await;
    assert_eq!(answer.location(), "/portal/login", "the held session has ended");
    let refused = gateway.client();
    let answer = refused.log_in(&alice().login, &alice().pin).await;
    assert_eq!(answer.location(), "/portal/login");
    let page = refused.get("/portal/login").await.text();
    assert!(page.contains("no longer opens the portal"), "{page}");
}

/// R-A3: in force the page sets the password and the portal opens.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_user_sets_a_password_and_is_in() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    let browser = gateway.client();
    browser.log_in(&alice().login, &alice().pin).await;
    let saved = set_in_force(&browser, &alice().pin).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    let home = browser.get("/portal/home").await.text();
    assert!(home.contains("passgate-message") && home.contains("Saved."), "{home}");
    let again = browser.get("/portal/home").await;
    assert_eq!(again.status, 200);
    assert!(!again.text().contains("passgate-message"), "it is said once");
}

async fn set_in_force(browser: &Client, pin: &str) -> crate::support::Answer {
    let page = browser.get("/account/set-password").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let csrf = page.input("csrf");
    let form =
        [("csrf", csrf.as_str()), ("pin", pin), ("password", PASSWORD), ("confirm", PASSWORD)];
    browser.post("/account/set-password", &form).await
}

/// R-B6: the PBX refuses the PIN on file; the user is asked once for the current one, and the PBX
/// sees at most one wrong PIN.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_changed_elsewhere_is_asked_for_once() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    gateway.client().signed_in(&alice()).await.set_password(&alice().pin, PASSWORD).await;
    assert!(pbx.0.set_pin(&alice().login, "90210"));
    for _ in 0..3 {
        let answer = gateway.client().log_in(&alice().login, PASSWORD).await;
        assert_eq!(answer.location(), "/account/current-pin");
    }
    let wrong = pbx.tried().iter().filter(|(_, accepted)| !accepted).count();
    assert_eq!(wrong, 1, "one refused PIN stops replay: {:?}", pbx.tried());

    let browser = gateway.client();
    browser.log_in(&alice().login, PASSWORD).await;
    assert_eq!(browser.get("/portal/home").await.location(), "/account/current-pin");
    let csrf = browser.get("/account/current-pin").await.input("csrf");
    let answer = browser.post("/account/current-pin", &[("csrf", &csrf), ("pin", "90210")]).await;
    assert_eq!((answer.status, answer.location()), (303, "/portal/home"), "{}", answer.text());
    assert_eq!(browser.get("/portal/home").await.status, 200);
    let answer = gateway.client().log_in(&alice().login, PASSWORD).await;
    assert_eq!(answer.location(), "/portal/home", "and the next login asks no more");
}

/// The PBX's own second question: it is reached through us, proves nothing before it is answered,
/// and opens the portal afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_the_pbx_passes_through() {
    let pbx = Pbx::start().await;
    assert!(pbx.0.require_mfa(&alice().login, true));
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client();
    let answer = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(answer.location(), "/portal/login/mfa/1");
    let log = gateway.log();
    assert!(!log.contains("authentication failure"), "who did nothing wrong is not banned: {log}");
    assert_ne!(browser.get("/portal/home").await.status, 200, "nothing is proved yet");
    let before = browser.cookie("__Host-passgate");
    assert_eq!(browser.get("/portal/login/mfa/1").await.status, 200);
    let wrong = browser.post("/portal/login/mfaSubmit/", &[("data[Mfa][code]", "000000")]).await;
    assert_ne!(wrong.location(), "/portal/home");
    let page = browser.get("/portal/login/mfa/1").await.text();
    let field = page
        .split("name=\"")
        .filter_map(|part| part.split('"').next())
        .find(|name| name.to_lowercase().contains("code"));
    let field = field.unwrap_or_else(|| panic!("no field for the code in {page}")).to_owned();
    let code = passgate::demo::portal::MFA_CODE;
    let answer = browser.post("/portal/login/mfaSubmit/", &[(&field, code)]).await;
    assert_eq!(answer.location(), "/portal/home", "{}", answer.text());
    assert_ne!(browser.cookie("__Host-passgate"), before, "a new id at the rise of rights");
    assert_eq!(browser.get("/portal/home").await.status, 200);
}

/// R-C1: a cookie that some script set, in whichever characters, keeps nobody from signing in.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_cookies_are_in_nobodys_way() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client();
    browser.set_cookie("theme", "caf\u{e9}");
    let browser = browser.signed_in(&alice()).await;
    let saved = browser.set_password(&alice().pin, PASSWORD).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    assert_eq!(browser.get("/portal/home").await.status, 200);
}
