//! Reading and writing PINs by the built-in profile at the example legacy portal.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::adapters::clock::MovableClock;
use crate::demo::portal::{
    ABC_COMPANY, API_CLIENT, API_OPERATOR, Failure, LegacyPortal, Options, RecordedRequest,
};
use crate::domain::jar::Jar;
use crate::portal::{HostHeader, LoginDriver};
use crate::ports::{Portal, PortalAnswer, PortalLogin, PortalSession};

const V2: &str = "/ns-api/v2/domains";
const TOKEN: &str = "/ns-api/oauth2/token";
const PAGE: &str = "/portal/profile";

fn settings(portal: &LegacyPortal) -> UpstreamSettings {
    UpstreamSettings {
        servers: vec![Url::parse(&portal.url()).unwrap()],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(20),
    }
}

fn profile() -> Arc<Profile> {
    Arc::new(Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap())
}

async fn portal(options: Options) -> LegacyPortal {
    LegacyPortal::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).await
}

fn oauth(password: &str) -> AdminAccess {
    AdminAccess::OAuth {
        client_id: API_CLIENT.0.into(),
        client_secret: Secret::new(API_CLIENT.1),
        user: API_OPERATOR.0.into(),
        password: Secret::new(password),
    }
}

fn subscribers(
    portal: &LegacyPortal,
    admin: AdminAccess,
    clock: &Arc<MovableClock>,
) -> PbxSubscribers {
    let clock: Arc<dyn Clock> = clock.clone();
    PbxSubscribers::new(profile(), settings(portal), admin, clock).unwrap()
}

/// The example portal, and the API's operator there.
async fn with_access(options: Options) -> (LegacyPortal, PbxSubscribers, Arc<MovableClock>) {
    let portal = portal(options).await;
    let clock = Arc::new(MovableClock::standing_at("2031-06-01T12:00:00Z".parse().unwrap()));
    let subscribers = subscribers(&portal, oauth(API_OPERATOR.1), &clock);
    (portal, subscribers, clock)
}

fn alice() -> LoginName {
    LoginName::new("1001", ABC_COMPANY).unwrap()
}

fn pin(portal: &LegacyPortal) -> String {
    portal.user(&alice().to_string()).unwrap().pin
}

async fn write(subscribers: &PbxSubscribers, pin: &str) -> PinWritten {
    subscribers.write_pin(&alice(), &Secret::new(pin), None).await
}

async fn read(subscribers: &PbxSubscribers, login: &LoginName) -> Option<String> {
    subscribers.read_pin(login).await.unwrap().map(|pin| pin.expose().to_owned())
}

/// Requests of a path, by what it begins with.
fn requests(portal: &LegacyPortal, prefix: &str) -> Vec<RecordedRequest> {
    portal.record().into_iter().filter(|request| request.path.starts_with(prefix)).collect()
}

/// R-B4: a PIN is written and read with the access of `[portal.admin]`; leading zeros stay, and
/// one token serves many calls.
#[tokio::test]
async fn written_and_read_with_an_access() {
    let (portal, subscribers, _) = with_access(Options::default()).await;
    assert_eq!((subscribers.writing(), subscribers.reading()), (PinWriting::Admin, true));
    subscribers.ping().await.unwrap();
    assert!(matches!(write(&subscribers, "00420").await, PinWritten::Done));
    assert_eq!(pin(&portal), "00420");
    assert_eq!(read(&subscribers, &alice()).await.as_deref(), Some("00420"));
    let email = portal.user(&alice().to_string()).unwrap().email;
    assert_eq!(email.as_deref(), Some("alice@abc-company.example"), "nothing else changes");
    for nobody in [("1999", ABC_COMPANY), ("1001", "elsewhere.example"), ("500", ABC_COMPANY)] {
        let login = LoginName::new(nobody.0, nobody.1).unwrap();
        assert_eq!(read(&subscribers, &login).await, None, "{login}");
    }
    assert_eq!(requests(&portal, TOKEN).len(), 1);
    let put = requests(&portal, V2).into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(put.header("host"), Some("portal.example.com"));
    assert_eq!(put.header("x-forwarded-proto"), Some("https"));
}

