//! What passes through is the PBX's own, byte for byte, but for what is documented (R-G1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use passgate::demo::portal::Failure;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use tokio::io::AsyncWriteExt;

use crate::support::{
    Answer, Client, Gateway, NOTHING_ADDED, Pbx, Raw, Scripted, Settings, alice, until,
};

/// "Bytes of a page without notice identical to the PBX's": status, fields and body of pages,
/// files and downloads, whole, compressed, conditional, in part, and by HEAD.
#[tokio::test]
async fn answers_are_the_pbxs_own() {
    let pbx = Pbx::start().await;
    pbx.0.fail_on("/portal/messages", Failure::Status(204));
    let more = NOTHING_ADDED.to_owned();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("quiet") }).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let direct = Direct::of(&pbx, &client).await;
        let mut etags = Vec::new();
        for path in [
            "/portal/home",
            "/portal/contacts",
            "/portal/contacts/export",
            "/portal/voicemail",
            "/portal/messages",
            "/portal/css/portal.css",
            "/portal/js/poll.js",
            "/portal/img/logo.svg",
            "/favicon.ico",
            "/portal/nowhere",
            "/portal/big?bytes=200001",
            "/portal/big?bytes=0",
            "/portal/big?bytes=5000&type=html",
            "/portal/chunked?pieces=7",
        ] {
            for method in [Method::GET, Method::HEAD] {
                for fields in [&[][..], &[("accept-encoding", "gzip, br")]] {
                    let answer = direct.compare(&client, method.clone(), path, fields).await;
                    let what = format!("{protocol} {method} {path} {fields:?}");
                    assert!(method != Method::HEAD || answer.body.is_empty(), "{what}");
                    if let Some(etag) = answer.header("etag") {
                        etags.push((path, etag.to_owned()));
                    }
                }
            }
        }
        assert!(etags.len() > 10, "{protocol}: {etags:?}");
        for (path, etag) in etags {
            let fields = [("if-none-match", etag.as_str())];
            let answer = direct.compare(&client, Method::GET, path, &fields).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{protocol} {path}");
        }
        for range in ["bytes=0-9", "bytes=10-", "bytes=-5", "bytes=9999999-"] {
            for path in ["/portal/contacts", "/portal/css/portal.css"] {
                let fields = [("range", range)];
                let answer = direct.compare(&client, Method::GET, path, &fields).await;
                let expected = if range == "bytes=9999999-" { 200 } else { 206 };
                assert_eq!(answer.status, expected, "{protocol} {path} {range}");
            }
        }
    }
}

/// Forms reach the PBX whole, in however many pieces they come: they are held until all of their
/// names were seen.
#[tokio::test]
async fn a_long_form_in_many_pieces_is_forwarded_whole() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let body = format!("data[Profile][name]=Al&x={}", "y".repeat(300_000));
        let request =
            client.request(Method::POST, "/portal/profile").header("origin", &client.base);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let saved = client.send(request.body(body)).await;
        assert_eq!(saved.status, 200, "{protocol}");
        assert!(saved.text().contains("Your profile has been saved."), "{protocol}");
        assert_eq!(pbx.0.record().pop().unwrap().body_len, 300_025, "{protocol}");
    }
}

/// Where pages come from without a gateway.
struct Direct {
    base: String,
    http: reqwest::Client,
    cookie: String,
    host: String,
}

