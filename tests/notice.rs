//! The notice of the warn phase (R-A2), and the message of a failed login (R-C1), within the
//! portal's own pages.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use std::io::Write;
use tokio::io::AsyncWriteExt;

use crate::support::{
    Answer, Gateway, NOTHING_ADDED, PHASES, Pbx, Person, Scripted, Settings, alice,
};

const PASSWORD: &str = "Correct7Horse";
const PAGES: &[&str] = &[
    "/portal/home",
    "/portal/calls",
    "/portal/contacts",
    "/portal/voicemail",
    "/portal/messages",
    "/portal/profile",
    "/portal/chunked?pieces=97",
];

/// R-A2: "sees a notice, centred at the top of every portal page": once, as the first thing of the
/// body, and nothing else of the page differs from the PBX's; with a PBX that compresses, and
/// under its strict Content-Security-Policy.
#[tokio::test]
async fn every_page_carries_one_notice_and_is_otherwise_the_pbxs() {
    let pbx = Pbx::with(|options| {
        options.gzip = true;
        options.strict_csp = true;
    })
    .await;
    for number in 0..2 {
        let gateway = Gateway::with(&pbx, just_before_warn()).await;
        let (protocol, client) = gateway.both_protocols().into_iter().nth(number).unwrap();
        let client = client.signed_in(&alice()).await;
        let mut before = Vec::new();
        for path in PAGES {
            before.push(client.get(path).await);
        }
        gateway.advance("2h").await;
        for (path, before) in PAGES.iter().zip(before) {
            assert!(!before.text().contains("passgate"), "{protocol} {path}: quiet before warn");
            let request = client.request(Method::GET, path).header("accept-encoding", "gzip, br");
            let page = client.send(request).await;
            assert_eq!(page.status, 200, "{protocol} {path}");
            assert_notice(&page, path);
            assert_eq!(without_notice(&page.text()), before.text(), "{protocol} {path}");
            for gone in ["etag", "last-modified", "content-encoding", "content-length"] {
                assert_eq!(page.header(gone), None, "{protocol} {path}");
            }
            for kept in ["content-type", "content-security-policy"] {
                assert_eq!(page.header(kept), before.header(kept), "{protocol} {path}");
            }
        }
        let saved = client.post("/portal/profile", &[("data[Profile][name]", "Alice A.")]).await;
        assert_notice(&saved, "the page that answers a form");
    }
}

/// R-A2: a page that comes compressed although nobody asked for it is unpacked; one that breaks
/// off does not pass for a whole one.
#[tokio::test]
async fn a_page_that_is_compressed_anyway() {
    let page = format!("<html><body><p>{}</p></body></html>", "all of it ".repeat(5000));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(page.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let pbx = Pbx::start().await;
    let scripted = Scripted::start(&pbx, "/portal/packed", move |head, mut client| {
        let mut packed = packed.clone();
        async move {
            if head.starts_with("GET /portal/packed/half") {
                packed.truncate(packed.len() / 2);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\
                 Content-Length: {}\r\n\r\n",
                packed.len()
            );
            client.write_all(head.as_bytes()).await.unwrap();
            client.write_all(&packed).await.unwrap();
        }
    })
    .await;
    let more = NOTHING_ADDED.into();
    let settings = Settings { pbx: Some(scripted.address), more, ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let whole = client.get("/portal/packed/whole").await;
        assert_notice(&whole, protocol);
        assert_eq!(without_notice(&whole.text()), page, "{protocol}");
        let half = client.request(Method::GET, "/portal/packed/half").send().await.unwrap();
        let passed = half.status() == 200 && half.bytes().await.is_ok();
        assert!(!passed, "{protocol}: half a page passed for a whole one");
    }
}

/// R-A2 counts pages only: no style sheet, script, picture, file or fragment is changed, and an
/// answer without a body stays without one.
#[tokio::test]
async fn what_is_no_page_carries_no_notice() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        for path in [
            "/portal/css/portal.css",
            "/portal/js/poll.js",
            "/portal/img/logo.svg",
            "/portal/contacts/export",
            "/portal/big?bytes=5000",
            "/portal/nowhere",
        ] {
            assert_untouched(&client.get(path).await, protocol, path);
        }
        for path in ["/portal/calls", "/portal/home/checkSession", "/portal/contacts"] {
            assert_untouched(&client.fetch(path).await, protocol, path);
        }
        let old_script = client
            .http
            .get(format!("{}/portal/calls", client.base))
            .header("cookie", client.cookie_header())
            .header("x-requested-with", "XMLHttpRequest");
        assert_untouched(&client.send(old_script).await, protocol, "an old browser's script");
        let mut frame = HeaderMap::new();
        frame.insert("sec-fetch-dest", HeaderValue::from_static("iframe"));
        let framed = client.request(Method::GET, "/portal/calls").headers(frame);
        assert_untouched(&client.send(framed).await, protocol, "a frame within a page");
        let head = client.send(client.request(Method::HEAD, "/portal/home")).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{protocol}");
        let fetched = client.fetch("/portal/contacts").await;
        let etag = fetched.header("etag").expect("a fragment keeps its validator").to_owned();
        let request = client.as_script("/portal/contacts").header("if-none-match", &etag);
        let unchanged = client.send(request).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{protocol}");
    }
}

