//! A PBX whose answers are written byte for byte: what each means for a new PIN, and that nothing
//! is ever sent twice.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::*;
use crate::adapters::clock::SystemClock;
use crate::domain::jar::Jar;
use crate::portal::HostHeader;
use crate::portal::testing::Log;

const PIN: &str = "0073571357";

/// What the server does with the next request that it has read completely.
#[derive(Debug, Clone)]
enum Does {
    Answers(Vec<u8>),
    /// Closes the connection without a word.
    Closes,
    /// Says nothing and keeps the connection.
    Hangs,
}

fn answers(head: &str, body: &str) -> Does {
    let length = body.len();
    Does::Answers(format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}").into())
}

#[derive(Default)]
struct Script {
    /// Requests as they came: head and body.
    seen: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    next: Mutex<Vec<Does>>,
}

impl Script {
    /// Answers requests in this order; the last one for ever.
    async fn start(does: Vec<Does>) -> (Arc<Self>, Url) {
        let script = Arc::new(Self { next: Mutex::new(does), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(Self::serve(Arc::clone(&shared), stream));
            }
        });
        (script, url)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            self.seen.lock().unwrap().push(request);
            let does = {
                let mut next = self.next.lock().unwrap();
                if next.len() > 1 { next.remove(0) } else { next[0].clone() }
            };
            match does {
                Does::Answers(bytes) => {
                    let whole = bytes.ends_with(b"}") || bytes.windows(4).any(|w| w == b"\r\n\r\n");
                    let _ = stream.write_all(&bytes).await;
                    if !whole {
                        return;
                    }
                }
                Does::Closes => return,
                Does::Hangs => std::future::pending().await,
            }
        }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and path of each request.
    fn lines(&self) -> Vec<String> {
        let line = |request: &String| request.split(" HTTP").next().unwrap().to_owned();
        self.seen().iter().map(line).collect()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn subscribers(servers: Vec<Url>, admin: AdminAccess, patience: Duration) -> PbxSubscribers {
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let settings = UpstreamSettings {
        servers,
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: patience,
        response_timeout: patience,
    };
    PbxSubscribers::new(Arc::new(profile), settings, admin, Arc::new(SystemClock)).unwrap()
}

fn bearer() -> AdminAccess {
    AdminAccess::Bearer { token: Secret::new("canary-token") }
}

fn alice() -> LoginName {
    LoginName::new("1001", "abc.service").unwrap()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

fn name(written: &PinWritten) -> &'static str {
    match written {
        PinWritten::Done => "done",
        PinWritten::Later => "later",
        PinWritten::Refused { .. } => "refused",
        PinWritten::NotAsked(_) => "not asked",
        PinWritten::Unclear(_) => "unclear",
    }
}

async fn write(subscribers: &PbxSubscribers) -> &'static str {
    name(&subscribers.write_pin(&alice(), &Secret::new(PIN), None).await)
}

/// R-B4: each answer of the API is one of five things, and is got by sending the PIN once.
#[tokio::test]
async fn answers_of_the_api() {
    let v2 = "PUT /ns-api/v2/domains/abc.service/users/1001";
    for (does, expected) in [
        (answers("200 OK", "{}"), "done"),
        (answers("202 Accepted", "{}"), "later"),
        (answers("400 Bad Request", PIN), "refused"),
        (answers("409 Conflict", ""), "refused"),
        (answers("422 Unprocessable Content", ""), "refused"),
        (answers("401 Unauthorized", ""), "not asked"),
        (answers("403 Forbidden", ""), "not asked"),
        (answers("429 Too Many Requests", ""), "not asked"),
        (answers("204 No Content", ""), "unclear"),
        (answers("302 Found\r\nLocation: /portal/login", ""), "unclear"),
        (answers("408 Request Timeout", ""), "unclear"),
        (answers("500 Internal Server Error", ""), "unclear"),
        (answers("502 Bad Gateway", ""), "unclear"),
        (answers("503 Service Unavailable", ""), "unclear"),
        (answers("504 Gateway Timeout", ""), "unclear"),
        // Lost before, in the middle of, and within the answer.
        (Does::Closes, "unclear"),
        (Does::Answers(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), "unclear"),
        (Does::Answers(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "unclear"),
    ] {
        let shown = format!("{does:?}");
        let (script, url) = Script::start(vec![does]).await;
        assert_eq!(write(&subscribers(vec![url], bearer(), LONG)).await, expected, "{shown}");
        assert_eq!(script.lines(), [v2], "{shown}");
    }
    let (script, url) = Script::start(vec![Does::Hangs]).await;
    assert_eq!(write(&subscribers(vec![url], bearer(), SHORT)).await, "unclear");
    assert_eq!(script.lines(), [v2]);
    // A body that stays away: the PBX said "200", but perhaps not all of it.
    let half = Does::Answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec());
    let (script, url) = Script::start(vec![half]).await;
    assert_eq!(write(&subscribers(vec![url], bearer(), SHORT)).await, "unclear");
    assert_eq!(script.lines(), [v2]);
}

