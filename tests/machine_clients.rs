//! Clients that do not log in: phones, webhooks, links in mails (R-F4).

use passgate::demo::portal::RecordedRequest;
use reqwest::Method;

use crate::support::{Answer, Client, Gateway, Pbx, Raw, Settings, alice};

const KEY: &str = "3f9c1d2b7a604e58a1c2";

/// A gateway with one machine client for `/cfg/*`, whose peers are believed to be proxies.
async fn gateway_with(pbx: &Pbx, client: &str) -> Gateway {
    let more = format!("[[machine_client]]\nname = \"phones\"\npaths = [\"/cfg/*\"]\n{client}\n");
    let server = "trusted_proxies = [\"127.0.0.1\"]".into();
    Gateway::with(pbx, Settings { more, server, ..Settings::default() }).await
}

/// What the PBX got of a request, if it got it.
async fn reached(
    pbx: &Pbx,
    client: &Client,
    request: reqwest::RequestBuilder,
) -> (Answer, Option<RecordedRequest>) {
    pbx.0.clear_record();
    let answer = client.send(request).await;
    (answer, pbx.0.record().pop())
}

fn get(client: &Client, path: &str) -> reqwest::RequestBuilder {
    client.http.get(format!("{}{path}", client.base))
}

/// R-F4: path and method alone, where `anyone` says so; over HTTP/1.1 and HTTP/2. Everything else
/// stays closed. The metric and the access log name the client.
#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_are_let_in() {
    let pbx = Pbx::start().await;
    let gateway = gateway_with(&pbx, "anyone = true").await;
    for (protocol, client) in gateway.both_protocols() {
        let (answer, seen) = reached(&pbx, &client, get(&client, "/cfg/0004f2.xml?v=2")).await;
        let seen = seen.unwrap_or_else(|| panic!("{protocol}: {answer:?}"));
        assert_eq!((seen.path.as_str(), seen.query.as_deref()), ("/cfg/0004f2.xml", Some("v=2")));
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"), "{protocol}");
        assert!(seen.header("x-forwarded-host").unwrap().starts_with("localhost"), "{protocol}");
        assert_eq!(answer.header("set-cookie"), None, "{protocol}: no session of any kind");
        assert!(answer.header("cache-control").unwrap().contains("private"), "{answer:?}");
    }
    let client = gateway.client();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let request = client.http.request(method, format!("{}/cfg/a", client.base)).body("x");
        let (answer, seen) = reached(&pbx, &client, request).await;
        assert!(seen.is_none(), "{answer:?}");
    }
    for path in [
        "/cfg",
        "/CFG/a",
        "/cfg/../portal/home",
        "/cfg/%2e%2e/portal/home",
        "/cfg/..%2fportal/home",
        "/cfg/..;/portal/home",
        "/x/cfg/a",
    ] {
        let mut raw = gateway.raw().await;
        pbx.0.clear_record();
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        let seen = pbx.0.record();
        let closed =
            seen.is_empty() || seen.iter().all(|one| one.understood_path.starts_with("/cfg/"));
        assert!(closed, "{path}: {} {seen:?}", answer.status);
    }
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("passgate_machine_requests_total{client=\"phones\"} "), "{metrics}");
    let log = gateway.logs("path=/cfg/0004f2.xml").await;
    let line = log.lines().find(|line| line.contains("path=/cfg/0004f2.xml")).unwrap();
    assert!(line.contains(" machine=phones"), "{line}");
}

/// R-F4: by address; behind trusted proxies the one that they report.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_let_in() {
    let pbx = Pbx::start().await;
    let gateway = gateway_with(&pbx, "addresses = [\"10.20.0.0/16\"]").await;
    let client = gateway.client();
    for (forwarded, lets_in) in [
        ("10.20.0.7", true),
        ("6.6.6.6, 10.20.0.7", true),
        ("10.20.0.7, 198.51.100.1", false),
        ("10.21.0.7", false),
    ] {
        let request = get(&client, "/cfg/a").header("x-forwarded-for", forwarded);
        let (answer, seen) = reached(&pbx, &client, request).await;
        assert_eq!(seen.is_some(), lets_in, "{forwarded}: {answer:?}");
    }
    let (answer, seen) = reached(&pbx, &client, get(&client, "/cfg/a")).await;
    assert!(seen.is_none(), "127.0.0.1: {answer:?}");
}

