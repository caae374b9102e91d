//! The built-in profile against the example PBX's API.

use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::demo::portal::{
    ABC_COMPANY, API_CLIENT, API_OPERATOR, Failure, LegacyPortal, LoginResult, MFA_CODE, Options,
};
use crate::portal::HostHeader;

const ENDPOINTS: [&str; 4] = ["oauth2", "netsapiensJs", "v2-tokens", "v2-jwt"];
const PIN: &str = "48271";

async fn pbx(options: Options) -> (LegacyPortal, PbxTokenIssuer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pbx = LegacyPortal::start(listener, options).await;
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let unreachable = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let upstream = UpstreamSettings {
        servers: vec![
            Url::parse(&format!("http://{unreachable}")).unwrap(),
            Url::parse(&pbx.url()).unwrap(),
        ],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(20),
    };
    (pbx, PbxTokenIssuer::new(Arc::new(profile), upstream).unwrap())
}

fn alice() -> LoginName {
    LoginName::new("1001", ABC_COMPANY).unwrap()
}

fn client() -> ClientCredentials {
    ClientCredentials { id: API_CLIENT.0.into(), secret: Secret::new(API_CLIENT.1) }
}

async fn ask(
    issuer: &PbxTokenIssuer,
    endpoint: &str,
    grant: PbxGrant<'_>,
    client: &ClientCredentials,
    carried: &[(String, String)],
) -> Result<PbxTokenAnswer, Unavailable> {
    issuer
        .ask(PbxTokenRequest {
            endpoint,
            grant,
            client: Some(client),
            carried,
            user_agent: "App/1",
            client_address: "203.0.113.7".parse().unwrap(),
            host: "portal.example.com",
            server: None,
        })
        .await
}

async fn by_pin(issuer: &PbxTokenIssuer, endpoint: &str, pin: &str) -> PbxTokenAnswer {
    let (login, pin) = (alice(), Secret::new(pin));
    let grant = PbxGrant::Password { login: &login, pin: &pin, continued: false };
    ask(issuer, endpoint, grant, &client(), &[]).await.unwrap()
}

async fn owner(issuer: &PbxTokenIssuer, bearer: &str) -> Result<Option<LoginName>, Unavailable> {
    let address = "203.0.113.7".parse().unwrap();
    issuer.owner(&Secret::new(bearer), "App/1", address, "portal.example.com").await
}

/// R-F1: each endpoint gives tokens for a PIN, in its own shape; its token is a bearer of the same
/// user; a wrong PIN and a wrong client are told apart.
#[tokio::test]
async fn every_endpoint_gives_tokens() {
    let (pbx, issuer) = pbx(Options::default()).await;
    assert!(issuer.knows_owners());
    for endpoint in ENDPOINTS {
        pbx.clear_record();
        let answer = by_pin(&issuer, endpoint, PIN).await;
        let PbxTokenAnswer::Granted(tokens) = answer else { panic!("{endpoint}: {answer:?}") };
        assert_eq!(tokens.owner, Some(alice()), "{endpoint}");
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(3600)), "{endpoint}");
        assert_eq!(tokens.server, 1, "{endpoint}");
        assert_eq!(tokens.refresh.is_some(), endpoint != "netsapiensJs");
        assert_eq!(tokens.access.expose().contains('.'), endpoint.contains(['J', 'j']));
        assert_eq!(owner(&issuer, tokens.access.expose()).await.unwrap(), Some(alice()));
        let request = &pbx.record()[0];
        let json = request.header("content-type") == Some("application/json");
        assert_eq!(json, endpoint != "oauth2");
        assert_eq!(request.header("authorization").is_some(), endpoint == "netsapiensJs");
        assert_eq!(request.header("x-forwarded-for"), Some("203.0.113.7"));
        assert_eq!((request.query.as_deref(), request.logins.len()), (None, 1));
        assert_eq!(request.logins[0].shape, if json { "json" } else { "form" });

        assert!(matches!(by_pin(&issuer, endpoint, "9999").await, PbxTokenAnswer::Refused));
        let other = ClientCredentials { id: "other".into(), ..client() };
        let (login, pin) = (alice(), Secret::new(PIN));
        let grant = PbxGrant::Password { login: &login, pin: &pin, continued: false };
        let answer = ask(&issuer, endpoint, grant, &other, &[]).await.unwrap();
        assert!(matches!(answer, PbxTokenAnswer::BadClient), "{endpoint}: {answer:?}");
    }
}

/// R-F1: a user's credentials do not reach the PBX in the place of a client's.
#[tokio::test]
async fn a_user_is_no_client() {
    let (pbx, issuer) = pbx(Options::default()).await;
    let (login, pin) = (alice(), Secret::new("9999"));
    let grant = PbxGrant::Password { login: &login, pin: &pin, continued: false };
    for id in ["1001@abc-company.11111.service", "1001-abc-company.11111.service", "a:b"] {
        let client = ClientCredentials { id: id.into(), secret: Secret::new(PIN) };
        for endpoint in ENDPOINTS {
            let answer = ask(&issuer, endpoint, grant, &client, &[]).await.unwrap();
            assert!(matches!(answer, PbxTokenAnswer::BadClient), "{endpoint} {id}: {answer:?}");
        }
    }
    assert!(pbx.record().is_empty());
}

