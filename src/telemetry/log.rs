//! Setting up the log.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use super::writer::FlushOnDrop;
use super::writer::QueueWriter;

/// How lines look (`log.format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `time LEVEL target: message field=value`
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The log as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Text or JSON.
    pub format: Format,
    /// A level (`info`), or a level with targets: `info,passgate::access=off`.
    pub level: String,
    /// Whether each request leaves an access-log line (target `passgate::access`).
    pub access: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".into(), access: true }
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` cannot be read.
    #[error(
        "log level `{0}` is not a level (error, warn, info, debug, trace) or a list of target=level"
    )]
    Level(String),
    /// The writing thread could not be started.
    #[error("the log cannot be started: {0}")]
    Start(#[from] io::Error),
    /// Another log was set up before.
    #[error("the log was set up twice")]
    Twice,
}

/// Sets up the log of a running gateway: standard error through a queue, so that a full disk or a
/// stuck reader never holds up a request. Messages of the `log` crate (the proxy engine's) are
/// taken in too. Keep the guard until the process ends.
pub fn init(options: &LogOptions) -> Result<FlushOnDrop, LogError> {
    let filter = filter(options)?;
    let ansi = options.format == Format::Text && io::stderr().is_terminal();
    let (writer, guard) = QueueWriter::start(io::stderr())?;
    subscriber(options.format, filter, ansi, writer).try_init().map_err(|_| LogError::Twice)?;
    Ok(guard)
}

/// Libraries speak from `warn` on; what they say below is about themselves.
const QUIET: [&str; 12] = [
    "pingora",
    "pingora_cache",
    "pingora_core",
    "pingora_http",
    "pingora_load_balancing",
    "pingora_pool",
    "pingora_proxy",
    "pingora_runtime",
    "hyper",
    "h2",
    "rustls",
    "sqlx",
];

/// The engine's errors about connections that clients break off, which any browser does: the access
/// log and the metrics tell of requests.
const OF_CLIENTS: &str = "pingora_core::apps";

fn filter(options: &LogOptions) -> Result<Targets, LogError> {
    let bad = || LogError::Level(options.level.clone());
    let asked: Targets = options.level.parse().map_err(|_| bad())?;
    let everything = asked.default_level().unwrap_or(LevelFilter::INFO);
    let mut filter = Targets::new().with_default(everything);
    for target in QUIET {
        filter = filter.with_target(target, everything.min(LevelFilter::WARN));
    }
    filter = filter.with_target(OF_CLIENTS, LevelFilter::OFF);
    if !options.access {
        filter = filter.with_target(super::access::TARGET, LevelFilter::OFF);
    }
    // What the operator named comes last and wins, libraries included.
    Ok(filter.with_targets(asked.iter()))
}

fn subscriber<W>(
    format: Format,
    filter: Targets,
    ansi: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    Registry::default().with(lines).with(filter)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged while `act` runs.
    pub(in crate::telemetry) fn captured(options: &LogOptions, act: impl FnOnce()) -> String {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let buffer = Arc::clone(&buffer);
            move || Shared(Arc::clone(&buffer))
        };
        let subscriber = subscriber(options.format, filter(options).unwrap(), false, writer);
        tracing::subscriber::with_default(subscriber, act);
        let bytes = buffer.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_speak_from_warn_on_unless_named() {
        let said = |level: &str| {
            let options = LogOptions { level: level.into(), ..LogOptions::default() };
            captured(&options, || {
                tracing::info!(target: "pingora_core::server", "chatter");
                tracing::warn!(target: "pingora_core::server", "trouble");
                tracing::info!(target: "passgate::app", "ours");
                tracing::error!(target: "pingora_core::apps", "a client went away");
            })
        };
        let usual = said("info");
        assert!(!usual.contains("chatter") && usual.contains("trouble") && usual.contains("ours"));
        assert!(!usual.contains("went away"));
        assert!(said("info,pingora_core=debug").contains("chatter"));
        assert_eq!(said("off"), "");
    }

    #[test]
    fn a_level_that_is_none_is_an_error() {
        let options = LogOptions { level: "loud=very".into(), ..LogOptions::default() };
        assert!(matches!(filter(&options), Err(LogError::Level(_))));
    }
}
