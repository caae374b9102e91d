//! The configuration: one TOML file, overridden by environment variables, checked completely
//! before anything starts.
//!
//! One file per section turns what was written into checked types. All problems are reported
//! together, each with its place and, where one can be guessed, what was meant. Sections of
//! features that are still to come are checked too; a setting that asks for what this version
//! cannot do is an error, never passed over in silence.

mod brand;
mod cache;
mod chosen;
mod codes;
mod email;
mod headers;
mod keys;
mod limits;
mod lockout;
mod log;
mod machine_client;
mod mail;
mod pages;
mod password;
mod path_limits;
mod pin;
mod portal;
mod problems;
mod rollout;
mod section;
mod server;
mod session;
mod source;
mod store;
mod support;
#[cfg(test)]
mod testing;
mod tokens;
mod upstream;
mod value;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use brand::Brand;
pub use cache::CacheConfig;
pub use codes::CodesConfig;
pub use email::EmailSource;
pub use headers::{HeadersConfig, Hsts};
pub use keys::KeysConfig;
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use machine_client::{KeyPlace, MachineClient, MachineKey};
pub use mail::{EXAMPLE_SENDER, MailConfig, MailServer, MailTls};
pub use pages::{Disclosure, PagesConfig};
pub use password::{Argon2Params, PasswordConfig};
pub use path_limits::{LimitedBy, PathLimit};
pub use portal::{AdminAccess, DirectoryConfig, DirectoryKind, PortalConfig};
pub use problems::{Place, Problem, Problems, Warning};
pub use rollout::{RejectAction, RolloutConfig, RolloutRules};
pub use server::{CertificateFiles, ServerConfig};
pub use session::SessionConfig;
pub use store::StoreConfig;
pub use support::SupportConfig;
pub use tokens::TokensConfig;
pub use upstream::{HostPolicy, ServerUrl, UpstreamConfig};
pub use value::Rate;

use crate::domain::lockout::LockoutPolicy;
use crate::domain::pin_policy::PinPolicy;
use section::Section;
use source::Source;

/// What Passgate does with requests (R-G8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything that it promises.
    Enforce,
}

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to do with requests.
    pub mode: Mode,
    /// SQLite file, key ring, admin socket; made at the first start.
    pub data_dir: PathBuf,
    /// `[server]`: where we listen, and who we are to the outside.
    pub server: ServerConfig,
    /// `[upstream]`: the PBX.
    pub upstream: UpstreamConfig,
    /// `[portal]`: what kind of portal the PBX has.
    pub portal: PortalConfig,
    /// `[keys]`: the key ring.
    pub keys: KeysConfig,
    /// `[pages]`: our own pages.
    pub pages: PagesConfig,
    /// `[[brand]]`, in order; empty: one brand made of `server.public_url` and `[support]`.
    pub brands: Vec<Brand>,
    /// `[rollout]`: the phases.
    pub rollout: RolloutConfig,
    /// `[password]`: rules and hashing.
    pub password: PasswordConfig,
    /// `[pin]`: rules for new voicemail PINs.
    pub pin: PinPolicy,
    /// `[lockout]`: failed logins.
    pub lockout: LockoutPolicy,
    /// `[session]`: how long one lives.
    pub session: SessionConfig,
    /// `[codes]`: how long one-time links live.
    pub codes: CodesConfig,
    /// `[tokens]`: the API's tokens.
    pub tokens: TokensConfig,
    /// `[store]`: accounts.
    pub store: StoreConfig,
    /// `[cache]`: sessions and counters.
    pub cache: CacheConfig,
    /// `[mail]`: `None` while e-mail is off.
    pub mail: Option<MailConfig>,
    /// `[email] source`: who has the say over addresses.
    pub email: EmailSource,
    /// `[support]`: whom users are told to ask.
    pub support: SupportConfig,
    /// `[limits]`: rates, connections, patience.
    pub limits: LimitsConfig,
    /// `[[machine_client]]`, in order.
    pub machine_clients: Vec<MachineClient>,
    /// `[log]`.
    pub log: LogConfig,
    /// `[headers]`: security headers that are a matter of choice.
    pub headers: HeadersConfig,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What its operator should know.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads and checks a configuration. `text` is the content of `file_name`; relative paths in
    /// it are relative to that file. `environment` is searched for `PASSGATE_<SECTION>__<KEY>`.
    /// Files that it names for secrets and lists are read; certificates are not.
    ///
    /// # Errors
    /// Everything that is wrong, together. A file that is not TOML is reported before its
    /// settings are looked at.
    pub fn load(
        text: &str,
        file_name: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let source = Source::new(text, file_name, document.get_ref(), environment);
        for error in &errors {
            let line = error.span().map(|span| source.line(span.start));
            source.problem(source.place(line), format!("not TOML: {}", error.message()), None);
        }
        if !errors.is_empty() {
            return Err(Problems(source.into_problems()));
        }
        let config = read(&source.root());
        let (problems, warnings) = source.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(Problems(problems)),
        }
    }
}

