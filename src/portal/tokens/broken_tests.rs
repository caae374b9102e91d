//! A PBX whose API answers oddly, or not at all: nothing of that is a refusal, nothing of it is
//! told to clients, and no request is sent twice.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::portal::HostHeader;
use crate::portal::testing::Log;

const PIN: &str = "0073571357";

/// Answers every request in the same way; `None`: takes it and closes the connection.
async fn pbx(answer: Option<Vec<u8>>) -> (Arc<Mutex<Vec<String>>>, PbxTokenIssuer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("grant_type")
                && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0)
            {}
            requests.lock().unwrap().push(String::from_utf8(bytes).unwrap());
            if let Some(answer) = &answer {
                let _ = stream.write_all(answer).await;
            }
        }
    });
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let settings = UpstreamSettings {
        // The same twice: a second one is not asked after a request was lost.
        servers: vec![url.clone(), url],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: Duration::from_secs(10),
        response_timeout: Duration::from_secs(10),
    };
    (seen, PbxTokenIssuer::new(Arc::new(profile), settings).unwrap())
}

fn http(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

async fn ask(issuer: &PbxTokenIssuer) -> Result<PbxTokenAnswer, Unavailable> {
    let (login, pin) = (LoginName::new("1001", "abc.service").unwrap(), Secret::new(PIN));
    let client = ClientCredentials { id: "app".into(), secret: Secret::new("canary-client") };
    issuer
        .ask(PbxTokenRequest {
            endpoint: "oauth2",
            grant: PbxGrant::Password { login: &login, pin: &pin, continued: false },
            client: Some(&client),
            carried: &[("passcode".into(), "canary-code".into())],
            user_agent: "App/1",
            client_address: "203.0.113.7".parse().unwrap(),
            host: "portal.example.com",
            server: None,
        })
        .await
}

/// R-F1: every odd answer is an outage; the PIN is sent once.
#[tokio::test]
async fn odd_answers_are_outages() {
    let long = format!("{{\"access_token\":\"{}\"}}", "a".repeat(300 * 1024));
    for (answer, unavailable) in [
        (Some(http("200 OK", "<html>Welcome")), false),
        (Some(http("200 OK", "")), false),
        (Some(http("200 OK", "{\"ok\":true}")), false),
        (Some(http("200 OK", &long)), false),
        (Some(http("302 Found\r\nLocation: /portal/login", "")), false),
        (Some(http("401 Unauthorized", "<h1>401</h1>")), false),
        (Some(http("403 Forbidden", "{\"message\":\"no\"}")), false),
        (Some(http("429 Too Many Requests", "")), false),
        (Some(http("500 Oops", "{\"error\":\"invalid_grant\"}")), true),
        (Some(http("502 Bad Gateway", "{\"access_token\":\"x\"}")), true),
        (Some(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec()), true),
        (Some(b"nonsense\r\n\r\n".to_vec()), true),
        (None, true),
    ] {
        let told =
            answer.as_ref().map(|bytes| bytes[..bytes.len().min(60)].escape_ascii().to_string());
        let (seen, issuer) = pbx(answer).await;
        let answer = ask(&issuer).await;
        match &answer {
            Ok(PbxTokenAnswer::Unknown { .. }) => assert!(!unavailable, "{told:?}"),
            Err(_) => assert!(unavailable, "{told:?}: {answer:?}"),
            other => panic!("{told:?}: {other:?}"),
        }
        assert_eq!(seen.lock().unwrap().len(), 1, "{told:?}: sent once");
    }
}

/// Bad input: an error's description is told when it is a sentence, never a trace or a secret.
#[tokio::test]
async fn descriptions_are_cleaned() {
    let long = "a".repeat(201);
    let secret = format!("The password {PIN} is not in scope.");
    for (said, told) in [
        ("The scope 'all' is unknown.", Some("The scope 'all' is unknown.")),
        ("  Too many requests; wait (60 s).\n", Some("Too many requests; wait (60 s).")),
        ("Fatal error in /var/www/html/oauth2.php:17", None),
        ("Exception in Token::grant", None),
        ("at line 3\n#0 main()", None),
        ("<b>Warning</b>", None),
        ("ung\u{fc}ltig", None),
        ("a \"quoted\" word", None),
        (long.as_str(), None),
        (secret.as_str(), None),
        ("", None),
    ] {
        let body = serde_json::json!({ "error": "invalid_scope", "error_description": said });
        let (_, issuer) = pbx(Some(http("400 Bad Request", &body.to_string()))).await;
        match ask(&issuer).await.unwrap() {
            PbxTokenAnswer::Rejected { error, description } => {
                assert_eq!((error.as_str(), description.as_deref()), ("invalid_scope", told));
            }
            other => panic!("{said:?}: {other:?}"),
        }
    }
}

/// Security: no secret is in a log, whatever the PBX says.
#[tokio::test]
async fn nothing_secret_is_logged() {
    for (head, body) in [
        ("200 OK", r#"{"access_token":"canary-token","refresh_token":"canary-refresh"}"#),
        ("200 OK", r#"{"mfa_type":"totp","state":"canary-state"}"#),
        ("400 Bad Request", r#"{"error":"invalid_request","error_description":"canary-said"}"#),
        ("401 Unauthorized", r#"{"error":"canary-error"}"#),
        ("500 Oops", "canary-trace"),
    ] {
        let (_, issuer) = pbx(Some(http(head, body))).await;
        let log = Log::start();
        let answer = ask(&issuer).await;
        let logged = format!("{}{answer:?}", log.text());
        assert!(logged.contains("oauth2"), "something is logged: {logged}");
        assert!(!logged.contains("canary") && !logged.contains(PIN), "{logged}");
    }
}
