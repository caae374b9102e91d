//! What somebody tries at the API who knows a PIN, half of a login, or makes tokens up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;

use super::{ALICE, ALICES_PIN, PASSWORD, World};
use crate::demo::portal::{API_CLIENT, MFA_CODE};
use crate::domain::api_client::ClientCredentials;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::flows::api::basic::{self, BasicLogin, BasicOutcome};
use crate::flows::api::bearer::{self, Bearer};
use crate::flows::api::{Caller, owner};
use crate::flows::tokens::{TokenAsk, TokenOutcome, TokenRefusal, issue};
use crate::flows::{Outage, Services};
use crate::portal::{HostHeader, PbxTokenIssuer, UpstreamSettings};
use crate::profile::Profile;

const OWNERS_PLACE: [u8; 4] = [203, 0, 113, 7];
const ELSEWHERE: [u8; 4] = [198, 51, 100, 9];

fn ask(secret: &str, code: Option<&str>) -> TokenAsk {
    let carried = code.map(|code| ("passcode".to_owned(), code.to_owned()));
    TokenAsk {
        endpoint: "oauth2".into(),
        typed: ALICE.into(),
        login: Some(LoginName::parse(ALICE).unwrap()),
        secret: Secret::new(secret),
        continued: code.is_some(),
        client: Some(ClientCredentials {
            id: API_CLIENT.0.into(),
            secret: Secret::new(API_CLIENT.1),
        }),
        carried: carried.into_iter().collect(),
        client_address: OWNERS_PLACE.into(),
        user_agent: "App/1".into(),
        host: "portal.example.com".into(),
    }
}

impl World {
    async fn ask_tokens(&self, secret: &str, code: Option<&str>) -> TokenOutcome {
        issue(&self.services, &ask(secret, code)).await.unwrap()
    }

    async fn basic(&self, secret: &str, from: [u8; 4]) -> BasicOutcome {
        let login = LoginName::parse(ALICE).unwrap();
        let login = BasicLogin {
            typed: ALICE.into(),
            upstream_name: login.to_string(),
            login: Some(login),
            secret: Secret::new(secret),
        };
        let client: IpAddr = from.into();
        if let Some(known) = basic::cached(&self.services, &login, client) {
            return known;
        }
        let caller = Caller { client, user_agent: "App/1", host: "portal.example.com" };
        basic::log_in(&self.services, &login, caller).await.unwrap()
    }
}

/// R-C5: where the name is locked, a guess at a login that an application of its owner sends with
/// each request is answered like any other. The application itself goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_holds_beside_an_application_that_is_known() {
    let world = World::new().await;
    world.with_password().await;
    let known = |outcome: &BasicOutcome| matches!(outcome, BasicOutcome::Known { .. });
    assert!(known(&world.basic(PASSWORD, OWNERS_PLACE).await));
    for wrong in 0..5 {
        let refused = world.basic(&format!("Wrong-Guess-{wrong}"), ELSEWHERE).await;
        assert!(matches!(refused, BasicOutcome::Refused), "{refused:?}");
    }
    for guess in [PASSWORD, "Wrong-Guess-6", PASSWORD] {
        let locked = world.basic(guess, ELSEWHERE).await;
        assert!(matches!(locked, BasicOutcome::Locked { .. }), "{guess}: {locked:?}");
    }
    assert!(known(&world.basic(PASSWORD, OWNERS_PLACE).await), "its owner's application");

    // Who guesses at the same address as the owner.
    let locked = world.basic("Wrong-Guess-7", OWNERS_PLACE).await;
    assert!(matches!(locked, BasicOutcome::Locked { .. }), "{locked:?}");
    let locked = world.basic(PASSWORD, OWNERS_PLACE).await;
    assert!(matches!(locked, BasicOutcome::Locked { .. }), "{locked:?}");
    world.pass_minutes(16);
    assert!(known(&world.basic(PASSWORD, OWNERS_PLACE).await));
}

/// R-C5: who has the password and not the second factor does not guess its codes without end: the
/// first half of a login, at either door, gives no guess back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_login_gives_no_guess_back() {
    let world = World::new().await;
    world.with_password().await;
    world.portal.require_mfa(ALICE, true);
    for code in 0..5 {
        let question = world.ask_tokens(PASSWORD, None).await;
        assert!(matches!(question, TokenOutcome::Challenge(_)), "{code}: {question:?}");
        world.browser().sign_in(ALICE, PASSWORD).await;
        let refused = world.ask_tokens(PASSWORD, Some(&format!("00000{code}"))).await;
        let wrong = matches!(refused, TokenOutcome::Refused(TokenRefusal::Credentials));
        assert!(wrong, "{code}: {refused:?}");
    }
    let locked = world.ask_tokens(PASSWORD, Some(MFA_CODE)).await;
    assert!(matches!(locked, TokenOutcome::Refused(TokenRefusal::Locked { .. })), "{locked:?}");
    world.pass_minutes(16);
    let issued = world.ask_tokens(PASSWORD, Some(MFA_CODE)).await;
    assert!(matches!(issued, TokenOutcome::Issued(_)), "{issued:?}");
}

