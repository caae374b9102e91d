//! Sessions (R-C3, R-C4, R-A6): whose they are, how long they live, what ends them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::Value;

use crate::support::{Client, Gateway, Pbx, Person, Settings, alice, at};

pub const SESSION: &str = "__Host-passgate";
const VISITOR: &str = "__Host-passgate-visitor";

/// Colleague of Alice.
pub fn bob() -> Person {
    Person { login: alice().login.replace("1001", "1002"), pin: "62342".into() }
}

/// Whether this browser is signed in, and nothing else.
pub async fn is_signed_in(browser: &Client) -> bool {
    let home = browser.get("/portal/home").await;
    match home.status {
        200 => true,
        303 => false,
        other => panic!("home answers {other}: {}", home.text()),
    }
}

/// The jar: the PBX's session cookie never reaches the browser, and a browser's own never reaches
/// the PBX.
#[tokio::test]
async fn the_pbx_session_stays_between_gateway_and_pbx() {
    for rotate in [true, false] {
        let pbx = Pbx::with(|options| options.rotate_session_on_login = rotate).await;
        let gateway = Gateway::start(&pbx).await;
        let browser = gateway.client();
        let mut answers = Vec::new();
        let pages = [
            "/portal/login",
            "/portal/login/index",
            "/portal/css/portal.css",
            "/portal/js/poll.js",
            "/favicon.ico",
            "/portal/home",
            "/portal/home/checkSession",
            "/portal/nothing",
            "/portal/contacts",
            "/portal/redirect/absolute",
            "/portal/redirect/relative",
            "/portal/big?bytes=10",
            "/account/security",
            "/",
        ];
        for signed_in in [false, true] {
            if signed_in {
                answers.push(browser.log_in(&alice().login, "00000").await);
                answers.push(browser.log_in(&alice().login, &alice().pin).await);
            }
            for page in pages {
                for name in ["PHPSESSID", "CAKEPHP", "phpsessid", "PHPSESSID[]"] {
                    browser.set_cookie(name, "planted");
                }
                answers.push(browser.get(page).await);
                answers.push(browser.fetch(page).await);
            }
        }
        assert!(is_signed_in(&browser).await);
        answers.push(browser.get("/portal/login/logout").await);
        answers.push(browser.get("/portal/login").await);
        for answer in answers {
            for cookie in answer.headers.get_all("set-cookie") {
                let cookie = cookie.to_str().unwrap();
                let removes = cookie.contains("Max-Age=0");
                assert!(removes || !cookie.to_lowercase().contains("phpsessid"), "{cookie}");
            }
            let ids: Vec<String> = pbx.0.record().into_iter().filter_map(|r| r.session).collect();
            assert!(!ids.is_empty() && ids.iter().all(|id| !answer.text().contains(id)));
        }
        for request in pbx.0.record() {
            let cookie = request.header("cookie").unwrap_or_default();
            let planted = cookie.split("; ").any(|pair| {
                pair.ends_with("planted") && pair.to_lowercase().starts_with("phpsess")
            });
            assert!(!planted && request.session.as_deref() != Some("planted"), "{cookie}");
            assert!(!cookie.contains("__Host-passgate"), "{cookie}");
        }
    }
}

