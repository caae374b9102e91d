//! What goes on beside the requests: sessions that end by themselves, revocations from elsewhere,
//! names that resolve anew, gauges.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assembly::Parts;
use super::delivery::{self, patience};
use crate::config::{Config, Rate};
use crate::domain::account::AccountState;
use crate::domain::rollout::Phase;
use crate::flows::{bulk, sweep, write_back};
use crate::ports::Unavailable;

/// Ended sessions and phases reach open WebSockets within this time.
const SWEEP: Duration = Duration::from_secs(5);
/// Revocations by another process count within a second.
const REVALIDATE: Duration = Duration::from_millis(500);
/// PIN write-backs that came to no end are looked at again when they are due; this is how often
/// that is checked.
const WRITE_BACKS: Duration = Duration::from_secs(2);
/// The start waits for them no longer than this.
const WRITE_BACKS_AT_START: Duration = Duration::from_secs(10);
/// Bulk mails are put into the outbox this often …
const BULK: Duration = Duration::from_secs(1);
/// … so that at least so many wait there.
const BULK_ROOM: u64 = 200;
const RESOLVE: Duration = Duration::from_secs(30);
const GAUGES: Duration = Duration::from_secs(10);
/// Mails that stay here burden nobody.
const OWN_MAIL: (Rate, usize) = (Rate { count: 100, period: Duration::from_secs(1) }, 1);

/// The running tasks.
pub(super) struct Background(JoinSet<()>);

impl Background {
    /// Waits for the tasks to end, after the stop.
    pub async fn finish(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Brings the write-backs of a process that died to their end before anybody is served: their users
/// are waiting. A PBX that does not answer holds nobody up; the rest is done in the background.
pub(super) async fn finish_write_backs(parts: &Parts) {
    let services = parts.services.clone();
    let recovery = tokio::spawn(async move {
        tell("recovery of PIN write-backs", write_back::recover(&services).await.map(drop));
    });
    if tokio::time::timeout(WRITE_BACKS_AT_START, recovery).await.is_err() {
        tracing::warn!("PIN write-backs are still open; the start does not wait for them");
    }
}

/// Starts the tasks; they end with `stop`.
pub(super) fn start(config: &Config, parts: &Parts, stop: CancellationToken) -> Background {
    let mut tasks = JoinSet::new();
    let services = parts.services.clone();
    tasks.spawn(every(SWEEP, stop.clone(), move || {
        let services = services.clone();
        async move { tell("sweep", sweep::sweep(&services).await) }
    }));
    let services = parts.services.clone();
    tasks.spawn(every(WRITE_BACKS, stop.clone(), move || {
        let services = services.clone();
        async move {
            let recovered = write_back::recover(&services).await;
            tell("recovery of PIN write-backs", recovered.map(drop));
        }
    }));
    if parts.services.mail.is_some() {
        let (rate, connections) =
            config.mail.as_ref().map_or(OWN_MAIL, |mail| (mail.rate, mail.connections));
        let services = parts.services.clone();
        tasks.spawn(delivery::deliver(services, rate, connections, stop.clone()));
        let (services, room) = (parts.services.clone(), bulk_room(rate));
        tasks.spawn(every(BULK, stop.clone(), move || {
            let services = services.clone();
            async move {
                tell("reminders", bulk::remind(&services).await);
                tell("bulk mails", bulk::advance(&services, room).await);
            }
        }));
    }
    let sessions = parts.sessions.clone();
    tasks.spawn(every(REVALIDATE, stop.clone(), move || {
        let sessions = sessions.clone();
        async move { tell("revalidation", sessions.revalidate().await) }
    }));
    let upstreams = parts.upstreams.clone();
    tasks.spawn(every(RESOLVE, stop.clone(), move || {
        let upstreams = upstreams.clone();
        async move { upstreams.resolve().await }
    }));
    let (probed, metrics) = (parts.upstreams.clone(), parts.metrics.clone());
    tasks.spawn(every(GAUGES, stop.clone(), move || {
        let (probed, metrics) = (probed.clone(), metrics.clone());
        async move {
            for (server, up) in probed.probe().await {
                metrics.upstream(&server, up);
            }
        }
    }));
    let (services, metrics, hasher) =
        (parts.services.clone(), parts.metrics.clone(), parts.hasher.clone());
    tasks.spawn(every(GAUGES, stop, move || {
        let (services, metrics) = (services.clone(), metrics.clone());
        metrics.password_hash_waiting(hasher.queue_len());
        async move {
            let phase = services.policies.rollout.everyone.phase(services.clock.now());
            metrics.phase(match phase {
                Phase::Quiet => 0,
                Phase::Warn => 1,
                Phase::Force => 2,
                Phase::Reject => 3,
            });
            if let Ok(count) = services.sessions.count().await {
                metrics.sessions(count);
            }
            if let Ok(count) = services.sessions.count_families().await {
                metrics.token_families(count);
            }
            if let Ok(open) = services.credentials.open_write_backs().await {
                metrics.pin_writebacks_open(open);
            }
            if let Ok(counts) = services.outbox.counts().await {
                metrics.outbox(counts.into_iter().map(|(state, count)| (state.name(), count)));
            }
            if let Ok(counts) = services.accounts.count().await {
                for (state, name) in [
                    (AccountState::PinOnly, "pin_only"),
                    (AccountState::Password, "password"),
                    (AccountState::Disabled, "disabled"),
                ] {
                    let of_state = counts.iter().filter(|(_, other, _)| *other == state);
                    metrics.accounts(name, of_state.map(|(_, _, count)| count).sum());
                }
            }
        }
    }));
    Background(tasks)
}

/// Enough for the rate until the next look, and little else: what is not in the outbox yet can be
/// paused.
fn bulk_room(rate: Rate) -> usize {
    let per_second = u64::from(rate.count) / rate.period.as_secs().max(1);
    usize::try_from((2 * per_second).max(BULK_ROOM)).unwrap_or(usize::MAX)
}

async fn every<F, R>(period: Duration, stop: CancellationToken, work: F)
where
    F: Fn() -> R,
    R: Future<Output = ()>,
{
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = surviving(work()) => {}
            // What asks a PBX that hangs does not keep the process from ending; whatever is cut off
            // is found by the next one.
            () = patience(&stop) => return,
        }
    }
}

/// A defect that ends one round in a panic (which is reported as such) does not end all that come
/// after it: nobody would notice that mails or write-backs wait.
pub(super) async fn surviving<T: Default>(round: impl Future<Output = T>) -> T {
    AssertUnwindSafe(round).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a background task came to a sudden end and goes on with its next round");
        T::default()
    })
}

fn tell(what: &str, result: Result<(), Unavailable>) {
    if let Err(error) = result {
        tracing::error!(%error, what, "a background task could not do its work");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    /// Reliability: a round that panics is followed by the next one.
    #[tokio::test]
    async fn a_panic_ends_one_round_only() {
        let (rounds, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (counted, stopped) = (Arc::clone(&rounds), stop.clone());
        let task = tokio::spawn(every(SOON, stop, move || {
            let (counted, stopped) = (Arc::clone(&counted), stopped.clone());
            async move {
                match counted.fetch_add(1, Ordering::SeqCst) {
                    0 => panic!("a defect"),
                    _ => stopped.cancel(),
                }
            }
        }));
        task.await.unwrap();
        assert_eq!(rounds.load(Ordering::SeqCst), 2);
    }
}
