//! The driver and the built-in profile against the example legacy portal.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use super::{HostHeader, LoginDriver, UpstreamSettings};
use crate::demo::portal::{
    ABC_COMPANY, Failure, FailureShape, LegacyPortal, LoginResult, Options, demo_users,
};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{Portal, PortalAnswer, PortalLogin, Unavailable};
use crate::profile::Profile;

async fn portal(options: Options) -> (LegacyPortal, LoginDriver) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = LegacyPortal::start(listener, options).await;
    let profile = Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap();
    let upstream = UpstreamSettings {
        servers: vec![Url::parse(&portal.url()).unwrap()],
        ca_pem: None,
        host: HostHeader::Preserve,
        public_host: "portal.example.com".into(),
        aliases: vec![],
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(20),
    };
    (portal, LoginDriver::new(Arc::new(profile), upstream).unwrap())
}

fn user() -> (LoginName, String) {
    let mut users = demo_users().into_iter();
    let user = users.find(|user| user.tenant == ABC_COMPANY && !user.mfa).unwrap();
    (LoginName::new(&user.extension, &user.tenant).unwrap(), user.pin)
}

async fn log_in(driver: &LoginDriver, pin: &str) -> Result<PortalAnswer, Unavailable> {
    let request = PortalLogin {
        login: &user().0,
        pin: &Secret::new(pin),
        carried: &[("data[Login][language]".into(), "es".into())],
        user_agent: "Browser/1",
        client: "203.0.113.7".parse().unwrap(),
        host: "portal.example.com",
        server: None,
    };
    driver.log_in(request).await
}

/// A PIN opens a session at the portal, the form's token taken along; sign-out ends it.
#[tokio::test]
async fn in_and_out() {
    for rotate_session_on_login in [true, false] {
        let options = Options { rotate_session_on_login, ..Options::default() };
        let (portal, driver) = portal(options).await;
        driver.ping().await.unwrap();
        let answer = log_in(&driver, &user().1).await.unwrap();
        let PortalAnswer::Accepted(session) = answer else { panic!("{answer:?}") };
        assert_eq!(session.landing.as_deref(), Some("/portal/home"));
        assert_eq!(session.jar.names().collect::<Vec<_>>(), ["PHPSESSID"]);
        assert_eq!(portal.signed_in(), 1);
        driver.sign_out(&session.jar, 0, "Browser/1", "portal.example.com").await.unwrap();
        assert_eq!(portal.signed_in(), 0);
    }
}

/// Both shapes of a refusal, and the challenge, are told apart.
#[tokio::test]
async fn refusals_and_challenges() {
    for failure_shape in [FailureShape::Redirect302, FailureShape::FormAgain200] {
        let (portal, driver) = portal(Options { failure_shape, ..Options::default() }).await;
        assert_eq!(log_in(&driver, "99999999").await.unwrap(), PortalAnswer::Refused);
        let attempts = portal.login_attempts();
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].result, LoginResult::Refused);
        assert!(portal.require_mfa(&user().0.to_string(), true));
        let answer = log_in(&driver, &user().1).await.unwrap();
        let PortalAnswer::Challenge(session) = answer else { panic!("{answer:?}") };
        assert_eq!(session.landing.as_deref(), Some("/portal/login/mfa/1"));
        assert!(!session.jar.is_empty());
    }
}

/// An outage of the portal is never an answer about the PIN.
#[tokio::test]
async fn outages() {
    let (portal, driver) = portal(Options::default()).await;
    for failure in [Failure::Status(500), Failure::Status(503), Failure::Close] {
        portal.fail_with(failure);
        assert!(log_in(&driver, &user().1).await.is_err(), "{failure:?}");
        assert!(driver.ping().await.is_err(), "{failure:?}");
    }
    portal.fail_with(Failure::None);
    assert!(matches!(log_in(&driver, &user().1).await, Ok(PortalAnswer::Accepted(_))));
}
