//! The portal over real sockets: a believable login, the careless shapes, streams, controls, API.

use futures::{SinkExt, StreamExt};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::*;

const ALICE: &str = "1001@abc-company.11111.service";
const ALICE_PIN: &str = "48271";

async fn portal(options: Options) -> LegacyPortal {
    // Tests of one process share the provider; the second install only says that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    LegacyPortal::start(listener, options).await
}

fn client() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap()
}

/// The session id that an answer sets.
fn session_of(response: &Response) -> Option<String> {
    let mut cookies = response.headers().get_all("set-cookie").iter();
    let cookie = cookies.find_map(|cookie| cookie.to_str().ok()?.strip_prefix("PHPSESSID="))?;
    Some(cookie.split(';').next()?.to_owned())
}

/// Session id and hidden token of a fresh visit to the login page.
async fn visit(portal: &LegacyPortal) -> (String, String) {
    let page = client().get(format!("{}/portal/login", portal.url())).send().await.unwrap();
    let session = session_of(&page).unwrap();
    let html = page.text().await.unwrap();
    let token = html.split("name=\"data[_Token][key]\" value=\"").nth(1).unwrap();
    (session, token.split('"').next().unwrap().to_owned())
}

async fn log_in(portal: &LegacyPortal, user: &str, pin: &str) -> (Response, String) {
    let (session, token) = visit(portal).await;
    let form = [
        ("_method", "POST"),
        ("data[_Token][key]", &token),
        ("data[Login][language]", "en"),
        ("data[Login][username]", user),
        ("data[Login][password]", pin),
    ];
    let request = client().post(format!("{}/portal/login", portal.url())).form(&form);
    let response = request.header("cookie", format!("PHPSESSID={session}")).send().await.unwrap();
    (response, session)
}

async fn get(portal: &LegacyPortal, path: &str, session: &str) -> Response {
    let request = client().get(format!("{}{path}", portal.url()));
    request.header("cookie", format!("PHPSESSID={session}")).send().await.unwrap()
}

fn location(response: &Response) -> &str {
    response.headers().get("location").map_or("", |value| value.to_str().unwrap())
}

/// A browser's login works in both spellings, changes the session id, and every page is rendered.
#[tokio::test]
async fn the_form_logs_in_and_every_page_is_rendered() {
    let portal = portal(Options::default()).await;
    for user in [ALICE, " 1001-ABC-company.11111.service "] {
        let (response, before) = log_in(&portal, user, ALICE_PIN).await;
        assert_eq!((response.status(), location(&response)), (StatusCode::FOUND, "/portal/home"));
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("domain=127.0.0.1") && !cookie.contains("Secure"), "{cookie}");
        let session = session_of(&response).unwrap();
        assert_ne!(session, before);
        for page in ["home", "messages", "contacts", "calls", "voicemail", "profile"] {
            let response = get(&portal, &format!("/portal/{page}"), &session).await;
            assert_eq!(response.status(), StatusCode::OK, "{page}");
            let html = response.text().await.unwrap();
            assert!(html.contains("Alice Marsh") && html.contains("Example legacy portal"));
            assert!(!html.contains("Fatal error"), "{page}: {html}");
        }
        assert_eq!(
            get(&portal, "/portal/home/checkSession", &session).await.text().await.unwrap(),
            "ok"
        );
        let out = get(&portal, "/portal/login/logout", &session).await;
        assert_eq!(location(&out), "/portal/login");
        let after = get(&portal, "/portal/home/checkSession", &session).await;
        assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
    }
    assert!(portal.login_attempts().iter().all(|login| login.accepted && login.shape == "form"));
}

