//! What users do not get to see in the API's answers: voicemail PINs, in every form that the
//! example portal answers in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use passgate::demo::portal::PortalUser;
use passgate::profile::Profile;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{ABC_COMPANY, Client, Gateway, Pbx, Person, Scripted, Settings, alice};

fn operator() -> Person {
    Person { login: "9001@11111.service".into(), pin: "730194".into() }
}

/// The bearer that a page of the PBX would hand to its scripts: it names the account (R-F5).
fn bearer(person: &Person) -> String {
    let claims = json!({ "sub": person.login }).to_string();
    format!("Bearer e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

fn call(client: &Client, person: &Person, method: Method, path: &str) -> RequestBuilder {
    let request = client.request(method, path).header("accept", "*/*");
    request.header("authorization", bearer(person)).header("origin", &client.base)
}

/// A token of the example portal's own, for `person`.
async fn token(pbx: &Pbx, person: &Person) -> String {
    let form = [
        ("grant_type", "password"),
        ("client_id", "officevoice-app"),
        ("client_secret", "0ff1ce-v01ce-5ecret"),
        ("username", &person.login),
        ("password", &person.pin),
    ];
    let url = format!("{}/ns-api/oauth2/token", pbx.0.url());
    let answer = reqwest::Client::new().post(url).form(&form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The example portal, which takes the bearer of its pages' scripts for `person`'s token.
async fn with_scripts(pbx: &Pbx, person: &Person) -> (Scripted, String) {
    let (portal, token) = (pbx.0.addr(), token(pbx, person).await);
    let (pages, own) = (bearer(person), format!("Bearer {token}"));
    let scripted = Scripted::start(pbx, "/ns-api", move |head, mut client| {
        let head = head.replacen(&pages, &own, 1);
        async move {
            let mut portal = TcpStream::connect(portal).await.unwrap();
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            portal.write_all(head.as_bytes()).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut portal).await;
        }
    });
    (scripted.await, token)
}

/// R-F5: the record of one's own, in all forms, but without the PIN; everything else is the PBX's,
/// byte for byte.
#[tokio::test]
async fn a_users_calls_show_no_pin() {
    let pbx = Pbx::start().await;
    let (scripted, token) = with_scripts(&pbx, &alice()).await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::in_phase("warn") };
    let gateway = Gateway::with(&pbx, settings).await;
    let pin = alice().pin;
    let user = format!("/ns-api/v2/domains/{ABC_COMPANY}/users/1001");
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        for (method, path, form) in [
            (Method::GET, "/ns-api/?object=subscriber&action=read&format=json".to_owned(), None),
            (Method::POST, "/ns-api/".to_owned(), Some("object=subscriber&format=json")),
            (Method::GET, "/ns-api/?object=subscriber&action=list".to_owned(), None),
            (Method::GET, user.clone(), None),
            (Method::GET, format!("/ns-api/v2/domains/{ABC_COMPANY}/users"), None),
            (Method::PUT, user.clone(), Some("synchronous=yes&voicemail-login-pin=48151")),
        ] {
            let what = format!("{protocol} {method} {path}");
            let with = |request: RequestBuilder| match form {
                Some(form) => {
                    let kind = "application/x-www-form-urlencoded";
                    request.header("content-type", kind).body(form)
                }
                None => request,
            };
            let own = reqwest::Client::new()
                .request(method.clone(), format!("{}{path}", pbx.0.url()))
                .bearer_auth(&token);
            let own = with(own).send().await.unwrap();
            let (status, kind) = (own.status(), own.headers()["content-type"].clone());
            let own = own.text().await.unwrap();
            assert!(status == 200 && own.contains(&pin), "{what}: {own}");
            let answer = client.send(with(call(&client, &alice(), method, &path))).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let expected = own.replace(&pin, "");
            assert_eq!(answer.text(), expected, "{what}");
            assert_eq!(answer.header("content-type"), kind.to_str().ok(), "{what}");
            assert_eq!(answer.header("content-length"), None, "{what}");
        }
        let head = client.send(call(&client, &alice(), Method::HEAD, &user)).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{protocol}");
    }
}

/// "redaction … configurable": without the section the PBX's answers pass as they are.
#[tokio::test]
async fn a_profile_without_the_section_hides_nothing() {
    let pbx = Pbx::start().await;
    let (scripted, _) = with_scripts(&pbx, &alice()).await;
    let text = Profile::builtin("netsapiens").unwrap();
    let (before, after) = text.split_once("[[redact]]").unwrap();
    let profile = format!("{before}{}", &after[after.find("[pages]").unwrap()..]);
    let settings = Settings {
        pbx: Some(scripted.address),
        profile: Some(profile),
        ..Settings::in_phase("warn")
    };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client().signed_in(&alice()).await;
    let path = format!("/ns-api/v2/domains/{ABC_COMPANY}/users/1001");
    let answer = client.send(call(&client, &alice(), Method::GET, &path)).await;
    assert!(answer.text().contains(&alice().pin), "{}", answer.text());
}

/// A manager's list of many users: no PIN of anybody, nothing lost.
#[tokio::test]
async fn a_long_list_is_read_to_its_end() {
    let pbx = Pbx::with(|options| {
        for number in 0..700 {
            let (extension, pin) = (format!("{}", 4000 + number), format!("77{number:03}99"));
            options.users.push(PortalUser::new(&extension, ABC_COMPANY, &pin, "Many Users"));
        }
    })
    .await;
    let (scripted, token) = with_scripts(&pbx, &operator()).await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::in_phase("warn") };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client().signed_in(&operator()).await;
    let path = format!("/ns-api/v2/domains/{ABC_COMPANY}/users");
    let own = reqwest::Client::new().get(format!("{}{path}", pbx.0.url())).bearer_auth(token);
    let own = own.send().await.unwrap().text().await.unwrap();
    assert!(own.len() > 200_000, "{}", own.len());
    let mut expected: Value = serde_json::from_str(&own).unwrap();
    for user in expected.as_array_mut().unwrap() {
        assert_ne!(user["voicemail-login-pin"], "");
        user["voicemail-login-pin"] = "".into();
    }
    let answer = client.send(call(&client, &operator(), Method::GET, &path)).await;
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(answer, expected);
}

