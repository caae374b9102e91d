//! Request rate limits (R-G4). Periods are long and numbers small: nothing is waited for.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Client, Gateway, Pbx, Settings, Words, alice};

/// A gateway with these keys of `[limits]`, whose peers are believed to be proxies.
async fn limited(pbx: &Pbx, limits: &str) -> Gateway {
    let more = format!("[limits]\n{limits}\n");
    let server = "trusted_proxies = [\"127.0.0.1\"]".into();
    let lockout = "offices = [\"192.0.2.0/24\"]".into();
    Gateway::with(pbx, Settings { more, server, lockout, ..Settings::default() }).await
}

async fn get_from(browser: &Client, address: &str, path: &str) -> Answer {
    let request = browser.request(Method::GET, path).header("x-forwarded-for", address);
    browser.send(request).await
}

/// R-G4: two of an address in an hour, in bursts of four; over HTTP/1.1 and HTTP/2 together.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_an_address_are_limited() {
    let pbx = Pbx::start().await;
    let gateway = limited(&pbx, "requests_per_address = \"2/1h\"").await;
    let [(_, one), (_, two)] = gateway.both_protocols();
    for (browser, left) in [(&one, 3), (&two, 2), (&one, 1), (&two, 0)] {
        let answer = get_from(browser, "203.0.113.7", "/portal/login").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let quota = format!("\"address\";r={left};t=");
        assert!(answer.header("ratelimit").unwrap().starts_with(&quota), "{answer:?}");
        assert_eq!(answer.header("ratelimit-policy"), None);
    }
    let reached = pbx.0.record().len();
    for browser in [&one, &two] {
        let refused = get_from(browser, "203.0.113.7", "/portal/login").await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1_700..=1_800).contains(&seconds), "{seconds}");
        let quota = format!("\"address\";r=0;t={seconds}");
        assert_eq!(refused.header("ratelimit"), Some(quota.as_str()));
        assert_eq!(refused.header("ratelimit-policy"), Some("\"address\";q=2;w=3600"));
    }
    assert_eq!(pbx.0.record().len(), reached, "nothing of it reaches the PBX");
    assert!(gateway.metrics().await.contains("passgate_rate_limited_total{limit=\"address\"} 2"));
    assert_eq!(get_from(&one, "203.0.113.8", "/portal/login").await.status, 200);
}

/// R-G4: IPv6 counts by /64, as many users share an office that is known as want to; own pages and
/// refused requests count like all others.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_those_of_the_lockout() {
    let pbx = Pbx::start().await;
    let gateway = limited(&pbx, "requests_per_address = \"1/1h\"").await;
    let browser = gateway.client();
    let own = get_from(&browser, "2001:db8::1", "/account/help").await;
    assert!(own.header("ratelimit").unwrap().starts_with("\"address\";r=1;"), "{own:?}");
    let denied = get_from(&browser, "2001:db8::2", "/portal/resets/forgot").await;
    assert_eq!(denied.status, 403);
    assert!(denied.header("ratelimit").unwrap().starts_with("\"address\";r=0;"), "{denied:?}");
    assert_eq!(get_from(&browser, "2001:db8::3", "/account/help").await.status, 429);
    assert_eq!(get_from(&browser, "2001:db8:0:1::1", "/account/help").await.status, 200);
    for _ in 0..4 {
        let office = get_from(&browser, "192.0.2.9", "/account/help").await;
        assert_eq!((office.status, office.header("ratelimit")), (200, None));
    }
}

/// R-G4: two sessions at one address are limited apart; the portal says so in its answers.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_limited_apart() {
    let pbx = Pbx::start().await;
    let gateway = limited(&pbx, "requests_per_session = \"2/1h\"").await;
    let (one, other) = (gateway.client().signed_in(&alice()).await, gateway.client());
    for left in (0..4).rev() {
        let answer = one.get("/portal/home").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let quota = format!("\"session\";r={left};t=");
        assert!(answer.header("ratelimit").unwrap().starts_with(&quota), "{answer:?}");
    }
    assert_eq!(one.get("/portal/home").await.status, 429);
    let other = other.signed_in(&alice()).await;
    assert_eq!(other.get("/portal/home").await.status, 200, "another session");
    let visitor = gateway.client().get("/portal/login").await;
    assert_eq!((visitor.status, visitor.header("ratelimit")), (200, None), "none at all");
}

