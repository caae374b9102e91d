//! What stands in every page of the portal while somebody is signed in: the link to account
//! security (R-D5) and the script that warns of the session's end (R-C4). And what it costs: the
//! pages are the PBX's own but for that, can be kept and recognised, and nothing else is touched.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncWriteExt;

use crate::support::{Answer, Client, Gateway, NOTHING_ADDED, Pbx, Scripted, Settings, alice};

const PAGES: &[&str] = &[
    "/portal/home",
    "/portal/calls",
    "/portal/contacts",
    "/portal/voicemail",
    "/portal/messages",
    "/portal/profile",
];

/// In the portal's menu, which is a list.
const LINK: &str = "<li><a id=\"passgate-security\" href=\"/account/security\" lang=\"en\">Account security</a></li>";

/// R-D5: "a link to it is inserted in the portal's profile page or menu (profile selector)"; R-C4:
/// the script in each page. Otherwise the page is the PBX's, with a PBX that compresses, under its
/// strict policy, over both protocols; and nobody who is not signed in gets any of it.
#[tokio::test]
async fn every_page_has_the_link_and_the_script_and_is_otherwise_the_pbxs() {
    let pbx = Pbx::with(|options| options.strict_csp = true).await;
    let (gateway, plain) = (quiet(&pbx).await, untouched(&pbx).await);
    let own = plain.client().signed_in(&alice()).await;
    for (protocol, client) in gateway.both_protocols() {
        let login = client.get("/portal/login").await.text();
        assert!(!login.contains("passgate-security") && !login.contains("session.js"), "{login}");
        let client = client.signed_in(&alice()).await;
        for path in PAGES {
            let request = client.request(Method::GET, path).header("accept-encoding", "gzip, br");
            let page = client.send(request).await;
            let own = own.get(path).await;
            assert_eq!(page.status, 200, "{protocol} {path}");
            let text = page.text();
            let menu = &text[text.find("<ul id=\"user-toolbar\">").unwrap()..];
            let menu = &menu[..menu.find("</ul>").unwrap()];
            assert!(menu.ends_with(LINK), "{protocol} {path}: {menu}");
            let head = &text[..text.find("</head>").unwrap()];
            assert!(head.ends_with(&script(&text)), "{protocol} {path}: {head}");
            assert_eq!(without_additions(&text), own.text(), "{protocol} {path}");
            for kept in ["content-type", "content-security-policy", "cache-control"] {
                assert_eq!(page.header(kept), own.header(kept), "{protocol} {path}: {kept}");
            }
            for gone in ["content-encoding", "content-length", "accept-ranges"] {
                assert_eq!(page.header(gone), None, "{protocol} {path}: {gone}");
            }
        }
        let saved = client.post("/portal/profile", &[("data[Profile][name]", "Alice Adams")]).await;
        assert!(saved.text().contains(LINK), "{protocol}: the page that answers a form");
        // The script is a file of ours, which browsers keep.
        let text = client.get("/portal/home").await.text();
        let file = client
            .fetch(text.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap())
            .await;
        assert_eq!(file.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert!(file.header("cache-control").unwrap().contains("immutable"));
        assert!(file.body.len() < 7 * 512, "{} bytes", file.body.len());
    }
}

/// "Only whole HTML pages that a person navigates to": what scripts fetch, frames within a page,
/// files, downloads, the API and errors are the PBX's own, compressed and in part as before.
#[tokio::test]
async fn nothing_but_pages_that_are_navigated_to_is_touched() {
    let pbx = Pbx::start().await;
    let (gateway, plain) = (quiet(&pbx).await, untouched(&pbx).await);
    let own = plain.client().signed_in(&alice()).await;
    let fields: &[&[(&str, &str)]] = &[
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")],
        &[("x-requested-with", "XMLHttpRequest"), ("accept", "text/html, */*; q=0.01")],
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", "text/html")],
        &[("accept", "*/*")],
        &[],
    ];
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        for path in ["/portal/home", "/portal/contacts", "/portal/chunked?pieces=7"] {
            for fields in fields {
                let fields = [fields, &[("accept-encoding", "gzip")][..]].concat();
                let one = bare(&client, path, &fields).await;
                let other = bare(&own, path, &fields).await;
                assert_same(&one, &other, &format!("{protocol} {path} {fields:?}"));
            }
        }
        for path in [
            "/portal/css/portal.css",
            "/portal/js/poll.js",
            "/portal/img/logo.svg",
            "/portal/contacts/export",
            "/portal/big?bytes=5000",
            "/portal/nowhere",
            "/portal/redirect/relative",
        ] {
            for part in [None, Some("bytes=0-9")] {
                let ask = async |client: &Client| {
                    let request = client.request(Method::GET, path);
                    let range = part.map(|part| ("range", part));
                    client.send(request.headers(headers(range.as_slice()))).await
                };
                let (one, other) = (ask(&client).await, ask(&own).await);
                assert_same(&one, &other, &format!("{protocol} {path} {part:?}"));
            }
        }
        let head = client.send(client.request(Method::HEAD, "/portal/home")).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{protocol}");
    }
}

