//! How a session's end is announced (R-C4): what the pages' script is told, and what counts as an
//! interaction and what does not. The script itself: `browser_session.rs`.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Client, Gateway, Pbx, Settings, alice};

const PLACE: &str = "/account/session";

/// R-C4: "each interaction resets the timer, background polling does not": asking for the end, the
/// style sheets of pages and the portal's own polls put nothing off; pages and the button do.
#[tokio::test]
async fn only_interactions_put_the_end_off() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        let page = client.get("/account/security").await.text();
        let script = page.split("<script src=\"").nth(3).unwrap().split('"').next().unwrap();
        assert!(script.ends_with("/session.js"), "{script}");
        ends_in(&asked(&client).await, 4 * 3600);
        gateway.advance("3h").await;
        for path in [PLACE, script, "/portal/home/checkSession"] {
            assert_eq!(client.fetch(path).await.status, 200, "{protocol} {path}");
        }
        let told = asked(&client).await;
        ends_in(&told, 3600);
        assert_eq!(told["warn"], 300, "{protocol}");
        for path in ["/portal/calls", "/account/help"] {
            assert_eq!(client.get(path).await.status, 200);
            ends_in(&asked(&client).await, 4 * 3600);
            gateway.advance("3h").await;
        }
        let stayed = stay(&client, "same-origin").await;
        assert_eq!(stayed.status, 200, "{protocol}");
        ends_in(&asked(&client).await, 4 * 3600);
        assert_eq!(stayed.header("cache-control"), Some("no-store"), "{protocol}");

        // Nobody else's page stays signed in for the user.
        gateway.advance("3h59m").await;
        for site in ["cross-site", "same-site"] {
            assert_eq!(stay(&client, site).await.status, 403, "{protocol} {site}");
        }
        ends_in(&asked(&client).await, 60);
        gateway.advance("1m").await;
        for answer in [client.fetch(PLACE).await, stay(&client, "same-origin").await] {
            assert_eq!((answer.status, answer.location()), (401, ""), "{protocol}");
            let told: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(told["text"], "Your session has ended. Please sign in again.");
            assert_eq!(told["action"], "Sign in");
        }
    }
}

/// R-C4: the end that is told is the one that comes, also the absolute one, which nothing puts off.
#[tokio::test]
async fn the_absolute_limit_is_told_without_a_way_to_stay() {
    let pbx = Pbx::start().await;
    let more = "[session]\nabsolute = \"8h\"\nwarning = \"10m\"\n".to_owned();
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::default() }).await;
    let client = gateway.client().signed_in(&alice()).await;
    let told = asked(&client).await;
    assert_eq!((&told["stays"], &told["action"]), (&true.into(), &"Stay signed in".into()));
    assert!(told["text"].as_str().unwrap().contains("{time}"), "{told}");
    for _ in 0..2 {
        gateway.advance("3h55m").await;
        assert_eq!(client.get("/portal/home").await.status, 200);
    }
    for answer in [asked(&client).await, json(&stay(&client, "same-origin").await)] {
        ends_in(&answer, 600);
        assert_eq!(answer["warn"], 600);
        assert_eq!((&answer["stays"], &answer["action"]), (&false.into(), &"OK".into()));
        let text = answer["text"].as_str().unwrap();
        assert!(text.contains("{time}") && text.contains("8 hours after signing in"), "{text}");
    }
    gateway.advance("10m").await;
    assert_eq!(client.fetch(PLACE).await.status, 401);
}

/// The session ends after so many seconds, less those that this test took for its last steps.
#[track_caller]
fn ends_in(told: &Value, seconds: i64) {
    let left = told["ends_in"].as_i64().unwrap();
    assert!((seconds - 45..=seconds).contains(&left), "{told}");
}

async fn asked(client: &Client) -> Value {
    let answer = client.fetch(PLACE).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    json(&answer)
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// The button of the warning, as a page of `site` would press it.
async fn stay(client: &Client, site: &str) -> Answer {
    let request = client.http.request(Method::POST, format!("{}{PLACE}", client.base));
    let request = request.header("cookie", client.cookie_header()).header("accept", "*/*");
    client.send(request.header("sec-fetch-mode", "cors").header("sec-fetch-site", site)).await
}
