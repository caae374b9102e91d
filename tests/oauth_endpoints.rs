//! What applications ask beside the PBX's token endpoints: documents, revocation and introspection,
//! over the running gateway (R-F3).

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{APP, App, BRAND_HOST, Gateway, Pbx, Said, Settings, alice};

const REVOKE: &str = "/account/oauth/revoke";
const INTROSPECT: &str = "/account/oauth/introspect";
const BOB: &str = "62342";

async fn gateway(pbx: &Pbx, tokens: &str) -> Gateway {
    let more = format!("[tokens]\n{tokens}\n");
    Gateway::with(pbx, Settings { more, ..Settings::default() }).await
}

fn bobs_login() -> String {
    alice().login.replace("1001", "1002")
}

impl App {
    /// Asks one of our endpoints about a token, as the application that it is.
    async fn about(&self, path: &str, token: &str) -> Said {
        let url = format!("{}{path}", self.base);
        let request = self.http.post(url).basic_auth(APP.0, Some(APP.1));
        self.send(request.form(&[("token", token)])).await
    }

    /// The same, as whoever shows this token.
    async fn about_as(&self, path: &str, token: &str, bearer: &str) -> Said {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(bearer);
        self.send(request.form(&[("token", token)])).await
    }

    async fn is_active(&self, token: &str) -> bool {
        let said = self.about(INTROSPECT, token).await;
        assert_eq!((said.status, said.header("cache-control")), (200, Some("no-store")));
        said.body["active"].as_bool().unwrap()
    }

    async fn revoke(&self, token: &str) -> u16 {
        let url = format!("{}{REVOKE}", self.base);
        let request = self.http.post(url).basic_auth(APP.0, Some(APP.1));
        request.form(&[("token", token)]).send().await.unwrap().status().as_u16()
    }
}

/// R-F3: the documents are found without signing in, over both protocols and at every host, by
/// pages of other origins, too; they name what there is.
#[tokio::test(flavor = "multi_thread")]
async fn documents_are_public() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "mode = \"jwt\"").await;
    let clients = gateway.both_protocols().map(|(_, client)| client);
    let brand = gateway.reader(BRAND_HOST, "es");
    for client in clients.iter().chain([&brand]) {
        let metadata = client.fetch("/.well-known/oauth-authorization-server").await;
        assert_eq!(metadata.status, 200, "{}", metadata.text());
        let document: Value = serde_json::from_slice(&metadata.body).unwrap();
        assert_eq!(document["issuer"], "https://localhost");
        assert_eq!(document["token_endpoint"], "https://localhost/ns-api/oauth2/token");
        let keys = client.fetch("/.well-known/jwks.json").await;
        let head = client.request(Method::HEAD, "/.well-known/jwks.json");
        let head = client.send(head).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        for answer in [&metadata, &keys, &head] {
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("set-cookie"), None);
        }
        // What the metadata names is there.
        for name in ["jwks_uri", "revocation_endpoint", "introspection_endpoint"] {
            let path = document[name].as_str().unwrap().strip_prefix("https://localhost").unwrap();
            let status = client.fetch(path).await.status;
            assert!([200, 405].contains(&status), "{name} {path}: {status}");
        }
    }
    assert!(pbx.0.record().is_empty(), "the PBX does not hear of it");
}