impl Direct {
    /// In the same session of the PBX as `client`'s.
    async fn of(pbx: &Pbx, client: &Client) -> Self {
        client.get("/portal/calls").await;
        let session = pbx.0.record().pop().unwrap().session.expect("a session at the PBX");
        Self {
            base: pbx.0.url(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
            cookie: format!("PHPSESSID={session}"),
            host: client.base.replacen("https://", "", 1),
        }
    }

    /// Asks here and through the gateway; the answers must not differ.
    async fn compare(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let with = |request: RequestBuilder| {
            fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        };
        let own = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
            .header("host", &self.host);
        let own = with(own).send().await.unwrap();
        let (status, headers) = (own.status().as_u16(), own.headers().clone());
        let body = own.bytes().await.unwrap();
        let passed = client.send(with(client.request(method.clone(), path))).await;
        let what = format!("{method} {path} {fields:?}");
        assert_eq!(passed.status, status, "{what}");
        assert_eq!(passed.body, body, "{what}");
        assert_eq!(shown(&passed.headers), expected(&headers), "{what}");
        passed
    }
}

type Fields = BTreeMap<String, Vec<String>>;

fn fields(headers: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in headers {
        fields.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    // These belong to the connection, or to the moment.
    for name in ["date", "connection", "keep-alive", "transfer-encoding"] {
        fields.remove(name);
    }
    fields
}

/// What the client got, without what Passgate is documented to add.
fn shown(headers: &HeaderMap) -> Fields {
    let mut fields = fields(headers);
    assert_eq!(fields.remove("x-content-type-options").unwrap(), ["nosniff"]);
    assert_eq!(fields.remove("referrer-policy").unwrap(), ["strict-origin-when-cross-origin"]);
    assert_hsts(&fields.remove("strict-transport-security").unwrap());
    fields
}

/// What the PBX sent, as Passgate is documented to pass it on.
fn expected(headers: &HeaderMap) -> Fields {
    let mut fields = fields(headers);
    for name in ["server", "x-powered-by"] {
        fields.remove(name);
    }
    // What was asked for in a session is for this browser only.
    let value = fields.remove("cache-control").map(|values| values.concat());
    let value = value.map_or("private".to_owned(), |value| format!("private, {value}"));
    fields.insert("cache-control".into(), vec![value]);
    fields
}

fn assert_hsts(values: &[String]) {
    assert_eq!(values.len(), 1);
    assert!(values[0].starts_with("max-age="), "{values:?}");
    assert!(!values[0].to_lowercase().contains("includesubdomains"), "{values:?}");
}

/// R-G1: "Location and Refresh headers that name the public host, the servers or
/// `upstream.aliases` become same-origin paths"; foreign ones stay.
#[tokio::test]
async fn redirects_stay_within_the_portal() {
    let pbx = Pbx::start().await;
    let server = pbx.0.addr();
    let scripted = Scripted::start(&pbx, "/portal/css/moved", move |_, mut client| async move {
        let answer = format!(
            "HTTP/1.1 201 Created\r\nLocation: http://{server}//evil.example/x\r\n\
             Content-Location: http://pbx.internal.example/portal/a?b#c\r\nContent-Length: 0\r\n\r\n"
        );
        client.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let aliases = "aliases = [\"pbx.internal.example\", \"127.0.0.1\"]";
    let settings = Settings { upstream: aliases.into(), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings.clone()).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        for (name, expected) in [
            ("absolute", "/portal/home?from=absolute"),
            ("host", "/portal/home?from=host"),
            ("alias", "/portal/home?from=alias"),
            ("relative", "../home?from=relative"),
            ("foreign", "https://www.example.org/elsewhere"),
        ] {
            let answer = client.get(&format!("/portal/redirect/{name}")).await;
            assert_eq!((answer.status, answer.location()), (302, expected), "{protocol} {name}");
        }
        let answer = client.get("/portal/redirect/refresh").await;
        let refresh = answer.header("refresh");
        assert_eq!(refresh, Some("0; url=/portal/home?from=refresh"), "{protocol}");
    }

    let settings = Settings { pbx: Some(scripted.address), ..settings };
    let gateway = Gateway::with(&pbx, settings).await;
    let answer = gateway.client().get("/portal/css/moved").await;
    assert_eq!((answer.status, answer.location()), (201, "/evil.example/x"));
    assert_eq!(answer.header("content-location"), Some("/portal/a?b#c"));
}

/// R-G1: "Set-Cookie loses Domain and gains Secure"; the PBX's own session never reaches the
/// browser, nor can it set cookies of ours.
#[tokio::test]
async fn cookies_of_the_pbx_are_narrowed() {
    let pbx = Pbx::start().await;
    let scripted = Scripted::start(&pbx, "/portal/css/cookies", |_, mut client| async move {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
            Set-Cookie: theme=dark; Domain=.pbx.example; Path=/portal; HttpOnly\r\n\
            Set-Cookie: lang=en; secure\r\n\
            Set-Cookie: PHPSESSID=secret-1; Path=/\r\n\
            Set-Cookie: CakeCookie[User]=secret-2; Path=/\r\n\
            Set-Cookie: __Host-passgate=secret-3; Path=/; Secure\r\n\r\n";
        client.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    for (protocol, client) in gateway.both_protocols() {
        let answer = client.get("/portal/css/cookies").await;
        let set: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
        assert!(set.contains(&"theme=dark; Path=/portal; HttpOnly; Secure"), "{protocol} {set:?}");
        assert!(set.contains(&"lang=en; secure"), "{protocol}: {set:?}");
        assert!(!set.iter().any(|cookie| cookie.contains("secret-")), "{protocol}: {set:?}");
    }
    let client = gateway.client().signed_in(&alice()).await;
    client.get("/portal/home").await;
    assert!(!client.cookie_header().contains("PHPSESSID"), "{}", client.cookie_header());
}

/// R-G1: "`X-Forwarded-For/Proto/Host` are ours", whatever the client says of itself.
#[tokio::test]
async fn forwarding_fields_are_ours() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let request = client
            .request(Method::GET, "/portal/css/portal.css")
            .header("x-forwarded-for", "198.51.100.1")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "for=198.51.100.1")
            .header("x-real-ip", "198.51.100.1")
            .header("remote-user", "admin");
        assert_eq!(client.send(request).await.status, 200);
        let seen = pbx.0.record().pop().unwrap();
        let host = client.base.replacen("https://", "", 1);
        for (name, expected) in [
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("https")),
            ("x-forwarded-host", Some(host.as_str())),
            ("host", Some(host.as_str())),
            ("forwarded", None),
            ("remote-user", None),
        ] {
            assert_eq!(seen.header(name), expected, "{protocol} {name}");
        }
        assert!(!seen.contains("198.51.100.1") && !seen.contains("evil"), "{protocol}: {seen:?}");
    }
}

/// R-G1: "HTTP→HTTPS redirect": path and query kept, the host from the configuration.
#[tokio::test]
async fn plain_http_leads_to_https() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308)] {
        let mut raw = Raw::plain(gateway.http).await;
        let request = format!(
            "{method} /portal/home?a=b%20c HTTP/1.1\r\nHost: evil.example\r\n\
             Content-Length: 0\r\n\r\n"
        );
        raw.send(request).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.location(), "https://localhost/portal/home?a=b%20c", "{method}");
    }
    assert!(pbx.0.record().is_empty(), "nothing in clear text reaches the PBX");
}

