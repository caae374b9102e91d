//! Nobody gets past with a PIN (R-A5, R-A6; "Bypass"): the same valid PIN in every shape.
//!
//! What the portal may see of a login is Passgate's own: a POST of the form's fields to
//! `/portal/login` on a fresh session, built anew. What it may never see is a credential in bytes
//! that a client sent, and what a client may never get is an answer of somebody who is signed in.

use passgate::demo::portal::{LoginResult, RecordedRequest};

use crate::support::shapes::{Guess, MARK, Shape, shapes};
use crate::support::{Client, Gateway, PORTAL_ADMIN, Pbx, Person, Raw, RawAnswer, Settings, alice};

const PASSWORD: &str = "Correct-Horse-7";

/// The tests of this file can fail: the portal is as careless as the table says.
#[tokio::test]
async fn the_portal_itself_takes_a_credential_from_every_careless_shape() {
    let pbx = Pbx::start().await;
    let mut wrong = Vec::new();
    for shape in shapes() {
        let guess = visit_portal(&pbx).await;
        pbx.0.clear_record();
        let mut connection = Raw::plain(pbx.0.addr()).await;
        connection.send(shape.bytes(&guess)).await;
        let answer = connection.answer().await;
        let logged_in = pbx.tried().contains(&(alice().pin, true));
        if logged_in != shape.careless {
            wrong.push(format!("{}: {logged_in}, {:?}", shape.name, answer.map(|a| a.head)));
        }
        pbx.0.expire_sessions();
    }
    assert!(wrong.is_empty(), "the table is wrong:\n{}", wrong.join("\n"));
}

/// R-A3, R-A6: in force a PIN leads to the page where a password must be set, and nowhere else.
#[tokio::test]
async fn in_force_no_shape_of_a_pin_gets_in() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("force")).await;
    all_shapes(&pbx, &gateway, |seen| match seen.logins().as_slice() {
        // Passgate asks the PBX whether the PIN is right; the session is held.
        [] | [_] => seen.only_passgate_logs_in(),
        more => Err(format!("{} logins", more.len())),
    })
    .await;
}

/// R-A4, R-A6: in reject a PIN leads nowhere, and leaves no session at the PBX.
#[tokio::test]
async fn in_reject_no_shape_of_a_pin_gets_in() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("reject")).await;
    all_shapes(&pbx, &gateway, |seen| {
        seen.only_passgate_logs_in()?;
        match seen.pbx.0.signed_in() {
            0 => Ok(()),
            _ => Err("a session is left at the PBX".into()),
        }
    })
    .await;
}

/// R-A5: whoever has a password is never logged in by the PIN, and the PBX is not even asked.
#[tokio::test]
async fn the_pin_of_who_has_a_password_reaches_no_login() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    assert_eq!(browser.get("/portal/login/logout").await.status, 303);
    all_shapes(&pbx, &gateway, |seen| match seen.logins().as_slice() {
        [] => Ok(()),
        some => Err(format!("the PBX was asked: {some:?}")),
    })
    .await;
}

/// R-A6: a request that was begun in time and is finished too late comes too late: what counts is
/// the moment in which it is whole, however slowly it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_takes_until_the_next_phase_comes_too_late() {
    let set = format!("pin=80246&password={PASSWORD}&confirm={PASSWORD}");
    let change = format!("current_password={}&password={PASSWORD}&confirm={PASSWORD}", alice().pin);
    for (begun, path, fields, finished) in [
        ("2032-12-31T23:59:00Z", "/account/set-password", &set, "2033-01-01T00:00:00Z"),
        ("2032-12-31T23:59:00Z", "/account/set-password", &set, "signed out"),
        ("2031-12-31T23:59:00Z", "/account/security", &change, "2032-01-01T00:00:00Z"),
    ] {
        let pbx = Pbx::start().await;
        let settings =
            Settings { now: begun.into(), more: PORTAL_ADMIN.into(), ..Settings::default() };
        let gateway = Gateway::with(&pbx, settings).await;
        let browser = gateway.client();
        assert_eq!(browser.log_in(&alice().login, &alice().pin).await.status, 303);
        let form = format!("csrf={}&{fields}", browser.get(path).await.input("csrf"));
        let mut connection = gateway.raw().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n",
            browser.cookie_header(),
            form.len()
        );
        connection.send(head).await;
        assert!(connection.head().await.contains("100"), "it is let in");
        connection.send(&form[..10]).await;
        if finished == "signed out" {
            let id = gateway.account(&alice().login).await["id"].as_str().unwrap().to_owned();
            let path = format!("/api/v1/accounts/{id}/sign-out");
            assert_eq!(gateway.api("POST", &path, serde_json::Value::Null).await.0, 200);
        } else {
            gateway.set_clock(finished).await;
        }
        connection.send(&form[10..]).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, 303, "{}", answer.everything());
        assert!(answer.location().starts_with("/account/"), "{path} {}", answer.location());
        let state = gateway.account(&alice().login).await["state"].clone();
        assert_eq!(state, "pin_only", "{path}, {finished}: {}", answer.everything());
        assert_eq!(pbx.pin_of(&alice().login), alice().pin);
    }
}