/// Bypass: two browsers with one sealed visitor cookie, on a PBX that keeps its session id over the
/// login, never share a session.
#[tokio::test]
async fn a_shared_visitor_cookie_is_no_shared_session() {
    for rotate in [true, false] {
        let pbx = Pbx::with(|options| options.rotate_session_on_login = rotate).await;
        let gateway = Gateway::start(&pbx).await;
        let [first, second, third] = [gateway.client(), gateway.client(), gateway.client()];
        first.get("/portal/login").await;
        let visitor = first.cookie(VISITOR).expect("a visitor has a cookie");
        second.set_cookie(VISITOR, &visitor);
        third.set_cookie(VISITOR, &visitor);

        let first = first.signed_in(&alice()).await;
        for page in ["/portal/login", "/portal/js/poll.js", "/portal/css/portal.css"] {
            third.get(page).await;
        }
        assert!(!is_signed_in(&second).await && !is_signed_in(&third).await);
        let second = second.signed_in(&bob()).await;
        first.set_cookie(VISITOR, &visitor);
        second.set_cookie(VISITOR, &visitor);
        for _ in 0..2 {
            assert!(first.get("/portal/home").await.text().contains("Alice Adams"));
            assert!(second.get("/portal/home").await.text().contains("Bob Brown"));
        }
        assert!(!is_signed_in(&third).await);

        let record = pbx.0.record();
        let ids_of = |login: &str| -> Vec<&String> {
            let of_login = record.iter().filter(|r| r.signed_in.as_deref() == Some(login));
            of_login.filter_map(|r| r.session.as_ref()).collect()
        };
        let (hers, his) = (ids_of(&alice().login), ids_of(&bob().login));
        assert!(!hers.is_empty() && !his.is_empty());
        assert!(hers.iter().all(|id| !his.contains(id)), "one PBX session for two people");
        // What travels without a session is nobody's.
        let public = record.iter().filter(|r| r.path.ends_with(".js") || r.path.ends_with(".css"));
        assert!(public.clone().count() > 0 && public.clone().all(|r| r.signed_in.is_none()));
    }
}

/// A login inside a session ends the old one, under a new id.
#[tokio::test]
async fn a_login_inside_a_session_ends_the_old_one() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let old = browser.cookie(SESSION).unwrap();
    let browser = browser.signed_in(&bob()).await;
    assert_ne!(browser.cookie(SESSION).unwrap(), old);
    assert!(browser.get("/portal/home").await.text().contains("Bob Brown"));

    let other = gateway.client();
    other.set_cookie(SESSION, &old);
    assert!(!is_signed_in(&other).await, "the old session goes on");
}

/// RFC 6265bis, ASVS V7: the attributes of the session cookie, and a new value at every rise of
/// rights.
#[tokio::test]
async fn the_session_cookie_is_for_this_host_only() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client();
    let mut values = Vec::new();
    for _ in 0..2 {
        let answer = browser.log_in(&alice().login, &alice().pin).await;
        let cookies = answer.headers.get_all("set-cookie");
        let cookie = cookies
            .iter()
            .filter_map(|cookie| cookie.to_str().ok())
            .find(|cookie| cookie.starts_with("__Host-passgate="))
            .expect("a session cookie");
        let mut parts = cookie.split("; ");
        let value = parts.next().unwrap().to_owned();
        assert!(value.len() >= "__Host-passgate=".len() + 43, "256 bits: {value}");
        let mut attributes: Vec<&str> = parts.collect();
        attributes.retain(|attribute| !attribute.starts_with("Max-Age"));
        attributes.sort_unstable();
        assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"], "{cookie}");
        assert!(!values.contains(&value));
        values.push(value);
    }
    let before = browser.cookie(SESSION).unwrap();
    assert_eq!(browser.set_password(&alice().pin, "Correct-Horse-7").await.status, 303);
    assert_ne!(browser.cookie(SESSION).unwrap(), before, "more rights, same id");
    assert!(is_signed_in(&browser).await);
    let other = gateway.client();
    other.set_cookie(SESSION, &before);
    assert!(!is_signed_in(&other).await, "the session of the PIN goes on");
}

/// R-C4: four hours, sliding with each interaction.
#[tokio::test]
async fn a_session_lasts_four_hours_from_the_last_interaction() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for _ in 0..3 {
        gateway.advance("239m").await;
        assert!(is_signed_in(&browser).await);
    }
    gateway.advance("240m").await;
    let home = browser.get("/portal/home").await;
    assert_eq!((home.status, home.location()), (303, "/portal/login"));
    assert_eq!(browser.fetch("/portal/contacts").await.status, 401);
}

/// R-C4: background polling does not keep a session alive.
#[tokio::test]
async fn polling_does_not_keep_a_session_alive() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for hour in 0..4 {
        let poll = browser.fetch("/portal/home/checkSession").await;
        assert_eq!((poll.status, poll.text().as_str()), (200, "ok"), "after {hour} hours");
        gateway.advance("1h").await;
    }
    assert_eq!(browser.fetch("/portal/home/checkSession").await.status, 401);
    assert!(!is_signed_in(&browser).await);
}