/// R-B4: the second way is tried only after the server said that it does not know the first.
#[tokio::test]
async fn the_second_way() {
    for unknown in ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"] {
        for (second, expected) in [
            (answers("200 OK", "{}"), "done"),
            (answers(unknown, ""), "refused"),
            (answers("403 Forbidden", ""), "not asked"),
            (Does::Closes, "unclear"),
        ] {
            let (script, url) = Script::start(vec![answers(unknown, ""), second]).await;
            assert_eq!(write(&subscribers(vec![url], bearer(), LONG)).await, expected);
            let seen = script.lines();
            assert!(seen.len() == 2 && seen[1] == "POST /ns-api/", "{seen:?}");
        }
    }
}

/// A write goes out on a connection of its own: one that the PBX closes meanwhile could swallow it.
#[tokio::test]
async fn a_write_is_not_sent_on_an_old_connection() {
    let record = answers("200 OK", r#"{"voicemail-login-pin":"0042"}"#);
    let (script, url) =
        Script::start(vec![record, answers("200 OK", "{}"), Does::Closes, answers("200 OK", "")])
            .await;
    let subscribers = subscribers(vec![url], bearer(), LONG);
    let read = subscribers.read_pin(&alice()).await.unwrap().unwrap();
    assert_eq!(read.expose(), "0042");
    assert_eq!(write(&subscribers).await, "done");
    assert_eq!(write(&subscribers).await, "unclear");
    assert_eq!((script.seen().len(), *script.connections.lock().unwrap()), (3, 3));
}

/// R-G2: another server is asked only if not a byte was sent to the first.
#[tokio::test]
async fn another_server_only_when_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = Url::parse(&format!("http://{}", closed.local_addr().unwrap())).unwrap();
    drop(closed);
    let (script, up) = Script::start(vec![answers("200 OK", "{}")]).await;
    let both = subscribers(vec![down.clone(), up.clone()], bearer(), LONG);
    assert_eq!(write(&both).await, "done");
    let (losing, first) = Script::start(vec![Does::Closes]).await;
    let before = script.seen().len();
    assert_eq!(write(&subscribers(vec![first, up], bearer(), LONG)).await, "unclear");
    assert_eq!((losing.seen().len(), script.seen().len()), (1, before));
    assert_eq!(write(&subscribers(vec![down.clone()], bearer(), LONG)).await, "not asked");
    // A server that takes connections, but never finishes the TLS handshake.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = Url::parse(&format!("https://{}", silent.local_addr().unwrap())).unwrap();
    assert_eq!(write(&subscribers(vec![https], bearer(), SHORT)).await, "not asked");
}