/// R-A2: "pages with a notice are `no-store`, conditionals and Range stripped"; "the notice
/// disappears at once when the password is set".
#[tokio::test]
async fn the_notice_goes_with_the_next_request_after_the_password_is_set() {
    let pbx = Pbx::start().await;
    for number in 0..2 {
        let gateway = Gateway::with(&pbx, just_before_warn()).await;
        let (protocol, client) = gateway.both_protocols().into_iter().nth(number).unwrap();
        let client = client.signed_in(&alice()).await;
        let etag = client.get("/portal/contacts").await.header("etag").unwrap().to_owned();
        let conditional = async |range: bool| {
            let request =
                client.request(Method::GET, "/portal/contacts").header("if-none-match", &etag);
            let request = if range { request.header("range", "bytes=0-99") } else { request };
            client.send(request).await
        };
        assert_eq!(conditional(false).await.status, 304, "{protocol}: before the warn phase");

        gateway.advance("2h").await;
        for range in [false, true] {
            let page = conditional(range).await;
            assert_eq!(page.status, 200, "{protocol}");
            assert_notice(&page, "although its validator matches");
        }
        let last = pbx.0.record().into_iter().rfind(|r| r.path == "/portal/contacts").unwrap();
        for field in ["if-none-match", "range", "accept-encoding"] {
            assert_eq!(last.header(field), None, "{protocol}");
        }

        let done = client.set_password(&alice().pin, PASSWORD).await;
        assert_eq!(done.status, 303, "{protocol}: {}", done.text());
        let page = client.get("/portal/home").await;
        assert_eq!(page.status, 200, "{protocol}");
        assert!(!page.text().contains("passgate-notice"), "{protocol}");
        assert_eq!(client.get("/portal/contacts").await.header("etag"), Some(etag.as_str()));

        let fresh = gateway.client();
        let answer = fresh.log_in(&alice().login, PASSWORD).await;
        assert_eq!((answer.status, answer.location()), (303, "/portal/home"), "{protocol}");
        let page = fresh.get("/portal/home").await.text();
        assert!(page.contains("Alice") && !page.contains("passgate-notice"), "{protocol}: {page}");
    }
}

/// R-A2: the notice says "within how many days (to the reject date; without one, to the force
/// date)", in the tenant's own dates and time zone (R-A1).
#[tokio::test]
async fn the_days_are_counted_to_the_tenants_own_date() {
    let pbx = Pbx::start().await;
    let rollout = format!(
        "{PHASES}[rollout.tenants.wickedsprockets]\ntime_zone = \"Pacific/Auckland\"\n\
         warn = 2031-05-01\nforce = 2031-06-08\nreject = 2031-06-11\n"
    );
    let gateway = Gateway::with(&pbx, Settings { rollout, ..Settings::default() }).await;
    let carol = Person { login: "201@wickedsprockets".into(), pin: "77123".into() };
    // Midnight of the 11th in Auckland is noon of the 10th in UTC.
    for (now, of_alice, of_carol) in [
        ("2031-06-01T11:59:00Z", "580 days", "10 days"),
        ("2031-06-01T12:01:00Z", "580 days", "9 days"),
        ("2031-06-07T11:59:00Z", "574 days", "4 days"),
    ] {
        gateway.set_clock(now).await;
        for (person, expected) in [(alice(), of_alice), (carol.clone(), of_carol)] {
            let client = gateway.client().signed_in(&person).await;
            let text = client.get("/portal/home").await.text();
            assert!(text.contains(&format!("<b>{expected}</b>")), "{now}: {text}");
        }
    }

    let rollout = "[rollout]\nwarn = 2031-01-01\nforce = 2031-06-02\n".into();
    let gateway = Gateway::with(&pbx, Settings { rollout, ..Settings::default() }).await;
    let client = gateway.client().signed_in(&alice()).await;
    let page = client.get("/portal/home").await.text();
    assert!(page.contains("<b>1 day</b>"), "to the force date: {page}");
}

