//! What answers of the PBX mean, and how ours take their place.

use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::profile::{Profile, Shown};

fn profile(name: &str) -> Profile {
    Profile::parse(Profile::builtin(name).unwrap(), name).unwrap()
}

fn judge(endpoint: &str, status: u16, body: &str) -> TokenJudgement {
    static PROFILE: LazyLock<Profile> = LazyLock::new(|| profile("netsapiens"));
    PROFILE.token_endpoint(endpoint).unwrap().judge(status, body.as_bytes())
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "HS256" })), part(claims))
}

fn name(judgement: &TokenJudgement) -> &'static str {
    match judgement {
        TokenJudgement::Granted(_) => "granted",
        TokenJudgement::Challenge => "challenge",
        TokenJudgement::Refused => "refused",
        TokenJudgement::BadClient => "bad client",
        TokenJudgement::Rejected(code) => code,
        TokenJudgement::Unknown => "unknown",
    }
}

/// R-F1: only what RFC 6749 or the profile says is a refusal; what nobody knows is an outage.
#[test]
fn answers_are_judged() {
    for (status, body, expected) in [
        (200, r#"{"access_token":"a","token_type":"Bearer"}"#, "granted"),
        (201, r#"{"access_token":"a","mfa_type":"totp"}"#, "granted"),
        (200, r#"{"username":"1001","mfa_type":"totp"}"#, "challenge"),
        (400, r#"{"error":"invalid_grant"}"#, "refused"),
        (401, r#"{"error":"invalid_grant","error_description":"no"}"#, "refused"),
        (200, r#"{"error":"invalid_grant"}"#, "refused"),
        (401, r#"{"error":"invalid_client"}"#, "bad client"),
        (400, r#"{"error":"invalid_client"}"#, "bad client"),
        (400, r#"{"error":"invalid_scope"}"#, "invalid_scope"),
        (400, r#"{"error":"unauthorized_client"}"#, "unauthorized_client"),
        (400, r#"{"error":"unsupported_grant_type"}"#, "unsupported_grant_type"),
        (400, r#"{"error":"invalid_request"}"#, "invalid_request"),
        (400, r#"{"error":"invalid_token"}"#, "unknown"),
        (200, r#"{"error":"odd","access_token":"a"}"#, "unknown"),
        (200, r#"{"error":{"code":1},"access_token":"a"}"#, "unknown"),
        (400, r#"{"access_token":"a"}"#, "unknown"),
        (401, r#"{"mfa_type":"totp"}"#, "unknown"),
        (302, r#"{"access_token":"a"}"#, "unknown"),
        (200, r#"{"access_token":""}"#, "unknown"),
        (200, r#"{"access_token":17}"#, "unknown"),
        (200, r#"["access_token"]"#, "unknown"),
        (200, "<html>It works</html>", "unknown"),
        (401, "Unauthorized", "unknown"),
        (429, "", "unknown"),
        (404, r#"{"code":404,"message":"no such resource"}"#, "unknown"),
    ] {
        assert_eq!(name(&judge("oauth2", status, body)), expected, "{status} {body}");
    }
    let text = Profile::builtin("netsapiens").unwrap().replace(
        "name = \"v2-tokens\"\n",
        "name = \"v2-tokens\"\nrefused = [{ status = [401], body = '\"code\":\\s*401' }]\n",
    );
    let profile = Profile::parse(&text, "own.toml").unwrap();
    let endpoint = profile.token_endpoint("v2-tokens").unwrap();
    assert_eq!(name(&endpoint.judge(401, br#"{"code": 401,"message":"no"}"#)), "refused");
    assert_eq!(name(&endpoint.judge(401, b"no")), "unknown");
}

/// R-F3: life and owner come from the answer, or from the claims of a token that is a JWT.
#[test]
fn life_and_owner_are_found() {
    let netsapiens = profile("netsapiens");
    let found = |endpoint: &str, body: Value| {
        let judged = judge(endpoint, 200, &body.to_string());
        let TokenJudgement::Granted(found) = judged else { panic!("{judged:?}") };
        let owner = found.owner.as_ref().and_then(|owner| netsapiens.owner(owner));
        (found.expires_in.map(|life| life.as_secs()), owner.map(|owner| owner.to_string()))
    };
    let alice = Some("1001@abc.service".to_owned());
    for life in [json!(3600), json!("3600")] {
        let body = json!({ "access_token": "a", "expires_in": life, "user": 1001, "domain": "ABC.service" });
        assert_eq!(found("oauth2", body), (Some(3600), alice.clone()));
    }
    assert_eq!(found("oauth2", json!({ "access_token": "a", "user": "1001" })), (None, None));
    let claims = json!({ "user": "1001", "domain": "abc.service", "iat": 1000, "exp": 1600 });
    for endpoint in ["netsapiensJs", "v2-jwt"] {
        let body = json!({ "token": jwt(&claims) });
        assert_eq!(found(endpoint, body), (Some(600), alice.clone()), "{endpoint}");
        for odd in [json!({ "exp": 1, "iat": 9 }), json!([]), json!("x")] {
            assert_eq!(found(endpoint, json!({ "token": jwt(&odd) })), (None, None), "{odd}");
        }
        for token in ["x", "a.b", "a.!.c", "...."] {
            assert_eq!(found(endpoint, json!({ "token": token })), (None, None), "{token}");
        }
    }
}

/// R-F3: the answer keeps the PBX's other fields, and no token of the PBX is left in it.
#[test]
fn ours_take_the_place_of_the_pbxs() {
    let hour = Duration::from_secs(3600);
    let profile = profile("netsapiens");
    let put = |endpoint: &str, answer: Value, refresh: Option<&str>| {
        let Value::Object(mut fields) = answer else { panic!() };
        let endpoint = profile.token_endpoint(endpoint).unwrap();
        endpoint.put_tokens(&mut fields, "OURS", refresh, hour);
        Value::Object(fields)
    };
    let pbx = json!({
        "access_token": "pbx-a", "refresh_token": "pbx-r", "expires_in": 60, "token_type": "Bearer",
        "uid": "1001@acme", "again": ["pbx-a", { "deep": "pbx-r" }], "displayName": "A",
    });
    assert_eq!(
        put("oauth2", pbx.clone(), Some("MORE")),
        json!({
            "access_token": "OURS", "refresh_token": "MORE", "expires_in": 3600,
            "token_type": "Bearer", "uid": "1001@acme", "again": ["OURS", { "deep": "MORE" }],
            "displayName": "A",
        })
    );
    let without = put("oauth2", pbx, None);
    assert!(without.get("refresh_token").is_none() && !without.to_string().contains("pbx-"));
    assert_eq!(
        put("netsapiensJs", json!({ "token": "pbx" }), Some("MORE")),
        json!({ "token": "OURS", "refresh_token": "MORE", "expires_in": 3600 })
    );
    let texts = put("oauth2", json!({ "access_token": "a", "expires_in": "60" }), None);
    assert_eq!(texts, json!({ "access_token": "OURS", "expires_in": "3600" }));
}

/// Places may lie deeper, and have names that need escapes.
#[test]
fn deep_places() {
    let text = Profile::builtin("generic").unwrap().replace(
        "paths = [\"/oauth/token\", \"/oauth/token/\"]",
        "paths = [\"/oauth/token\"]\naccess = \"/data/a~1b/token\"\nrefresh = \"/data/more\"\n\
         expires_in = \"/data/life\"\nowner_login = \"/data/who\"",
    );
    let profile = Profile::parse(&text, "deep.toml").unwrap();
    let endpoint = profile.token_endpoint("oauth").unwrap();
    let answer = json!({ "data": { "a/b": { "token": "x" }, "more": "r", "who": "1001@acme" } });
    let judged = endpoint.judge(200, answer.to_string().as_bytes());
    let TokenJudgement::Granted(found) = judged else { panic!("{judged:?}") };
    assert_eq!(found.owner, Some(FoundOwner::Login("1001@acme".into())));
    let Value::Object(mut fields) = answer else { panic!() };
    endpoint.put_tokens(&mut fields, "OURS", None, Duration::from_secs(60));
    let expected =
        json!({ "data": { "a/b": { "token": "OURS" }, "who": "1001@acme", "life": 60 } });
    assert_eq!(Value::Object(fields), expected);
    let mut empty = Map::new();
    endpoint.put_tokens(&mut empty, "OURS", Some("MORE"), Duration::from_secs(60));
    let expected = json!({ "data": { "a/b": { "token": "OURS" }, "more": "MORE", "life": 60 } });
    assert_eq!(Value::Object(empty), expected);
}

/// R-F1: the PBX sees one shape, whatever the client sent; fields that nobody knows do not go along.
#[test]
fn requests_are_built_anew() {
    let profile = profile("netsapiens");
    let client = crate::domain::api_client::ClientCredentials {
        id: "app".into(),
        secret: Secret::new("s&t"),
    };
    let pin = Secret::new("48271");
    let carried = [("passcode", "1"), ("evil", "x"), ("password", "y")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ask = |endpoint: &str, shown| {
        let ask = profile.token_endpoint(endpoint).unwrap().ask(shown, Some(&client), &carried);
        assert!(!format!("{ask:?}").contains("48271"), "{ask:?}");
        (ask.media_type, ask.body.expose().to_owned(), ask.basic.map(|client| client.id))
    };
    let shown = Shown::Password { user: "1001@a", pin: &pin, continued: false };
    assert_eq!(
        ask("oauth2", shown),
        (
            "application/x-www-form-urlencoded",
            "grant_type=password&client_id=app&client_secret=s%26t&username=1001%40a\
             &password=48271&passcode=1"
                .to_owned(),
            None
        )
    );
    let (kind, body, basic) =
        ask("netsapiensJs", Shown::Password { user: "1001@a", pin: &pin, continued: true });
    assert_eq!((kind, basic.as_deref()), ("application/json", Some("app")));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "grant_type": "mfa", "username": "1001@a", "password": "48271", "passcode": "1" })
    );
    let (_, body, _) = ask("v2-jwt", Shown::Refresh(&Secret::new("r")));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({
            "grant_type": "refresh_token", "refresh_token": "r", "client_id": "app",
            "client_secret": "s&t", "passcode": "1",
        })
    );
}

/// R-F5: whose a bearer is, where the answer names one user and no more.
#[test]
fn whoami_names_one_user() {
    let profile = profile("netsapiens");
    let [two, one] = profile.who_am_i() else { panic!() };
    assert_eq!((two.method(), two.target().as_str()), ("GET", "/ns-api/v2/domains/~/users/~"));
    assert!(two.body().is_none());
    let user = json!({ "user": "1001", "domain": "acme" });
    let alice = Some(FoundOwner::Parts { user: "1001".into(), tenant: "acme".into() });
    assert_eq!(two.owner_in(&user), alice);
    assert_eq!(one.owner_in(&json!([user])), alice);
    assert_eq!(one.owner_in(&json!([user, { "user": "1002", "domain": "acme" }])), None);
    for nobody in
        [json!([]), json!({}), json!({ "user": "1001" }), json!({ "user": "", "domain": "" })]
    {
        assert_eq!(two.owner_in(&nobody), None, "{nobody}");
        assert_eq!(one.owner_in(&nobody), None, "{nobody}");
    }
}