/// R-F3: introspection says what holds at this moment; revoking a refresh token ends the family's
/// access tokens, at once.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_refresh_token_ends_its_access_tokens() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "mode = \"jwt\"").await;
    let app = gateway.app();
    let (access, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let (other, _) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let account = gateway.account(&alice().login).await;
    let said = app.about(INTROSPECT, &access).await.body;
    assert_eq!(
        (&said["active"], &said["username"], &said["sub"], &said["client_id"]),
        (&json!(true), &json!(alice().login), &account["id"], &json!(APP.0))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    assert_eq!(said["token_type"], "Bearer");
    let said = app.about(INTROSPECT, &refresh).await.body;
    assert_eq!((&said["active"], &said["token_type"]), (&json!(true), &Value::Null));

    let (second, newer) = app.refresh(&refresh).await.tokens();
    assert!(
        !app.is_active(&refresh).await
            && app.is_active(&newer).await
            && app.is_active(&second).await
    );
    assert_eq!(app.own_record(&second).await.status, 200);
    assert_eq!(app.revoke(&newer).await, 200);
    for token in [&access, &second] {
        assert_eq!(app.own_record(token).await.status, 401);
        assert!(!app.is_active(token).await);
    }
    assert_eq!(app.refresh(&newer).await.error(), "invalid_grant");
    assert_eq!(app.revoke(&newer).await, 200, "once more");
    assert_eq!((app.own_record(&other).await.status, app.is_active(&other).await), (200, true));
    assert_eq!(app.revoke("made-up").await, 200);
}

/// R-F3: a token is the business of its application and its account, and of nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn others_learn_and_end_nothing() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "mode = \"jwt\"").await;
    let app = gateway.app();
    let (access, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let (bobs, _) = app.log_in(&bobs_login(), BOB).await.tokens();
    for token in [&access, &refresh] {
        assert_eq!(app.about_as(INTROSPECT, token, &bobs).await.body, json!({ "active": false }));
        let refused = app.about_as(REVOKE, token, &bobs).await;
        assert_eq!((refused.status, refused.error()), (403, "unauthorized_client"));
        let wrong = app.http.post(format!("{}{REVOKE}", app.base)).basic_auth(APP.0, Some("x"));
        let refused = app.send(wrong.form(&[("token", token)])).await;
        assert_eq!((refused.status, refused.error()), (401, "invalid_client"));
        assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
        let nobody = app.http.post(format!("{}{INTROSPECT}", app.base));
        let refused = app.send(nobody.form(&[("token", token)])).await;
        assert_eq!((refused.status, refused.error()), (401, "invalid_client"));
        assert!(app.is_active(token).await);
    }
    assert_eq!(app.about_as(INTROSPECT, &access, &access).await.body["active"], true);
    // A browser's cookies count for nothing here.
    let browser = gateway.client().signed_in(&alice()).await;
    let answer = browser.post(REVOKE, &[("token", &access)]).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(app.own_record(&access).await.status, 200);
    for secret in [&access, &refresh, APP.1] {
        assert!(!gateway.log().contains(secret), "{}", gateway.log());
    }
}

/// R-F3, mode `pass`: the PBX's own tokens are described and revoked like ours.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_pbx_are_revoked_too() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "mode = \"pass\"").await;
    let app = gateway.app();
    let metadata = gateway.client().fetch("/.well-known/oauth-authorization-server").await;
    assert!(!metadata.text().contains("jwks_uri"), "nothing of ours is to be verified");
    let (access, refresh) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let said = app.about(INTROSPECT, &access).await.body;
    assert_eq!((&said["active"], &said["username"]), (&json!(true), &json!(alice().login)));
    assert_eq!(app.own_record(&access).await.status, 200);
    assert_eq!(app.revoke(&refresh).await, 200);
    assert_eq!(app.own_record(&access).await.status, 401);
    assert!(!app.is_active(&access).await && !app.is_active(&refresh).await);
}

/// R-C8: operators see applications beside browsers, and end them the same way.
#[tokio::test(flavor = "multi_thread")]
async fn operators_see_and_end_applications() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx, "mode = \"jwt\"").await;
    let app = gateway.app();
    let (access, _) = app.log_in(&alice().login, &alice().pin).await.tokens();
    gateway.client().signed_in(&alice()).await;
    let list = gateway.command(&["sessions", "list", &alice().login]).await;
    let table = String::from_utf8(list.stdout).unwrap();
    assert!(table.contains(&format!("jwt ({})", APP.0)) && table.contains("portal"), "{table}");
    gateway.ask(&alice().login, "sign-out").await;
    assert_eq!(app.own_record(&access).await.status, 401);
    assert!(!app.is_active(&access).await);
}
