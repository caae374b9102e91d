//! The pages as a browser meets them: the real router over the real stores, hasher and key ring,
//! with the example portal as PBX. Only the gateway's part (finding the session of a cookie) is
//! done here by hand.

mod ask;
mod asked_for;
mod bounced;
mod browser;
mod confirm;
mod desk;
mod force;
mod forms;
mod help;
mod housekeeping;
mod initial;
mod intruders;
mod journeys;
mod links;
mod locked;
mod oauth;
mod outages;
mod own_email;
mod own_sessions;
mod reject;
mod shared_address;
mod surface;
mod token_intruders;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

use super::brand::testing::brand;
use super::letters::{LetterSettings, Letters};
use super::look::{Look, Words};
use super::{Brands, LoginNames, OAuthSettings, Overrides, OwnPages, PagesSettings};
use crate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings};
use crate::adapters::audit_log::TracingAudit;
use crate::adapters::clock::MovableClock;
use crate::adapters::key_ring::KeyRing;
use crate::adapters::random::OsRandom;
use crate::adapters::session_cache::CachedSessions;
use crate::adapters::sqlite::{
    Database, SqliteAccounts, SqliteAttempts, SqliteCampaigns, SqliteCodes, SqliteCredentials,
    SqliteKeptForms, SqliteOutbox, SqliteSessions, SqliteTokens,
};
use crate::adapters::token_signer::KeyRingSigner;
use crate::demo::portal::{LegacyPortal, Options};
use crate::domain::language::Language;
use crate::domain::lockout::LockoutPolicy;
use crate::domain::password_policy::PasswordPolicy;
use crate::domain::rollout::{Rollout, Schedule};
use crate::domain::session::SessionPolicy;
use crate::flows::{MailOffice, Policies, RolloutRules, Services};
use crate::portal::{HostHeader, LoginDriver, PbxTokenIssuer, UpstreamSettings};
use crate::ports::{Clock, Random};
use crate::profile::Profile;
use browser::Browser;
use desk::{Desk, Mailbox};

/// Where the gateway is reached.
const PUBLIC_URL: &str = "https://portal.example.com";

const ALICE: &str = "1001@abc-company.11111.service";
const ALICES_PIN: &str = "48271";
const PASSWORD: &str = "Quiet-Harbour-7-Lamps";

/// A tenant with password rules and dates of its own.
const STRICT: &str = "wickedsprockets";

/// What a configuration may say beside the defaults.
#[derive(Clone, Copy)]
struct Setup {
    /// Passgate has an access of its own to the PBX's records (`[portal.admin]`).
    writes_pins: bool,
    /// E-mail is on.
    mail: bool,
    rules: RolloutRules,
    /// Public forms say the same to everybody.
    uniform: bool,
    /// No refusal is said sooner.
    floor: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            writes_pins: false,
            mail: false,
            rules: Policies::default().rules,
            uniform: false,
            floor: Duration::ZERO,
        }
    }
}

/// With everything that a rollout needs.
const EQUIPPED: Setup = Setup {
    writes_pins: true,
    mail: true,
    rules: RolloutRules { redeclare_pin: true, redirect_at_reject: false },
    uniform: false,
    floor: Duration::ZERO,
};

/// A gateway's inside without the proxy around it.
struct World {
    portal: Arc<LegacyPortal>,
    desk: Arc<Desk>,
    mailbox: Arc<Mailbox>,
    clock: Arc<MovableClock>,
    database: Database,
    services: Arc<Services>,
    pages: OwnPages,
    _place: tempfile::TempDir,
}

impl World {
    /// In the warn phase; 14 days later force begins, after 28 days reject.
    async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    async fn with(setup: Setup) -> Self {
        let place = tempfile::tempdir().unwrap();
        let start: Timestamp = "2018-11-05T12:00:00Z".parse().unwrap();
        let clock = Arc::new(MovableClock::standing_at(start));
        let random: Arc<dyn Random> = Arc::new(OsRandom);
        let vault = KeyRing::open_or_create(
            &place.path().join("keyring.json"),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random),
        );
        let vault = Arc::new(vault.unwrap());
        let database = Database::open(&place.path().join("passgate.db")).await.unwrap();
        let sessions = SqliteSessions::new(database.clone(), vault.clone());
        let cheap = Argon2Settings { memory_kib: 8, iterations: 1, parallelism: 1 };
        let hasher = Argon2Hasher::new(cheap, 1, 8, Arc::clone(&random), Box::new(|_| {})).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let portal = Arc::new(LegacyPortal::start(listener, Options::default()).await);
        let desk = Arc::new(Desk::new(Arc::clone(&portal), setup.writes_pins));
        let mailbox = Arc::new(Mailbox::default());
        let office = MailOffice {
            composer: Arc::new(Letters::new(letters(), &Overrides::default())),
            transport: mailbox.clone(),
        };
        // Here the host may name the tenant, as the profile's comment shows.
        let text = Profile::builtin("netsapiens").unwrap();
        let text = text.replace("\n# tenant_from_host", "\ntenant_from_host");
        let profile = Arc::new(Profile::parse(&text, "netsapiens.toml").unwrap());
        let upstream = UpstreamSettings {
            servers: vec![portal.url().parse().unwrap()],
            ca_pem: None,
            host: HostHeader::Preserve,
            public_host: "portal.example.com".into(),
            aliases: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
        };
        let issuer = PbxTokenIssuer::new(Arc::clone(&profile), upstream.clone()).unwrap();
        let driver = LoginDriver::new(Arc::clone(&profile), upstream).unwrap();