/// Refusals come in both shapes; a wrong hidden token is refused before the PIN is looked at.
#[tokio::test]
async fn refusals_have_two_shapes_and_the_token_matters() {
    let redirecting = portal(Options::default()).await;
    let (response, session) = log_in(&redirecting, ALICE, "00000").await;
    assert_eq!((response.status(), location(&response)), (StatusCode::FOUND, "/portal/login"));
    let page = get(&redirecting, "/portal/login", &session).await.text().await.unwrap();
    assert!(page.contains("Login failed"));
    for (user, pin) in
        [("190@abc-company.11111.service", "4719"), ("500@abc-company.11111.service", "")]
    {
        assert_eq!(location(&log_in(&redirecting, user, pin).await.0), "/portal/login");
    }
    let form = [("data[Login][username]", ALICE), ("data[Login][password]", ALICE_PIN)];
    let url = format!("{}/portal/login", redirecting.url());
    let response = client().post(&url).form(&form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(redirecting.login_attempts().last().unwrap().result, LoginResult::BadToken);

    let again =
        portal(Options { failure_shape: FailureShape::FormAgain200, ..Options::default() }).await;
    let (response, _) = log_in(&again, ALICE, "00000").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.text().await.unwrap().contains("Login failed"));
}

/// The careless shapes really let a PIN in, and each is in the record.
#[tokio::test]
async fn careless_shapes_let_a_pin_in_and_are_recorded() {
    let portal = portal(Options::default()).await;
    let url = |path: &str| format!("{}{path}", portal.url());
    let encoded = "data%5BLogin%5D%5Busername%5D=1001%40abc-company.11111.service&data[Login][password]=48271";
    let json = json!({ "data": { "Login": { "username": ALICE, "password": ALICE_PIN } } });
    let multipart = reqwest::multipart::Form::new()
        .text("data[Login][username]", ALICE)
        .text("data[Login][password]", ALICE_PIN);
    let side_door = [("username", ALICE), ("pin", ALICE_PIN)];
    let requests = [
        ("query", client().get(url(&format!("/portal/login?{encoded}")))),
        ("query", client().get(url(&format!("/portal/calls?{encoded}")))),
        ("form", client().post(url("/portal/contacts")).body(encoded)),
        ("json", client().post(url("/portal/index.php/login/.")).json(&json)),
        ("multipart", client().post(url("/portal%2flogin;x=1")).multipart(multipart)),
        ("basic", client().get(url("/portal/home")).basic_auth(ALICE, Some(ALICE_PIN))),
        ("form", client().put(url("/portal/resets/request")).form(&side_door)),
        ("form", client().post(url("/portal/login/ssoEnroll/")).form(&side_door)),
        ("form", client().post(url("/portal/users/checkPassword")).form(&side_door)),
    ];
    let expected: Vec<&str> = requests.iter().map(|(shape, _)| *shape).collect();
    for (shape, request) in requests {
        let response = request.send().await.unwrap();
        let session = session_of(&response).unwrap();
        let check = get(&portal, "/portal/home/checkSession", &session).await;
        assert_eq!(check.status(), StatusCode::OK, "{shape}");
    }
    let tried = portal.login_attempts();
    assert_eq!(tried.iter().map(|login| login.shape.as_str()).collect::<Vec<_>>(), expected);
    assert!(tried.iter().all(|login| login.accepted && login.secret == ALICE_PIN));
}

/// The second factor comes between the PIN and the home page.
#[tokio::test]
async fn a_second_factor_is_asked_for() {
    let portal = portal(Options::default()).await;
    let (response, session) = log_in(&portal, "1007@abc-company.11111.service", "275093").await;
    assert_eq!(location(&response), "/portal/login/mfa/1");
    assert_eq!(location(&get(&portal, "/portal/home", &session).await), "/portal/login");
    let submit = |code: &'static str| {
        let request = client().post(format!("{}/portal/login/mfaSubmit/", portal.url()));
        request
            .header("cookie", format!("PHPSESSID={session}"))
            .form(&[("data[Login][passcode]", code)])
            .send()
    };
    assert_eq!(location(&submit("111111").await.unwrap()), "/portal/login/mfa/1");
    let response = submit(MFA_CODE).await.unwrap();
    assert_eq!(location(&response), "/portal/home");
    let session = session_of(&response).unwrap();
    assert_eq!(get(&portal, "/portal/home", &session).await.status(), StatusCode::OK);
}