/// A token that the PBX does not know any more is renewed once, and the call sent once more; an
/// access that is refused then is left alone.
#[tokio::test]
async fn a_forgotten_token_is_renewed_once() {
    let token = || answers("200 OK", r#"{"access_token":"canary-a","expires_in":3600}"#);
    let other = || answers("200 OK", r#"{"access_token":"canary-b"}"#);
    let no = || answers("401 Unauthorized", "");
    let oauth = || AdminAccess::OAuth {
        client_id: "app".into(),
        client_secret: Secret::new("canary&secret"),
        user: "admin".into(),
        password: Secret::new("canary-password"),
    };
    let (script, url) = Script::start(vec![token(), no(), other(), answers("200 OK", "{}")]).await;
    assert_eq!(write(&subscribers(vec![url], oauth(), LONG)).await, "done");
    let seen = script.seen();
    assert!(seen[0].contains("client_secret=canary%26secret"), "{}", seen[0]);
    assert!(seen[1].contains("authorization: Bearer canary-a"));
    assert!(seen[3].contains("authorization: Bearer canary-b"));
    let (script, url) = Script::start(vec![token(), no(), other(), no()]).await;
    let refused = subscribers(vec![url], oauth(), LONG);
    for _ in 0..3 {
        assert_eq!(write(&refused).await, "not asked");
    }
    assert_eq!(script.seen().len(), 4);
    // Without a token there is no call.
    for (grant, expected) in [
        (answers("503 Service Unavailable", ""), "not asked"),
        (answers("302 Found\r\nLocation: /", ""), "not asked"),
        (answers("200 OK", "welcome"), "not asked"),
        (answers("200 OK", r#"{"access_token":"a\nb"}"#), "not asked"),
        (Does::Closes, "not asked"),
    ] {
        let (script, url) = Script::start(vec![grant]).await;
        assert_eq!(write(&subscribers(vec![url], oauth(), LONG)).await, expected);
        assert_eq!(script.lines(), ["POST /ns-api/oauth2/token"]);
    }
}

/// R-B6: a record that makes no sense is an outage; one without a usable PIN is "none".
#[tokio::test]
async fn records_that_make_no_sense() {
    let read = async |does: Does| {
        let (_, url) = Script::start(vec![does]).await;
        let read = subscribers(vec![url], bearer(), LONG).read_pin(&alice()).await;
        read.map(|pin| pin.map(|pin| pin.expose().to_owned())).map_err(|_| ())
    };
    let record = |body: &str| answers("200 OK", body);
    assert_eq!(read(record(r#"{"voicemail-login-pin":"0042"}"#)).await, Ok(Some("0042".into())));
    assert_eq!(read(record(r#"{"voicemail-login-pin":4200}"#)).await, Ok(Some("4200".into())));
    for none in [r#"{"voicemail-login-pin":"****"}"#, r#"{"voicemail-login-pin":""}"#, "{}", "[]"] {
        assert_eq!(read(record(none)).await, Ok(None), "{none}");
    }
    assert_eq!(read(answers("404 Not Found", "")).await, Ok(None));
    for outage in [
        record("<html>Back soon</html>"),
        record(""),
        answers("403 Forbidden", ""),
        answers("500 Internal Server Error", "{}"),
        answers("302 Found\r\nLocation: /portal/login", ""),
        Does::Closes,
    ] {
        assert_eq!(read(outage.clone()).await, Err(()), "{outage:?}");
    }
}

/// R-B4: the own page is sent back only where it is sure to be the user's form, unharmed.
#[tokio::test]
async fn pages_that_are_not_sent_back() {
    let page = |html: &str| answers("200 OK\r\nSet-Cookie: PHPSESSID=renewed", html);
    let input = r#"<input name="data[Profile][vmail_pin]">"#;
    let form = format!(r#"<form method=post action="/portal/save?x=1">{input}</form>"#);
    let saved = answers("200 OK", "<p>Your profile has been saved.");
    for (does, expected, requests) in [
        (vec![page(&form), saved.clone()], "done", 2),
        (vec![page(&form), answers("200 OK", "<h1>Back soon</h1>")], "unclear", 2),
        (vec![page(&form), answers("302 Found\r\nLocation: /portal/login", "")], "unclear", 2),
        (vec![page(&form), answers("404 Not Found", "")], "refused", 2),
        (vec![page(&form), answers("403 Forbidden", "")], "not asked", 2),
        (vec![page(&form), Does::Closes], "unclear", 2),
        (vec![page("<h1>Back soon</h1>")], "not asked", 1),
        (vec![page(&format!("<form>{input}</form>"))], "not asked", 1),
        (
            vec![page(&format!("<form method=post action=//evil.example/>{input}</form>"))],
            "not asked",
            1,
        ),
        (
            vec![page(&format!("<form method=post action=javascript:x>{input}</form>"))],
            "not asked",
            1,
        ),
        (vec![page(&format!("{}{form}", "x".repeat(3_000_000)))], "not asked", 1),
        (vec![answers("302 Found\r\nLocation: /portal/login", "")], "not asked", 1),
        (vec![answers("500 Internal Server Error", "")], "not asked", 1),
        (vec![Does::Closes], "not asked", 1),
    ] {
        let shown = format!("{:.200}", format!("{does:?}"));
        let (script, url) = Script::start(does).await;
        let subscribers = subscribers(vec![url], AdminAccess::None, LONG);
        let mut jar = Jar::new();
        jar.take("PHPSESSID=mine");
        let own = OwnSession {
            jar: &jar,
            server: 0,
            user_agent: "Browser/1",
            client: "203.0.113.7".parse().unwrap(),
            host: "portal.example.com",
        };
        let written = subscribers.write_pin(&alice(), &Secret::new(PIN), Some(own)).await;
        assert_eq!(name(&written), expected, "{shown}: {written:?}");
        let seen = script.seen();
        assert_eq!(seen.len(), requests, "{shown}");
        assert!(seen[0].contains("cookie: PHPSESSID=mine"));
        if let Some(post) = seen.get(1) {
            assert!(post.starts_with("POST /portal/save?x=1 "), "{post}");
            assert!(post.contains("cookie: PHPSESSID=renewed"), "{post}");
            assert!(post.ends_with(&format!("%5Bvmail_pin%5D={PIN}")), "{post}");
        }
        let elsewhere = OwnSession { server: 7, ..own };
        let written = subscribers.write_pin(&alice(), &Secret::new(PIN), Some(elsewhere)).await;
        assert_eq!(name(&written), "not asked");
    }
    let latin = [b"<p>Zo\xeb".as_slice(), form.as_bytes()].concat();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", latin.len());
    let latin = Does::Answers([head.into_bytes(), latin].concat());
    let (script, url) = Script::start(vec![latin]).await;
    let own = OwnSession {
        jar: &Jar::new(),
        server: 0,
        user_agent: "",
        client: "203.0.113.7".parse().unwrap(),
        host: "portal.example.com",
    };
    let subscribers = subscribers(vec![url], AdminAccess::None, LONG);
    let written = subscribers.write_pin(&alice(), &Secret::new(PIN), Some(own)).await;
    assert_eq!((name(&written), script.seen().len()), ("not asked", 1));
}

/// security.md: PINs and the access's secrets are in no log and no error, whatever happens.
#[tokio::test]
async fn secrets_are_never_told() {
    let log = Log::start();
    let mut told = String::new();
    for does in [
        answers("200 OK", "{}"),
        answers("400 Bad Request", &format!(r#"{{"error":"{PIN} canary"}}"#)),
        answers("401 Unauthorized", r#"{"error":"canary"}"#),
        answers(&format!("302 Found\r\nLocation: /x?pin={PIN}&t=canary"), ""),
        answers("200 OK", r#"{"access_token":"canary","voicemail-login-pin":"0073571357"}"#),
        Does::Closes,
    ] {
        let oauth = AdminAccess::OAuth {
            client_id: "app".into(),
            client_secret: Secret::new("canary"),
            user: "admin".into(),
            password: Secret::new("canary"),
        };
        let basic = AdminAccess::Basic { user: "admin".into(), password: Secret::new("canary") };
        for admin in [oauth, basic, bearer()] {
            told += &format!("{admin:?}");
            let (_, url) = Script::start(vec![does.clone()]).await;
            let subscribers = subscribers(vec![url], admin, LONG);
            let written = subscribers.write_pin(&alice(), &Secret::new(PIN), None).await;
            told += &format!("{written:?} {:?}", subscribers.read_pin(&alice()).await);
            told += &format!("{:?}", subscribers.ping().await);
        }
    }
    told += &log.text();
    assert!(told.contains("voicemail PIN: the PBX refuses the new one"), "{told}");
    assert!(told.contains("refuses Passgate's own access"), "{told}");
    for secret in ["canary", PIN, "Y2FuYXJ5", "YWRtaW46"] {
        assert!(!told.contains(secret), "{secret}");
    }
}

/// An access that cannot be sent, or that the profile has no token for, is refused at start.
#[test]
fn impossible_accesses_are_refused() {
    let profile = Profile::parse(Profile::builtin("fusionpbx").unwrap(), "fusionpbx").unwrap();
    let settings = UpstreamSettings {
        servers: vec![Url::parse("https://pbx.example").unwrap()],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: LONG,
        response_timeout: LONG,
    };
    let profile = Arc::new(profile);
    let made = |admin| {
        let clock = Arc::new(SystemClock);
        PbxSubscribers::new(Arc::clone(&profile), settings.clone(), admin, clock)
            .map(|made| made.writing())
    };
    assert_eq!(made(AdminAccess::None), Ok(PinWriting::Impossible));
    assert_eq!(made(bearer()), Ok(PinWriting::Impossible));
    assert!(made(AdminAccess::Bearer { token: Secret::new("a\nb") }).is_err());
    let oauth = AdminAccess::OAuth {
        client_id: String::new(),
        client_secret: Secret::new(""),
        user: String::new(),
        password: Secret::new(""),
    };
    assert!(made(oauth).unwrap_err().contains("[subscriber.token]"));
}