/// A client of HTTP/1.0 gets whole answers that end with the connection, never chunks (RFC 9112
/// §6.1), also where a notice changes the length.
#[tokio::test]
async fn old_clients_get_what_they_understand() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = gateway.client().signed_in(&alice()).await;
    for (path, ending, has_notice) in [
        ("/portal/css/portal.css", "}", false),
        ("/portal/home", "</html>", true),
        ("/portal/chunked?pieces=5", "</html>", true),
        ("/account/security", "</html>", false),
        ("/portal/big?bytes=1000&type=html", "</html>", true),
    ] {
        let mut raw = gateway.raw().await;
        let cookies = client.cookie_header();
        raw.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n"))
            .await;
        let all = raw.closed(Duration::from_secs(20)).await.expect("the connection ends");
        let all = String::from_utf8_lossy(&all).into_owned();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.split(' ').nth(1), Some("200"), "{path}: {head}");
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{path}: {head}");
        assert!(body.trim_end().ends_with(ending), "{path}: {body}");
        assert_eq!(body.contains("passgate-notice"), has_notice, "{path}: {body}");
    }
}

/// Every answer carries the security headers, and none says what it was made with.
#[tokio::test]
async fn every_answer_is_safe_and_says_nothing_of_its_maker() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    pbx.0.fail_on("/portal/css/gone", Failure::Close);
    for (protocol, client) in gateway.both_protocols() {
        let signed_in = gateway.client().signed_in(&alice()).await;
        for (status, answer) in [
            (200, client.get("/portal/login").await),
            (200, client.get("/portal/css/portal.css").await),
            (303, client.get("/portal/home").await),
            (401, client.fetch("/portal/home").await),
            (403, client.get("/portal/resets/x").await),
            (401, client.get("/ns-api/").await),
            (200, client.get("/account/login").await),
            (404, client.get("/account/nowhere").await),
            (502, client.get("/portal/css/gone").await),
            (303, client.log_in("nobody@abc", "1").await),
            (400, client.get("/portal/a%00b").await),
            (404, signed_in.get("/portal/nowhere").await),
        ] {
            assert_eq!(answer.status, status, "{protocol}: {}", answer.text());
            let hsts = answer.header("strict-transport-security");
            assert_hsts(&[hsts.unwrap_or_else(|| panic!("{protocol} {status}")).to_owned()]);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{status}");
            assert!(answer.header("referrer-policy").is_some(), "{protocol} {status}");
            for name in ["server", "x-powered-by", "via"] {
                assert_eq!(answer.header(name), None, "{protocol} {status}");
            }
            let all = format!("{:?}{}", answer.headers, answer.text()).to_lowercase();
            assert!(!all.contains("pingora"), "{protocol}: {all}");
        }
    }
    let mut raw = gateway.raw().await;
    raw.send("GET / HTTP/1.1\r\nHost : x\r\n\r\n").await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(!answer.everything().to_lowercase().contains("pingora"));
}