/// R-B4: where the server does not know API v2, v1 is used; a PIN that it refuses is refused.
#[tokio::test]
async fn version_one_follows_version_two() {
    let (portal, subscribers, _) = with_access(Options::default()).await;
    for status in [404, 405, 501] {
        portal.fail_on(V2, Failure::Status(status));
        let new = format!("00{status}");
        assert!(matches!(write(&subscribers, &new).await, PinWritten::Done), "{status}");
        assert_eq!(pin(&portal), new);
        assert_eq!(read(&subscribers, &alice()).await.as_deref(), Some(new.as_str()));
    }
    assert!(matches!(write(&subscribers, "12").await, PinWritten::Refused { .. }));
    portal.fail_on("/ns-api", Failure::Status(404));
    portal.fail_on(TOKEN, Failure::None);
    let nowhere = write(&subscribers, "55555").await;
    assert!(matches!(nowhere, PinWritten::Refused { .. }), "{nowhere:?}");
    portal.fail_on(V2, Failure::None);
    assert!(matches!(write(&subscribers, "12").await, PinWritten::Refused { .. }));
    assert_eq!(pin(&portal), "00501");
}

/// A token is renewed before it ends, and at once when the PBX forgot it.
#[tokio::test]
async fn tokens_are_renewed() {
    let (portal, subscribers, clock) = with_access(Options::default()).await;
    let tokens = || requests(&portal, TOKEN).len();
    assert!(read(&subscribers, &alice()).await.is_some());
    clock.advance(SignedDuration::from_mins(58));
    assert!(read(&subscribers, &alice()).await.is_some());
    assert_eq!(tokens(), 1);
    clock.advance(SignedDuration::from_mins(1));
    assert!(read(&subscribers, &alice()).await.is_some());
    assert_eq!(tokens(), 2, "a minute before it ends");
    portal.expire_sessions();
    assert!(matches!(write(&subscribers, "60606").await, PinWritten::Done));
    assert_eq!((tokens(), pin(&portal).as_str()), (3, "60606"));
    // A clock that is set back makes no token live longer.
    clock.advance(SignedDuration::from_hours(-2));
    assert!(read(&subscribers, &alice()).await.is_some());
    assert_eq!(tokens(), 4);
}

/// Calls that come together ask for one token, and share the failure if there is none.
#[tokio::test]
async fn one_asks_for_all() {
    let (portal, subscribers, _) = with_access(Options::default()).await;
    portal.fail_on(TOKEN, Failure::Slow(Duration::from_millis(50)));
    let alice = alice();
    let reads = (0..8).map(|_| subscribers.read_pin(&alice));
    let read = futures::future::join_all(reads).await;
    assert!(read.iter().all(|read| matches!(read, Ok(Some(_)))), "{read:?}");
    assert_eq!(requests(&portal, TOKEN).len(), 1);
    portal.expire_sessions();
    portal.fail_on(TOKEN, Failure::Status(503));
    let reads = (0..8).map(|_| subscribers.read_pin(&alice));
    assert!(futures::future::join_all(reads).await.iter().all(Result::is_err));
    let tried = requests(&portal, TOKEN).len();
    assert!(tried <= 3, "{tried}");
    portal.fail_on(TOKEN, Failure::None);
    assert!(subscribers.read_pin(&alice).await.is_ok(), "an outage is tried again at once");
}

/// An access that the PBX refuses is "not asked", and tried again after half a minute only: the
/// PBX must not ban us.
#[tokio::test]
async fn a_refused_access_is_left_alone() {
    let portal = portal(Options::default()).await;
    let clock = Arc::new(MovableClock::standing_at("2031-06-01T12:00:00Z".parse().unwrap()));
    let wrong = subscribers(&portal, oauth("000000"), &clock);
    for _ in 0..5 {
        let PinWritten::NotAsked(why) = write(&wrong, "60606").await else { panic!("asked") };
        assert!(why.detail.contains("[portal.admin]") && why.detail.contains("invalid_grant"));
        assert!(wrong.read_pin(&alice()).await.is_err());
        assert!(wrong.ping().await.is_err());
    }
    assert_eq!(requests(&portal, TOKEN).len(), 1);
    clock.advance(SignedDuration::from_secs(31));
    assert!(matches!(write(&wrong, "60606").await, PinWritten::NotAsked(_)));
    assert_eq!(requests(&portal, TOKEN).len(), 2);
    assert!(portal.set_pin(API_OPERATOR.0, "000000"));
    assert!(matches!(write(&wrong, "60606").await, PinWritten::NotAsked(_)));
    clock.advance(SignedDuration::from_secs(31));
    assert!(matches!(write(&wrong, "60606").await, PinWritten::Done));

    // A token that does not end, and HTTP Basic.
    let bearer = AdminAccess::Bearer { token: Secret::new("made-up") };
    let bearer = subscribers(&portal, bearer, &clock);
    let before = requests(&portal, V2).len();
    for _ in 0..5 {
        assert!(matches!(write(&bearer, "70707").await, PinWritten::NotAsked(_)));
    }
    assert_eq!(requests(&portal, V2).len(), before + 1);
    let basic = |password: &str| AdminAccess::Basic {
        user: API_OPERATOR.0.into(),
        password: Secret::new(password),
    };
    let wrong = subscribers(&portal, basic("111111"), &clock);
    assert!(matches!(write(&wrong, "70707").await, PinWritten::NotAsked(_)));
    assert_eq!(pin(&portal), "60606");
    let right = subscribers(&portal, basic("000000"), &clock);
    right.ping().await.unwrap();
    assert!(matches!(write(&right, "70707").await, PinWritten::Done));
}