        let date = |days: i64| Some(start + SignedDuration::from_hours(24 * days));
        let schedule = Schedule { warn: date(-1), force: date(14), reject: date(28) };
        let services = Arc::new(Services {
            accounts: Arc::new(SqliteAccounts::new(database.clone())),
            sessions: Arc::new(CachedSessions::new(sessions, 1000)),
            attempts: Arc::new(SqliteAttempts::new(database.clone())),
            credentials: Arc::new(SqliteCredentials::new(database.clone())),
            codes: Arc::new(SqliteCodes::new(database.clone())),
            kept_forms: Arc::new(SqliteKeptForms::new(database.clone())),
            outbox: Arc::new(SqliteOutbox::new(database.clone())),
            campaigns: Arc::new(SqliteCampaigns::new(database.clone())),
            mail: setup.mail.then_some(office),
            subscribers: desk.clone(),
            audit: Arc::new(TracingAudit),
            hasher: Arc::new(hasher),
            vault: vault.clone(),
            portal: Arc::new(driver),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random,
            issuer: Arc::new(issuer),
            tokens: Arc::new(SqliteTokens::new(database.clone())),
            signer: Arc::new(KeyRingSigner::new(vault.clone(), PUBLIC_URL)),
            memory: Arc::default(),
            turns: Arc::default(),
            process: uuid::Uuid::from_u128(1),
            policies: Policies {
                rollout: Rollout {
                    everyone: schedule,
                    tenants: HashMap::from([(
                        STRICT.to_owned(),
                        Schedule { reject: date(49), ..schedule },
                    )]),
                },
                session: SessionPolicy { idle: Duration::from_secs(4 * 3600), absolute: None },
                lockout: LockoutPolicy {
                    refusal_floor: setup.floor,
                    ..Policies::default().lockout
                },
                rules: setup.rules,
                uniform_disclosure: setup.uniform,
                tenant_passwords: HashMap::from([(STRICT.to_owned(), PasswordPolicy::nist())]),
                ..Policies::default()
            },
        });
        let (reader, hosts) = (Arc::clone(&profile), profile);
        let names = LoginNames {
            read: Arc::new(move |typed: &str, host: &str| {
                reader.login_name(typed, reader.tenant_of_host(host).as_deref()).ok()
            }),
            tenant_of: Arc::new(move |host: &str| hosts.tenant_of_host(host)),
        };
        let settings = PagesSettings { sends_mail: setup.mail, ..settings() };
        let pages = OwnPages::new(&services, settings, brands(), &Overrides::default(), &names);
        Self { portal, desk, mailbox, clock, database, services, pages, _place: place }
    }

    fn pass(&self, days: i64) {
        self.clock.advance(SignedDuration::from_hours(24 * days));
    }

    fn pass_minutes(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// A browser without cookies.
    fn browser(&self) -> Browser<'_> {
        Browser::new(self)
    }

    /// A browser in which Alice signed in with her PIN.
    async fn with_pin(&self) -> Browser<'_> {
        let mut browser = self.browser();
        browser.sign_in(ALICE, ALICES_PIN).await;
        browser
    }

    /// A browser whose login with Alice's PIN was held back: the force phase has begun.
    async fn held(&self) -> Browser<'_> {
        self.pass(15);
        let mut browser = self.browser();
        browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/account/set-password");
        browser
    }

    /// A browser in which Alice has set her portal password.
    async fn with_password(&self) -> Browser<'_> {
        let mut browser = self.with_pin().await;
        let fields =
            [("current_password", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
        browser.fill_in("/account/security", &fields).await.leads_to("/account/security");
        browser
    }
}

fn letters() -> LetterSettings {
    let PagesSettings { prefix, time_zone, tenant_time_zones, .. } = settings();
    LetterSettings { brands: brands(), prefix, time_zone, tenant_time_zones }
}

fn brands() -> Brands {
    Brands::new(brand("Acme <Voice>", PUBLIC_URL), Vec::new())
}

/// Our pages in English, for what needs no world.
fn look() -> Look {
    let words = Words::new(Language::parse("en").unwrap(), &Overrides::default());
    Look::new(&Arc::new(settings()), brands().at(0), &words)
}

fn settings() -> PagesSettings {
    PagesSettings {
        prefix: "/account".into(),
        home: "/portal/home".into(),
        login_page: "/portal/login".into(),
        time_zone: TimeZone::UTC,
        tenant_time_zones: HashMap::from([(
            STRICT.to_owned(),
            TimeZone::fixed(jiff::tz::offset(2)),
        )]),
        sends_mail: false,
        security_link: true,
        session_warning: Some(Duration::from_secs(300)),
        affected: vec!["Web portal".into(), "API".into(), "Softphone".into()],
        oauth: OAuthSettings {
            issuer: PUBLIC_URL.into(),
            token_path: Some("/ns-api/oauth2/token".into()),
            grant_types: vec!["password", "refresh_token"],
            signs: true,
        },
    }
}
