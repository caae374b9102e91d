//! Framing and headers (RFC 9110, RFC 9112): what could be read in two ways is refused, and what a
//! client says about itself in a proxy's words never reaches the PBX.

use std::time::Duration;

use crate::support::{Gateway, Pbx, alice};

const SOON: Duration = Duration::from_secs(10);

/// What no honest client sends is 400, the connection ends, and nothing of it reaches the PBX.
#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let smuggled = "GET /portal/css/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunk = format!("0\r\n\r\n{smuggled}");
    let post = "POST /portal/login HTTP/1.1\r\nHost: localhost\r\n";
    let get = "GET /portal/login HTTP/1.1\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let cases: Vec<(&str, String)> = vec![
        (
            "CL+TE",
            format!(
                "{post}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}",
                chunk.len()
            ),
        ),
        ("TE+CL", format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{chunk}")),
        (
            "CL+TE on GET",
            format!(
                "{get}Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
            ),
        ),
        ("CL.CL", format!("{post}{form}Content-Length: 0\r\nContent-Length: 5\r\n\r\n{smuggled}")),
        ("the same CL twice", format!("{post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n")),
        ("a list of CL", format!("{post}Content-Length: 0, 5\r\n\r\n{smuggled}")),
        ("CL with a sign", format!("{post}Content-Length: +5\r\n\r\nabcde")),
        ("CL negative", format!("{post}Content-Length: -1\r\n\r\n")),
        ("CL in hex", format!("{post}Content-Length: 0x5\r\n\r\nabcde")),
        ("CL too large", format!("{post}Content-Length: 99999999999999999999999\r\n\r\n")),
        ("CL empty", format!("{post}Content-Length: \r\n\r\n")),
        ("TE xchunked", format!("{post}Transfer-Encoding: xchunked\r\n\r\n{chunk}")),
        ("TE identity", format!("{post}Transfer-Encoding: identity\r\n\r\n{chunk}")),
        (
            "TE twice",
            format!(
                "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{chunk}"
            ),
        ),
        ("TE list", format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n{chunk}")),
        (
            "TE chunked, chunked",
            format!("{post}Transfer-Encoding: chunked, chunked\r\n\r\n{chunk}"),
        ),
        ("TE with a tab", format!("{post}Transfer-Encoding:\tchunked\x0b\r\n\r\n{chunk}")),
        ("TE quoted", format!("{post}Transfer-Encoding: \"chunked\"\r\n\r\n{chunk}")),
        (
            "HTTP/1.0 with TE",
            format!(
                "POST /portal/login HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
            ),
        ),
        ("space before the colon", format!("{post}Transfer-Encoding : chunked\r\n\r\n{chunk}")),
        ("tab before the colon", format!("{post}Content-Length\t: 5\r\n\r\nabcde")),
        ("bare LF after a field", format!("{get}Host: localhost\nX: y\r\n\r\n")),
        (
            "bare LF after the request line",
            "GET /portal/login HTTP/1.1\nHost: localhost\r\n\r\n".into(),
        ),
        ("bare LF at the end", format!("{get}Host: localhost\r\n\n")),
        ("bare CR", format!("{get}Host: localhost\rX: y\r\n\r\n")),
        ("NUL in a value", format!("{get}Host: localhost\r\nX: a\0b\r\n\r\n")),
        ("obs-fold", format!("{get}Host: localhost\r\nX: a\r\n b\r\n\r\n")),
        ("obs-fold of the length", format!("{post}Content-Length: 0\r\n 5\r\n\r\n{smuggled}")),
        ("a line without a colon", format!("{get}Host: localhost\r\nnonsense\r\n\r\n")),
        ("an empty name", format!("{get}Host: localhost\r\n: x\r\n\r\n")),
        ("no Host", format!("{get}\r\n")),
        ("no Host in HTTP/1.0", "GET /portal/login HTTP/1.0\r\n\r\n".into()),
        ("two Hosts", format!("{get}Host: localhost\r\nHost: other.example\r\n\r\n")),
        ("the same Host twice", format!("{get}Host: localhost\r\nHost: localhost\r\n\r\n")),
        ("an empty Host", format!("{get}Host: \r\n\r\n")),
        ("a Host with a path", format!("{get}Host: localhost/x\r\n\r\n")),
        ("a Host with a user", format!("{get}Host: a@localhost\r\n\r\n")),
        ("a list of Hosts", format!("{get}Host: localhost, other.example\r\n\r\n")),
        (
            "Host other than the target's",
            "GET https://localhost/portal/login HTTP/1.1\r\nHost: other.example\r\n\r\n".into(),
        ),
        (
            "Host beside a target of another",
            "GET http://other.example/portal/login HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
        ),
        ("a target that is no path", "GET portal/login HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        (
            "a target of another scheme",
            "GET ftp://localhost/portal/login HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
        ),
        ("two spaces", "GET  /portal/login HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("a space in the target", "GET /portal/login x HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("HTTP/1.2", "GET /portal/login HTTP/1.2\r\nHost: localhost\r\n\r\n".into()),
        ("HTTP/0.9", "GET /portal/login\r\n\r\n".into()),
        ("no version", "GET /portal/login \r\nHost: localhost\r\n\r\n".into()),
        ("an unreadable Connection", format!("{get}Host: localhost\r\nConnection: a b\r\n\r\n")),
        ("Connection: host", format!("{get}Host: localhost\r\nConnection: Host\r\n\r\n")),
        (
            "Connection: content-length",
            format!("{post}Content-Length: 0\r\nConnection: content-length\r\n\r\n"),
        ),
        (
            "Connection: x-forwarded-for",
            format!("{get}Host: localhost\r\nConnection: X-Forwarded-For\r\n\r\n"),
        ),
        (
            "Connection: cookie",
            format!("{get}Host: localhost\r\nConnection: close, Cookie\r\n\r\n"),
        ),
    ];
    pbx.0.clear_record();
    for (name, bytes) in cases {
        let mut connection = gateway.raw().await;
        connection.send(&bytes).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status, 400, "{name}: {}", answer.head);
        assert!(!answer.everything().contains("pingora"), "{name}: {}", answer.head);
        let rest = connection.closed(SOON).await;
        assert_eq!(rest.as_deref(), Some(&b""[..]), "{name}: the connection goes on");
        assert_eq!(pbx.0.record().len(), 0, "{name} reached the PBX: {:?}", pbx.0.record());
    }
    // The same path, asked for as one should.
    let mut connection = gateway.raw().await;
    connection.send(format!("{get}Host: localhost\r\n\r\n")).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    assert_eq!(pbx.0.record().len(), 1);
}