/// The access log: one line per request, without the query.
#[tokio::test]
async fn a_request_is_logged_without_its_query() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    let client = gateway.client().signed_in(&alice()).await;
    client.get("/portal/contacts?code=canary-in-the-query").await;
    drop(client);
    assert!(gateway.stop().await);
    let log = gateway.log();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("path=/portal/contacts")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["client=127.0.0.1 ", "method=GET", "route=portal", "status=200", "bytes="] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    for secret in ["canary-in-the-query", &alice().pin] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// A PBX that hangs up in the middle of an answer: the client must not take it for a whole one.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_completed() {
    let pbx = Pbx::start().await;
    let scripted = Scripted::start(&pbx, "/portal/css/half", |head, mut client| async move {
        let framing = if head.contains("chunked") {
            "Transfer-Encoding: chunked\r\n\r\n3000\r\n"
        } else {
            "Content-Length: 100000\r\n\r\n"
        };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/css\r\n{framing}");
        client.write_all(answer.as_bytes()).await.unwrap();
        client.write_all(&[b'x'; 1000]).await.unwrap();
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    for (protocol, client) in gateway.both_protocols() {
        for path in ["/portal/css/half", "/portal/css/half?chunked"] {
            let answer = client.request(Method::GET, path).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(answer.bytes().await.is_err(), "{protocol} {path}: passed for a whole one");
        }
        assert_eq!(client.get("/portal/css/portal.css").await.status, 200, "{protocol}");
    }
}

/// "PBX unreachable → our 502 page that says it is not the user's fault"; too slow → 504; and a
/// POST is never sent twice.
#[tokio::test]
async fn a_pbx_that_fails_is_told_as_such() {
    let pbx = Pbx::start().await;
    let upstream = "response_timeout = \"1s\"".into();
    let gateway = Gateway::with(&pbx, Settings { upstream, ..Settings::default() }).await;
    for (protocol, client) in gateway.both_protocols() {
        pbx.0.fail_with(Failure::None);
        let client = client.signed_in(&alice()).await;
        client.get("/portal/profile").await;
        pbx.0.clear_record();
        for (failure, status) in [(Failure::Close, 502), (Failure::Hang, 504)] {
            pbx.0.fail_on("/portal/profile", failure);
            let page = client.post("/portal/profile", &[("data[Profile][name]", "A")]).await;
            assert_eq!(page.status, status, "{protocol}: {}", page.text());
            assert!(page.text().contains("Your login is fine"), "{protocol}: {}", page.text());
            assert!(page.header("retry-after").is_some(), "{protocol}");
            let script = client.fetch("/portal/profile").await;
            assert_eq!(script.status, status, "{protocol}");
            assert_eq!(script.header("content-type"), Some("application/problem+json"));
        }
        let posts = pbx.0.record().into_iter().filter(|request| request.method == "POST").count();
        assert_eq!(posts, 2, "{protocol}: each POST was sent once");
        pbx.0.fail_on("/portal/profile", Failure::Status(500));
        let page = client.get("/portal/profile").await;
        assert_eq!(page.status, 500, "{protocol}: the PBX's own error is the PBX's");
        assert!(page.text().contains("mysql_connect"), "{protocol}");
    }
}

/// A PBX that closed an idle connection meanwhile: GET is repeated and nobody notices.
#[tokio::test]
async fn an_idle_connection_that_was_closed_is_no_failure() {
    let pbx = Pbx::start().await;
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let scripted = Scripted::start(&pbx, "/portal/css/once", move |_, mut client| {
        let count = Arc::clone(&count);
        async move {
            // Promises to keep the connection, and hangs up.
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            client.write_all(answer.as_bytes()).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client();
    for expected in 1..=20 {
        let answer = client.get("/portal/css/once").await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
        until(|| async { served.load(Ordering::SeqCst) >= expected }).await;
    }
}