/// R-C4: the absolute limit ends a session that is in use, too.
#[tokio::test]
async fn the_absolute_limit_ends_a_session_in_use() {
    let pbx = Pbx::start().await;
    let more = "[session]\nabsolute = \"8h\"\n".to_owned();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::default() }).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for _ in 0..2 {
        gateway.advance("3h").await;
        assert!(is_signed_in(&browser).await);
    }
    gateway.advance("2h").await;
    assert!(!is_signed_in(&browser).await);
}

/// R-A6: the phase is evaluated on every request of a session that was obtained with a PIN.
#[tokio::test]
async fn a_pin_session_follows_the_phase() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let with_password = gateway.client().signed_in(&bob()).await;
    assert_eq!(with_password.set_password(&bob().pin, "Correct-Horse-7").await.status, 303);
    assert!(browser.get("/portal/home").await.text().contains("passgate-notice"));

    gateway.set_clock("2031-12-31T23:59:00Z").await;
    let browser = browser.signed_in(&alice()).await;
    assert_eq!(
        with_password.log_in(&bob().login, "Correct-Horse-7").await.location(),
        "/portal/home"
    );
    gateway.advance("1m").await;
    pbx.0.clear_record();
    for page in ["/portal/home", "/portal/voicemail", "/portal/nothing", "/portal"] {
        let answer = browser.get(page).await;
        assert_eq!((answer.status, answer.location()), (303, "/account/set-password"), "{page}");
        assert_eq!(browser.fetch(page).await.status, 403, "{page}");
    }
    assert_eq!(browser.fetch("/ns-api/?object=subscriber").await.status, 403);
    assert_eq!(pbx.0.record().len(), 0, "a held session reached the PBX");
    assert!(is_signed_in(&with_password).await);

    gateway.set_clock("2032-12-31T23:59:00Z").await;
    let browser = gateway.client();
    let held = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(held.location(), "/account/set-password");
    gateway.advance("1m").await;
    assert_eq!(browser.get("/portal/home").await.location(), "/portal/login");
    assert_ne!(browser.get("/account/set-password").await.status, 200, "reject ends it");
}

/// R-A1: per-tenant overrides.
#[tokio::test]
async fn a_tenant_may_have_dates_of_its_own() {
    let pbx = Pbx::start().await;
    let rollout = format!(
        "{}\n[rollout.tenants.\"wickedsprockets\"]\nforce = 2034-01-01\nreject = 2035-01-01\n",
        crate::support::PHASES
    );
    let settings = Settings { rollout, ..Settings::in_phase("force") };
    let gateway = Gateway::with(&pbx, settings).await;
    let carol = Person { login: "201-wickedsprockets".into(), pin: "77123".into() };
    let hers = gateway.client();
    let held = hers.log_in(&alice().login, &alice().pin).await;
    assert_eq!((held.status, held.location()), (303, "/account/set-password"));
    let late = gateway.client().signed_in(&carol).await;
    let home = late.get("/portal/home").await;
    assert!(home.text().contains("Carol Clark") && home.text().contains("passgate-notice"));
    gateway.set_clock("2034-01-01T00:00:00Z").await;
    let answer = late.log_in(&carol.login, &carol.pin).await;
    assert_eq!(answer.location(), "/account/set-password");
}

/// R-G3: sessions survive a restart.
#[tokio::test]
async fn a_restart_keeps_sessions() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let cookie = browser.cookie(SESSION).unwrap();
    gateway.advance("3h").await;
    assert!(is_signed_in(&browser).await);
    gateway.restart().await;
    let browser = gateway.client();
    browser.set_cookie(SESSION, &cookie);
    gateway.advance("3h").await;
    assert!(browser.get("/portal/home").await.text().contains("Alice Adams"));
    gateway.advance("4h").await;
    assert!(!is_signed_in(&browser).await, "a restart does not lengthen a life");
}

/// ASVS V7: disabling an account ends its sessions at once.
#[tokio::test]
async fn disabling_an_account_ends_its_sessions() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let other = gateway.client().signed_in(&bob()).await;
    assert!(is_signed_in(&browser).await);
    let account = gateway.account(&alice().login).await;
    let path = format!("/api/v1/accounts/{}/disable", account["id"].as_str().unwrap());
    let (status, answer) = gateway.api("POST", &path, Value::Null).await;
    assert!((200..300).contains(&status), "{status} {answer}");
    assert!(!is_signed_in(&browser).await);
    assert!(is_signed_in(&other).await);
    let refused = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!((refused.status, refused.location()), (303, "/portal/login"));
}