/// The commented file with every key, its reason, its default and its variable
/// (`passgate config defaults`).
pub fn defaults_text() -> &'static str {
    include_str!("../../config/passgate.toml")
}

/// Every section is read before any is missed, so that all problems are found.
fn read(root: &Section<'_>) -> Option<Config> {
    let mode = mode(root);
    let data_dir = root.path("data_dir").unwrap_or_else(|| PathBuf::from("/var/lib/passgate"));
    let server = server::read(&root.section("server"));
    let upstream = upstream::read(&root.section("upstream"));
    let portal = portal::read(&root.section("portal"));
    let keys = keys::read(&root.section("keys"), &data_dir);
    let pages = pages::read(&root.section("pages"));
    let brands = brand::read(&root.sections("brand"), &pages.default_locale);
    let rollout = rollout::read(&root.section("rollout"));
    let password = password::read(&root.section("password"));
    let pin = pin::read(&root.section("pin"));
    let lockout = lockout::read(&root.section("lockout"));
    let session = session::read(&root.section("session"));
    let codes = codes::read(&root.section("codes"));
    let tokens = tokens::read(&root.section("tokens"), &rollout);
    let store = store::read(&root.section("store"), &data_dir);
    let cache = cache::read(&root.section("cache"));
    let mail = mail::read(&root.section("mail"));
    let email = email::read(&root.section("email"));
    let support = support::read(&root.section("support"));
    let limits = limits::read(&root.section("limits"));
    let clients = root.sections("machine_client");
    let machine_clients = machine_client::read(&clients);
    let log = log::read(&root.section("log"));
    let headers = headers::read(&root.section("headers"), server.as_ref());
    if let (Some(server), Some(upstream)) = (&server, &upstream) {
        upstream::refuse_ourselves(&root.section("upstream"), upstream, server);
    }
    if let (Some(server), Some(portal)) = (&server, &portal) {
        let fields = portal.checked_profile.credential_fields();
        machine_client::refuse_what_cannot_work(&clients, &machine_clients, server, fields);
    }
    if let Some(portal) = &portal {
        let section = root.section("pages");
        portal::refuse_covering(&section, &pages.prefix, &portal.checked_profile);
        portal::say_where_pins_go(&root.section("rollout"), portal, &rollout);
        tokens::warn_of_other_hosts(&root.section("tokens"), &tokens, &portal.checked_profile);
    }
    if mail.is_none() {
        mail::say_that_it_is_off(&root.section("mail"), &rollout);
    }
    Some(Config {
        mode,
        data_dir,
        server: server?,
        upstream: upstream?,
        portal: portal?,
        keys,
        pages,
        brands,
        rollout,
        password,
        pin,
        lockout,
        session,
        codes,
        tokens,
        store,
        cache,
        mail,
        email,
        support,
        limits,
        machine_clients,
        log,
        headers,
    })
}

fn mode(root: &Section<'_>) -> Mode {
    let modes = [("enforce", true), ("observe", false), ("passthrough", false)];
    if !root.or("mode", true, |value| value.choice(&modes)) {
        root.unavailable("mode", "only \"enforce\"");
    }
    Mode::Enforce
}

#[cfg(test)]
mod tests {
    use super::testing::{FILE, load, load_with, problems, warnings};
    use super::*;

    const REQUIRED: [(&str, &str); 3] = [
        ("PASSGATE_SERVER__PUBLIC_URL", "https://portal.example.com"),
        ("PASSGATE_UPSTREAM__SERVERS", "http://127.0.0.1:9080"),
        ("PASSGATE_PORTAL__PROFILE", "netsapiens"),
    ];

    fn with(variables: &[(&str, &str)], text: &str) -> Result<Loaded, Problems> {
        let all: Vec<(&str, &str)> = REQUIRED
            .iter()
            .filter(|(name, _)| !variables.iter().any(|(own, _)| own == name))
            .chain(variables)
            .copied()
            .collect();
        load_with(text, &all)
    }

    fn messages(result: Result<Loaded, Problems>) -> Vec<String> {
        result.err().map_or_else(Vec::new, |all| all.0.iter().map(ToString::to_string).collect())
    }