/// Bypass: credential fields inside a valid session of another account.
#[tokio::test]
async fn inside_the_session_of_another_no_shape_of_a_pin_changes_who_one_is() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let bob = Person { login: alice().login.replace("1001", "1002"), pin: "62342".into() };
    let mut browser = gateway.client().signed_in(&bob).await;
    assert_eq!(browser.set_password(&bob.pin, PASSWORD).await.status, 303);
    gateway.set_clock(crate::support::at("force")).await;
    browser = bob_signed_in(&gateway, &bob).await;
    let page = browser.get("/portal/login").await;
    let token = page.input("data[_Token][key]");

    let mut wrong = Vec::new();
    for shape in shapes() {
        let guess = Guess {
            host: format!("localhost:{}", gateway.https.port()),
            cookie: browser.cookie_header(),
            token: token.clone(),
            person: alice(),
        };
        pbx.0.clear_record();
        let answer = send(&gateway, &shape, &guess).await;
        let seen = Seen { pbx: &pbx, requests: pbx.0.record() };
        let mut judged = seen.only_passgate_logs_in().and_then(|()| says_nothing(answer.as_ref()));
        // Passgate itself signs out of the session that it tried a PIN on.
        let as_alice = |r: &RecordedRequest| r.signed_in.as_ref() == Some(&alice().login);
        let mut others = seen.requests.iter().filter(|r| r.path != "/portal/login/logout");
        if others.any(as_alice) {
            judged = Err("a request reached the portal as Alice's".into());
        }
        // A login within a session ends it (and is Passgate's own); nothing else does.
        let home = browser.get("/portal/home").await;
        if home.text().contains("Alice Adams") {
            judged = Err("Bob's session has become Alice's".into());
        }
        let ended = home.status != 200;
        let may_end = !seen.logins().is_empty() || shape.name.contains("/portal/login/logout");
        if ended && !may_end {
            judged = judged.and(Err(format!("Bob is signed out: {}", home.status)));
        }
        if let Err(why) = judged {
            wrong.push(format!("{}: {why}\n    {}", shape.name, head(answer.as_ref())));
        }
        if ended || wrong.last().is_some_and(|last| last.starts_with(&shape.name)) {
            browser = bob_signed_in(&gateway, &bob).await;
        }
    }
    assert!(wrong.is_empty(), "{} shapes:\n{}", wrong.len(), wrong.join("\n"));
}

async fn bob_signed_in(gateway: &Gateway, bob: &Person) -> Client {
    let browser = gateway.client();
    let answer = browser.log_in(&bob.login, PASSWORD).await;
    assert_eq!((answer.status, answer.location()), (303, "/portal/home"));
    browser
}

/// Sends every shape through the gateway and judges what came of it.
async fn all_shapes(pbx: &Pbx, gateway: &Gateway, rule: impl Fn(&Seen<'_>) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for shape in shapes() {
        let guess = visit_gateway(gateway).await;
        pbx.0.clear_record();
        let answer = send(gateway, &shape, &guess).await;
        let seen = Seen { pbx, requests: pbx.0.record() };
        let mut judged = rule(&seen).and_then(|()| is_no_sign_in(answer.as_ref()));
        if judged.is_ok() {
            judged = leads_nowhere(gateway, &guess, answer.as_ref()).await;
        }
        // One shape's success is not the next one's.
        pbx.0.expire_sessions();
        if let Err(why) = judged {
            wrong.push(format!("{}: {why}\n    {}", shape.name, head(answer.as_ref())));
        }
    }
    assert!(wrong.is_empty(), "{} shapes:\n{}", wrong.len(), wrong.join("\n"));
}