/// Default deny: without a session every page of the portal leads to the login, and no request
/// reaches the PBX. Scripts get JSON, never a redirect.
#[tokio::test]
async fn without_a_session_the_portal_is_closed() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let cookies = ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u{1f}", "=;="];
    for path in [
        "/",
        "/portal",
        "/portal/",
        "/portal/home",
        "/portal/home/checkSession",
        "/portal/calls",
        "/portal/contacts",
        "/portal/contacts/export",
        "/portal/voicemail",
        "/portal/messages",
        "/portal/profile",
        "/portal/big",
        "/portal/slow",
        "/portal/events",
        "/portal/socket",
        "/portal/redirect/absolute",
        "/portal/anything.css",
        "/css/portal.css",
        "/nothing",
        "/portal/login/mfa/1",
        "/__portal/record",
    ] {
        for cookie in cookies {
            let browser = gateway.client();
            if !cookie.is_empty() && !cookie.contains('\u{1f}') {
                browser.set_cookie(SESSION, cookie);
            }
            let page = browser.get(path).await;
            assert_eq!((page.status, page.location()), (303, "/portal/login"), "{path} {cookie}");
            let script = browser.fetch(path).await;
            assert_eq!(script.status, 401, "{path}");
            assert_eq!(script.header("content-type"), Some("application/problem+json"), "{path}");
            assert_eq!(script.header("location"), None, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::HEAD] {
            let browser = gateway.client();
            let answer = browser.send(browser.request(method.clone(), path)).await;
            assert!([303, 401, 403].contains(&answer.status), "{method} {path}: {}", answer.status);
        }
    }
    let browser = gateway.client();
    for path in [
        "/ns-api",
        "/ns-api/",
        "/ns-api/?object=subscriber&action=read",
        "/ns-api/v2/domains",
        "/ns-api/oauth2/token",
        "/ns-api/v2/tokens",
        "/ns-api/v2/jwt",
    ] {
        for request in [
            browser.request(Method::GET, path),
            browser.request(Method::POST, path).form(&[("a", "b")]),
            browser.request(Method::GET, path).header("authorization", "Bearer 0123456789abcdef"),
            browser.request(Method::GET, path).header("x-api-key", "0123456789abcdef"),
            browser.request(Method::GET, &format!("{path}?key=0123456789abcdef")),
        ] {
            let answer = browser.send(request).await;
            // Token endpoints say what is missing, and give nothing.
            assert!(matches!(answer.status, 400 | 401 | 403 | 405), "{path}: {}", answer.status);
            assert!(!answer.text().contains("access_token"), "{path}: {}", answer.text());
            let kind = answer.header("content-type").unwrap_or_default();
            assert!(kind.contains("json"), "{path}: {kind}");
        }
    }
    assert_eq!(pbx.0.record().len(), 0, "{:?}", pbx.0.record());
}

/// R-F5: an API call of a page passes with the session's own bearer only.
#[tokio::test]
async fn a_bearer_of_another_account_does_not_pass() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    let bearer =
        |claims: String| format!("Bearer e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let of = |person: Person| bearer(format!(r#"{{"sub":"{}"}}"#, person.login));
    let path = "/ns-api/?object=subscriber&action=read";
    pbx.0.clear_record();
    for token in [of(bob()), bearer("{}".into()), "Bearer 0123456789abcdef0123456789abcdef".into()]
    {
        let request = browser.request(Method::GET, path).header("authorization", token);
        assert_eq!(browser.send(request).await.status, 403);
    }
    assert_eq!(browser.fetch(path).await.status, 403, "the session alone opens no API");
    // Whose an opaque token is, the PBX is asked; the call itself does not reach it.
    let calls = || pbx.0.record().iter().filter(|request| request.path == "/ns-api/").count();
    assert_eq!(calls(), 0);
    let own = browser.request(Method::GET, path).header("authorization", of(alice()));
    // The PBX judges the token itself; it does not know this one.
    assert_eq!(browser.send(own).await.status, 401);
    assert_eq!(calls(), 1);
}