/// R-F4: by key in a field. The PBX gets it only where it is to, and it is written nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_lets_in() {
    let pbx = Pbx::start().await;
    for forwarded in [false, true] {
        let more =
            format!("key = \"{KEY}\"\nkey_header = \"X-Api-Key\"\nforward_key = {forwarded}");
        let gateway = gateway_with(&pbx, &more).await;
        let client = gateway.client();
        for key in [None, Some("3f9c1d2b7a604e58a1c3"), Some(""), Some("3f9c")] {
            let mut request = get(&client, "/cfg/a");
            if let Some(key) = key {
                request = request.header("x-api-key", key);
            }
            let (answer, seen) = reached(&pbx, &client, request).await;
            assert!(seen.is_none(), "{key:?}: {answer:?}");
        }
        let request = get(&client, "/cfg/a").header("x-api-key", KEY);
        let (answer, seen) = reached(&pbx, &client, request).await;
        let seen = seen.unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(seen.header("x-api-key").is_some(), forwarded);
        assert!(
            gateway
                .written()
                .iter()
                .all(|(_, bytes)| { !bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()) })
        );
    }
}

/// R-F4: by key in the query, on HTTP/2 too, where the rest of the request stays what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_query_lets_in() {
    let pbx = Pbx::start().await;
    let gateway = gateway_with(&pbx, &format!("key = \"{KEY}\"\nkey_query = \"k\"")).await;
    for (protocol, client) in gateway.both_protocols() {
        let (answer, seen) =
            reached(&pbx, &client, get(&client, &format!("/cfg/a?x=1&k={KEY}&y"))).await;
        let seen = seen.unwrap_or_else(|| panic!("{protocol}: {answer:?}"));
        assert_eq!(seen.query.as_deref(), Some("x=1&y"), "{protocol}");
        assert!(seen.header("x-forwarded-host").unwrap().starts_with("localhost"), "{protocol}");
        assert!(seen.header("host").unwrap().starts_with("localhost"), "{protocol}");
        for wrong in ["k=", &format!("k={KEY}&k=2"), &format!("k={KEY}x"), &format!("K={KEY}")] {
            let (answer, seen) =
                reached(&pbx, &client, get(&client, &format!("/cfg/a?{wrong}"))).await;
            assert!(seen.is_none(), "{protocol} {wrong}: {answer:?}");
        }
    }
    assert!(!gateway.log().contains(KEY), "{}", gateway.log());
}

/// R-F4: no session and no jar: neither our cookies nor the PBX's own pass; who is signed in is
/// served as such.
#[tokio::test(flavor = "multi_thread")]
async fn machines_have_no_session() {
    let pbx = Pbx::start().await;
    let gateway = gateway_with(&pbx, "anyone = true").await;
    let client = gateway.client();
    let request = get(&client, "/cfg/a").header("cookie", "PHPSESSID=planted; __Host-passgate=x");
    let (_, seen) = reached(&pbx, &client, request).await;
    assert_eq!(seen.unwrap().header("cookie"), None);

    let browser = gateway.client().signed_in(&alice()).await;
    let request = browser.request(Method::GET, "/cfg/a");
    let (_, seen) = reached(&pbx, &browser, request).await;
    let cookies = seen.unwrap().header("cookie").unwrap_or_default().to_owned();
    assert!(cookies.contains("PHPSESSID="), "with the session: {cookies:?}");
    assert_eq!(browser.get("/portal/home").await.status, 200);
}

/// R-F4, R-F3: what people prove themselves with does not pass this door: neither in fields, nor
/// in `Authorization`; nor does a WebSocket.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_people_are_refused() {
    let pbx = Pbx::start().await;
    let gateway = gateway_with(&pbx, "anyone = true\nmethods = [\"GET\", \"POST\"]").await;
    let client = gateway.client();
    let url = format!("{}/cfg/hook", client.base);
    let (answer, seen) =
        reached(&pbx, &client, client.http.post(&url).form(&[("event", "ringing")])).await;
    let seen = seen.unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(String::from_utf8_lossy(&seen.body), "event=ringing");

    let person = alice();
    let form = [("data[Login][username]", &person.login), ("data[Login][password]", &person.pin)];
    let (answer, _) = reached(&pbx, &client, client.http.post(&url).form(&form)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let query = "/cfg/hook?data%5BLogin%5D%5Bpassword%5D=48151";
    let (answer, seen) = reached(&pbx, &client, get(&client, query)).await;
    assert_eq!((answer.status, seen.is_none()), (403, true), "{answer:?}");
    let basic = get(&client, "/cfg/a").basic_auth(&person.login, Some(&person.pin));
    let bearer = get(&client, "/cfg/a").bearer_auth("some-token");
    for request in [basic, bearer] {
        let (answer, seen) = reached(&pbx, &client, request).await;
        assert!(seen.is_none(), "{answer:?}");
    }
    assert!(!pbx.tried().iter().any(|(secret, _)| *secret == person.pin));
    let cross = client.http.post(&url).header("origin", "https://evil.example").body("x");
    let (answer, seen) = reached(&pbx, &client, cross).await;
    assert!(seen.is_none(), "another origin's page: {answer:?}");
}