/// R-A5: a PIN opens nothing for who has a password, whatever was half-begun with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_login_with_the_pin_ends_with_the_password() {
    let world = World::new().await;
    world.portal.require_mfa(ALICE, true);
    let question = world.ask_tokens(ALICES_PIN, None).await;
    assert!(matches!(question, TokenOutcome::Challenge(_)), "{question:?}");
    world.portal.require_mfa(ALICE, false);
    world.with_password().await;
    world.portal.require_mfa(ALICE, true);
    world.portal.clear_record();
    let refused = world.ask_tokens(ALICES_PIN, Some(MFA_CODE)).await;
    assert!(matches!(refused, TokenOutcome::Refused(TokenRefusal::Credentials)), "{refused:?}");
    assert!(world.portal.login_attempts().is_empty(), "the PBX is not asked");
}

/// R-A5: a PBX that knows a user by another name, too, does not open their account to the PIN by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_opens_nothing_by_another_name() {
    let world = World::new().await;
    world.with_password().await;
    let other = LoginName::parse("alice@abc-company.11111.service").unwrap();
    let answer = format!(
        "{{\"access_token\":\"t1\",\"user\":\"1001\",\"domain\":\"{}\"}}",
        LoginName::parse(ALICE).unwrap().tenant()
    );
    let pbx = issuer_that_says(answer).await;
    let services = Services { issuer: Arc::new(pbx), ..(*world.services).clone() };
    let ask = TokenAsk { typed: other.to_string(), login: Some(other), ..ask(ALICES_PIN, None) };
    let refused = issue(&services, &ask).await.unwrap();
    assert!(matches!(refused, TokenOutcome::Refused(TokenRefusal::Credentials)), "{refused:?}");
    let alice = LoginName::parse(ALICE).unwrap();
    let ask = TokenAsk { typed: ALICE.into(), login: Some(alice), ..ask };
    let refused = issue(&services, &ask).await.unwrap();
    assert!(matches!(refused, TokenOutcome::Refused(TokenRefusal::Credentials)), "{refused:?}");
}

/// An application that asks anew each time fills no store; what is in use stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_so_many_applications() {
    let world = World::new().await;
    world.with_password().await;
    let TokenOutcome::Issued(first) = world.ask_tokens(PASSWORD, None).await else { panic!() };
    for _ in 0..101 {
        world.clock.advance(SignedDuration::from_secs(10));
        let Bearer::Known { session, .. } =
            bearer::find(&world.services, first.access.expose()).await.unwrap()
        else {
            panic!("the first one is in use")
        };
        session.touch(world.services.clock.now());
        let issued = world.ask_tokens(PASSWORD, None).await;
        assert!(matches!(issued, TokenOutcome::Issued(_)), "{issued:?}");
    }
    let patience = std::time::Instant::now();
    while world.services.sessions.count_families().await.unwrap() > 100 {
        assert!(patience.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = bearer::find(&world.services, first.access.expose()).await.unwrap();
    assert!(matches!(found, Bearer::Known { .. }), "{found:?}");
}

/// Made-up bearers are no load for the PBX: the same one is asked about once in a minute, and one
/// address has only so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_bearers_do_not_storm_the_pbx() {
    let world = World::new().await;
    let until = world.services.clock.now() + Duration::from_secs(3600);
    let mut services = (*world.services).clone();
    services.policies.tokens.accept_legacy_until = Some(until);
    let text = Profile::builtin("netsapiens").unwrap();
    let profile = Profile::parse(text, "netsapiens.toml").unwrap();
    let asked = || world.portal.record().len();
    let show = async |token: &str, from: [u8; 4]| {
        let caller =
            Caller { client: from.into(), user_agent: "App/1", host: "portal.example.com" };
        owner::legacy_passes_until(&services, &profile, token, caller).await
    };
    for _ in 0..5 {
        assert!(matches!(show("made-up", ELSEWHERE).await, Ok(None)));
    }
    let once = asked();
    assert!((1..=2).contains(&once), "{once}");
    for number in 1..120 {
        assert!(matches!(show(&format!("made-up-{number}"), ELSEWHERE).await, Ok(None)));
    }
    let before = asked();
    assert!(matches!(show("one-more", ELSEWHERE).await, Err(Outage::Busy(_))));
    assert_eq!(asked(), before, "the PBX hears nothing of it");
    assert!(matches!(show("another", OWNERS_PLACE).await, Ok(None)), "others go on");
    world.pass_minutes(2);
    assert!(matches!(show("made-up", ELSEWHERE).await, Ok(None)));
    assert!(asked() > before);
}

/// A PBX whose token endpoint says this to everybody.
async fn issuer_that_says(answer: String) -> PbxTokenIssuer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = axum::routing::any(async move || {
        ([(http::header::CONTENT_TYPE, "application/json")], answer.clone())
    });
    let app = axum::Router::new().fallback_service(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens.toml");
    let upstream = UpstreamSettings {
        servers: vec![url.parse().unwrap()],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
    };
    PbxTokenIssuer::new(Arc::new(profile.unwrap()), upstream).unwrap()
}