/// R-C1: failures go "back to the login page with one element `id="passgate-message"`,
/// `role="alert"`, the login name kept"; whatever was typed, it is shown as text, and once.
#[tokio::test]
async fn a_failed_login_is_told_once_and_escaped() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let plain = gateway.client().get("/portal/login").await;
    assert!(!plain.text().contains("passgate"), "{}", plain.text());
    for (number, typed) in TYPED.iter().enumerate() {
        let [(_, http1), (_, http2)] = gateway.both_protocols();
        let client = if number % 2 == 0 { http1 } else { http2 };
        let answer = client.log_in(typed, "a wrong one").await;
        assert_eq!((answer.status, answer.location()), (303, "/portal/login"), "{typed:?}");
        let page = client.get("/portal/login").await;
        let text = page.text();
        assert_eq!(text.matches("id=\"passgate-message\"").count(), 1, "{typed:?}: {text}");
        let message = element(&text, "passgate-message");
        assert!(message.contains("role=\"alert\""), "{message}");
        assert!(message.contains("portal password is wrong"), "{message}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{typed:?}");
        assert_eq!(kept_login(&text), *typed, "{text}");
        if typed.contains(['<', '>', '"', '\'']) {
            assert!(!text.contains(typed), "{typed:?} stands in the page as it was typed");
        }
        let tags = |page: &str| page.matches('<').count();
        let added = tags(message);
        assert_eq!(tags(&text), tags(&plain.text()) + added, "{typed:?} made a tag: {text}");

        let again = client.get("/portal/login").await.text();
        assert!(!again.contains("passgate"), "{typed:?}: shown twice");
    }
}

/// What people and attackers type as login name.
const TYPED: &[&str] = &[
    "1001@abc-company.11111.service",
    "nobody",
    "\"><script>alert(1)</script>",
    "' onfocus=alert(1) autofocus='",
    "\" onmouseover=\"alert(1)",
    "</title><img src=x onerror=alert(1)>",
    "--><svg onload=alert(1)>",
    "&quot;&gt;&lt;b&gt;",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "javascript:alert(1)//",
    "<a href=`javascript:alert(1)`>",
    "\u{202e}nimda@abc",
    "\u{ff1c}script\u{ff1e}",
    "a\tb\u{7f}c",
    "zażółć gęślą jaźń",
];

/// An hour before the warn phase begins: no session ends meanwhile.
fn just_before_warn() -> Settings {
    let more = NOTHING_ADDED.into();
    Settings { now: "2030-12-31T23:00:00Z".into(), more, ..Settings::default() }
}

fn assert_notice(page: &Answer, what: &str) {
    let text = page.text();
    assert_eq!(text.matches("id=\"passgate-notice\"").count(), 1, "{what}: {text}");
    let notice = element(&text, "passgate-notice");
    assert!(notice.contains("role=\"status\""), "{what}: {notice}");
    assert!(notice.contains("align=\"center\""), "{what}: {notice}");
    assert!(notice.contains("Set a portal password now"), "{what}: {notice}");
    assert!(notice.contains("/account/security\""), "{what}: {notice}");
    for inline in ["style=", "<style", "<script", "onclick"] {
        assert!(!notice.contains(inline), "{what}: a strict policy forbids {inline}");
    }
    let before = &text[..text.find(notice).unwrap()];
    let body = before.rfind("<body").unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(before[body..].ends_with('>') && before[body..].matches('>').count() == 1, "{what}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
}

fn assert_untouched(answer: &Answer, protocol: &str, what: &str) {
    assert!(matches!(answer.status, 200 | 404), "{protocol} {what}: {}", answer.status);
    assert!(!answer.text().contains("passgate"), "{protocol} {what}: {}", answer.text());
    assert_ne!(answer.header("cache-control"), Some("no-store"), "{protocol} {what}");
}

/// The element of ours with this id: it holds no other `div`.
fn element<'p>(page: &'p str, id: &str) -> &'p str {
    let start = page.find(&format!("<div id=\"{id}\"")).unwrap_or_else(|| panic!("{page}"));
    let end = page[start..].find("</div>").unwrap();
    &page[start..start + end + "</div>".len()]
}

fn without_notice(page: &str) -> String {
    page.replacen(element(page, "passgate-notice"), "", 1)
}

/// The value that a browser shows in the login name's field.
fn kept_login(page: &str) -> String {
    let input = &page[..page.find("name=\"data[Login][username]\"").unwrap()];
    let input = &page[input.rfind('<').unwrap()..];
    let tag = &input[..input.find('>').unwrap()];
    // Of two attributes of one name the first counts (HTML, "duplicate-attribute").
    let value = tag.split(" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut pieces = value.split("&#");
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (number, rest) = piece.split_once(';').unwrap();
        text.push(char::from_u32(number.parse().unwrap()).unwrap());
        text.push_str(rest);
    }
    text
}