/// What reached the PBX.
struct Seen<'a> {
    pbx: &'a Pbx,
    requests: Vec<RecordedRequest>,
}

impl Seen<'_> {
    /// The requests in which the portal found a credential.
    fn logins(&self) -> Vec<&RecordedRequest> {
        self.requests.iter().filter(|request| !request.logins.is_empty()).collect()
    }

    /// Every credential that was tried came in Passgate's own request, and the client's bytes are
    /// not in it.
    fn only_passgate_logs_in(&self) -> Result<(), String> {
        for request in self.logins() {
            let [login] = request.logins.as_slice() else {
                return Err("several credentials in one request".into());
            };
            let own = request.method == "POST"
                && request.path == "/portal/login"
                && request.query.is_none()
                && login.shape == "form"
                && login.user == alice().login
                && login.result == LoginResult::Accepted
                && !request.headers.iter().any(|(_, value)| value.contains(MARK))
                && !request.contains(MARK);
            if !own {
                return Err(format!(
                    "a credential reached the portal: {} {} {:?}",
                    request.method, request.path, request.logins
                ));
            }
        }
        Ok(())
    }
}

/// Nothing in the answer is Alice's, or confirms her PIN.
fn says_nothing(answer: Option<&RawAnswer>) -> Result<(), String> {
    let text = answer.map(RawAnswer::everything).unwrap_or_default();
    let signs = ["Alice Adams", "access_token", "\"valid\":true", "PHPSESSID"];
    match signs.iter().find(|sign| text.contains(**sign)) {
        Some(sign) => Err(format!("the answer contains {sign}")),
        None => Ok(()),
    }
}

/// The answer does not tell the client that it is signed in.
fn is_no_sign_in(answer: Option<&RawAnswer>) -> Result<(), String> {
    says_nothing(answer)?;
    match answer {
        Some(answer) if answer.status == 101 || answer.location().contains("/portal/home") => {
            Err("the answer is a sign-in's".into())
        }
        _ => Ok(()),
    }
}

/// With whatever cookies came along, the portal stays closed.
async fn leads_nowhere(
    gateway: &Gateway,
    guess: &Guess,
    answer: Option<&RawAnswer>,
) -> Result<(), String> {
    let given = answer.map(|answer| answer.all("set-cookie")).unwrap_or_default();
    let pairs = given.iter().filter_map(|cookie| cookie.split(';').next());
    let cookies: Vec<&str> = pairs.chain([guess.cookie.as_str()]).collect();
    for path in ["/portal/home", "/portal/home/checkSession", "/ns-api/?object=subscriber"] {
        let mut connection = gateway.raw().await;
        connection
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {}\r\n\r\n",
                guess.host,
                cookies.join("; ")
            ))
            .await;
        let next = connection.answer().await.ok_or("no answer")?;
        let refused = matches!(next.status, 401 | 403)
            || next.status == 303 && !next.location().starts_with("/portal/home");
        if !refused {
            return Err(format!("afterwards {path} answers {}", next.status));
        }
    }
    Ok(())
}

async fn send(gateway: &Gateway, shape: &Shape, guess: &Guess) -> Option<RawAnswer> {
    let mut connection = gateway.raw().await;
    connection.send(shape.bytes(guess)).await;
    connection.answer().await
}

fn head(answer: Option<&RawAnswer>) -> String {
    answer.map_or_else(|| "no answer".into(), |answer| answer.head.replace("\r\n", " | "))
}

/// A visit to the login page through the gateway.
async fn visit_gateway(gateway: &Gateway) -> Guess {
    let host = format!("localhost:{}", gateway.https.port());
    visit(gateway.raw().await, host).await
}

/// A visit to the portal itself.
async fn visit_portal(pbx: &Pbx) -> Guess {
    visit(Raw::plain(pbx.0.addr()).await, pbx.0.addr().to_string()).await
}

async fn visit(mut connection: Raw, host: String) -> Guess {
    let request =
        format!("GET /portal/login HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.send(request).await;
    let page = connection.answer().await.unwrap();
    assert_eq!(page.status, 200, "{}", page.head);
    let cookies: Vec<&str> =
        page.all("set-cookie").iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let text = page.text();
    let token = text.split("name=\"data[_Token][key]\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap().to_owned();
    Guess { host, cookie: cookies.join("; "), token, person: alice() }
}
