//! The example legacy portal as the tests' PBX, its people, and the dates of its rollout.

use passgate::demo::portal::{Failure, LegacyPortal, Options, PortalUser};
use tokio::net::TcpListener;

pub use passgate::demo::portal::ABC_COMPANY;

/// One person who logs in.
#[derive(Debug, Clone)]
pub struct Person {
    pub login: String,
    pub pin: String,
}

/// The person whom most tests are about.
pub fn alice() -> Person {
    Person { login: format!("1001@{ABC_COMPANY}"), pin: "48151".into() }
}

/// The rollout of the tests: one phase a year, so that an ISO date names a phase at sight.
pub const PHASES: &str = r#"
[rollout]
time_zone = "UTC"
warn = 2031-01-01
force = 2032-01-01
reject = 2033-01-01
"#;

/// A moment in one of the phases of [`PHASES`].
pub fn at(phase: &str) -> &'static str {
    match phase {
        "quiet" => "2030-06-01T12:00:00Z",
        "warn" => "2031-06-01T12:00:00Z",
        "force" => "2032-06-01T12:00:00Z",
        "reject" => "2033-06-01T12:00:00Z",
        other => panic!("no phase is called {other}"),
    }
}

/// An access of Passgate's own to the example portal's API: PINs can be read and written.
pub const PORTAL_ADMIN: &str = r#"
[portal.admin]
kind = "oauth"
client_id = "officevoice-app"
client_secret = "0ff1ce-v01ce-5ecret"
user = "9001@11111.service"
password = "730194"
"#;

/// A running example portal.
pub struct Pbx(pub LegacyPortal);

impl Pbx {
    /// One with the tests' people and default behaviour.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One whose behaviour `change` alters.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let alice = alice();
        let (extension, tenant) = alice.login.split_once('@').unwrap();
        let mut options = Options {
            users: vec![
                PortalUser::new(extension, tenant, &alice.pin, "Alice Adams"),
                PortalUser::new("1002", tenant, "62342", "Bob Brown"),
                PortalUser::new("201", "wickedsprockets", "77123", "Carol Clark"),
                PortalUser {
                    scope: "Super User".into(),
                    ..PortalUser::new("9001", "11111.service", "730194", "API Operator")
                },
            ],
            ..Options::default()
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self(LegacyPortal::start(listener, options).await)
    }

    /// What reached the PBX as a try to log in: the secrets, and whether they were accepted.
    pub fn tried(&self) -> Vec<(String, bool)> {
        self.0.login_attempts().into_iter().map(|a| (a.secret, a.accepted)).collect()
    }

    /// Lets every write of a PIN go wrong in this way, by the API and on the portal's own page;
    /// records can still be read.
    pub fn fail_writes(&self, failure: Failure) {
        self.0.fail_on_method("PUT", "/ns-api/v2/domains", failure);
        self.0.fail_on_method("POST", "/portal/profile", failure);
    }

    /// The PIN that opens a person's voicemail now.
    pub fn pin_of(&self, login: &str) -> String {
        self.0.user(login).unwrap().pin
    }
}