/// The mailbox opens with the PIN and with nothing else; a PIN changed at the PBX counts at once.
#[tokio::test]
async fn the_mailbox_opens_with_the_pin() {
    let portal = portal(Options { rotate_session_on_login: false, ..Options::default() }).await;
    let (response, session) = log_in(&portal, ALICE, ALICE_PIN).await;
    assert_eq!(session_of(&response), None, "this portal keeps its session id");
    let open = |pin: &'static str| {
        let request = client().post(format!("{}/portal/voicemail", portal.url()));
        let request = request.header("cookie", format!("PHPSESSID={session}"));
        async move {
            let form = [("data[Voicemail][pin]", pin)];
            request.form(&form).send().await.unwrap().text().await.unwrap()
        }
    };
    assert!(open(ALICE_PIN).await.contains("mailbox-open"));
    assert!(!open("00000").await.contains("mailbox-open"));
    assert!(portal.set_pin(ALICE, "60606"));
    assert!(!open(ALICE_PIN).await.contains("mailbox-open"));
    assert!(open("60606").await.contains("mailbox-open"));
}

/// The WebSocket greets the signed-in user, echoes and ticks; strangers are refused.
#[tokio::test]
async fn the_websocket_echoes_and_ticks() {
    let portal =
        portal(Options { tick_every: Duration::from_millis(5), ..Options::default() }).await;
    let (response, _) = log_in(&portal, ALICE, ALICE_PIN).await;
    let session = session_of(&response).unwrap();
    let url = format!("ws://{}/portal/socket", portal.addr());
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("cookie", format!("PHPSESSID={session}").parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(hello.contains("hello") && hello.contains(ALICE));
    socket.send(Message::text("good morning")).await.unwrap();
    let (mut echoed, mut ticked) = (false, false);
    while !(echoed && ticked) {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        echoed |= text == "good morning";
        ticked |= text.contains("tick");
    }
    portal.stop().await;
    while let Some(Ok(_)) = socket.next().await {}
}

/// Downloads, uploads, pieces, ranges, validators and gzip are what they say.
#[tokio::test]
async fn streams_and_validators_are_right() {
    let portal = portal(Options::default()).await;
    let url = |path: &str| format!("{}{path}", portal.url());
    let big = client().get(url("/portal/big?bytes=3000001")).send().await.unwrap();
    assert_eq!(big.bytes().await.unwrap().len(), 3_000_001);
    let page = client().get(url("/portal/big?bytes=50000&type=html")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.len() == 50_000 && page.ends_with("</html>\n"));
    let upload = client().post(url("/portal/upload")).body(vec![b'a'; 1_000_000]);
    let answer: Value = upload.send().await.unwrap().json().await.unwrap();
    let sha256 = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    assert_eq!(answer, json!({ "bytes": 1_000_000, "sha256": sha256 }));
    let noted = portal.record().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!((noted.body_len, noted.body.len()), (1_000_000, 64 * 1024));
    let pieces = client().get(url("/portal/chunked?pieces=7")).send().await.unwrap();
    assert_eq!(pieces.headers()["transfer-encoding"], "chunked");
    assert!(pieces.text().await.unwrap().ends_with("</html>\n"));

    let css = url("/portal/css/portal.css");
    let whole = client().get(&css).send().await.unwrap();
    let etag = whole.headers()["etag"].clone();
    let whole = whole.bytes().await.unwrap();
    let same = client().get(&css).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let part = client().get(&css).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), whole[10..20]);
    let packed = client().get(&css).header("accept-encoding", "br, gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, whole);
    let head = client().head(&css).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], whole.len().to_string());
    let moved = client().get(url("/portal/redirect/absolute")).send().await.unwrap();
    assert_eq!(location(&moved), url("/portal/home?from=absolute"));
}

