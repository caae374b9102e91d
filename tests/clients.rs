//! Real API clients, as processes, with the code that they have (R-F1, R-F3): curl in the shapes of
//! the PBX's documentation, an application with requests-oauthlib, a script in a browser.

use std::process::Stdio;

use passgate::demo::portal::API_CLIENT;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Browser, Gateway, Pbx, Settings, alice};

/// Alice's portal password.
const PASSWORD: &str = "Correct-Horse-7-Battery";
/// A call of the API that every user may make.
const CALL: &str = "/ns-api/v2/domains/~/users/~";

/// A gateway in the warn phase, in this token mode, where Alice has a portal password.
async fn with_password(pbx: &Pbx, mode: &str) -> Gateway {
    let gateway = in_mode(pbx, mode).await;
    let browser = gateway.client();
    browser.log_in(&alice().login, &alice().pin).await;
    browser.set_password(&alice().pin, PASSWORD).await;
    gateway
}

async fn in_mode(pbx: &Pbx, mode: &str) -> Gateway {
    let more = format!("[tokens]\nmode = \"{mode}\"\n");
    Gateway::with(pbx, Settings { more, ..Settings::default() }).await
}

fn authority(gateway: &Gateway) -> String {
    let file = gateway.directory().join("authority.pem");
    std::fs::write(&file, gateway.authority_pem()).unwrap();
    file.display().to_string()
}

/// Runs curl; the status and the answer.
async fn curl(gateway: &Gateway, arguments: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]);
    command.args(["--cacert", &authority(gateway), "--write-out", "\n%{http_code}"]);
    let output = command.args(arguments).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (answer, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), answer.to_owned())
}

fn json_of(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|_| panic!("no JSON: {answer}"))
}

/// R-F1: each shape that the PBX's documentation and its clients use brings a token, and the token
/// opens the API.
#[tokio::test]
async fn curl_in_every_documented_shape() {
    let pbx = Pbx::start().await;
    let (id, secret) = API_CLIENT;
    let login = alice().login;
    let fields = [
        "grant_type=password".to_owned(),
        format!("client_id={id}"),
        format!("client_secret={secret}"),
        format!("username={login}"),
        format!("password={PASSWORD}"),
    ];
    let document = json!({
        "grant_type": "password", "client_id": id, "client_secret": secret,
        "username": login, "password": PASSWORD,
    });
    let repeated = |flag: &str| -> Vec<String> {
        fields.iter().flat_map(|field| [flag.to_owned(), field.clone()]).collect()
    };
    let arguments =
        |fixed: &[&str]| -> Vec<String> { fixed.iter().map(|s| (*s).to_owned()).collect() };
    let client = format!("{id}:{secret}");
    let (v1, v1_slash, v2) = ("/ns-api/oauth2/token", "/ns-api/oauth2/token/", "/ns-api/v2/tokens");
    let json_type = "Content-Type: application/json";
    let without_client: Vec<String> = [&fields[0], &fields[3], &fields[4]]
        .into_iter()
        .flat_map(|field| ["--data-urlencode".to_owned(), field.clone()])
        .collect();
    let shapes: Vec<(&str, &str, Vec<String>)> = vec![
        ("form", v1, repeated("--data-urlencode")),
        ("form, slash", v1_slash, repeated("--data-urlencode")),
        ("multipart", v1, repeated("--form-string")),
        ("JSON", v1, [arguments(&["-H", json_type, "-d"]), vec![document.to_string()]].concat()),
        (
            "JSON, version 2",
            v2,
            [arguments(&["-H", json_type, "-d"]), vec![document.to_string()]].concat(),
        ),
        ("GET with query", v1, [arguments(&["--get"]), repeated("--data-urlencode")].concat()),
        (
            "query, empty POST",
            v1,
            [arguments(&["--get", "-X", "POST"]), repeated("--data-urlencode")].concat(),
        ),
        ("Basic for the client", v1, [arguments(&["-u", &client]), without_client].concat()),
    ];
    for mode in ["jwt", "pass"] {
        let gateway = with_password(&pbx, mode).await;
        let base = gateway.client().base;
        for (shape, path, arguments) in &shapes {
            let url = format!("{base}{path}");
            let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
            all.push(&url);
            let (status, answer) = curl(&gateway, &all).await;
            assert_eq!(status, 200, "{mode}, {shape}: {answer}");
            let token = json_of(&answer);
            assert_eq!(token["user"], "1001", "{mode}, {shape}: {answer}");
            assert_eq!(token["token_type"], "Bearer", "{mode}, {shape}");
            let bearer =
                format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
            let call = format!("{base}{CALL}");
            let (status, answer) = curl(&gateway, &["-H", &bearer, &call]).await;
            assert_eq!(status, 200, "{mode}, {shape}: {answer}");
            assert_eq!(json_of(&answer)["user"], "1001", "{mode}, {shape}: {answer}");
        }
        assert!(pbx.tried().iter().all(|(secret, _)| secret != PASSWORD), "it stays with us");
    }
}

