//! Every metric of Passgate, in OpenMetrics text. Prefix `passgate_`, base units, and never a
//! user's name in a label.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::request_metrics::RequestMetrics;
pub use super::request_metrics::Route;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics. Methods of the hot path add to atomics and allocate nothing.
pub struct Metrics {
    registry: Registry,
    requests: Arc<RequestMetrics>,
    in_flight: Gauge,
    logins: Family<LoginLabels, Counter>,
    lockouts: Family<ScopeLabel, Counter>,
    tokens_issued: Family<GrantLabel, Counter>,
    legacy_tokens: Family<UseLabel, Counter>,
    password_hash: Histogram,
    password_hash_queue: Gauge,
    sessions_active: Gauge,
    token_families: Gauge,
    cache_hits: Counter,
    cache_misses: Counter,
    upstream_up: Family<ServerLabel, Gauge>,
    upstream_login: Family<ResultLabel, Histogram, fn() -> Histogram>,
    pin_drift: Counter,
    pin_writebacks_open: Gauge,
    mails: Family<MailLabels, Counter>,
    mail_outbox: Family<StateLabel, Gauge>,
    pin_writebacks: Family<ResultLabel, Counter>,
    rate_limited: Family<LimitLabel, Counter>,
    machine_requests: Family<ClientLabel, Counter>,
    rollout_phase: Gauge,
    rollout_accounts: Family<StateLabel, Gauge>,
    certificate_expiry: Family<NameLabel, Gauge<f64, AtomicU64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    channel: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MailLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrantLabel {
    grant: &'static str,
}

/// `use` is a word of Rust's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabel {
    r#use: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScopeLabel {
    scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabel {
    client: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabel {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

/// Seconds that a hash or a login at the PBX takes.
const SLOW_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Shown even when no mail is in them: an alert on `dead` needs the zero before the one.
const OUTBOX_STATES: [&str; 5] = ["queued", "sending", "sent", "dead", "dropped"];

impl Metrics {
    /// All metrics at zero; `version` and `commit` go into `build_info`.
    pub fn new(version: &'static str, commit: &'static str) -> Self {
        let mut registry = Registry::with_prefix("passgate");
        let requests = Arc::new(RequestMetrics::default());
        registry.register_collector(Box::new(Arc::clone(&requests)));
        registry.register(
            "build",
            "What is running",
            Info::new([("version", version), ("commit", commit)]),
        );
        let mut add = Adding(&mut registry);
        Self {
            in_flight: add.metric("requests_in_flight", "Requests being answered now"),
            logins: add.metric("logins", "Logins by door and result"),
            lockouts: add.metric("lockouts", "Locks that failures brought about"),
            tokens_issued: add
                .metric("tokens_issued", "Tokens for applications by what they were asked for with"),
            legacy_tokens: add
                .metric("legacy_tokens", "Uses of tokens that the PBX issued before Passgate"),
            password_hash: add.this(
                "password_hash_seconds",
                "Time to hash or verify one password, waiting not counted",
                Histogram::new(SLOW_SECONDS),
            ),
            password_hash_queue: add
                .metric("password_hash_queue", "Hashes that wait for a free core"),
            sessions_active: add.metric("sessions_active", "Portal sessions in the store"),
            token_families: add
                .metric("token_families", "Families of applications' tokens in the store"),
            cache_hits: add.metric("session_cache_hits", "Sessions found in memory"),
            cache_misses: add.metric("session_cache_misses", "Sessions looked up in the store"),
            upstream_up: add.metric("upstream_up", "Whether a PBX server answers (1) or not (0)"),
            upstream_login: add.this(
                "upstream_login_seconds",
                "Time that a login at the PBX takes",
                Family::new_with_constructor(slow as fn() -> Histogram),
            ),
            pin_drift: add.metric("pin_drift", "Stored PINs that the PBX refused"),
            pin_writebacks_open: add
                .metric("pin_writebacks_open", "New PINs that the PBX is not known to have yet"),
            mails: add.metric("mails", "Mails by what they are about and what became of them"),
            mail_outbox: add.metric("mail_outbox", "Mails in the outbox by state"),
            pin_writebacks: add.metric(
                "pin_writebacks",
                "New PINs for the PBX, by what it said to them: each write is counted, tries again too",
            ),
            machine_requests: add
                .metric("machine_requests", "Requests let in for a machine client"),
            rate_limited: add.metric("rate_limited", "Requests refused by a rate limit"),
            rollout_phase: add
                .metric("rollout_phase", "The general phase: 0 quiet, 1 warn, 2 force, 3 reject"),
            rollout_accounts: add.metric("rollout_accounts", "Accounts by state"),
            certificate_expiry: add.metric(
                "certificate_expiry_timestamp_seconds",
                "When a certificate ends, as Unix time",
            ),
            requests,
            registry,
        }
    }

    /// A request's head has arrived; pairs with [`Self::request_ended`].
    #[inline]
    pub fn request_began(&self) {
        self.in_flight.inc();
    }

    /// A request is answered (or its connection gone: code 0, counted as `other`).
    #[inline]
    pub fn request_ended(&self, route: Route, method: &str, code: u16, took: Duration) {
        self.in_flight.dec();
        self.requests.count(route, method, code, took);
    }

    /// A login by `channel` (`portal`, `page`, `token`) ended with `result` (`ok` or the reason).
    pub fn login(&self, channel: &'static str, result: &'static str) {
        self.logins.get_or_create(&LoginLabels { channel, result }).inc();
    }

    /// A name, device or address was locked.
    pub fn lockout(&self, scope: &'static str) {
        self.lockouts.get_or_create(&ScopeLabel { scope }).inc();
    }

    /// An application got tokens for `grant` (`password`, `pin`, `mfa`, `refresh_token`).
    pub fn token_issued(&self, grant: &'static str) {
        self.tokens_issued.get_or_create(&GrantLabel { grant }).inc();
    }

    /// A token of before Passgate was let through (R-F6), for `access` or for a `refresh`.
    pub fn legacy_token(&self, r#use: &'static str) {
        self.legacy_tokens.get_or_create(&UseLabel { r#use }).inc();
    }

    /// A password was hashed or verified.
    pub fn password_hashed(&self, took: Duration) {
        self.password_hash.observe(took.as_secs_f64());
    }

    /// This many hashes wait.
    pub fn password_hash_waiting(&self, waiting: usize) {
        self.password_hash_queue.set(gauge(waiting));
    }

    /// This many sessions exist.
    pub fn sessions(&self, active: u64) {
        self.sessions_active.set(gauge(active));
    }

    /// This many families of applications' tokens exist.
    pub fn token_families(&self, active: u64) {
        self.token_families.set(gauge(active));
    }

    /// A session was found in memory.
    #[inline]
    pub fn session_cache_hit(&self) {
        self.cache_hits.inc();
    }

    /// A session was looked up in the store.
    #[inline]
    pub fn session_cache_miss(&self) {
        self.cache_misses.inc();
    }

    /// A PBX server answers, or does not.
    pub fn upstream(&self, server: &str, up: bool) {
        self.upstream_up
            .get_or_create(&ServerLabel { server: server.to_owned() })
            .set(i64::from(up));
    }

    /// A login at the PBX took `took` and was `accepted`, `refused`, `challenge`, `unknown` or
    /// `error`.
    pub fn upstream_login(&self, result: &'static str, took: Duration) {
        self.upstream_login.get_or_create(&ResultLabel { result }).observe(took.as_secs_f64());
    }

    /// The PBX refused the PIN on file.
    pub fn pin_drifted(&self) {
        self.pin_drift.inc();
    }

    /// This many new PINs are on their way to the PBX.
    pub fn pin_writebacks_open(&self, open: u64) {
        self.pin_writebacks_open.set(gauge(open));
    }

    /// A mail was `sent`, `refused` for good, put off (`later`), or the server cannot be used
    /// (`unavailable`).
    pub fn mail(&self, kind: &'static str, result: &'static str) {
        self.mails.get_or_create(&MailLabels { kind, result }).inc();
    }

    /// This many mails are in each state; in those that are not named, none.
    pub fn outbox(&self, counts: impl IntoIterator<Item = (&'static str, u64)>) {
        for state in OUTBOX_STATES {
            self.mail_outbox.get_or_create(&StateLabel { state }).set(0);
        }
        for (state, count) in counts {
            self.mail_outbox.get_or_create(&StateLabel { state }).set(gauge(count));
        }
    }

    /// The PBX was to write a new PIN: `done`, `later`, `refused`, `not_asked` or `unclear`.
    pub fn pin_written_back(&self, result: &'static str) {
        self.pin_writebacks.get_or_create(&ResultLabel { result }).inc();
    }

    /// A rate limit refused a request; `limit` is one that the configuration names.
    pub fn rate_limited(&self, limit: &str) {
        self.rate_limited.get_or_create(&LimitLabel { limit: limit.to_owned() }).inc();
    }

    /// A request was let in for the machine client of this name in the configuration.
    pub fn machine_request(&self, client: &str) {
        self.machine_requests.get_or_create(&ClientLabel { client: client.to_owned() }).inc();
    }

    /// The general phase: 0 quiet, 1 warn, 2 force, 3 reject.
    pub fn phase(&self, number: u8) {
        self.rollout_phase.set(i64::from(number));
    }

    /// This many accounts are in `state` (`pin_only`, `password`, `disabled`).
    pub fn accounts(&self, state: &'static str, count: u64) {
        self.rollout_accounts.get_or_create(&StateLabel { state }).set(gauge(count));
    }

    /// The certificate `name` ends at `unix_seconds`.
    pub fn certificate_expiry(&self, name: &str, unix_seconds: i64) {
        self.certificate_expiry
            .get_or_create(&NameLabel { name: name.to_owned() })
            .set(unix_seconds as f64);
    }

    /// The exposition, in the format of [`CONTENT_TYPE`].
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Registers each metric where it is made.
struct Adding<'a>(&'a mut Registry);

impl Adding<'_> {
    fn metric<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.this(name, help, M::default())
    }

    fn this<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}

fn slow() -> Histogram {
    Histogram::new(SLOW_SECONDS)
}

fn gauge(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics) -> Vec<String> {
        metrics.render().unwrap().lines().map(str::to_owned).collect()
    }

    fn assert_line(lines: &[String], expected: &str) {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{lines:#?}");
    }

    /// R-G5: names, labels and units as promised.
    #[test]
    fn the_exposition_has_the_promised_names() {
        let metrics = Metrics::new("0.1.0", "abc1234");
        metrics.request_began();
        metrics.request_ended(Route::Portal, "GET", 200, Duration::from_millis(3));
        metrics.request_began();
        metrics.request_ended(Route::Portal, "BREW", 418, Duration::from_secs(70));
        metrics.request_began();
        metrics.login("portal", "ok");
        metrics.lockout("name");
        metrics.password_hashed(Duration::from_millis(21));
        metrics.password_hash_waiting(2);
        metrics.sessions(7);
        metrics.token_families(9);
        metrics.session_cache_hit();
        metrics.session_cache_miss();
        metrics.upstream("http://127.0.0.1:9080", true);
        metrics.upstream_login("accepted", Duration::from_millis(40));
        metrics.pin_drifted();
        metrics.token_issued("password");
        metrics.legacy_token("refresh");
        metrics.pin_writebacks_open(3);
        metrics.mail("reset", "sent");
        metrics.outbox([("queued", 4)]);
        metrics.pin_written_back("unclear");
        metrics.rate_limited("public_forms");
        metrics.machine_request("phones");
        metrics.phase(2);
        metrics.accounts("pin_only", 12);
        metrics.certificate_expiry("portal.pem", 1_790_000_000);
        let lines = lines(&metrics);
        for expected in [
            r#"passgate_requests_total{route="portal",method="GET",code="200"} 1"#,
            r#"passgate_requests_total{route="portal",method="other",code="other"} 1"#,
            r#"passgate_request_duration_seconds_bucket{le="0.0025",route="portal"} 0"#,
            r#"passgate_request_duration_seconds_bucket{le="0.005",route="portal"} 1"#,
            r#"passgate_request_duration_seconds_bucket{le="+Inf",route="portal"} 2"#,
            r#"passgate_request_duration_seconds_sum{route="portal"} 70.003"#,
            r#"passgate_request_duration_seconds_count{route="portal"} 2"#,
            "passgate_requests_in_flight 1",
            r#"passgate_logins_total{channel="portal",result="ok"} 1"#,
            r#"passgate_lockouts_total{scope="name"} 1"#,
            "passgate_password_hash_seconds_count 1",
            "passgate_password_hash_queue 2",
            "passgate_sessions_active 7",
            "passgate_token_families 9",
            "passgate_session_cache_hits_total 1",
            "passgate_session_cache_misses_total 1",
            r#"passgate_upstream_up{server="http://127.0.0.1:9080"} 1"#,
            r#"passgate_upstream_login_seconds_count{result="accepted"} 1"#,
            "passgate_pin_drift_total 1",
            r#"passgate_tokens_issued_total{grant="password"} 1"#,
            r#"passgate_legacy_tokens_total{use="refresh"} 1"#,
            "passgate_pin_writebacks_open 3",
            r#"passgate_mails_total{kind="reset",result="sent"} 1"#,
            r#"passgate_mail_outbox{state="queued"} 4"#,
            r#"passgate_mail_outbox{state="dead"} 0"#,
            r#"passgate_pin_writebacks_total{result="unclear"} 1"#,
            r#"passgate_rate_limited_total{limit="public_forms"} 1"#,
            r#"passgate_machine_requests_total{client="phones"} 1"#,
            "passgate_rollout_phase 2",
            r#"passgate_rollout_accounts{state="pin_only"} 12"#,
            r#"passgate_certificate_expiry_timestamp_seconds{name="portal.pem"} 1790000000.0"#,
            r#"passgate_build_info{version="0.1.0",commit="abc1234"} 1"#,
            "# EOF",
        ] {
            assert_line(&lines, expected);
        }
    }

    /// A strange PBX or client cannot grow the exposition.
    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::new("0", "0");
        for code in 0..2_000 {
            metrics.request_began();
            metrics.request_ended(Route::Api, &format!("M{code}"), code, Duration::ZERO);
        }
        let counted = lines(&metrics)
            .iter()
            .filter(|line| line.starts_with("passgate_requests_total{"))
            .count();
        assert!(counted <= 46, "{counted}");
    }
}
