//! Pages of other origins that call the API: the profile's `[exposure.cors]`.

use passgate::profile::Profile;
use reqwest::{Method, RequestBuilder};
use tokio::io::AsyncWriteExt;

use crate::support::{Answer, Client, Gateway, Pbx, Scripted, Settings, alice};

const APP: &str = "https://app.example";
const PATHS: [&str; 3] =
    ["/ns-api/v2/domains", "/ns-api/?object=subscriber", "/ns-api/oauth2/token"];

async fn gateway(pbx: &Pbx, settings: Settings) -> Gateway {
    let text = Profile::builtin("netsapiens").unwrap();
    let cors = format!("[exposure.cors]\norigins = [\"{APP}\"]\nmax_age = 600\n\n[[token]]");
    let profile = Some(text.replacen("[[token]]", &cors, 1));
    Gateway::with(pbx, Settings { profile, ..settings }).await
}

fn preflight(client: &Client, path: &str, origin: &str) -> RequestBuilder {
    let request = client.http.request(Method::OPTIONS, format!("{}{path}", client.base));
    request
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "authorization")
}

fn named<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.header(name).unwrap_or_default()
}

/// "API preflights are answered from the profile's CORS policy": by us, and only for its origins.
#[tokio::test]
async fn preflights_are_answered_here() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, Settings::default()).await;
    for (protocol, client) in gateway.both_protocols() {
        pbx.0.clear_record();
        for path in PATHS {
            let answer = client.send(preflight(&client, path, APP)).await;
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{protocol} {path}");
            assert_eq!(named(&answer, "access-control-allow-origin"), APP, "{protocol} {path}");
            assert!(named(&answer, "access-control-allow-methods").contains("PUT"));
            assert!(named(&answer, "access-control-allow-headers").contains("Authorization"));
            assert_eq!(named(&answer, "access-control-max-age"), "600");
            assert_eq!(named(&answer, "vary"), "Origin");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            for evil in ["https://evil.example", "https://app.example.evil", "null"] {
                let answer = client.send(preflight(&client, path, evil)).await;
                assert_eq!(answer.status, 403, "{protocol} {path} {evil}");
                assert_eq!(answer.header("access-control-allow-origin"), None, "{path} {evil}");
            }
        }
        assert_eq!(pbx.0.record().len(), 0, "{protocol}");
    }
}

/// "… which also covers our errors", so that a page can read why; and nothing outside the API.
#[tokio::test]
async fn our_answers_can_be_read_by_pages_of_the_origin() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, Settings::default()).await;
    let client = gateway.client();
    for path in PATHS {
        let asked = |origin: &str| {
            client.as_script(path).header("origin", origin).header("sec-fetch-site", "cross-site")
        };
        let answer = client.send(asked(APP)).await;
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert_eq!(named(&answer, "access-control-allow-origin"), APP, "{path}");
        let exposed = named(&answer, "access-control-expose-headers");
        for field in ["WWW-Authenticate", "Retry-After", "RateLimit", "Sunset", "Deprecation"] {
            assert!(exposed.contains(field), "{path}: {exposed}");
        }
        let answer = client.send(asked("https://evil.example")).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    for path in ["/portal/home", "/account/security", "/portal/login"] {
        let answer = client.send(client.as_script(path).header("origin", APP)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
}

/// Forwarded answers get our fields unless the PBX has its own.
#[tokio::test]
async fn the_pbxs_own_word_stands() {
    let pbx = Pbx::start().await;
    let own = Scripted::start(&pbx, "/ns-api/v2", |_, mut client| async move {
        let answer =
            b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\n{}";
        client.write_all(answer).await.unwrap();
    })
    .await;
    let settings = Settings { pbx: Some(own.address), ..Settings::default() };
    let gateway = gateway(&pbx, settings).await;
    let client = gateway.client().signed_in(&alice()).await;
    // {"sub":"1001@abc-company.11111.service"}
    let bearer = "Bearer e30.eyJzdWIiOiIxMDAxQGFiYy1jb21wYW55LjExMTExLnNlcnZpY2UifQ.c2ln";
    for (path, status, origin) in [("/ns-api/v2/me", 200, "*"), ("/ns-api/?object=x", 401, APP)] {
        let request = client.as_script(path).header("authorization", bearer).header("origin", APP);
        let answer = client.send(request).await;
        assert_eq!(answer.status, status, "{path}");
        let origins = answer.headers.get_all("access-control-allow-origin");
        assert_eq!(origins.iter().collect::<Vec<_>>(), [origin], "{path}");
    }
    let plain = client.as_script("/ns-api/?object=x").header("authorization", bearer);
    let plain = client.send(plain).await;
    assert_eq!(plain.header("access-control-allow-origin"), None);
}

/// Without a policy no other origin may call.
#[tokio::test]
async fn without_a_policy_no_origin_may_call() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let client = gateway.client();
    for path in PATHS {
        let answer = client.send(preflight(&client, path, APP)).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    assert_eq!(pbx.0.record().len(), 0);
}