/// An access that may not see the tenant, and a second factor, are no access.
#[tokio::test]
async fn an_access_that_may_not() {
    let portal = portal(Options::default()).await;
    let clock = Arc::new(MovableClock::standing_at("2031-06-01T12:00:00Z".parse().unwrap()));
    let manager =
        AdminAccess::Basic { user: "200-wickedsprockets".into(), password: Secret::new("840362") };
    let foreign = subscribers(&portal, manager, &clock);
    assert!(matches!(write(&foreign, "60606").await, PinWritten::NotAsked(_)));
    assert!(portal.require_mfa(API_OPERATOR.0, true));
    let asked_more = subscribers(&portal, oauth(API_OPERATOR.1), &clock);
    let PinWritten::NotAsked(why) = write(&asked_more, "60606").await else { panic!("asked") };
    assert!(why.detail.contains("second factor"), "{why}");
    assert_eq!(pin(&portal), "48271");
}

async fn session(portal: &LegacyPortal) -> PortalSession {
    let driver = LoginDriver::new(profile(), settings(portal)).unwrap();
    let (login, secret) = (alice(), Secret::new(pin(portal)));
    let request = PortalLogin {
        login: &login,
        pin: &secret,
        carried: &[],
        user_agent: "Browser/1",
        client: "203.0.113.7".parse().unwrap(),
        host: "portal.example.com",
        server: None,
    };
    match driver.log_in(request).await.unwrap() {
        PortalAnswer::Accepted(session) => session,
        other => panic!("{other:?}"),
    }
}

fn own(jar: &Jar) -> OwnSession<'_> {
    OwnSession {
        jar,
        server: 0,
        user_agent: "Browser/1",
        client: "203.0.113.7".parse().unwrap(),
        host: "portal.example.com",
    }
}

/// R-B4: without an access, the PIN is written on the portal's own page; name and e-mail stay.
#[tokio::test]
async fn written_on_the_own_page() {
    let mut options = Options::default();
    let user = options.users.iter_mut().find(|user| user.pin == "48271").unwrap();
    user.display_name = "Zoë \"O'Neil\" & <Söhne>".into();
    let (name, email) = (user.display_name.clone(), user.email.clone());
    let portal = portal(options).await;
    let clock = Arc::new(MovableClock::running());
    let subscribers = subscribers(&portal, AdminAccess::None, &clock);
    assert_eq!((subscribers.writing(), subscribers.reading()), (PinWriting::OwnSession, false));
    assert!(subscribers.read_pin(&alice()).await.is_err());
    subscribers.ping().await.unwrap();

    assert!(matches!(write(&subscribers, "00420").await, PinWritten::NotAsked(_)), "no session");
    assert!(requests(&portal, PAGE).is_empty());
    let session = session(&portal).await;
    let write = async |pin: &str, jar: &Jar| {
        subscribers.write_pin(&alice(), &Secret::new(pin), Some(own(jar))).await
    };
    let written = write("00420", &session.jar).await;
    assert!(matches!(written, PinWritten::Done), "{written:?}");
    let user = portal.user(&alice().to_string()).unwrap();
    assert_eq!((user.pin.as_str(), user.display_name, user.email), ("00420", name, email));
    let post = requests(&portal, PAGE).pop().unwrap();
    assert_eq!(post.header("origin"), Some("https://portal.example.com"));
    assert_eq!(post.header("referer"), Some("https://portal.example.com/portal/profile"));
    assert_eq!(post.header("user-agent"), Some("Browser/1"));
    assert_eq!(post.header("x-forwarded-for"), Some("203.0.113.7"));

    assert!(matches!(write("12", &session.jar).await, PinWritten::Refused { .. }));
    portal.fail_on(PAGE, Failure::Status(503));
    assert!(matches!(write("60606", &session.jar).await, PinWritten::NotAsked(_)));
    portal.fail_on(PAGE, Failure::None);
    portal.expire_sessions();
    for jar in [&session.jar, &Jar::new()] {
        let PinWritten::NotAsked(why) = write("60606", jar).await else { panic!("asked") };
        assert!(why.detail.contains("session has ended"), "{why}");
    }
    assert_eq!(pin(&portal), "00420");
    assert!(requests(&portal, PAGE).iter().filter(|page| page.method == "POST").count() == 2);
}