/// R-F4: a rule for everything opens neither logins nor token endpoints nor closed paths nor ours.
#[tokio::test(flavor = "multi_thread")]
async fn some_doors_stay_closed_to_machines() {
    let pbx = Pbx::start().await;
    let more = "[[machine_client]]\nname = \"all\"\npaths = [\"/*\"]\nanyone = true\n\
                methods = [\"GET\", \"POST\", \"PUT\", \"DELETE\"]\nplain_http = true\n";
    let settings = Settings { more: more.into(), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client();
    for (method, path) in [
        (Method::POST, "/portal/login"),
        (Method::PUT, "/portal/login"),
        (Method::POST, "/portal/login.php"),
        (Method::POST, "/ns-api/oauth2/token"),
        (Method::POST, "/NS-API/oauth2/token"),
        (Method::GET, "/portal/resets/forgot"),
        (Method::POST, "/portal/users/checkPassword"),
        (Method::GET, "/account/security"),
    ] {
        let request = client.http.request(method.clone(), format!("{}{path}", client.base));
        reached(&pbx, &client, request).await;
        assert!(pbx.0.record().iter().all(|one| one.path != path), "{method} {path}");
        let mut raw = Raw::plain(gateway.http).await;
        raw.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await.unwrap();
        let status = if method == Method::GET { 301 } else { 308 };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.everything());
        assert!(pbx.0.record().iter().all(|one| one.path != path), "{method} {path}");
    }
    let metrics = gateway.metrics().await;
    assert!(!metrics.contains("machine_requests_total{"), "{metrics}");
}

/// R-F4, R-G1: without TLS, where that is said: such requests only, and no cookie is believed
/// there. All else is sent to https as before.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_serves_machines_only() {
    let pbx = Pbx::start().await;
    let gateway =
        gateway_with(&pbx, "anyone = true\nplain_http = true\n[headers]\nhsts = \"1d\"").await;
    let browser = gateway.client().signed_in(&alice()).await;
    let cookies = browser.cookie_header();
    pbx.0.clear_record();
    let mut raw = Raw::plain(gateway.http).await;
    for turn in 0..2 {
        raw.send(format!(
            "GET /cfg/{turn} HTTP/1.1\r\nHost: phones.example\r\nCookie: {cookies}\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await.unwrap();
        assert_ne!(answer.status / 100, 3, "{}", answer.everything());
        assert_eq!(answer.header("strict-transport-security"), None);
        let seen = pbx.0.record().pop().unwrap();
        assert_eq!(seen.path, format!("/cfg/{turn}"));
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
        assert_eq!((seen.header("cookie"), seen.signed_in.as_deref()), (None, None));
    }
    pbx.0.clear_record();
    for (method, path, status) in [
        ("GET", "/portal/home?a=b%20c", 301),
        ("POST", "/cfg/a", 308),
        ("GET", "/account/help", 301),
    ] {
        let mut raw = Raw::plain(gateway.http).await;
        raw.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: evil.example\r\nCookie: {cookies}\r\n\
             Content-Length: 0\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.everything());
        assert_eq!(answer.location(), format!("https://localhost{path}"));
        assert_eq!(answer.header("strict-transport-security"), None);
        assert_eq!(raw.closed(std::time::Duration::from_secs(5)).await, Some(Vec::new()));
    }
    assert!(pbx.0.record().is_empty(), "{:?}", pbx.0.record());
    let mut raw = Raw::plain(gateway.http).await;
    raw.send("GET /cfg/a HTTP/1.1\nHost: x\n\n").await;
    assert_eq!(raw.answer().await.unwrap().status, 400, "heads are judged here, too");
}

/// R-F4: `plain_http` is one client's: another's requests are sent to https.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_plain_http_only_redirects() {
    let pbx = Pbx::start().await;
    let more = "anyone = true\n[[machine_client]]\nname = \"plain\"\npaths = [\"/plain/*\"]\n\
                anyone = true\nplain_http = true";
    let gateway = gateway_with(&pbx, more).await;
    let mut raw = Raw::plain(gateway.http).await;
    raw.send("GET /cfg/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().location(), "https://localhost/cfg/a");
    assert!(pbx.0.record().is_empty());
}