/// R-F1: refresh tokens work once, for the client that they were given to.
#[tokio::test]
async fn refreshing() {
    let (_pbx, issuer) = pbx(Options::default()).await;
    for endpoint in ["oauth2", "v2-tokens", "v2-jwt"] {
        let granted = by_pin(&issuer, endpoint, PIN).await;
        let PbxTokenAnswer::Granted(first) = granted else { panic!("{granted:?}") };
        let refresh = first.refresh.unwrap();
        let answer = ask(&issuer, endpoint, PbxGrant::Refresh(&refresh), &client(), &[]).await;
        let Ok(PbxTokenAnswer::Granted(second)) = answer else { panic!("{endpoint}: {answer:?}") };
        assert_eq!(second.owner, Some(alice()));
        assert_eq!(owner(&issuer, first.access.expose()).await.unwrap(), None, "it has ended");
        let again = ask(&issuer, endpoint, PbxGrant::Refresh(&refresh), &client(), &[]).await;
        assert!(matches!(again, Ok(PbxTokenAnswer::Refused)), "{endpoint}: {again:?}");
    }
}

/// R-F1: the PBX's second factor is a challenge, and the second call answers it, in each version.
#[tokio::test]
async fn a_second_factor() {
    let (pbx, issuer) = pbx(Options::default()).await;
    pbx.require_mfa(&alice().to_string(), true);
    let code = |name: &str, code: &str| vec![(name.to_owned(), code.to_owned())];
    for (endpoint, field) in ENDPOINTS.into_iter().zip(["passcode", "mfa_code"].repeat(2)) {
        pbx.clear_record();
        let answer = by_pin(&issuer, endpoint, PIN).await;
        let PbxTokenAnswer::Challenge(fields) = answer else { panic!("{endpoint}: {answer:?}") };
        assert_eq!(fields["mfa_type"], "totp");
        let (login, pin) = (alice(), Secret::new(PIN));
        let grant = PbxGrant::Password { login: &login, pin: &pin, continued: true };
        let wrong = ask(&issuer, endpoint, grant, &client(), &code(field, "000000")).await;
        assert!(matches!(wrong, Ok(PbxTokenAnswer::Refused)), "{endpoint}: {wrong:?}");
        let right = ask(&issuer, endpoint, grant, &client(), &code(field, MFA_CODE)).await;
        assert!(matches!(right, Ok(PbxTokenAnswer::Granted(_))), "{endpoint}: {right:?}");
        let results: Vec<_> = pbx.login_attempts().iter().map(|tried| tried.result).collect();
        use LoginResult::{Accepted, Challenge};
        assert_eq!(results, [Challenge, Challenge, Accepted], "{endpoint}");
    }
}

/// R-F5: whose a bearer is: also of a manager, who sees others; also by version 1 alone; not
/// accepted is not an outage, and the other way round.
#[tokio::test]
async fn owners() {
    let (pbx, issuer) = pbx(Options::default()).await;
    let operator = LoginName::parse(API_OPERATOR.0).unwrap();
    let pin = Secret::new(API_OPERATOR.1);
    let grant = PbxGrant::Password { login: &operator, pin: &pin, continued: false };
    let answer = ask(&issuer, "oauth2", grant, &client(), &[]).await.unwrap();
    let PbxTokenAnswer::Granted(tokens) = answer else { panic!("{answer:?}") };
    let bearer = tokens.access.expose();
    for refused in ["nonsense", "", "a b", "ä\u{1}\n"] {
        assert_eq!(owner(&issuer, refused).await.unwrap(), None, "{refused:?}");
    }
    assert_eq!(owner(&issuer, bearer).await.unwrap(), Some(operator.clone()));
    pbx.fail_on("/ns-api/v2/", Failure::Status(404));
    assert_eq!(owner(&issuer, bearer).await.unwrap(), Some(operator));
    for failure in [Failure::Status(500), Failure::Status(429), Failure::Close] {
        pbx.fail_on("/ns-api/v2/", failure);
        assert!(owner(&issuer, bearer).await.is_err(), "{failure:?}");
    }
    pbx.fail_on("/ns-api", Failure::Status(404));
    pbx.fail_on("/ns-api/v2/", Failure::Status(404));
    assert!(owner(&issuer, bearer).await.is_err(), "no way is known there");
}

/// R-F3: a token is ended at the PBX where the profile says how, and nothing happens elsewhere.
#[tokio::test]
async fn forgetting() {
    let (pbx, issuer) = pbx(Options::default()).await;
    for (endpoint, left) in [("v2-jwt", None), ("v2-tokens", Some(alice()))] {
        let answer = by_pin(&issuer, endpoint, PIN).await;
        let PbxTokenAnswer::Granted(tokens) = answer else { panic!("{answer:?}") };
        issuer.forget(endpoint, &tokens.access, tokens.server).await;
        assert_eq!(owner(&issuer, tokens.access.expose()).await.unwrap(), left, "{endpoint}");
    }
    pbx.fail_with(Failure::Close);
    issuer.forget("v2-jwt", &Secret::new("x"), 1).await;
    issuer.forget("v2-jwt", &Secret::new("x"), 7).await;
}

/// An outage of the API is never an answer about the PIN.
#[tokio::test]
async fn outages() {
    let (pbx, issuer) = pbx(Options::default()).await;
    let (login, pin) = (alice(), Secret::new(PIN));
    let grant = PbxGrant::Password { login: &login, pin: &pin, continued: false };
    for failure in [Failure::Status(500), Failure::Status(503), Failure::Close] {
        pbx.fail_with(failure);
        let answer = ask(&issuer, "oauth2", grant, &client(), &[]).await;
        assert!(answer.is_err(), "{failure:?}: {answer:?}");
    }
    pbx.fail_with(Failure::Status(401));
    let answer = ask(&issuer, "oauth2", grant, &client(), &[]).await.unwrap();
    assert!(matches!(answer, PbxTokenAnswer::Unknown { .. }), "{answer:?}");
    assert!(ask(&issuer, "nonsense", grant, &client(), &[]).await.is_err());
}
