//! What applications ask about tokens (RFC 7009, 7662, 8414), as HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::browser::Page;
use super::{ALICE, ALICES_PIN, PASSWORD, PUBLIC_URL, World};
use crate::domain::access_token::AccessClaims;
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{Grant, GrantKind, PbxAccess, TokenHash};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::domain::session::{ObtainedWith, Progress, SessionRecord, SessionToken};
use crate::ports::{NotedToken, TokenUse};

const REVOKE: &str = "/account/oauth/revoke";
const INTROSPECT: &str = "/account/oauth/introspect";
const BOB: &str = "1002@abc-company.11111.service";
const CLIENT: [(&str, &str); 2] = [("client_id", "softphone"), ("client_secret", "s3cret:%+ü")];

impl World {
    /// An access token of a family of its own: ours, or one of the PBX.
    pub(super) async fn token(&self, login: &str, kind: GrantKind, with: ObtainedWith) -> String {
        let services = &self.services;
        let login = LoginName::parse(login).unwrap();
        let account = services.accounts.find(&login).await.unwrap().unwrap();
        let now = services.clock.now();
        let id = SessionToken(services.random.bytes()).id();
        let mut fields = serde_json::Map::new();
        fields.insert("scope".into(), "Office Manager".into());
        let record = SessionRecord {
            id,
            account: account.id,
            login,
            obtained_with: with,
            progress: Progress::Complete,
            epoch: account.epoch,
            created_at: now,
            last_seen: now,
            jar: crate::domain::jar::Jar::new(),
            jar_generation: 0,
            server: 0,
            user_agent: "Softphone/1.0".into(),
            client: [203, 0, 113, 9].into(),
            grant: Some(Box::new(Grant {
                kind,
                endpoint: "v1".into(),
                client: Some(ClientCredentials {
                    id: CLIENT[0].1.into(),
                    secret: Secret::new(CLIENT[1].1),
                }),
                expires_at: now + Duration::from_secs(30 * 24 * 3600),
            })),
            access: Some(Arc::new(PbxAccess {
                authorization: Secret::new(""),
                refresh: None,
                expires_at: None,
                fields,
            })),
        };
        assert!(!services.sessions.open(record).await.unwrap().has_ended());
        let expires_at = now + Duration::from_secs(3600);
        if kind == GrantKind::Jwt {
            return services.signer.sign(&AccessClaims {
                account: account.id,
                family: id,
                client_id: CLIENT[0].1.into(),
                scope: String::new(),
                issued_at: now,
                expires_at,
                id: [9; 16],
            });
        }
        let token = format!("{:032x}", u128::from_be_bytes(services.random.bytes()));
        let hash = TokenHash::of(&token);
        let noted = NotedToken { hash, usage: TokenUse::Access, family: id, expires_at };
        assert!(services.tokens.note(&[noted], &[]).await.unwrap());
        token
    }

    async fn ask(&self, path: &str, fields: &[(&str, &str)], authorization: &str) -> Page {
        let mut browser = self.browser();
        browser.script = true;
        if !authorization.is_empty() {
            browser.headers.push(("authorization", authorization.to_owned()));
        }
        browser.post(path, fields).await
    }

    /// What is said of a token to the application that has it.
    pub(super) async fn introspected(&self, token: &str) -> Value {
        let page = self.ask(INTROSPECT, &[&CLIENT[..], &[("token", token)]].concat(), "").await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        json(&page)
    }
}

fn json(page: &Page) -> Value {
    assert_eq!(page.header("content-type"), "application/json", "{page:?}");
    serde_json::from_str(&page.text).unwrap()
}

#[track_caller]
fn assert_error(page: &Page, status: u16, error: &str) {
    assert_eq!((page.status.as_u16(), json(page)["error"].as_str()), (status, Some(error)));
    assert!(json(page)["error_description"].as_str().unwrap().is_ascii());
    assert_eq!(page.header("cache-control"), "no-store");
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn two_people() -> World {
    let world = World::new().await;
    world.browser().sign_in(ALICE, ALICES_PIN).await;
    world.browser().sign_in(BOB, "7305").await;
    world
}

/// R-F3: applications find everything by the public URL, on whatever host; the documents may be
/// read by every page and kept for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_find_everything() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.host = "voice.other-brand.example";
    let page = browser.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        json(&page),
        json!({
            "issuer": PUBLIC_URL,
            "token_endpoint": "https://portal.example.com/ns-api/oauth2/token",
            "jwks_uri": "https://portal.example.com/.well-known/jwks.json",
            "revocation_endpoint": "https://portal.example.com/account/oauth/revoke",
            "introspection_endpoint": "https://portal.example.com/account/oauth/introspect",
            "service_documentation": "https://portal.example.com/account/help",
            "grant_types_supported": ["password", "refresh_token"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "revocation_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post"],
            "introspection_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post"],
        })
    );
    let keys = browser.get("/.well-known/jwks.json").await;
    assert_eq!(json(&keys)["keys"].as_array().unwrap().len(), 1);
    for page in [&page, &keys] {
        assert_eq!(page.header("access-control-allow-origin"), "*");
        assert_eq!(page.header("cache-control"), "public, max-age=300");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.headers.get("set-cookie").is_none());
    }
    let wrong = browser.post("/.well-known/jwks.json", &[]).await;
    assert_error(&wrong, 405, "invalid_request");
    assert_error(&browser.get("/account/oauth/other").await, 404, "invalid_request");
    assert_error(&browser.get(REVOKE).await, 405, "invalid_request");
}