    /// The commented file says what holds without it: every value in it is the default.
    #[test]
    fn the_defaults_file_holds_the_defaults() {
        let written = load_with(defaults_text(), &[]).unwrap();
        let bare = load("").unwrap();
        assert_eq!(format!("{:?}", written.config), format!("{:?}", bare.config));
    }

    /// The commented file has every key, with the variable that overrides it.
    #[test]
    fn the_defaults_file_names_every_key_and_variable() {
        let (document, _) = DeTable::parse_recoverable("");
        let source = Source::new("", Path::new(FILE), document.get_ref(), std::iter::empty());
        read(&source.root());
        let variables = source.variables();
        assert!(variables.len() > 80, "{}", variables.len());
        let words: Vec<&str> = defaults_text().split_whitespace().collect();
        for variable in variables {
            assert!(words.contains(&variable.as_str()), "{variable} is not explained");
            let key = variable.rsplit("__").next().unwrap_or_default().to_ascii_lowercase();
            let key = key.strip_prefix("passgate_").unwrap_or(&key);
            assert!(
                defaults_text()
                    .lines()
                    .any(|line| { line.trim_start_matches('#').starts_with(&format!("{key} = ")) }),
                "{key} has no line"
            );
        }
    }

    /// What is commented out is right too: a user takes the # away.
    #[test]
    fn the_commented_parts_can_be_used() {
        let uncommented: String = defaults_text()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with('[') => rest,
                Some(rest) if rest.split(" = ").next().is_some_and(is_key) => rest,
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = load_with(&uncommented, &[]).unwrap_or_else(|all| panic!("{all}")).config;
        assert_eq!((config.brands.len(), config.server.certificates.len()), (1, 1));
        assert_eq!((config.rollout.tenants.len(), config.password.tenants.len()), (1, 1));
        assert_eq!((config.limits.paths.len(), config.machine_clients.len()), (1, 1));
    }

    fn is_key(text: &str) -> bool {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    }

    #[test]
    fn the_other_examples_are_right() {
        for text in [
            include_str!("../../config/minimal.toml"),
            include_str!("../../config/several-brands.toml"),
        ] {
            load_with(text, &[]).unwrap_or_else(|all| panic!("{all}"));
        }
    }

    /// Unknown keys, impossible values and contradictions of all sections are reported together,
    /// in the order of the file.
    #[test]
    fn everything_wrong_is_reported_together() {
        let problems = problems(
            "mod = \"enforce\"\n[sessions]\nidle = \"4h\"\n[lockout]\nmax_failures = \"5\"\n\
             idle = \"4h\"\n[session]\nidle = \"8d\"\n[limits]\nwindow = \"1m\"\nfrobnicate = 1\n",
        );
        let expected = [
            ":1: unknown key or section `mod`\n  hint: did you mean `mode`?",
            ":2: unknown key or section `sessions`\n  hint: did you mean `session`?",
            ":5: lockout.max_failures: must be a whole number (without quotes), not text",
            ":6: unknown key `idle` in [lockout]\n  hint: `idle` belongs in [session]",
            ":8: session.idle: absolute is shorter than idle",
            ":10: unknown key `window` in [limits]\n  hint: `window` belongs in [lockout]",
            ":11: unknown key `frobnicate` in [limits]\n  hint: known here: body_stall, ",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(FILE) && problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn what_is_required_is_named_with_an_example() {
        let problems = messages(load_with("[server]\nhttp = []\n", &[]));
        assert_eq!(
            problems,
            [
                format!(
                    "{FILE}: portal.profile is missing\n  hint: write profile = \"netsapiens\" in [portal]"
                ),
                format!(
                    "{FILE}: upstream.servers is missing\n  hint: write servers = [\"http://127.0.0.1:9080\"] in [upstream]"
                ),
                format!(
                    "{FILE}:1: server.public_url is missing\n  hint: write public_url = \"https://portal.example.com\" in [server]"
                ),
            ]
        );
    }

    #[test]
    fn what_is_not_toml_is_said_with_its_lines() {
        let problems = problems("[lockout]\nmax_failures = \n\n[session\nidle = \"4h\"\n");
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems[0].contains(":2: not TOML: "), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains(":4: not TOML: ")));
    }

    #[test]
    fn sections_and_keys_are_not_mistaken_for_each_other() {
        let problems = problems("lockout = 5\n[server]\ncertificate = \"a.pem\"\n");
        assert!(problems[0].contains(":1: [lockout] must be a section, not the number 5"));
        assert!(problems[1].contains(":3: write [[server.certificate]] with two brackets"));
    }

