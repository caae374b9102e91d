//! `passgate demo`: the example portal, a gateway in front of it, people in every state, and a
//! page that explains what to try. Everything listens on this machine only.

mod mail;
mod people;
mod places;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{ClockChoice, RunOptions, StartError, run_until};
use crate::adapters::clock::{MovableClock, SystemClock};
use crate::config::Config;
use crate::demo::mailbox::Mailbox;
use crate::demo::portal::{API_CLIENT, API_OPERATOR, LegacyPortal, Options};
use crate::demo::start_page::{self, DemoControls, DemoSite};
use crate::domain::rollout::{Phase, Rollout};
use crate::gateway::listeners::stop_on_signals;
use crate::ports::Clock;

/// What may be chosen.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// How this program was called, for the commands that the pages show.
    pub program: String,
    /// Where the demo keeps its data; `None`: a folder of its own among the temporary files. The
    /// accounts are made anew at each start, the certificate stays.
    pub data_dir: Option<PathBuf>,
    /// Port of the start page; `None`: 8080, or any free one. With 0 everything else, too, listens
    /// on any free port instead of its usual one.
    pub port: Option<u16>,
}

/// Where to click.
#[derive(Debug, Clone)]
pub struct DemoPlaces {
    /// The start page.
    pub start: String,
    /// The portal, through Passgate.
    pub portal: String,
    /// The admin listener.
    pub admin: String,
    /// The configuration in use.
    pub config: PathBuf,
}

/// Runs the demo until Ctrl-C; `announce` is called when everything can be clicked.
pub async fn demo(
    options: DemoOptions,
    announce: impl FnOnce(&DemoPlaces) + Send,
) -> Result<(), StartError> {
    let stop = stop_on_signals().map_err(|error| StartError::of("signals")(&error))?;
    let prepared = places::prepare(&options).await?;

    let portal_options = Options {
        controls: true,
        poll_every: std::time::Duration::from_secs(5),
        ..Options::default()
    };
    let pbx = LegacyPortal::start(prepared.portal, portal_options).await;
    let clock = Arc::new(MovableClock::running());
    let began = clock.now();
    let text = configuration(&prepared.folder, prepared.https, pbx.addr(), began);
    let file = prepared.folder.join("passgate.toml");
    std::fs::write(&file, &text).map_err(|error| StartError::of("demo")(&error))?;
    let loaded = Config::load(&text, &file, std::iter::empty())
        .map_err(|problems| StartError::of("configuration of the demo")(&problems))?;
    let config = loaded.config;
    let rollout = config.rollout.rollout.clone();

    let mailbox = Mailbox::default();
    let (ready, is_ready) = oneshot::channel();
    let run_options = RunOptions {
        clock: ClockChoice::Movable(Arc::clone(&clock)),
        mail: Some(Arc::new(mail::IntoMailbox(mailbox.clone()))),
        seed: Some(Box::new(|services| Box::pin(people::seed(services)))),
        on_ready: Some(Box::new(move |addresses| {
            // Nobody listens any more only when the demo is already ending.
            let _ = ready.send(addresses.clone());
        })),
    };
    let data_dir = config.data_dir.clone();
    let gateway = tokio::spawn(run_until(config, run_options, stop.clone()));
    if let Ok(addresses) = is_ready.await {
        let shown = DemoPlaces {
            start: format!("http://localhost:{}", places::port(&prepared.start)),
            portal: format!("https://localhost:{}/portal/", prepared.https.port()),
            admin: addresses.admin.map(|admin| format!("http://{admin}")).unwrap_or_default(),
            config: file,
        };
        let mut site = DemoSite::new(
            start_page::Addresses {
                gateway: shown.portal.trim_end_matches("/portal/").to_owned(),
                portal: pbx.url(),
                admin: shown.admin.clone(),
                certificate_sha256: places::fingerprint(&data_dir),
                command: format!(
                    "{} accounts list --config {}",
                    options.program,
                    shown.config.display()
                ),
            },
            controls(&clock, rollout),
        );
        site.mailbox = mailbox;
        let served = tokio::spawn(serve(prepared.start, site, stop.clone()));
        announce(&shown);
        let _ = served.await;
    }
    stop.cancel();
    let ended = gateway.await.map_err(|error| StartError::of("demo")(&error))?;
    pbx.stop().await;
    ended
}

async fn serve(listener: tokio::net::TcpListener, site: DemoSite, stop: CancellationToken) {
    if let Err(error) = start_page::serve(listener, site, stop).await {
        tracing::error!(%error, "the start page ended with an error");
    }
}

/// The demo begins in the middle of the warn phase: a week ago, the warning; in two weeks, force;
/// in four, reject.
fn configuration(
    folder: &std::path::Path,
    https: SocketAddr,
    pbx: SocketAddr,
    now: Timestamp,
) -> String {
    let day = |days: i64| {
        let moment = now + SignedDuration::from_hours(24 * days);
        moment.to_zoned(TimeZone::UTC).date()
    };
    format!(
        "# The configuration of the demo, made at each start.\n\
         data_dir = {:?}\n\n\
         [server]\nhttps = [\"{https}\"]\nadmin = \"127.0.0.1:0\"\n\
         public_url = \"https://localhost:{}\"\n\n\
         [upstream]\nservers = [\"http://{pbx}\"]\n\n\
         [portal]\nprofile = \"netsapiens\"\n\n\
         [portal.admin]\nkind = \"oauth\"\nclient_id = \"{}\"\nclient_secret = \"{}\"\n\
         user = \"{}\"\npassword = \"{}\"\n\n\
         [rollout]\ntime_zone = \"UTC\"\nwarn = {}\nforce = {}\nreject = {}\n\n\
         [support]\ncontact = \"Example Voice, 555-0100\"\n\n\
         [[brand]]\nhosts = [\"localhost\"]\npublic_url = \"https://localhost:{}\"\n\
         name = \"Example Voice\"\n\
         mail_from = \"Example Voice <no-reply@portal.example>\"\n",
        folder.join("data").display().to_string(),
        https.port(),
        API_CLIENT.0,
        API_CLIENT.1,
        API_OPERATOR.0,
        API_OPERATOR.1,
        day(-7),
        day(14),
        day(28),
        https.port(),
    )
}

fn controls(clock: &Arc<MovableClock>, rollout: Rollout) -> DemoControls {
    let schedule = rollout.everyone;
    let hours = SignedDuration::from_hours;
    let steps = [
        ("quiet", schedule.warn.map(|warn| warn - hours(24))),
        ("warn", schedule.warn.map(|warn| warn + hours(7 * 24 + 9))),
        ("force", schedule.force.map(|force| force + hours(9))),
        ("reject", schedule.reject.map(|reject| reject + hours(9))),
    ];
    let steps = steps.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?))).collect();
    let (shown, moved, asked) = (Arc::clone(clock), Arc::clone(clock), Arc::clone(clock));
    DemoControls {
        now: Box::new(move || shown.now()),
        set_clock: Box::new(move |to| moved.set_offset(to.duration_since(SystemClock.now()))),
        phase: Box::new(move || {
            let name = match schedule.phase(asked.now()) {
                Phase::Quiet => "quiet",
                Phase::Warn => "warn",
                Phase::Force => "force",
                Phase::Reject => "reject",
            };
            name.to_owned()
        }),
        steps,
        time_zone: TimeZone::UTC,
    }
}
