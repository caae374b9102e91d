//! Secrets are nowhere they do not belong: planted values, then a search through everything that
//! the gateway writes and says.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use passgate::demo::portal::{Failure, PortalUser};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Gateway, Pbx, Person, Settings, at};

const TENANT: &str = "abc-company.11111.service";

/// Values long enough never to occur by chance.
const PIN: &str = "904173526184";
const PASSWORD: &str = "Canary-Heron-31-First";
const SECOND: &str = "Canary-Osprey-52-Second";
const WRONG: &str = "Canary-Magpie-73-Wrong";
const WRONG_PIN: &str = "618830274951";

fn dana() -> Person {
    Person { login: format!("1050@{TENANT}"), pin: PIN.into() }
}

/// "Secrets never in logs, metrics, audit, error pages": PIN, passwords, session values and tokens
/// are planted and searched for, in files byte by byte.
#[tokio::test]
async fn planted_secrets_are_found_nowhere() {
    let pbx = Pbx::with(|options| {
        options.users.push(PortalUser::new("1050", TENANT, PIN, "Dana Canary"));
    })
    .await;
    // The most talkative log there is.
    let more = "[log]\nlevel = \"debug\"\n".to_owned();
    let mut gateway = Gateway::with(&pbx, Settings { more, ..Settings::default() }).await;
    let mut said: Vec<Answer> = Vec::new();
    let mut secrets: Vec<(&str, String)> = [
        ("the PIN", PIN),
        ("a wrong PIN", WRONG_PIN),
        ("the first password", PASSWORD),
        ("the second password", SECOND),
        ("a wrong password", WRONG),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();

    // Everything that a user does right and wrong.
    let browser = gateway.client();
    let login = dana().login;
    for secret in [WRONG, WRONG_PIN, PIN] {
        said.push(browser.get("/portal/login").await);
        secrets.extend(browser.cookie("__Host-passgate-visitor").map(|v| ("a visitor", v)));
        said.push(browser.log_in(&login, secret).await);
    }
    said.push(browser.get("/portal/home").await);
    secrets.push(("a PIN session", browser.cookie("__Host-passgate").unwrap()));
    secrets.push(("a device", browser.cookie("__Host-passgate-device").unwrap()));
    for (current, new) in [(WRONG, PASSWORD), (PIN, PIN), (PIN, PASSWORD), (PASSWORD, SECOND)] {
        said.push(browser.set_password(current, new).await);
        secrets.push(("a password session", browser.cookie("__Host-passgate").unwrap()));
    }
    said.push(browser.get("/account/security").await);
    said.push(browser.get("/portal/login/logout").await);
    let page = browser.get("/account/login").await;
    let csrf = page.input("csrf");
    for password in [WRONG, PIN, SECOND] {
        let form = [("csrf", csrf.as_str()), ("login", &login), ("password", password)];
        said.push(browser.post("/account/login", &form).await);
    }
    secrets.push(("a password session", browser.cookie("__Host-passgate").unwrap()));

    // Secrets where they do not belong.
    let stranger = gateway.client();
    let pair = format!("data[Login][username]={login}&data[Login][password]={PIN}");
    said.push(stranger.get(&format!("/portal/login?{pair}")).await);
    said.push(stranger.get(&format!("/portal/home?{pair}")).await);
    said.push(stranger.get(&format!("/account/login?login={login}&password={PASSWORD}")).await);
    for body in [format!("{pair}&{pair}"), format!("{pair}&x=%zz"), format!("{{\"{PIN}\":1")] {
        let request = stranger.request(Method::POST, "/portal/login");
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        said.push(stranger.send(form.body(body.clone())).await);
        let request = stranger.request(Method::POST, "/portal/login");
        said.push(stranger.send(request.header("content-type", "text/plain").body(body)).await);
    }
    said.push(stranger.log_in(WRONG, WRONG).await);
    let basic = stranger.request(Method::GET, "/portal/home").basic_auth(&login, Some(PIN));
    said.push(stranger.send(basic).await);
    said.push(
        stranger.post("/ns-api/oauth2/token", &[("username", &login), ("password", PIN)]).await,
    );
    for failure in [Failure::Close, Failure::Status(200), Failure::Status(500)] {
        pbx.0.fail_with(failure);
        said.push(stranger.log_in(&login, SECOND).await);
        said.push(browser.get("/portal/home").await);
    }
    pbx.0.fail_with(Failure::None);
    // The name of the wrong login is a secret typed into the wrong field: the page that answers it
    // keeps it, as the portal's own does, and the log may not.
    let kept_name = stranger.get("/portal/login").await;
    assert!(kept_name.text().contains("passgate-message"));

    // What administrators get to see.
    let account = gateway.account(&login).await;
    let id = account["id"].as_str().unwrap().to_owned();
    let (status, token) = gateway.api("POST", "/api/v1/tokens", json!({ "scope": "write" })).await;
    assert_eq!(status, 201, "{token}");
    let token = token["token"].as_str().unwrap().to_owned();
    let admin = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut shown = String::new();
    for path in [
        "/metrics",
        "/readyz",
        "/livez",
        "/api/v1/accounts",
        "/api/v1/accounts/export",
        &format!("/api/v1/accounts/{id}"),
        &format!("/api/v1/sessions?account={id}"),
        "/api/v1/keys",
        "/api/v1/clock",
        "/api/v1/accounts/none",
        "/api/v1/accounts?state=x",
    ] {
        let request = admin.get(format!("http://{}{path}", gateway.admin)).bearer_auth(&token);
        let answer = request.send().await.unwrap();
        shown.push_str(&format!("{path} {}\n{:?}\n", answer.status(), answer.headers()));
        shown.push_str(&answer.text().await.unwrap());
    }
    assert!(shown.contains("1050") && shown.contains("passgate_logins_total"), "{shown}");

    for id in pbx.0.record().into_iter().filter_map(|request| request.session) {
        secrets.push(("a PBX session", id));
    }
    secrets.push(("an admin token", token));
    // Orderly, so that everything is written; then what is on the disk.
    assert!(gateway.stop().await);
    let log = gateway.log();
    assert!(log.contains(&login) && log.contains("authentication failure"), "{log}");
    let mut files = gateway.written();
    files.push(("administration".to_owned(), shown.into_bytes()));
    let has =
        |what: &[u8]| files.iter().any(|(name, file)| name.contains("db") && holds(file, what));
    assert!(has(TENANT.as_bytes()), "the search does not see what is in the database");
    for answer in &said {
        files.push(("an answer's body".to_owned(), answer.body.clone()));
    }

    let mut found = Vec::new();
    for (what, secret) in &secrets {
        let mut forms = vec![secret.as_bytes().to_vec(), secret.to_lowercase().into_bytes()];
        if let Ok(raw) = BASE64_URL_SAFE_NO_PAD.decode(secret)
            && raw.len() >= 16
        {
            forms.push(raw);
        }
        for (place, bytes) in &files {
            if forms.iter().any(|form| holds(bytes, form)) {
                found.push(format!("{what} in {place}"));
            }
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// An outage is never a wrong password: our page says whose fault it is not, and nothing counts.
#[tokio::test]
async fn an_outage_is_not_the_users_fault() {
    let pbx = Pbx::start().await;
    let settings = Settings {
        upstream: "connect_timeout = \"500ms\"\nresponse_timeout = \"500ms\"".into(),
        ..Settings::default()
    };
    let gateway = Gateway::with(&pbx, settings).await;
    let alice = crate::support::alice();
    let signed_in = gateway.client().signed_in(&alice).await;
    for failure in [
        Failure::Close,
        Failure::Status(500),
        Failure::Status(503),
        // Nonsense: an answer that is neither yes nor no.
        Failure::Status(200),
        Failure::Status(204),
        Failure::Status(404),
        Failure::Hang,
    ] {
        // Two wrong ones that do count: with five more that did, the sixth would be locked.
        gateway.advance("15m").await;
        for _ in 0..2 {
            assert_eq!(gateway.client().log_in(&alice.login, "00000").await.status, 303);
        }
        pbx.0.fail_with(failure);
        for _ in 0..5 {
            let answer = gateway.client().log_in(&alice.login, &alice.pin).await;
            assert!(matches!(answer.status, 502 | 504), "{failure:?}: {}", answer.status);
            assert!(answer.text().contains("Your login is fine"), "{failure:?}: {}", answer.text());
            assert!(!answer.text().contains("mysql"), "{failure:?}");
            assert_eq!(answer.header("set-cookie"), None, "{failure:?}");
        }
        pbx.0.fail_with(Failure::None);
        gateway.client().signed_in(&alice).await;
        assert_eq!(signed_in.get("/portal/home").await.status, 200, "{failure:?}");
    }
    // Without the PBX altogether, our own pages still answer.
    pbx.0.stop().await;
    let page = signed_in.get("/portal/home").await;
    assert_eq!(page.status, 502);
    assert!(page.text().contains("Your login is fine"), "{}", page.text());
    let script = signed_in.fetch("/portal/home").await;
    assert_eq!(script.header("content-type"), Some("application/problem+json"));
    let login = gateway.client().get("/portal/login").await;
    assert!(login.status == 502 && login.text().contains("Your login is fine"));
    let answer = gateway.client().log_in(&alice.login, &alice.pin).await;
    assert!(answer.status == 502 && answer.text().contains("Your login is fine"));
    for own in ["/account/login", "/account/security"] {
        assert_eq!(signed_in.get(own).await.status, if own.ends_with("login") { 303 } else { 200 });
    }
}

/// Over 64 KiB at the login: 413. Not decodable: 400. Neither reaches the PBX, neither counts.
#[tokio::test]
async fn bad_bodies_at_the_login_are_refused() {
    let pbx = Pbx::start().await;
    let gateway =
        Gateway::with(&pbx, Settings { now: at("force").into(), ..Settings::default() }).await;
    let Person { login, pin } = crate::support::alice();
    let form = format!("data[Login][username]={login}&data[Login][password]={pin}");
    let long = format!("{form}&x={}", "y".repeat(64 * 1024));
    let browser = gateway.client();
    let post = |body: Vec<u8>| {
        let request = browser.request(Method::POST, "/portal/login");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        browser.send(request.body(body))
    };
    for (body, status) in [
        (long.clone().into_bytes(), 413),
        (format!("{form}&x={}", "y".repeat(3_000_000)).into_bytes(), 413),
        (format!("{form}&x=%zz").into_bytes(), 400),
        (format!("{form}%").into_bytes(), 400),
        (format!("{form}&x=%ff%fe").into_bytes(), 400),
        ([form.as_bytes(), b"&x=\xff"].concat(), 400),
        (format!("{form}&x=a b").into_bytes(), 400),
        (format!("{form}\r\n").into_bytes(), 400),
        (b"\x00\x01\x02".to_vec(), 400),
        (b"data[Login][username]=1001".to_vec(), 400),
        (Vec::new(), 400),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        assert_eq!(post(body).await.status, status, "{shown}");
    }
    // Without a length, and with one that the client asks about first.
    let head = "POST /portal/login HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let mut chunked = gateway.raw().await;
    chunked.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", long.len())).await;
    chunked.send(format!("{long}\r\n0\r\n\r\n")).await;
    assert_eq!(chunked.answer().await.unwrap().status, 413);
    let mut asking = gateway.raw().await;
    asking.send(format!("{head}Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n")).await;
    assert_eq!(asking.answer().await.unwrap().status, 413);
    assert_eq!(pbx.tried(), []);
    let held = browser.log_in(&login, &pin).await;
    assert_eq!((held.status, held.location()), (303, "/account/set-password"));
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(bytes, what).is_some()
}