/// Told to fail, the portal fails; the controls do over HTTP what the methods do.
#[tokio::test]
async fn the_portal_is_controllable() {
    let portal = portal(Options { controls: true, ..Options::default() }).await;
    let url = |path: &str| format!("{}{path}", portal.url());
    let (response, _) = log_in(&portal, ALICE, ALICE_PIN).await;
    let session = session_of(&response).unwrap();
    portal.fail_on("/portal/home", Failure::Status(503));
    assert_eq!(get(&portal, "/portal/home", &session).await.status(), 503);
    assert_eq!(get(&portal, "/portal/calls", &session).await.status(), 200);
    let close = json!({ "path": "/portal/home", "kind": "close" });
    client().post(url("/__portal/fail")).json(&close).send().await.unwrap();
    assert!(client().get(url("/portal/home")).send().await.is_err());
    portal.expire_sessions();
    assert_eq!(location(&get(&portal, "/portal/calls", &session).await), "/portal/login");
    let record = client().get(url("/__portal/record")).send().await.unwrap();
    let record: Value = record.json().await.unwrap();
    let requests = record["requests"].as_array().unwrap();
    assert!(requests.iter().any(|request| request["status"] == 503));
    assert!(requests.iter().any(|request| request["signed_in"] == ALICE));
    let pin = [("login", ALICE), ("pin", "73737")];
    client().post(url("/__portal/pin")).form(&pin).send().await.unwrap();
    assert_eq!(portal.user(ALICE).unwrap().pin, "73737");
    client().post(url("/__portal/reset")).send().await.unwrap();
    assert_eq!(portal.user(ALICE).unwrap().pin, ALICE_PIN);
    assert!(portal.record().is_empty());
}

/// The API gives tokens in the shapes that clients use, refreshes them, and reads and writes users.
#[tokio::test]
async fn the_api_gives_tokens_and_changes_users() {
    let portal = portal(Options::default()).await;
    let url = |path: &str| format!("{}{path}", portal.url());
    let grant = |user: &str, pin: &str| {
        json!({ "grant_type": "password", "client_id": "officevoice-app",
            "client_secret": "0ff1ce-v01ce-5ecret", "username": user, "password": pin })
    };
    let token_url = url("/ns-api/oauth2/token/");
    let alice = grant(ALICE, ALICE_PIN);
    let shapes = [
        client().post(&token_url).form(&alice),
        client().post(&token_url).json(&alice),
        client().post(&token_url).query(&alice),
        client().get(&token_url).query(&alice),
    ];
    for request in shapes {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["access_token"].as_str().map(str::len), Some(32), "{answer}");
        assert_eq!((&answer["domain"], &answer["expires_in"]), (&json!(ABC_COMPANY), &json!(3600)));
    }
    let refused = client().post(&token_url).json(&grant(ALICE, "1")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_grant");
    let challenge = client().post(url("/ns-api/v2/tokens"));
    let challenge = challenge.json(&grant("1007@abc-company.11111.service", "275093"));
    let challenge: Value = challenge.send().await.unwrap().json().await.unwrap();
    assert!(challenge["mfa_type"].is_string() && challenge["access_token"].is_null());

    let operator = client().post(&token_url).json(&grant("9001@11111.service", "730194"));
    let operator: Value = operator.send().await.unwrap().json().await.unwrap();
    let mut refresh = grant("", "");
    refresh["grant_type"] = json!("refresh_token");
    refresh["refresh_token"] = operator["refresh_token"].clone();
    let renewed: Value =
        client().post(&token_url).json(&refresh).send().await.unwrap().json().await.unwrap();
    let bearer = renewed["access_token"].as_str().unwrap();
    let old = operator["access_token"].as_str().unwrap();
    let users = url("/ns-api/v2/domains/wickedsprockets/users");
    assert_eq!(client().get(&users).bearer_auth(old).send().await.unwrap().status(), 401);
    let listed = client().get(&users).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(listed.json::<Vec<Value>>().await.unwrap().len(), 3);

    let change = client().put(format!("{users}/201")).bearer_auth(bearer);
    let change = change.json(&json!({ "synchronous": "yes", "voicemail-login-pin": "55443" }));
    let changed: Value = change.send().await.unwrap().json().await.unwrap();
    assert_eq!(changed["voicemail-login-pin"], "55443");
    let api = url("/ns-api/?object=subscriber&format=json&action=");
    let update = client().post(format!("{api}update")).bearer_auth(bearer);
    let update = update.form(&[("uid", ALICE), ("pwd", "0815")]).send().await.unwrap();
    assert_eq!(update.status(), StatusCode::OK);
    let read = client().get(format!("{api}read&uid={ALICE}")).bearer_auth(bearer);
    let read: Value = read.send().await.unwrap().json().await.unwrap();
    assert_eq!(read[0]["subscriber_pin"], "0815");
    assert_eq!(portal.user("201-wickedsprockets").unwrap().pin, "55443");
}