/// R-F3: what is known of a token, told to the application that has it, and to its account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_described_to_its_owner() {
    let world = two_people().await;
    let with = ObtainedWith::Pin;
    let (own, pbxs) = (
        world.token(ALICE, GrantKind::Jwt, with).await,
        world.token(ALICE, GrantKind::Pass, with).await,
    );
    let at = world.services.clock.now().as_second();
    let account =
        world.services.accounts.find(&LoginName::parse(ALICE).unwrap()).await.unwrap().unwrap();
    let of_both = json!({
        "active": true, "username": ALICE, "sub": account.id.0, "client_id": "softphone",
        "scope": "Office Manager", "token_type": "Bearer", "iat": at, "exp": at + 3600,
    });
    let mut expected = of_both.clone();
    for (name, value) in [
        ("iss", json!(PUBLIC_URL)),
        ("aud", json!(PUBLIC_URL)),
        ("nbf", json!(at)),
        ("jti", json!("CQkJCQkJCQkJCQkJCQkJCQ")),
    ] {
        expected[name] = value;
    }
    assert_eq!(world.introspected(&own).await, expected);
    assert_eq!(world.introspected(&pbxs).await, of_both);

    let token = [("token", own.as_str())];
    let encoded = "s3cret%3A%25%2B%C3%BC";
    for shown in [
        basic("softphone", CLIENT[1].1),
        basic("softphone", encoded),
        format!("Bearer {own}"),
        format!("bearer {pbxs}"),
    ] {
        let page = world.ask(INTROSPECT, &token, &shown).await;
        assert_eq!((page.status, json(&page)), (StatusCode::OK, expected.clone()), "{shown}");
        assert_eq!(page.header("cache-control"), "no-store");
    }
    let repeated = [CLIENT[0], ("token", &own)];
    let page = world.ask(INTROSPECT, &repeated, &basic("softphone", CLIENT[1].1)).await;
    assert_eq!(json(&page), expected);
}

/// R-F3: nobody else hears more than that it does not work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_nothing_to_others() {
    let world = two_people().await;
    let with = ObtainedWith::Password;
    let own = world.token(ALICE, GrantKind::Jwt, with).await;
    let bobs = world.token(BOB, GrantKind::Jwt, with).await;
    let inactive = json!({ "active": false });
    let token = ("token", own.as_str());
    for (fields, shown) in [
        (vec![token], basic("softphone", "other")),
        (vec![token], basic("other", CLIENT[1].1)),
        (vec![token, ("client_id", "softphone")], String::new()),
        (vec![token, CLIENT[0], ("client_secret", "")], String::new()),
        (vec![token], format!("Bearer {bobs}")),
        (vec![CLIENT[0], CLIENT[1], ("token", "made-up")], String::new()),
    ] {
        let page = world.ask(INTROSPECT, &fields, &shown).await;
        assert_eq!((page.status, json(&page)), (StatusCode::OK, inactive.clone()), "{shown}");
    }
    for shown in ["Bearer made-up", "Bearer e30.e30.e30"] {
        let page = world.ask(INTROSPECT, &[token], shown).await;
        assert_error(&page, 401, "invalid_token");
        assert!(page.header("www-authenticate").starts_with("Bearer "));
    }
    let page = world.ask(INTROSPECT, &[token], "").await;
    assert_error(&page, 401, "invalid_client");
    assert!(page.header("www-authenticate").starts_with("Basic "));
    assert_eq!(world.introspected(&own).await["active"], true);

    world.pass_minutes(61);
    assert_eq!(world.introspected(&own).await, inactive, "its time is over");
    let own = world.token(ALICE, GrantKind::Jwt, with).await;
    let pin = world.token(BOB, GrantKind::Jwt, ObtainedWith::Pin).await;
    assert_eq!(world.introspected(&pin).await["active"], true);
    let mut desk = world.browser();
    desk.sign_in(ALICE, ALICES_PIN).await;
    let fields = [("current_password", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    desk.fill_in("/account/security", &fields).await.leads_to("/account/security");
    assert_eq!(world.introspected(&own).await, inactive, "a new portal password ends it");
    world.pass(15);
    assert_eq!(world.introspected(&pin).await, inactive, "force has begun");
}

/// R-F3: revoking ends the whole family; the right client, or the same account, may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_revoked() {
    let world = two_people().await;
    let with = ObtainedWith::Password;
    let bobs = world.token(BOB, GrantKind::Jwt, with).await;
    for kind in [GrantKind::Jwt, GrantKind::Pass] {
        let token = world.token(ALICE, kind, with).await;
        let other = world.token(ALICE, kind, with).await;
        let field = ("token", token.as_str());
        for (fields, shown, status, error) in [
            (vec![field], String::new(), 401, "invalid_client"),
            (vec![field], basic("softphone", "other"), 401, "invalid_client"),
            (vec![field, CLIENT[0]], String::new(), 401, "invalid_client"),
            (vec![field], "Bearer made-up".to_owned(), 401, "invalid_token"),
            (vec![field], format!("Bearer {bobs}"), 403, "unauthorized_client"),
        ] {
            assert_error(&world.ask(REVOKE, &fields, &shown).await, status, error);
            assert_eq!(world.introspected(&token).await["active"], true, "{shown}");
        }
        let mut fields = CLIENT.to_vec();
        fields.extend([field, ("token_type_hint", "refresh_token")]);
        for _ in 0..2 {
            let page = world.ask(REVOKE, &fields, "").await;
            assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, ""));
            assert_eq!(page.header("cache-control"), "no-store");
            assert_eq!(world.introspected(&token).await["active"], false);
        }
        assert_eq!(world.introspected(&other).await["active"], true, "another family");
        let own = world.ask(REVOKE, &[("token", &other)], &format!("Bearer {other}")).await;
        assert_eq!(own.status, StatusCode::OK);
        assert_eq!(world.introspected(&other).await["active"], false);
    }
    let unknown = [CLIENT[0], CLIENT[1], ("token", "made-up")];
    assert_eq!(world.ask(REVOKE, &unknown, "").await.status, StatusCode::OK);
}