/// A page with nothing of the moment in it can be kept: its validator is the PBX's with a mark, by
/// which it is known again. The PBX's own validator is that of another page; and a notice is fresh.
#[tokio::test]
async fn a_page_is_known_again_as_long_as_it_is_the_same() {
    let pbx = Pbx::start().await;
    let (gateway, plain) = (quiet(&pbx).await, untouched(&pbx).await);
    let own = plain.client().signed_in(&alice()).await;
    let of_pbx = own.get("/portal/contacts").await.header("etag").unwrap().to_owned();
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let ask = async |fields: &[(&str, &str)]| {
            client
                .send(client.request(Method::GET, "/portal/contacts").headers(headers(fields)))
                .await
        };
        let page = ask(&[]).await;
        let tag = page.header("etag").unwrap().to_owned();
        assert!(tag.starts_with(of_pbx.trim_end_matches('"')) && tag != of_pbx, "{tag} {of_pbx}");
        assert_eq!(page.header("cache-control"), Some("private, no-cache"));
        for tags in [tag.clone(), format!("\"x\", {tag}"), format!("W/\"x\", {tag}, {of_pbx}")] {
            let same = ask(&[("if-none-match", &tags)]).await;
            assert_eq!((same.status, same.body.len()), (304, 0), "{protocol} {tags}");
            assert_eq!(same.header("etag"), Some(tag.as_str()), "{protocol}");
        }
        for fields in [
            &[("if-none-match", of_pbx.as_str())][..],
            &[("if-none-match", "*")],
            &[("if-none-match", "\"x.passgate-00000000\"")],
            &[("if-modified-since", "Sun, 06 Nov 2033 08:49:37 GMT")],
            &[("range", "bytes=10-"), ("if-range", &tag)],
        ] {
            let whole = ask(fields).await;
            assert_eq!(whole.status, 200, "{protocol} {fields:?}");
            assert_eq!(whole.text(), page.text(), "{protocol} {fields:?}");
        }
        let part = ask(&[("range", "bytes=0-9")]).await;
        assert_eq!((part.status, part.header("etag")), (206, Some(of_pbx.as_str())), "{protocol}");
        // A script that asks by the tag of a page gets what the PBX has.
        let fetched = client.as_script("/portal/contacts").header("if-none-match", &tag);
        let fetched = client.send(fetched).await;
        assert_eq!((fetched.status, fetched.header("etag")), (200, Some(of_pbx.as_str())));
        assert!(!fetched.text().contains("passgate"), "{protocol}");
    }
    gateway.set_clock("2031-01-01T00:00:00Z").await;
    let client = gateway.client().signed_in(&alice()).await;
    let request = client.request(Method::GET, "/portal/contacts");
    let warned = client.send(request.header("if-none-match", &of_pbx)).await;
    assert!(warned.text().contains("passgate-notice") && warned.text().contains(LINK));
    assert_eq!((warned.header("etag"), warned.header("cache-control")), (None, Some("no-store")));
}

