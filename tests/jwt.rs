//! Our access tokens as a program sees them that is not ours: PyJWT verifies them from the JWKS of
//! the running gateway. And what it forges is refused by the gateway (R-F3).

use std::process::Stdio;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{APP, App, Gateway, Pbx, Settings, alice};

/// What `public_url` says in the tests.
const ISSUER: &str = "https://localhost";

/// A gateway in mode `jwt` whose clock begins now: PyJWT goes by the machine's.
#[allow(clippy::disallowed_methods, reason = "PyJWT cannot be told another time")]
async fn gateway(pbx: &Pbx) -> Gateway {
    let more = "[tokens]\nmode = \"jwt\"\n".to_owned();
    Gateway::with(pbx, Settings { now: Timestamp::now().to_string(), more, ..Settings::default() })
        .await
}

async fn pyjwt(gateway: &Gateway, app: &App, token: &str) -> Value {
    let authority = gateway.directory().join("authority.pem");
    std::fs::write(&authority, gateway.authority_pem()).unwrap();
    // Debian's interpreter: the libraries are its packages.
    let mut child = Command::new("/usr/bin/python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pyjwt.py"))
        .args([&app.base, authority.to_str().unwrap(), ISSUER])
        .arg(gateway.directory().join("data/keyring.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "scripts/install-tools.sh test installs what it needs");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// R-F3: an independent library finds the key in the JWKS, verifies a token that was obtained with
/// the password grant, and reads what it should.
#[tokio::test(flavor = "multi_thread")]
async fn pyjwt_verifies_our_tokens() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx).await;
    let app = gateway.app();
    let (token, _) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let seen = pyjwt(&gateway, &app, &token).await;
    assert_eq!(
        (&seen["header"]["alg"], &seen["header"]["typ"]),
        (&"EdDSA".into(), &"at+jwt".into())
    );
    let claims = &seen["claims"];
    let account = gateway.account(&alice().login).await;
    assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &ISSUER.into()));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&account["id"], &APP.0.into()));
    let at = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!((at("exp") - at("iat"), at("nbf")), (3600, at("iat")));

    // Keys rotate: tokens of before and after are verified from one JWKS.
    let rotated = gateway.command(&["keys", "rotate"]).await;
    assert!(rotated.status.success(), "{rotated:?}");
    let (after, _) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let kid = |seen: &Value| seen["header"]["kid"].as_str().unwrap().to_owned();
    assert_eq!(kid(&pyjwt(&gateway, &app, &token).await), kid(&seen));
    assert_ne!(kid(&pyjwt(&gateway, &app, &after).await), kid(&seen));
    for token in [&token, &after] {
        assert_eq!(app.own_record(token).await.status, 200);
    }
}

/// Security (RFC 8725): `none`, HS256 with the public key, foreign keys, keys in the header, another
/// audience, type or time: refused on an API call, in JSON; and nothing of it reaches the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused() {
    let pbx = Pbx::start().await;
    let gateway = gateway(&pbx).await;
    let app = gateway.app();
    let (token, _) = app.log_in(&alice().login, &alice().pin).await.tokens();
    let seen = pyjwt(&gateway, &app, &token).await;
    // The control: made like the forged ones, with nothing wrong, it works.
    assert_eq!(app.own_record(seen["good"].as_str().unwrap()).await.status, 200);
    pbx.0.clear_record();
    let forged = seen["forged"].as_object().unwrap();
    assert!(forged.len() > 20);
    for (what, token) in forged {
        let refused = app.own_record(token.as_str().unwrap()).await;
        assert_eq!(refused.status, 401, "{what}: {refused:?}");
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{what}: {refused:?}");
        assert!(refused.header("content-type").unwrap().contains("json"), "{what}: {refused:?}");
    }
    let api = pbx.0.record().into_iter().filter(|request| request.path.starts_with("/ns-api"));
    assert_eq!(api.map(|request| request.path).collect::<Vec<_>>(), Vec::<String>::new());

    gateway.advance("59m").await;
    assert_eq!(app.own_record(&token).await.status, 200);
    gateway.advance("61s").await;
    assert_eq!(app.own_record(&token).await.status, 401, "its hour is over");
}