/// Bad input gets a clear error in JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_refused() {
    let world = World::new().await;
    const FORM: &str = "application/x-www-form-urlencoded";
    for path in [REVOKE, INTROSPECT] {
        for (kind, body, authorization, status) in [
            ("application/json", r#"{"token":"x"}"#, "", 415),
            ("", "token=x", "", 415),
            (FORM, "", "Basic YTpi", 400),
            (FORM, "token=", "Basic YTpi", 400),
            (FORM, "token=x&token=y", "Basic YTpi", 400),
            (FORM, "token=%zz", "Basic YTpi", 400),
            (FORM, "token=x", "Basic !", 400),
            (FORM, "token=x", "Basic YWI=", 400),
            (FORM, "token=x", "Basic", 400),
            (FORM, "token=x&client_secret=y", "Bearer abc", 400),
            (FORM, "token=x&client_id=other", "Basic YTpi", 400),
            (FORM, "token=x&client_secret=y", "", 401),
            (FORM, "token=x", "Digest abc", 401),
        ] {
            let mut browser = world.browser();
            if !authorization.is_empty() {
                browser.headers.push(("authorization", authorization.to_owned()));
            }
            let page = browser.send(Method::POST, path, kind, Body::from(body)).await;
            let error = if status == 401 { "invalid_client" } else { "invalid_request" };
            assert_error(&page, status, error);
            assert!(!page.text.contains("token=x") && !page.text.contains("YTpi"), "{body}");
        }
        let huge = format!("token={}", "x".repeat(64 * 1024));
        let page = world.browser().send(Method::POST, path, FORM, Body::from(huge)).await;
        assert_error(&page, 413, "invalid_request");
    }
}

/// Security: whoever has somebody's token cannot try out its application's secret; right ones from
/// elsewhere are not held up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_secrets_are_counted() {
    let world = two_people().await;
    let token = world.token(ALICE, GrantKind::Jwt, ObtainedWith::Password).await;
    let field = [("token", token.as_str())];
    for number in 0..20 {
        let page = world.ask(REVOKE, &field, &basic("softphone", &format!("guess {number}"))).await;
        assert_error(&page, 401, "invalid_client");
    }
    for (path, secret) in [(REVOKE, "guess 20"), (INTROSPECT, CLIENT[1].1)] {
        let page = world.ask(path, &field, &basic("softphone", secret)).await;
        assert_error(&page, 429, "temporarily_unavailable");
        let wait: u64 = page.header("retry-after").parse().unwrap();
        assert!((1..=600).contains(&wait), "{wait}");
    }
    let mut elsewhere = world.browser();
    elsewhere.client = [203, 0, 113, 77].into();
    elsewhere.headers.push(("authorization", basic("softphone", CLIENT[1].1)));
    assert_eq!(json(&elsewhere.post(INTROSPECT, &field).await)["active"], true);
    world.pass_minutes(10);
    let page = world.ask(INTROSPECT, &field, &basic("softphone", CLIENT[1].1)).await;
    assert_eq!(json(&page)["active"], true);
}