/// Header block ≤ 32 KiB and 100 fields.
#[tokio::test]
async fn header_blocks_are_bounded() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    // A page of our own: the example portal has a limit of its own.
    let start = "GET /account/login HTTP/1.1\r\nHost: localhost\r\n";
    for (name, fields, status) in [
        ("99 fields and Host", fields(99), 200),
        ("100 fields and Host", fields(100), 431),
        ("30 KiB", format!("X: {}\r\n", "y".repeat(30 * 1024)), 200),
        ("33 KiB", format!("X: {}\r\n", "y".repeat(33 * 1024)), 431),
        ("33 KiB in many fields", format!("X: {}\r\n", "y".repeat(700)).repeat(48), 431),
    ] {
        let mut connection = gateway.raw().await;
        connection.send(format!("{start}{fields}\r\n")).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status, status, "{name}: {}", answer.head);
    }
    let mut connection = gateway.raw().await;
    let target = format!("/portal/login?{}", "y".repeat(33 * 1024));
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    let status = connection.answer().await.unwrap().status;
    assert!(matches!(status, 400 | 414 | 431), "{status}");
}

/// TRACE and CONNECT are refused; so is every method that is none of HTTP's.
#[tokio::test]
async fn methods_that_a_gateway_does_not_serve() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (line, statuses) in [
        ("TRACE /portal/login", &[405][..]),
        ("CONNECT localhost:443", &[400, 405]),
        ("CONNECT /portal/login", &[400, 405]),
        ("TRACK /portal/login", &[405]),
        ("get /portal/login", &[405]),
        ("PRI *", &[400, 405]),
    ] {
        pbx.0.clear_record();
        let mut connection = gateway.raw().await;
        connection.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\nX-Echo: me\r\n\r\n")).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{line}: no answer"));
        assert!(statuses.contains(&answer.status), "{line}: {}", answer.head);
        assert!(!answer.everything().contains("X-Echo"), "{line}");
        assert_eq!(pbx.0.record().len(), 0, "{line}");
    }
}

/// CVE-2026-2833: what follows an Upgrade that was not answered by 101 is not a request.
#[tokio::test]
async fn nothing_after_an_upgrade_without_101_is_a_request() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for (path, upgrade) in [
        ("/portal/login", websocket),
        // The PBX answers these with 200, 404 and 302 instead of 101.
        ("/portal/home", websocket),
        ("/portal/nothing", websocket),
        ("/portal/redirect/relative", websocket),
        ("/portal/home", h2c),
        ("/portal/login", h2c),
        ("/account/login", websocket),
    ] {
        pbx.0.clear_record();
        let mut connection = gateway.raw().await;
        connection
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n{upgrade}\r\n\
                 GET /portal/css/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n",
                browser.cookie_header()
            ))
            .await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{path}: no answer"));
        assert_ne!(answer.status, 101, "{path} {upgrade}");
        let rest = connection.closed(SOON).await;
        assert_eq!(rest.as_deref(), Some(&b""[..]), "{path} {upgrade}: a second answer");
        let record = pbx.0.record();
        assert!(record.iter().all(|r| !r.path.contains("smuggled")), "{path} {upgrade}");
        assert!(record.iter().all(|r| r.header("http2-settings").is_none()), "{path} {upgrade}");
    }
}

