//! `passgate run`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;

use super::args::RunArguments;
use super::configuration;
use super::failure::Failure;
use crate::app::{self, Addresses, RunOptions};
use crate::config::{Config, LogFormat};
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
        movable_clock: arguments.clock.map(from_now),
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

#[allow(clippy::disallowed_methods, reason = "how far the movable clock is from the machine's")]
fn from_now(moment: Timestamp) -> SignedDuration {
    moment.duration_since(Timestamp::now())
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