async fn with_token(browser: &Client, token: &str) -> Answer {
    let url = format!("{}/ns-api/v2/domains", browser.base);
    let request = browser.http.get(url).bearer_auth(token);
    browser.send(request).await
}

/// R-G4: a token is limited wherever it is used from.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_limited_apart() {
    let pbx = Pbx::start().await;
    let gateway = limited(&pbx, "requests_per_token = \"1/1h\"").await;
    let (one, two) = (gateway.client(), gateway.http1());
    for browser in [&one, &two] {
        let answer = with_token(browser, "some-token").await;
        assert!(answer.status != 429, "{answer:?}");
    }
    let refused = with_token(&one, "some-token").await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(!refused.text().contains("some-token"), "{}", refused.text());
    assert!(with_token(&one, "another-token").await.status != 429);
    assert!(!gateway.log().contains("some-token"), "{}", gateway.log());
}

/// R-G4: chosen paths and methods only, in any spelling that means the same.
#[tokio::test(flavor = "multi_thread")]
async fn chosen_paths_are_limited() {
    let pbx = Pbx::start().await;
    let chosen = "[[limits.path]]\npaths = [\"/account/help\"]\nmethods = [\"GET\"]\n\
                  per = \"address\"\nrate = \"1/1h\"";
    let gateway = limited(&pbx, chosen).await;
    let browser = gateway.client();
    for path in ["/account/help", "/account/./help?again"] {
        let answer = browser.get(path).await;
        assert!(answer.header("ratelimit").unwrap().starts_with("\"path-1\";"), "{answer:?}");
    }
    for path in ["/account/help", "/account//help", "/account/%68elp"] {
        let answer = browser.get(path).await;
        assert!(matches!(answer.status, 429 | 400), "{path}: {answer:?}");
    }
    let head = browser.request(Method::HEAD, "/account/help");
    assert_eq!(browser.send(head).await.header("ratelimit"), None, "another method");
    assert_eq!(browser.get("/portal/login").await.header("ratelimit"), None, "another path");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("passgate_rate_limited_total{limit=\"path-1\"}"), "{metrics}");
}

/// R-G4: 429 in the language of who asks: pages, problem details, and RFC 6749's.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_understood_by_its_client() {
    let pbx = Pbx::start().await;
    let gateway = limited(&pbx, "requests_per_address = \"1/1h\"").await;
    let browser = gateway.client();
    browser.get("/portal/login").await;
    browser.get("/portal/login").await;

    for language in ["en", "es"] {
        let request = browser.request(Method::GET, "/portal/home");
        let page = browser.send(request.header("accept-language", language)).await;
        assert_eq!(page.status, 429);
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
        let words = Words::of(language);
        words.are_said("error.too_many_requests.title", &page.text());
        words.are_said("error.too_many_requests.text", &page.text());
    }
    let script = browser.fetch("/portal/home").await;
    let api = with_token(&browser, "some-token").await;
    for answer in [script, api] {
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert!(answer.header("retry-after").is_some());
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["status"], 429);
    }
    let login = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(login.status, 429, "a login is a request like others: {login:?}");
    assert_eq!(pbx.tried(), [], "and not tried");
    let grant = [("grant_type", "password"), ("username", "x"), ("password", "y")];
    let url = format!("{}/ns-api/oauth2/token", browser.base);
    let token = browser.send(browser.http.post(url).form(&grant)).await;
    assert_eq!(token.status, 429, "{token:?}");
    assert_eq!(token.header("content-type"), Some("application/json"));
    assert!(token.header("retry-after").is_some() && token.header("ratelimit").is_some());
    let error: Value = serde_json::from_slice(&token.body).unwrap();
    assert_eq!(error["error"], "temporarily_unavailable", "{error}");
}

/// R-G4: off by default: no field, no end.
#[tokio::test(flavor = "multi_thread")]
async fn without_limits_nothing_is_said() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for _ in 0..50 {
        let answer = browser.get("/portal/home").await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
}