/// Client-supplied identity and forwarding headers never reach the PBX, in whatever spelling, and
/// not by way of `Connection` either.
#[tokio::test]
async fn identity_and_forwarding_headers_are_ours() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let spoofed = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Access-Token",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Client-IP",
        "X-Originating-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "Remote-User",
        "Remote-Groups",
        "Remote-Email",
        "Remote-Name",
        "X-Remote-User",
        "X-Auth-Request-User",
        "X-Authenticated-User",
        "X-Webauth-User",
        "X-Auth-User",
        "X-User",
        "SSL-Client-Cert",
        "X-SSL-Client-CN",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Host",
        "X-Original-Host",
        "Proxy",
        "Proxy-Authorization",
        "Via",
    ];
    let mut leaked = Vec::new();
    for name in spoofed {
        for name in [
            name.to_owned(),
            name.to_lowercase(),
            name.replace('-', "_"),
            name.replace('-', "."),
            name.to_uppercase().replacen('-', "_", 1),
        ] {
            pbx.0.clear_record();
            let mut connection = gateway.raw().await;
            connection
                .send(format!(
                    "GET /portal/login HTTP/1.1\r\nHost: localhost\r\n{name}: spoofed\r\n\r\n"
                ))
                .await;
            let status = connection.answer().await.unwrap().status;
            let record = pbx.0.record();
            let seen: Vec<_> = record.iter().flat_map(|r| &r.headers).collect();
            if seen.iter().any(|(_, value)| value.contains("spoofed")) || status != 200 {
                leaked.push(format!("{name} ({status})"));
            }
        }
    }
    assert!(leaked.is_empty(), "reached the PBX: {}", leaked.join(", "));

    pbx.0.clear_record();
    let mut connection = gateway.raw().await;
    connection
        .send(
            "GET /portal/login HTTP/1.1\r\nHost: localhost\r\n\
             Connection: X-Hop, X_Other\r\n\
             X-Forwarded-For: spoofed\r\nX-Hop: spoofed\r\nX-Other: spoofed\r\n\
             X-Kept: kept\r\nKeep-Alive: spoofed\r\nTE: spoofed\r\nTrailer: spoofed\r\n\r\n",
        )
        .await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.head);
    let record = pbx.0.record();
    let [request] = record.as_slice() else { panic!("{record:?}") };
    let spoofed = request.headers.iter().any(|(_, value)| value.contains("spoofed"));
    assert!(!spoofed, "{:?}", request.headers);
    assert_eq!(request.header("x-kept"), Some("kept"));
    // Our own word stands.
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-host"), Some("localhost"));
}

/// The same over HTTP/2, where the framing is another but the fields are the same.
#[tokio::test]
async fn identity_headers_are_ours_on_http2() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = crate::support::Client::with(gateway.https, gateway.authority_pem(), |builder| {
        builder.http2_prior_knowledge()
    });
    for name in ["x-forwarded-for", "x_forwarded_for", "remote-user", "x.remote.user", "forwarded"]
    {
        pbx.0.clear_record();
        let answer = client
            .send(client.request(reqwest::Method::GET, "/portal/login").header(name, "spoofed"))
            .await;
        assert_eq!(answer.status, 200, "{name}");
        let record = pbx.0.record();
        assert_eq!(record.len(), 1, "{name}");
        assert!(!record[0].headers.iter().any(|(_, value)| value.contains("spoofed")), "{name}");
        assert_eq!(record[0].header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

/// Two requests on one connection, and a body before the second: keep-alive stays in step.
#[tokio::test]
async fn sound_requests_share_a_connection() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let mut connection = gateway.raw().await;
    connection
        .send(
            "POST /account/nothing HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        )
        .await;
    let first = connection.answer().await.unwrap();
    assert_eq!(first.status, 404, "{}", first.head);
    connection.send("GET /portal/login HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let second = connection.answer().await;
    assert_eq!(second.map(|answer| answer.status), Some(200), "{}", first.head);
}

/// Memory: what is held back of a body is little for people who are not signed in.
#[tokio::test]
async fn a_visitor_makes_nobody_hold_a_large_body() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    pbx.0.clear_record();
    let mut connection = gateway.raw().await;
    let head = "GET /portal/css/portal.css HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    connection.send(format!("{head}\"{}", "x".repeat(100_000))).await;
    assert_eq!(connection.answer().await.expect("an answer").status, 413);
}