/// R-C3: the page first asked for, if it is one of this origin; otherwise home.
#[tokio::test]
async fn only_pages_of_this_origin_are_returned_to() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client();
    assert_eq!(browser.get("/portal/contacts?sort=name&x=%2F").await.status, 303);
    let landed = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(landed.location(), "/portal/contacts?sort=name&x=%2F");

    for evil in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "https://evil.example",
        "http:evil.example",
        "https:/evil.example",
        "//evil.example/%2f..",
        "/%09/evil.example",
        "/\t/evil.example",
        "/..//evil.example",
        "/.//evil.example",
        "//localhost@evil.example",
        "/\r\nSet-Cookie: a=b",
        "/%0d%0aX: y",
        "javascript:alert(1)",
        "/\u{2215}/evil.example",
        "/\u{ff0f}evil.example",
        " //evil.example",
        "\u{0}//evil.example",
        "evil.example",
        "",
        "?x",
        "/%5cevil.example",
        "/x/..//evil.example",
    ] {
        let browser = gateway.client();
        browser.set_cookie("__Host-passgate-next", &BASE64_URL_SAFE_NO_PAD.encode(evil));
        let landed = browser.log_in(&alice().login, &alice().pin).await;
        assert_eq!((landed.status, landed.location()), (303, "/portal/home"), "{evil:?}");

        let browser = gateway.client();
        let query: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        let page = browser.get(&format!("/account/login?next={query}")).await;
        assert_eq!(page.status, 200, "{evil:?}");
        let csrf = page.input("csrf");
        let Person { login, pin } = alice();
        let form = [("csrf", csrf.as_str()), ("login", &login), ("password", &pin), ("next", evil)];
        let landed = browser.post("/account/login", &form).await;
        if evil.contains('\0') {
            assert_eq!(landed.status, 400, "no text that anybody types");
        } else {
            assert_eq!((landed.status, landed.location()), (303, "/portal/home"), "{evil:?}");
        }
    }
}

/// Browser: the portal's own login and sign-out are guarded by Origin and Sec-Fetch-Site.
#[tokio::test]
async fn other_sites_can_neither_sign_in_nor_out() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    pbx.0.clear_record();
    let form = [("data[Login][username]", bob().login), ("data[Login][password]", bob().pin)];
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://localhost"),
        ("origin", "https://localhost.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        // Built by hand: a browser's request has the header once.
        let request = |method: Method, path: &str| {
            let request = browser.http.request(method, format!("{}{path}", browser.base));
            request.header("cookie", browser.cookie_header()).header(name, value)
        };
        let login = browser.send(request(Method::POST, "/portal/login").form(&form)).await;
        assert_eq!(login.status, 403, "{name}: {value}");
        for method in [Method::GET, Method::POST] {
            let out = browser.send(request(method.clone(), "/portal/login/logout")).await;
            assert_eq!(out.status, 403, "{method} {name}: {value}");
        }
        let out =
            browser.send(request(Method::POST, "/account/sign-out").form(&[("a", "b")])).await;
        assert!(matches!(out.status, 400 | 403), "{name}: {value}: {}", out.status);
        assert_eq!(pbx.tried(), [], "{name}: {value}");
        assert!(browser.get("/portal/home").await.text().contains("Alice Adams"));
    }
}

/// Answers of a session are for nobody else's cache.
#[tokio::test]
async fn pages_of_a_session_are_not_for_shared_caches() {
    let pbx = Pbx::start().await;
    let gateway =
        Gateway::with(&pbx, Settings { now: at("quiet").into(), ..Settings::default() }).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for page in
        ["/portal/home", "/portal/contacts", "/portal/contacts/export", "/portal/big?bytes=9"]
    {
        let answer = browser.get(page).await;
        let caching = answer.header("cache-control").unwrap_or_default();
        assert_eq!(answer.status, 200, "{page}");
        assert!(caching.contains("private") || caching.contains("no-store"), "{page}: {caching}");
        assert!(!caching.contains("public"), "{page}: {caching}");
    }
}