/// Runs the application; what it printed.
async fn softphone(gateway: &Gateway, login: &str, secret: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clients/softphone.py");
    let (id, client_secret) = API_CLIENT;
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(gateway.client().base);
    command.args([id, client_secret, login, secret, CALL]).env("NO_PROXY", "*");
    command.env("REQUESTS_CA_BUNDLE", authority(gateway));
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// R-F1, R-F3: an application that knows nothing of Passgate gets a token, calls the API, refreshes,
/// and calls again. With the PIN, once there is a portal password, it is told what to do.
#[tokio::test]
async fn an_application_with_requests_oauthlib() {
    let pbx = Pbx::start().await;
    for mode in ["jwt", "pass"] {
        let gateway = with_password(&pbx, mode).await;
        let used = softphone(&gateway, &alice().login, PASSWORD).await;
        assert_eq!(used["calls"], json!([200, 200]), "{mode}: {used}");
        assert_eq!(used["answers"][1]["user"], "1001", "{mode}: {used}");
        assert_eq!((&used["user"], &used["refreshed"]), (&json!("1001"), &json!(true)), "{mode}");
        let parts = used["access"][0].as_str().unwrap().split('.').count();
        assert_eq!(parts, if mode == "jwt" { 3 } else { 1 }, "{mode}: {used}");

        let refused = softphone(&gateway, &alice().login, &alice().pin).await;
        assert_eq!(refused["error"], "invalid_grant", "{mode}: {refused}");
    }
}

/// R-F2: with the PIN it works in the warn phase; at force it is told to set a portal password.
#[tokio::test]
async fn an_application_with_the_pin() {
    let pbx = Pbx::start().await;
    for mode in ["jwt", "pass"] {
        let gateway = in_mode(&pbx, mode).await;
        let used = softphone(&gateway, &alice().login, &alice().pin).await;
        assert_eq!(used["calls"], json!([200, 200]), "{mode}: {used}");

        gateway.set_clock(crate::support::at("force")).await;
        let refused = softphone(&gateway, &alice().login, &alice().pin).await;
        assert_eq!(refused["error"], "invalid_grant", "{mode}: {refused}");
        let description = refused["description"].as_str().unwrap();
        assert!(
            description.contains("voicemail PIN is no longer accepted")
                && description.contains("https://localhost/account/"),
            "{mode}: {description}"
        );
    }
}

/// R-F1: a page of the portal's origin fetches a token and calls the API with it, signed in and not.
#[tokio::test]
async fn a_script_in_the_browser() {
    let pbx = Pbx::start().await;
    let (id, secret) = API_CLIENT;
    let script = "return (async function () {
        const [fields, call] = arguments;
        const asked = await fetch('/ns-api/oauth2/token',
            { method: 'POST', body: new URLSearchParams(fields) });
        const token = await asked.json();
        if (!asked.ok) return [asked.status, token.error];
        const answer = await fetch(call, { headers: { Authorization: `Bearer ${token.access_token}` } });
        return [answer.status, (await answer.json()).user];
    }).apply(null, arguments)";
    for mode in ["jwt", "pass"] {
        let gateway = with_password(&pbx, mode).await;
        let browser = Browser::start(&gateway.client().base).await;
        let fetch = async |password: &str| {
            let fields = json!({
                "grant_type": "password", "client_id": id, "client_secret": secret,
                "username": alice().login, "password": password,
            });
            browser.call(script, vec![fields, json!(CALL)]).await
        };
        browser.open("/portal/login").await;
        assert_eq!(fetch(PASSWORD).await, json!([200, "1001"]), "{mode}, signed out");
        browser.log_in(&alice().login, PASSWORD).await;
        browser.arrives("/portal/home").await;
        assert_eq!(fetch(PASSWORD).await, json!([200, "1001"]), "{mode}, signed in");
        assert_eq!(fetch(&alice().pin).await, json!([400, "invalid_grant"]), "{mode}, the PIN");
    }
}
