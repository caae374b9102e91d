//! Putting the parts together, in the order in which they depend on each other.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::dressing::{self, Dressing};
use super::{StartError, limits, machines, post_office};
use crate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings};
use crate::adapters::audit_log::TracingAudit;
use crate::adapters::key_ring::{KeyRing, KeyState};
use crate::adapters::observed::{ObservedAudit, ObservedPortal, ObservedSubscribers};
use crate::adapters::random::OsRandom;
use crate::adapters::session_cache::CachedSessions;
use crate::adapters::sqlite::{
    Database, SqliteAccounts, SqliteAttempts, SqliteCampaigns, SqliteCodes, SqliteCredentials,
    SqliteKeptForms, SqliteOutbox, SqliteSessions, SqliteTokens,
};
use crate::adapters::token_signer::KeyRingSigner;
use crate::config::{self, Config, Disclosure, HostPolicy, RejectAction};
use crate::domain::grant::GrantKind;
use crate::domain::mail::{AddressLimit, MailLimit};
use crate::flows::{FormLimit, LinkLives, Policies, RolloutRules, Services, TokenPolicy};
use crate::gateway::listeners::{ServerSettings, TimeLimits};
use crate::gateway::pipeline::{FixedOrigin, GatewaySettings, Pipeline};
use crate::gateway::rewrite::OwnNames;
use crate::gateway::security_headers::SecurityHeaders;
use crate::gateway::tls::{CertStore, CertificateFiles, development_certificate};
use crate::gateway::upstreams::{UpstreamLimits, UpstreamServer, Upstreams};
use crate::portal::{
    AdminAccess, HostHeader, LoginDriver, PbxSubscribers, PbxTokenIssuer, UpstreamSettings,
};
use crate::ports::{Clock, MailTransport, PinWriting, Random, Subscribers as _};
use crate::profile::{Profile, TokenMode};
use crate::telemetry::Metrics;
use crate::web::admin::{AdminState, AdminTokens, ClockControl, KeyControl, KeyInfo};
use crate::web::{LoginNames, OAuthSettings, OwnPages, PagesSettings};

/// Most sessions kept in memory; the others are one look into the store away.
const CACHED_SESSIONS: u64 = 200_000;

/// Hashes that may wait for a core before a login is told to come again.
const HASH_QUEUE: usize = 64;

/// What a running gateway is made of.
pub(super) struct Parts {
    pub services: Arc<Services>,
    pub metrics: Arc<Metrics>,
    pub profile: Arc<Profile>,
    pub upstreams: Arc<Upstreams>,
    pub sessions: Arc<CachedSessions>,
    pub hasher: Arc<Argon2Hasher>,
    key_ring: Arc<KeyRing>,
    database: Database,
    pub dressing: Dressing,
}

impl Parts {
    /// Writes back what is only in memory, and closes the database.
    pub async fn close(&self) {
        if let Err(error) = self.services.sessions.flush().await {
            tracing::error!(%error, "last-seen times could not be written");
        }
        self.database.close().await;
    }
}