/// What a scripted PBX answers below `/ns-api`, and what it was asked.
async fn answering(answer: &'static [u8]) -> (Pbx, Scripted, Arc<Mutex<String>>) {
    let pbx = Pbx::start().await;
    let asked = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&asked);
    let scripted = Scripted::start(&pbx, "/ns-api", move |head, mut client| {
        *seen.lock().unwrap() = head.to_ascii_lowercase();
        async move {
            client.write_all(answer).await.unwrap();
        }
    });
    let scripted = scripted.await;
    (pbx, scripted, asked)
}

async fn asking(answer: &'static [u8]) -> (Option<(u16, String)>, String) {
    let (pbx, scripted, asked) = answering(answer).await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::in_phase("warn") };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.http1().signed_in(&alice()).await;
    let request = call(&client, &alice(), Method::GET, "/ns-api/v2/me")
        .header("accept-encoding", "gzip, br")
        .header("range", "bytes=0-9")
        .header("if-range", "\"a\"")
        .header("if-none-match", "W/\"a\"");
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    assert!(tag.is_none_or(|tag| tag.starts_with("W/")));
    // An answer that is cut off has no end.
    let whole = answer.text().await.ok().map(|body| (status, body));
    let asked = asked.lock().unwrap().clone();
    (whole, asked)
}

/// What a PBX may say of its answer does not matter, and it is asked for whole and unpacked.
#[tokio::test]
async fn a_pbx_that_lies_about_its_answer_is_read_all_the_same() {
    let (answer, asked) = asking(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\nContent-Length: 32\r\n\r\n\
          \n\n[{\"subscriber_pin\" : \"48151\"}]",
    )
    .await;
    assert_eq!(answer, Some((200, "\n\n[{\"subscriber_pin\" : \"\"}]".into())));
    for gone in ["accept-encoding:", "range:", "if-range:"] {
        assert!(!asked.contains(gone), "{gone}\n{asked}");
    }
    assert!(asked.contains("if-none-match: w/\"a\""), "{asked}");
    // Packed, though nobody asked for it.
    let (answer, _) = asking(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: deflate\r\n\
          Connection: close\r\n\r\n\
          \x01\x0f\x00\xf0\xff{\"pwd\":\"48151\"}",
    )
    .await;
    assert_eq!(answer, Some((200, "{\"pwd\":\"\"}".into())));
}

/// What cannot be read is not let through, nor any part of it that could hold a PIN.
#[tokio::test]
async fn what_cannot_be_read_is_not_let_through() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\n48151"[..],
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-8/9\r\nContent-Length: 5\r\n\r\n48151",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{'pwd':'48151'",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 23\r\n\r\n<br>x {\"pwd\" : \"48151\"}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 17\r\n\r\ncb({\"pwd\":48151})",
    ] {
        let (answered, _) = asking(answer).await;
        let what = String::from_utf8_lossy(answer);
        if let Some((status, body)) = answered {
            assert_eq!(status, 502, "{what}");
            assert!(!body.contains("48151"), "{what}: {body}");
        }
    }
}

/// "Streaming": what came goes on before the rest is there, but for the value that is hidden.
#[tokio::test]
async fn an_answer_goes_on_as_it_comes() {
    let pbx = Pbx::start().await;
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let scripted = Scripted::start(&pbx, "/ns-api", move |_, mut client| {
        let waits = Arc::clone(&waits);
        async move {
            let head =
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
            client.write_all(head).await.unwrap();
            client.write_all(b"{\"user\":\"1001\",\"vmail_pin\":\"48").await.unwrap();
            waits.notified().await;
            client.write_all(b"151\",\"next\":1}").await.unwrap();
        }
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::in_phase("warn") };
    let gateway = Gateway::with(&pbx, settings).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let request = call(&client, &alice(), Method::GET, "/ns-api/v2/me");
        let mut answer = request.send().await.unwrap();
        let first = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await;
        let first = first.expect("it came before the rest").unwrap().unwrap();
        let begin = "{\"user\":\"1001\",\"vmail_pin\":\"\"";
        assert_eq!(String::from_utf8_lossy(&first), begin, "{protocol}");
        go_on.notify_one();
        assert_eq!(answer.text().await.unwrap(), ",\"next\":1}", "{protocol}");
    }
}