/// An outage of the PBX before anything was sent is "not asked".
#[tokio::test]
async fn an_unreachable_pbx_is_not_asked() {
    let portal = portal(Options::default()).await;
    let session = session(&portal).await;
    let clock = Arc::new(MovableClock::running());
    let admin = subscribers(&portal, oauth(API_OPERATOR.1), &clock);
    let user = subscribers(&portal, AdminAccess::None, &clock);
    assert!(read(&admin, &alice()).await.is_some());
    portal.stop().await;
    assert!(matches!(write(&admin, "60606").await, PinWritten::NotAsked(_)));
    assert!(admin.read_pin(&alice()).await.is_err());
    assert!(admin.ping().await.is_err());
    let own = Some(own(&session.jar));
    let written = user.write_pin(&alice(), &Secret::new("60606"), own).await;
    assert!(matches!(written, PinWritten::NotAsked(_)), "{written:?}");
}

/// R-B4: a write whose answer is lost may have been carried out: that is "unclear", never a no.
#[tokio::test]
async fn an_answer_may_be_lost_after_the_write() {
    let (portal, admin, clock) = with_access(Options::default()).await;
    let user = subscribers(&portal, AdminAccess::None, &clock);
    let hasty = UpstreamSettings {
        connect_timeout: Duration::from_millis(150),
        response_timeout: Duration::from_millis(150),
        ..settings(&portal)
    };
    let hasty =
        PbxSubscribers::new(profile(), hasty, oauth(API_OPERATOR.1), clock.clone()).unwrap();
    assert!(read(&hasty, &alice()).await.is_some());
    let session = session(&portal).await;
    let puts = || requests(&portal, V2).iter().filter(|call| call.method == "PUT").count();
    let mut number = 50_000;
    for lost in
        [Failure::CarriedOutThenClose, Failure::CarriedOutThenHang, Failure::CarriedOutThen(504)]
    {
        number += 1;
        let new = number.to_string();
        let before = puts();
        portal.fail_on_method("PUT", V2, lost);
        let asked = if lost == Failure::CarriedOutThenHang { &hasty } else { &admin };
        let written = write(asked, &new).await;
        assert!(matches!(written, PinWritten::Unclear(_)), "{lost:?}: {written:?}");
        assert_eq!((pin(&portal), puts()), (new.clone(), before + 1), "{lost:?}");
        assert_eq!(read(&admin, &alice()).await, Some(new), "reading goes on");
        if lost == Failure::CarriedOutThenHang {
            continue;
        }
        number += 1;
        let new = number.to_string();
        portal.fail_on_method("POST", PAGE, lost);
        let own = Some(own(&session.jar));
        let written = user.write_pin(&alice(), &Secret::new(new.as_str()), own).await;
        assert!(matches!(written, PinWritten::Unclear(_)), "{lost:?}: {written:?}");
        assert_eq!(pin(&portal), new, "{lost:?}");
    }
}

/// R-B4: "will be done" is said as such, by either version of the API.
#[tokio::test]
async fn a_write_may_come_later() {
    let (portal, subscribers, _) = with_access(Options::default()).await;
    let becomes = async |new: &str| {
        while pin(&portal) != new {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let soon = Failure::Later(Duration::from_millis(30));
    portal.fail_on_method("PUT", V2, soon);
    assert!(matches!(write(&subscribers, "60001").await, PinWritten::Later));
    becomes("60001").await;
    portal.fail_on_method("PUT", V2, Failure::Status(404));
    portal.fail_on_method("POST", "/ns-api", soon);
    portal.fail_on(TOKEN, Failure::None);
    assert!(matches!(write(&subscribers, "60002").await, PinWritten::Later));
    becomes("60002").await;
}