/// A write may be carried out although its answer is lost, or later than it is answered; another
/// method of the same path still works.
#[tokio::test]
async fn answers_are_lost_after_the_work_is_done() {
    let portal = portal(Options { controls: true, ..Options::default() }).await;
    let url = |path: &str| format!("{}{path}", portal.url());
    let user = url("/ns-api/v2/domains/abc-company.11111.service/users/1001");
    let admin = ("9001@11111.service", Some("730194"));
    let put = |pin: &str| {
        let change = json!({ "synchronous": "yes", "voicemail-login-pin": pin });
        client().put(&user).basic_auth(admin.0, admin.1).json(&change)
    };
    let fault = |fault: Value| {
        let request = client().post(url("/__portal/fail")).json(&fault).send();
        async move { assert_eq!(request.await.unwrap().status(), StatusCode::OK, "{fault}") }
    };
    let path = "/ns-api/v2";
    fault(json!({ "path": path, "method": "put", "kind": "carried_out_then_close" })).await;
    assert!(put("50001").send().await.is_err());
    fault(
        json!({ "path": path, "method": "put", "kind": "carried_out_then_status", "status": 504 }),
    )
    .await;
    assert_eq!(portal.user(ALICE).unwrap().pin, "50001");
    assert_eq!(put("50002").send().await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(portal.user(ALICE).unwrap().pin, "50002");
    fault(json!({ "path": path, "method": "put", "kind": "carried_out_then_hang" })).await;
    let hung = put("50003").timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(portal.user(ALICE).unwrap().pin, "50003");
    let becomes = async |pin: &str| {
        while portal.user(ALICE).unwrap().pin != pin {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    fault(json!({ "path": path, "method": "put", "kind": "later", "ms": 100 })).await;
    assert_eq!(put("50004").send().await.unwrap().status(), StatusCode::ACCEPTED);
    becomes("50004").await;
    portal.fail_on_method("POST", "/ns-api", Failure::Later(Duration::from_millis(50)));
    let update = client().post(url("/ns-api/")).basic_auth(admin.0, admin.1);
    let form = [("object", "subscriber"), ("action", "update"), ("uid", ALICE), ("pwd", "50005")];
    assert_eq!(update.form(&form).send().await.unwrap().status(), StatusCode::ACCEPTED);
    becomes("50005").await;
    let read = client().get(&user).basic_auth(admin.0, admin.1).send().await.unwrap();
    assert_eq!(read.json::<Value>().await.unwrap()["voicemail-login-pin"], "50005");
    assert_eq!(
        client()
            .post(url("/__portal/fail"))
            .json(&json!({ "kind": "flood" }))
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
}