/// Opens stores, key ring and profile, and puts the services over them.
pub(super) async fn assemble(
    config: &Config,
    clock: Arc<dyn Clock>,
    mail: Option<Arc<dyn MailTransport>>,
) -> Result<Parts, StartError> {
    let dressing = dressing::open(config)?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), COMMIT));
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let profile = Arc::clone(&config.portal.checked_profile);

    let database = Database::open(&config.data_dir.join("passgate.db"))
        .await
        .map_err(|error| StartError::of("database")(&error))?;
    let key_ring =
        KeyRing::open_or_create(&config.keys.file, Arc::clone(&clock), Arc::clone(&random))
            .map_err(|error| StartError::of("key ring")(&error))?;
    let key_ring = Arc::new(key_ring);
    database.check_ring(&key_ring).await.map_err(|error| StartError::of("key ring")(&error))?;

    let sessions = SqliteSessions::new(database.clone(), key_ring.clone());
    let sessions = Arc::new(CachedSessions::new(sessions, CACHED_SESSIONS));
    let hasher = Arc::new(hasher(config, &metrics, &random)?);
    let driver = LoginDriver::new(Arc::clone(&profile), driver_settings(config)?)
        .map_err(|error| StartError::of("upstream")(&error))?;
    let issuer = PbxTokenIssuer::new(Arc::clone(&profile), driver_settings(config)?)
        .map_err(|error| StartError::of("upstream")(&error))?;
    let subscribers = subscribers(config, Arc::clone(&clock))?;
    say_what_becomes_of_pins(&subscribers);
    let services = Arc::new(Services {
        accounts: Arc::new(SqliteAccounts::new(database.clone())),
        sessions: sessions.clone(),
        credentials: Arc::new(SqliteCredentials::new(database.clone())),
        codes: Arc::new(SqliteCodes::new(database.clone())),
        kept_forms: Arc::new(SqliteKeptForms::new(database.clone())),
        outbox: Arc::new(SqliteOutbox::new(database.clone())),
        campaigns: Arc::new(SqliteCampaigns::new(database.clone())),
        mail: post_office::open(config, mail, &dressing, &metrics)?,
        subscribers: Arc::new(ObservedSubscribers::new(
            Arc::new(subscribers),
            Arc::clone(&metrics),
        )),
        attempts: Arc::new(SqliteAttempts::new(database.clone())),
        audit: Arc::new(ObservedAudit::new(Arc::new(TracingAudit), Arc::clone(&metrics))),
        hasher: hasher.clone(),
        vault: key_ring.clone(),
        portal: Arc::new(ObservedPortal::new(Arc::new(driver), Arc::clone(&metrics))),
        clock,
        issuer: Arc::new(issuer),
        tokens: Arc::new(SqliteTokens::new(database.clone())),
        signer: Arc::new(KeyRingSigner::new(key_ring.clone(), config.server.public_url.as_str())),
        memory: Arc::default(),
        turns: Arc::default(),
        process: Uuid::from_bytes(random.bytes()),
        random,
        policies: policies(config),
    });
    let upstreams = Arc::new(upstreams(config)?);
    upstreams.resolve().await;
    Ok(Parts {
        services,
        metrics,
        profile,
        upstreams,
        sessions,
        hasher,
        key_ring,
        database,
        dressing,
    })
}