/// A page that must not be changed (`no-transform`) is not, but for the notice.
#[tokio::test]
async fn a_page_that_forbids_changes_is_left_alone() {
    let pbx = Pbx::start().await;
    let page = "<html><head></head><body><ul class=\"user-toolbar\"></ul></body></html>";
    let scripted = Scripted::start(&pbx, "/portal/fixed", move |head, mut client| async move {
        let caching = match head.starts_with("GET /portal/fixed/yes") {
            true => "private, No-Transform",
            false => "private",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: {caching}\r\n\
             ETag: strange\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Length: {}\r\n\r\n{page}",
            page.len()
        );
        client.write_all(head.as_bytes()).await.unwrap();
    })
    .await;
    let settings = Settings { pbx: Some(scripted.address), ..Settings::in_phase("quiet") };
    let gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client().signed_in(&alice()).await;
    let fixed = client.get("/portal/fixed/yes").await;
    assert_eq!((fixed.text().as_str(), fixed.header("etag")), (page, Some("strange")));
    let other = client.get("/portal/fixed/no").await;
    assert_eq!(without_additions(&other.text()), page);
    // No validator that would be that of the page as the PBX has it.
    assert_eq!((other.header("etag"), other.header("last-modified")), (None, None));
    gateway.set_clock("2031-01-01T00:00:00Z").await;
    let client = gateway.client().signed_in(&alice()).await;
    assert!(client.get("/portal/fixed/yes").await.text().contains("passgate-notice"));
}

/// R-D5: each of the two can be switched off; a profile that knows no place has no link.
#[tokio::test]
async fn link_and_script_are_matters_of_choice() {
    let pbx = Pbx::start().await;
    let profile = passgate::profile::Profile::builtin("netsapiens").unwrap();
    let placeless = profile.replace("\nsecurity_link", "\n# security_link");
    for (more, profile, link, script) in [
        ("[pages]\nsecurity_link = false\n", None, false, true),
        ("[session]\nwarning = \"off\"\n", None, true, false),
        ("", Some(placeless), false, true),
        (NOTHING_ADDED, None, false, false),
    ] {
        let settings = Settings { more: more.into(), profile, ..Settings::in_phase("quiet") };
        let gateway = Gateway::with(&pbx, settings).await;
        let client = gateway.client().signed_in(&alice()).await;
        let page = client.get("/portal/contacts").await;
        assert_eq!(page.text().contains(LINK), link, "{more}");
        assert_eq!(page.text().contains("/session.js\""), script, "{more}");
        assert_eq!(page.header("etag").unwrap().contains("passgate"), link || script, "{more}");
        let own = client.get("/account/security").await.text();
        assert_eq!(own.contains("/session.js\""), script, "{more}");
    }
}

async fn quiet(pbx: &Pbx) -> Gateway {
    Gateway::with(pbx, Settings { now: "2030-12-31T20:00:00Z".into(), ..Settings::default() }).await
}

/// One whose pages are the PBX's own.
async fn untouched(pbx: &Pbx) -> Gateway {
    let more = NOTHING_ADDED.into();
    Gateway::with(pbx, Settings { more, ..Settings::in_phase("quiet") }).await
}

/// The script's element in a page.
fn script(page: &str) -> String {
    let at = page.find("<script src=\"/account/static/").unwrap_or_else(|| panic!("{page}"));
    let script = &page[at..at + page[at..].find("</script>").unwrap() + "</script>".len()];
    assert!(script.ends_with("/session.js\" defer></script>"), "{script}");
    script.to_owned()
}

fn without_additions(page: &str) -> String {
    assert_eq!(page.matches(LINK).count(), 1, "{page}");
    page.replacen(LINK, "", 1).replacen(&script(page), "", 1)
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        })
        .collect()
}

/// A request with these fields and its cookies only.
async fn bare(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = client.http.get(format!("{}{path}", client.base));
    let request = request.header("cookie", client.cookie_header()).headers(headers(fields));
    client.send(request).await
}

#[track_caller]
fn assert_same(one: &Answer, other: &Answer, what: &str) {
    assert_eq!(one.status, other.status, "{what}");
    assert_eq!(one.body, other.body, "{what}");
    for name in ["etag", "content-encoding", "content-length", "content-range", "cache-control"] {
        assert_eq!(one.header(name), other.header(name), "{what}: {name}");
    }
}
