//! `passgate run` and `passgate demo`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Runtime;

#[cfg(feature = "demo")]
use super::args::DemoArguments;
use super::args::RunArguments;
use super::configuration;
use super::failure::Failure;
use crate::adapters::clock::{MovableClock, SystemClock};
use crate::app::{self, Addresses, ClockChoice, RunOptions};
#[cfg(feature = "demo")]
use crate::app::{DemoOptions, DemoPlaces};
use crate::config::{Config, LogFormat};
use crate::ports::Clock as _;
use crate::telemetry::log::{self, Format, LogOptions};

/// Runs until it is told to stop. When everything listens, one line on standard output says where:
/// `ready https=… http=… admin=… socket=…`.
pub(super) fn run(config: &Path, arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let loaded = configuration::load(config)?;
    // Kept to the end: dropping it writes the last lines.
    let _log = log::init(&log_options(&loaded.config)).map_err(failed)?;
    for warning in &loaded.warnings {
        // One event, one line.
        tracing::warn!("{}", warning.to_string().replace("\n ", ";"));
    }
    let options = RunOptions {
        clock: arguments.clock.map_or(ClockChoice::System, clock_at),
        mail: None,
        seed: None,
        on_ready: Some(Box::new(say_ready)),
    };
    runtime()?.block_on(app::run(loaded.config, options)).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// A runtime for the gateway: as many threads as the machine has cores.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("passgate")
        .build()
        .map_err(Failure::io("start"))
}

/// Nobody may be left to read the line; that is no reason to stop.
fn say_ready(addresses: &Addresses) {
    let list = |addresses: &[SocketAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let admin = addresses.admin.map(|address| address.to_string()).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let _: std::io::Result<()> = writeln!(
        out,
        "ready https={} http={} admin={admin} socket={}",
        list(&addresses.https),
        list(&addresses.http),
        addresses.socket.display()
    )
    .and_then(|()| out.flush());
}

/// A clock that begins at `moment` and can be moved.
fn clock_at(moment: Timestamp) -> ClockChoice {
    let clock = MovableClock::running();
    clock.set_offset(moment.duration_since(SystemClock.now()));
    ClockChoice::Movable(Arc::new(clock))
}

/// Runs the demo. Its log is quiet: the terminal is for the addresses.
#[cfg(feature = "demo")]
pub(super) fn demo(arguments: &DemoArguments, json: bool) -> Result<ExitCode, Failure> {
    let log = LogOptions { level: arguments.log.clone(), access: false, ..LogOptions::default() };
    let _log = log::init(&log).map_err(failed)?;
    let program = std::env::args().next().unwrap_or_else(|| "passgate".to_owned());
    let options = DemoOptions {
        program: program.clone(),
        data_dir: arguments.data_dir.clone(),
        port: arguments.port,
    };
    let announce = move |places: &DemoPlaces| {
        let text = if json {
            serde_json::json!({
                "start": places.start,
                "portal": places.portal,
                "admin": places.admin,
                "config": places.config,
            })
            .to_string()
        } else {
            format!(
                "\n  Passgate demo is running.\n\n\
                 \x20 Begin here:   {}\n\
                 \x20               who can log in, what to try, a clock to step through the phases\n\n\
                 \x20 The portal:   {}\n\
                 \x20               your browser warns once: the certificate is made on this machine\n\
                 \x20 Try first:    1001@abc-company.11111.service with the PIN on the start page\n\n\
                 \x20 Operators:    {}/metrics\n\
                 \x20               {program} accounts list --config {}\n\n\
                 \x20 Ctrl-C ends it.\n",
                places.start,
                places.portal,
                places.admin,
                places.config.display(),
            )
        };
        // Nobody may be left to read it; the demo goes on.
        let _: std::io::Result<()> = writeln!(std::io::stdout(), "{text}");
    };
    runtime()?.block_on(app::demo(options, announce)).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn log_options(config: &Config) -> LogOptions {
    LogOptions {
        format: match config.log.format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        level: config.log.level.clone(),
        access: config.log.access,
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