/// The version-control revision that was built, where the build knows it.
const COMMIT: &str = match option_env!("PASSGATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

fn hasher(
    config: &Config,
    metrics: &Arc<Metrics>,
    random: &Arc<dyn Random>,
) -> Result<Argon2Hasher, StartError> {
    let params = &config.password.argon2;
    let settings = Argon2Settings {
        memory_kib: params.memory_kib,
        iterations: params.iterations,
        parallelism: params.parallelism,
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let metrics = Arc::clone(metrics);
    let spent = Box::new(move |took: Duration| metrics.password_hashed(took));
    Argon2Hasher::new(settings, cores, HASH_QUEUE, Arc::clone(random), spent)
        .map_err(|error| StartError::of("password hasher")(&error))
}

/// Who asks for the same link again within this time is told that it is on its way.
const MAIL_AGAIN_AFTER: Duration = Duration::from_secs(120);

fn policies(config: &Config) -> Policies {
    let rules = |rules: &config::RolloutRules| RolloutRules {
        redeclare_pin: rules.redeclare_pin,
        redirect_at_reject: rules.reject_action == RejectAction::Redirect,
    };
    let tenants = config.rollout.tenants.iter();
    Policies {
        public_host: config.server.public_url.host_str().unwrap_or_default().to_owned(),
        public_forms_per_address: config
            .limits
            .public_forms_per_address
            .map(|rate| FormLimit { most: rate.count, per: rate.period }),
        uniform_disclosure: config.pages.disclosure == Disclosure::Uniform,
        pin: config.pin.clone(),
        rules: rules(&config.rollout.everyone),
        tenant_rules: tenants.map(|(name, tenant)| (name.clone(), rules(tenant))).collect(),
        links: LinkLives { reset: config.codes.reset, welcome: config.codes.welcome },
        mails_per_account: MailLimit {
            most: config.limits.mails_per_account.map_or(u32::MAX, |rate| rate.count),
            per: config.limits.mails_per_account.map_or(Duration::ZERO, |rate| rate.period),
            again_after: MAIL_AGAIN_AFTER,
            address: config.limits.mails_per_address.map_or(AddressLimit::NONE, |rate| {
                AddressLimit { most: rate.count, per: rate.period }
            }),
        },
        rollout: config.rollout.rollout.clone(),
        reminders: config.rollout.reminders(),
        session: config.session.policy,
        lockout: config.lockout.clone(),
        password: config.password.policy.clone(),
        tenant_passwords: config.password.tenants.clone(),
        tokens: TokenPolicy {
            kind: match config.tokens.mode.unwrap_or(config.portal.checked_profile.token_mode()) {
                TokenMode::Jwt => GrantKind::Jwt,
                TokenMode::Pass => GrantKind::Pass,
            },
            access: config.tokens.access,
            refresh: config.tokens.refresh,
            reuse_grace: config.tokens.reuse_grace,
            accept_legacy_until: config.tokens.accept_legacy_until,
        },
        create_on_first_login: config.portal.directory.create_on_first_login,
    }
}

fn upstream_ca(config: &Config) -> Result<Option<Vec<u8>>, StartError> {
    let Some(path) = &config.upstream.ca else { return Ok(None) };
    let pem = std::fs::read(path)
        .map_err(|error| StartError::of("upstream.ca")(&format!("{}: {error}", path.display())))?;
    Ok(Some(pem))
}

fn server_urls(config: &Config) -> Vec<String> {
    let servers = config.upstream.servers.iter();
    servers
        .map(|server| {
            let scheme = if server.tls { "https" } else { "http" };
            format!("{scheme}://{}", server.authority())
        })
        .collect()
}

pub(super) fn driver_settings(config: &Config) -> Result<UpstreamSettings, StartError> {
    let servers: Result<_, _> = server_urls(config).iter().map(|server| server.parse()).collect();
    Ok(UpstreamSettings {
        servers: servers.map_err(|error: url::ParseError| StartError::of("upstream")(&error))?,
        ca_pem: upstream_ca(config)?,
        host: match &config.upstream.host {
            HostPolicy::Preserve => HostHeader::Preserve,
            HostPolicy::Fixed(host) => HostHeader::Fixed(host.clone()),
        },
        public_host: config.server.public_url.host_str().unwrap_or_default().to_owned(),
        aliases: config.upstream.aliases.clone(),
        connect_timeout: config.upstream.connect_timeout,
        response_timeout: config.upstream.response_timeout,
    })
}

/// The PBX's records of its users, by the access of `[portal.admin]`.
pub(super) fn subscribers(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<PbxSubscribers, StartError> {
    let admin = match config.portal.admin.clone() {
        config::AdminAccess::None => AdminAccess::None,
        config::AdminAccess::OAuth { client_id, client_secret, user, password } => {
            AdminAccess::OAuth { client_id, client_secret, user, password }
        }
        config::AdminAccess::Bearer { token } => AdminAccess::Bearer { token },
        config::AdminAccess::Basic { user, password } => AdminAccess::Basic { user, password },
    };
    let profile = Arc::clone(&config.portal.checked_profile);
    PbxSubscribers::new(profile, driver_settings(config)?, admin, clock)
        .map_err(|error| StartError::of("portal.admin")(&error))
}

/// What will happen to PINs is not to be found out on the day of force.
fn say_what_becomes_of_pins(subscribers: &PbxSubscribers) {
    let writing = match subscribers.writing() {
        PinWriting::Admin => "a new voicemail PIN is written with the access of [portal.admin]",
        PinWriting::OwnSession => "a new voicemail PIN is written with the user's own session",
        PinWriting::Impossible => {
            "voicemail PINs cannot be written: at force the present one is only confirmed"
        }
    };
    let reading = match subscribers.reading() {
        true => "one that was changed elsewhere is read from the PBX",
        false => {
            "PINs cannot be read: after a change elsewhere, users are asked for the present one"
        }
    };
    tracing::info!("{writing}; {reading}");
}

fn upstreams(config: &Config) -> Result<Upstreams, StartError> {
    let upstream = &config.upstream;
    let servers = upstream
        .servers
        .iter()
        .map(|s| UpstreamServer { host: s.host.clone(), port: s.port, tls: s.tls })
        .collect();
    let limits = UpstreamLimits {
        connect: upstream.connect_timeout,
        response: upstream.response_timeout,
        ca: upstream_ca(config)?,
    };
    Upstreams::new(servers, limits).map_err(|error| StartError::of("upstream")(&error))
}

/// The certificates of the configuration; without any, a self-made one with a loud warning.
pub(super) fn certificates(
    config: &Config,
    clock: &dyn Clock,
) -> Result<Arc<CertStore>, StartError> {
    let now = clock.now();
    let mut files: Vec<CertificateFiles> = config
        .server
        .certificates
        .iter()
        .map(|files| CertificateFiles { cert: files.cert.clone(), key: files.key.clone() })
        .collect();
    if files.is_empty() {
        let host = config.server.public_url.host_str().unwrap_or("localhost");
        let made = development_certificate(&config.data_dir, host, now)
            .map_err(|error| StartError::of("development certificate")(&error))?;
        tracing::warn!(
            certificate = %made.files.cert.display(),
            "NO CERTIFICATE IS CONFIGURED: a self-made one is in use, and every browser will warn. \
             Set [[server.certificate]] before users come."
        );
        files.push(made.files);
    }
    let (store, warnings) = CertStore::load(&files, now).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        StartError::of("certificates")(&list.join("; "))
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(store)
}

/// What the listeners are told.
pub(super) fn listener_settings(config: &Config) -> ServerSettings {
    let server = &config.server;
    let limits = &config.limits;
    let mut settings = ServerSettings::new(server.public_url.as_str().trim_end_matches('/'));
    settings.https.clone_from(&server.https);
    settings.http.clone_from(&server.http);
    settings.serves_plain = config.machine_clients.iter().any(|client| client.plain_http);
    settings.trusted_proxies.clone_from(&server.trusted_proxies);
    settings.proxy_protocol = server.proxy_protocol;
    settings.connections_per_address =
        (limits.connections_per_address > 0).then_some(limits.connections_per_address);
    settings.limits = TimeLimits {
        header: limits.header_time,
        stall: limits.body_stall,
        ..TimeLimits::default()
    };
    for brand in &config.brands {
        for host in &brand.hosts {
            let url = brand.public_url.as_str().trim_end_matches('/').to_owned();
            settings.public_url_by_host.insert(host.to_ascii_lowercase(), url);
        }
    }
    settings
}

fn home(config: &Config, profile: &Profile) -> String {
    config.session.home.clone().unwrap_or_else(|| profile.home().to_owned())
}

/// The clocks of tenants that have dates of their own.
pub(super) fn tenant_time_zones(config: &Config) -> HashMap<String, TimeZone> {
    let tenants = config.rollout.tenants.iter();
    tenants.map(|(name, rules)| (name.clone(), rules.time_zone.clone())).collect()
}

/// What applications are told about tokens.
fn oauth(config: &Config, profile: &Profile, services: &Services) -> OAuthSettings {
    let first = profile.token_endpoints().next();
    OAuthSettings {
        issuer: config.server.public_url.as_str().trim_end_matches('/').to_owned(),
        token_path: first.and_then(|endpoint| endpoint.paths().next()).map(str::to_owned),
        grant_types: first.map(|endpoint| endpoint.grant_types().collect()).unwrap_or_default(),
        signs: services.policies.tokens.kind == GrantKind::Jwt,
    }
}

/// The pipeline over the parts.
pub(super) fn pipeline(config: &Config, parts: &Parts) -> Result<Pipeline, StartError> {
    let (profile, services) = (&parts.profile, &parts.services);
    let rules = &config.rollout.everyone;
    let page_settings = PagesSettings {
        prefix: config.pages.prefix.clone(),
        home: home(config, profile),
        login_page: profile.login_page().to_owned(),
        time_zone: rules.time_zone.clone(),
        tenant_time_zones: tenant_time_zones(config),
        sends_mail: services.mail.is_some(),
        security_link: config.pages.security_link,
        session_warning: config.session.warning,
        affected: rules.affected.clone(),
        oauth: oauth(config, profile, services),
    };
    let (reader, hosts) = (Arc::clone(profile), Arc::clone(profile));
    let login_names = LoginNames {
        read: Arc::new(move |typed: &str, host: &str| {
            let tenant = reader.tenant_of_host(host);
            reader.login_name(typed, tenant.as_deref()).ok()
        }),
        tenant_of: Arc::new(move |host: &str| hosts.tenant_of_host(host)),
    };
    let Dressing { brands, overrides } = &parts.dressing;
    let pages = OwnPages::new(services, page_settings, brands.clone(), overrides, &login_names);
    let urls = server_urls(config);
    let fixed_origin = match &config.upstream.host {
        HostPolicy::Preserve => None,
        HostPolicy::Fixed(host) => {
            let tls = config.upstream.servers.first().is_some_and(|server| server.tls);
            let scheme = if tls { "https" } else { "http" };
            Some(FixedOrigin { host: host.clone(), origin: format!("{scheme}://{host}") })
        }
    };
    let own = config.upstream.aliases.iter().map(String::as_str);
    let own = own.chain(fixed_origin.as_ref().map(|fixed| fixed.host.as_str()));
    let hsts = config.headers.hsts.as_ref();
    let hsts = hsts.and_then(|hsts| HeaderValue::try_from(hsts.to_string()).ok());
    let settings = GatewaySettings {
        prefix: config.pages.prefix.clone(),
        home: home(config, profile),
        trusted_proxies: config.server.trusted_proxies.clone(),
        names: OwnNames::new(urls.iter().map(String::as_str), own),
        fixed_origin,
        security_headers: SecurityHeaders::new(hsts),
        body_stall: config.limits.body_stall,
        limits: limits::request_limits(&config.limits),
        machines: machines::machine_clients(config),
        https: true,
    };
    Pipeline::new(
        Arc::clone(services),
        Arc::clone(profile),
        settings,
        Arc::clone(&parts.upstreams),
        pages,
        Arc::clone(&parts.metrics),
    )
    .map_err(|error| StartError::of("portal profile")(&error))
}

/// What the administration needs.
pub(super) fn admin_state(
    config: &Config,
    parts: &Parts,
    clock: Option<Arc<ClockControl>>,
) -> Result<AdminState, StartError> {
    let tokens = AdminTokens::open(&config.data_dir)
        .map_err(|error| StartError::of("admin tokens")(&error))?;
    let (listed, rotated) = (Arc::clone(&parts.key_ring), Arc::clone(&parts.key_ring));
    let keys = KeyControl::new(
        move || listed.list().into_iter().map(key_info).collect(),
        move || rotated.rotate().map(key_info).map_err(|error| error.to_string()),
    );
    Ok(AdminState {
        services: Arc::clone(&parts.services),
        metrics: Arc::clone(&parts.metrics),
        tokens: Arc::new(tokens),
        clock,
        keys: Arc::new(keys),
    })
}

fn key_info(key: crate::adapters::key_ring::KeyInfo) -> KeyInfo {
    KeyInfo { id: key.id, created_at: key.created_at, active: key.state == KeyState::Active }
}
