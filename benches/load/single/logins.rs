//! Logins, and tokens, by password: how many a second beside argon2 alone, and what a storm of them
//! does to everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use passgate::adapters::argon2_hasher::{Argon2Hasher, Argon2Settings};
use passgate::adapters::random::OsRandom;
use passgate::domain::secret::Secret;
use passgate::ports::{PasswordHasher, Verified};
use tokio::task::JoinSet;

use super::Single;
use crate::arguments::Plan;
use crate::client::{Browser, Load, Work, browser_request};
use crate::comparison::Setup;
use crate::gateway::{Gateway, Home, OWN_TOKENS, fetch_token_with_password, sign_in_with_password};
use crate::statistics::{Series, percentile};
use crate::tls::Http;
use crate::upstream::SMALL;

/// Requests a second of those who are signed in already.
const ORDINARY_RATE: f64 = 2_000.0;
/// Logins under way at once where as many as possible are wanted.
const LOGINS_AT_ONCE: usize = 8;
/// Browsers that take part in the storm.
const STORMERS: usize = 128;

/// Where somebody comes in with the portal password.
#[derive(Debug, Clone, Copy)]
enum Door {
    Portal,
    Tokens,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Portal => "logins",
            Self::Tokens => "tokens by password",
        }
    }

    /// Once; `false` when the gateway has too much to do.
    async fn enter(self, browser: &mut Browser, number: usize) -> bool {
        match self {
            Self::Portal => sign_in_with_password(browser, number).await,
            Self::Tokens => fetch_token_with_password(browser, number).await,
        }
    }
}

pub async fn measure(plan: &Plan, setup: &Setup) -> Vec<Single> {
    let gateway = Gateway::start(setup, Home::new(setup, OWN_TOKENS), None).await;
    gateway.make_password_accounts(setup, plan.password_accounts).await;
    let mut all = Vec::new();
    for door in [Door::Portal, Door::Tokens] {
        all.extend(measure_door(&gateway, setup, plan, door).await);
    }
    gateway.stop().await;
    all
}

async fn measure_door(gateway: &Gateway, setup: &Setup, plan: &Plan, door: Door) -> [Single; 2] {
    let time = Duration::from_secs_f64(plan.seconds);
    let (mut all_entries, mut all_hashes, mut shares) =
        (Series::default(), Series::default(), Series::default());
    for _ in 0..plan.rounds {
        eprintln!("argon2 alone, then {}", door.name());
        let hashes = hashes_per_second(time).await;
        let entries = entries_per_second(gateway, setup, plan, door, time).await;
        all_hashes.push(hashes);
        all_entries.push(entries);
        shares.push(entries / hashes);
    }
    let entries = all_entries.median();

    let cookie = gateway.session(setup).await;
    let work = Work {
        address: gateway.https,
        tls: setup.certificate.client(Http::Two),
        http: Http::Two,
        request: browser_request(Http::Two, gateway.https.port(), SMALL, ("cookie", &cookie)),
        expected: setup.upstream.small(),
    };
    let rate = if plan.smoke { 100.0 } else { ORDINARY_RATE };
    eprintln!("requests without a storm");
    let calm = ordinary_p99(&work, rate, time).await;
    eprintln!("requests during a storm of {}", door.name());
    let storm = storm(gateway, setup, plan, door, 2.0 * entries, time);
    let (stormy, ()) = tokio::join!(ordinary_p99(&work, rate, time), storm);

    let slower = stormy / calm;
    let measured =
        format!("{} ({}/s of {}/s)", shares.shown(2), all_entries.shown(0), all_hashes.shown(0));
    let name = format!("{} per hash of argon2 alone", door.name());
    let storm_name =
        format!("p99 at {rate:.0} requests/s during twice as many {} as can be", door.name());
    [
        Single::new(&name, measured, "≥ 0.9", shares.median() >= 0.9),
        Single::new(
            &storm_name,
            format!("{slower:.1} × calm ({stormy:.1} ms, calm {calm:.1} ms)"),
            "< 3 ×",
            slower < 3.0,
        ),
    ]
}

/// The hasher of the gateway with the same parameters and as many threads, and nothing else.
async fn hashes_per_second(time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Argon2Settings::default();
    let hasher = Argon2Hasher::new(settings, cores, 64, Arc::new(OsRandom), Box::new(|_| {}));
    let hasher = &hasher.unwrap();
    let password = &Secret::new("Correct-Horse-7-Battery");
    let phc = &hasher.hash(password).await.unwrap();
    let verify = async || assert_eq!(hasher.verify(password, phc).await.unwrap(), Verified::Right);
    per_second(vec![verify; LOGINS_AT_ONCE], time).await
}

async fn entries_per_second(
    gateway: &Gateway,
    setup: &Setup,
    plan: &Plan,
    door: Door,
    time: Duration,
) -> f64 {
    let accounts = plan.password_accounts;
    let next = &AtomicUsize::new(0);
    let mut workers = Vec::new();
    for _ in 0..LOGINS_AT_ONCE {
        let mut browser = gateway.browser(setup).await;
        workers.push(async move || {
            let number = next.fetch_add(1, Ordering::Relaxed) % accounts;
            assert!(door.enter(&mut browser, number).await, "so few are not too many");
        });
    }
    per_second(workers, time).await
}

/// How often `workers` together do their work in a second.
async fn per_second<W: AsyncFnMut()>(workers: Vec<W>, time: Duration) -> f64 {
    let begun = Instant::now();
    let done = join_all(workers.into_iter().map(async |mut once| {
        let mut done = 0.0;
        while begun.elapsed() < time {
            once().await;
            done += 1.0;
        }
        done
    }));
    let done: f64 = done.await.into_iter().sum();
    done / begun.elapsed().as_secs_f64()
}

async fn ordinary_p99(work: &Work, rate: f64, time: Duration) -> f64 {
    let mut outcome = Load::open(work, 32).await.paced(rate, time).await;
    percentile(&mut outcome.latencies, 0.99)
}

/// Sends `rate` passwords a second to a door for `time`; those that the gateway has no time for are
/// refused.
async fn storm(
    gateway: &Gateway,
    setup: &Setup,
    plan: &Plan,
    door: Door,
    rate: f64,
    time: Duration,
) {
    let stormers = STORMERS.min(plan.password_accounts * 2);
    let mut browsers = Vec::new();
    for _ in 0..stormers {
        browsers.push(gateway.browser(setup).await);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, mut browser) in browsers.into_iter().enumerate() {
        let account = index % plan.password_accounts;
        tasks.spawn(async move {
            let mut due = Duration::from_secs_f64(index as f64 / rate);
            while due < time {
                tokio::time::sleep_until((begun + due).into()).await;
                door.enter(&mut browser, account).await;
                due = (due + Duration::from_secs_f64(stormers as f64 / rate)).max(begun.elapsed());
            }
        });
    }
    tasks.join_all().await;
}
