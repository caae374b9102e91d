//! The composition root: the only place that knows which adapter stands behind which port.

mod assembly;
mod background;
mod connections;
mod delivery;
#[cfg(feature = "demo")]
mod demo;
mod dressing;
mod limits;
mod machines;
mod post_office;
mod preview;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::adapters::clock::{MovableClock, SystemClock};
use crate::config::Config;
use crate::flows::Services;
use crate::gateway::listeners::{Listeners, stop_on_signals};
use crate::gateway::tls::install_crypto_provider;
use crate::ports::{Clock, MailTransport};
use crate::web::admin::{AdminListeners, ClockControl, SOCKET_NAME};

pub use connections::{Connection, check_connections};
#[cfg(feature = "demo")]
pub use demo::{DemoOptions, DemoPlaces, demo};
pub use dressing::check_dressing;
pub use preview::{Example, Previews};

/// How a gateway is started, beside its configuration.
#[derive(Default)]
pub struct RunOptions {
    /// The clock that policy times are read from.
    pub clock: ClockChoice,
    /// Where mails go instead of to the configured mail server.
    pub mail: Option<Arc<dyn MailTransport>>,
    /// Called once the stores are open, before anything listens.
    pub seed: Option<Seed>,
    /// Told when everything listens.
    pub on_ready: Option<OnReady>,
}

/// Prepares the stores of a gateway that is about to start.
pub type Seed = Box<dyn FnOnce(Arc<Services>) -> Seeding + Send>;

/// Hears where a gateway listens.
pub type OnReady = Box<dyn FnOnce(&Addresses) + Send>;

/// A [`Seed`] at work.
pub type Seeding = BoxFuture<'static, Result<(), StartError>>;

/// The clock that a gateway runs by.
#[derive(Default)]
pub enum ClockChoice {
    /// The machine's.
    #[default]
    System,
    /// One that the admin API can move. For the demo and for tests: whoever moves the clock moves
    /// the phases.
    Movable(Arc<MovableClock>),
}

/// Where a gateway listens, with real ports.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// TLS.
    pub https: Vec<SocketAddr>,
    /// Plain: redirects to TLS.
    pub http: Vec<SocketAddr>,
    /// Administration.
    pub admin: Option<SocketAddr>,
    /// Administration without a token, for those who may open it.
    pub socket: PathBuf,
}

/// Why a gateway does not start; each says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct StartError {
    /// What could not be prepared.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

impl StartError {
    /// Wraps the error of one part.
    pub(crate) fn of(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |why| Self { what, why: why.to_string() }
    }
}

/// Runs a gateway until it is told to stop (SIGTERM, SIGINT), then drains it.
pub async fn run(config: Config, options: RunOptions) -> Result<(), StartError> {
    let stop = stop_on_signals().map_err(|error| StartError::of("signals")(&error))?;
    run_until(config, options, stop).await
}

/// As [`run`], until `stop` is cancelled.
pub async fn run_until(
    config: Config,
    options: RunOptions,
    stop: CancellationToken,
) -> Result<(), StartError> {
    install_crypto_provider();
    raise_file_limit();
    let (clock, clock_control) = clock(options.clock);
    let parts = assembly::assemble(&config, clock, options.mail).await?;
    if let Some(seed) = options.seed {
        seed(Arc::clone(&parts.services)).await?;
    }
    background::finish_write_backs(&parts).await;
    let certificates = assembly::certificates(&config, &*parts.services.clock)?;
    for expiry in certificates.expiries() {
        parts.metrics.certificate_expiry(&expiry.name, expiry.at.as_second());
    }

    let listeners = Listeners::bind(assembly::listener_settings(&config))
        .map_err(|error| StartError::of("listening")(&error))?;
    let socket = config.data_dir.join(SOCKET_NAME);
    let admin = AdminListeners::bind(Some(config.server.admin), &socket)
        .await
        .map_err(|error| StartError::of("listening")(&error))?;
    let addresses = Addresses {
        https: listeners.https_addresses(),
        http: listeners.http_addresses(),
        admin: admin.address(),
        socket,
    };

    let admin_state = assembly::admin_state(&config, &parts, clock_control)?;
    let pipeline = assembly::pipeline(&config, &parts)?;
    let background = background::start(&config, &parts, stop.clone());
    let admin_stop = stop.clone();
    let admin_task =
        tokio::spawn(async move { admin.serve(admin_state, admin_stop.cancelled_owned()).await });

    tracing::info!(https = ?addresses.https, http = ?addresses.http, admin = ?addresses.admin, "ready");
    if let Some(on_ready) = options.on_ready {
        on_ready(&addresses);
    }
    listeners.serve(pipeline, certificates, stop.clone()).await;

    stop.cancel();
    if let Ok(Err(error)) = admin_task.await {
        tracing::warn!(%error, "the admin listener ended with an error");
    }
    background.finish().await;
    parts.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn clock(choice: ClockChoice) -> (Arc<dyn Clock>, Option<Arc<ClockControl>>) {
    match choice {
        ClockChoice::System => (Arc::new(SystemClock), None),
        ClockChoice::Movable(clock) => {
            tracing::warn!(
                "the clock can be moved through the admin API: for demonstrations and tests only"
            );
            let moved = Arc::clone(&clock);
            let control = ClockControl::new(move |step| moved.advance(step));
            (clock, Some(Arc::new(control)))
        }
    }
}

/// Takes as many file descriptors as the system grants: each connection needs one, and each
/// request to the PBX another.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