    /// `PASSGATE_<SECTION>__<KEY>` overrides the file.
    #[test]
    fn variables_override_the_file() {
        let variables = [
            ("PASSGATE_DATA_DIR", "/srv/data"),
            ("PASSGATE_LOCKOUT__MAX_FAILURES", "3"),
            ("PASSGATE_PORTAL__DIRECTORY__CREATE_ON_FIRST_LOGIN", "false"),
            ("PASSGATE_SERVER__HTTPS", "127.0.0.1:0, [::1]:0"),
            ("PASSGATE_ROLLOUT__WARN", "2018-11-05T00:00:00Z"),
            ("PASSGATE_LOCKOUT__OFFICES", ""),
            ("PATH", "/bin"),
        ];
        let text = "[lockout]\nmax_failures = 7\noffices = [\"10.0.0.0/8\"]\n";
        let config = with(&variables, text).unwrap().config;
        assert_eq!(config.lockout.max_failures, 3);
        assert!(config.lockout.offices.is_empty());
        assert!(!config.portal.directory.create_on_first_login);
        assert_eq!(config.server.https.len(), 2);
        assert_eq!(config.store.file.to_str(), Some("/srv/data/passgate.db"));
        assert!(config.rollout.rollout.everyone.warn.is_some());
    }

    #[test]
    fn wrong_variables_are_named() {
        let variables = [
            ("PASSGATE_LOCKOUT__MAX_FAILURES", "many"),
            ("PASSGATE_LOCKOUT__MAX_FAILURE", "5"),
            ("PASSGATE_SERVER__TRUSTED_PROXIES", "10.0.0.1,nobody"),
        ];
        assert_eq!(
            messages(with(&variables, "")),
            [
                "environment variable PASSGATE_LOCKOUT__MAX_FAILURE: names no key of the \
                 configuration\n  hint: did you mean PASSGATE_LOCKOUT__MAX_FAILURES?",
                "environment variable PASSGATE_LOCKOUT__MAX_FAILURES: lockout.max_failures: must \
                 be a whole number from 1 to 1000",
                "environment variable PASSGATE_SERVER__TRUSTED_PROXIES: server.trusted_proxies: \
                 \"nobody\" is not a network\n  hint: write \"10.0.0.0/8\", \"2001:db8::/32\" or \
                 one address",
            ]
        );
    }

    /// One underscore too few would be passed over in silence; what platforms set is not ours.
    #[test]
    fn a_single_underscore_is_warned_about() {
        let variables = [("PASSGATE_SESSION_IDLE", "1h"), ("PASSGATE_PORT", "tcp://10.0.0.1:80")];
        let warnings = with(&variables, "").unwrap().warnings;
        let about: Vec<String> = warnings
            .iter()
            .map(ToString::to_string)
            .filter(|warning| warning.contains("environment variable"))
            .collect();
        assert_eq!(about.len(), 1, "{about:?}");
        assert!(about[0].contains("did you mean PASSGATE_SESSION__IDLE (two underscores)?"));
    }

    /// Every secret also as `<key>_file`; given twice it is an error; it is never shown.
    #[test]
    fn secrets_come_from_files_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "canary-in-file\n").unwrap();
        let file = file.display().to_string();
        let variables = [("PASSGATE_MAIL__PASSWORD_FILE", file.as_str())];
        let once = with(&variables, "[mail]\nuser = \"u\"\n").unwrap();
        assert!(!format!("{once:?}").contains("canary"));
        let twice = messages(with(&variables, "[mail]\nuser = \"u\"\npassword = \"canary\"\n"));
        assert_eq!(
            twice,
            [
                "environment variable PASSGATE_MAIL__PASSWORD_FILE: mail.password_file: given twice: \
              as `password` and as `password_file`\n  hint: keep one of them"
            ]
        );
        let missing = problems("[mail]\nuser = \"u\"\npassword_file = \"/nowhere/secret\"\n");
        assert!(missing[0].contains(":3: mail.password_file: /nowhere/secret cannot be read"));
    }

    /// R-G8: modes of later versions are refused, not passed over.
    #[test]
    fn only_enforce() {
        for mode in ["observe", "passthrough"] {
            let problems = problems(&format!("mode = \"{mode}\"\n"));
            assert_eq!(
                problems,
                [format!("{FILE}:1: mode: not available in this version: only \"enforce\"")]
            );
        }
    }

    #[test]
    fn what_holds_in_silence_is_said_at_start() {
        let warnings = warnings("").concat();
        assert!(warnings.contains("server.certificate: none given"), "{warnings}");
        assert!(warnings.contains("mail.url: E-MAIL IS OFF"), "{warnings}");
    }
}
