//! Mails leave here: every second those that are due, as many as `mail.rate` lets, and no more than
//! `mail.connections` at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::background::surviving;
use crate::config::Rate;
use crate::domain::mail::Portion;
use crate::flows::Services;
use crate::flows::courier::{Courier, Finding};
use crate::ports::Unavailable;

/// How often due mails are looked for, besides when one is done: the first time at the start.
const LOOK: Duration = Duration::from_secs(1);
/// Mails that are being handed over when the stop comes get so long. Longer, and the process would
/// be killed; what was not noted as sent is sent again by the next one.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Hands over mails until the stop, so many side by side.
pub(super) async fn deliver(
    services: Arc<Services>,
    rate: Rate,
    connections: usize,
    stop: CancellationToken,
) {
    let mut allowance = Allowance::new(rate);
    let mut courier = Courier::new(services, connections);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let finding = tokio::select! {
            () = stop.cancelled() => break,
            _ = looks.tick() => None,
            // Where a hand is free, the next mail need not wait for the next look.
            Some(finding) = courier.next() => Some(finding),
        };
        let round = surviving(async { Some(look(&mut courier, &mut allowance, finding).await) });
        tokio::select! {
            tried = round => if let Some(Err(error)) = tried {
                tracing::error!(%error, "mails could not be delivered");
            },
            () = patience(&stop) => return,
        }
    }
    let _ = tokio::time::timeout(LAST_WORDS, courier.finish()).await;
}

/// Heeds what was found out, and takes up what may leave now.
async fn look(
    courier: &mut Courier,
    allowance: &mut Allowance,
    finding: Option<Finding>,
) -> Result<(), Unavailable> {
    if let Some(finding) = finding {
        courier.heed(finding).await?;
    }
    let taken = courier.take_up(allowance.left(Instant::now())).await?;
    allowance.spend(Instant::now(), taken);
    Ok(())
}

/// A while after the stop.
pub(super) async fn patience(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
}

/// Within this time, somebody who waits for a mail can wait for those before it.
const SOON: Duration = Duration::from_secs(10);

/// What is left of a rate: never more than `count` in any `period`. Of a rate with a long period
/// ("500/1d") bulk mails leave a fifth: who asks for a link gets it also on a day of bulk mails.
struct Allowance {
    rate: Rate,
    at_once: usize,
    kept: usize,
    spent: VecDeque<(Instant, usize)>,
    /// Of all entries together.
    total: usize,
}

impl Allowance {
    fn new(rate: Rate) -> Self {
        // "500/1d" lets 500 mails go at once; in smaller groups, a new one does not wait for all.
        const GROUP: u64 = 20;
        let per_second = u64::from(rate.count) / rate.period.as_secs().max(1);
        let at_once = usize::try_from(per_second.max(GROUP)).unwrap_or(usize::MAX);
        let kept = match rate.count {
            0 | 1 => 0,
            _ if rate.period <= SOON => 0,
            count => usize::try_from(count / 5).unwrap_or(usize::MAX).max(1),
        };
        Self { rate, at_once, kept, spent: VecDeque::new(), total: 0 }
    }

    fn left(&mut self, now: Instant) -> Portion {
        let over = |at: &Instant| now.duration_since(*at) >= self.rate.period;
        while let Some((_, count)) = self.spent.front().filter(|(at, _)| over(at)) {
            self.total -= count;
            self.spent.pop_front();
        }
        let count = usize::try_from(self.rate.count).unwrap_or(usize::MAX);
        let left = |count: usize| count.saturating_sub(self.total).min(self.at_once);
        Portion { most: left(count), bulk: left(count.saturating_sub(self.kept)) }
    }

    fn spend(&mut self, now: Instant, count: usize) {
        if count > 0 {
            self.spent.push_back((now, count));
            self.total += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ten_a_second() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(Rate { count: 10, period: SECOND });
        assert_eq!(allowance.left(begin), Portion::of(10));
        allowance.spend(begin, 7);
        assert_eq!(allowance.left(begin + SECOND / 2), Portion::of(3));
        assert_eq!(allowance.left(begin + SECOND), Portion::of(10));
    }

    /// A relay with a small quota: never more than it takes, in whatever window it counts.
    #[test]
    fn three_an_hour() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(Rate { count: 3, period: SECOND * 3600 });
        for minute in [0, 20, 40] {
            let now = begin + SECOND * 60 * minute;
            assert!(allowance.left(now).most > 0);
            allowance.spend(now, 1);
        }
        assert_eq!(allowance.left(begin + SECOND * 3599).most, 0);
        assert_eq!(allowance.left(begin + SECOND * 3600).most, 1);
        let mut large = Allowance::new(Rate { count: 500, period: SECOND * 86_400 });
        assert_eq!(large.left(begin), Portion::of(20));
        large.spend(begin, 490);
        assert_eq!(large.left(begin + SECOND).most, 10);
    }

    /// R-E1: bulk mails are throttled, and take the links that people ask for nothing away.
    #[test]
    fn bulk_mails_leave_a_fifth_of_a_daily_quota() {
        let begin = Instant::now();
        let day = SECOND * 86_400;
        let mut allowance = Allowance::new(Rate { count: 500, period: day });
        let mut bulk = 0;
        while allowance.left(begin).bulk > 0 {
            let portion = allowance.left(begin).bulk;
            allowance.spend(begin, portion);
            bulk += portion;
        }
        assert_eq!(bulk, 400);
        assert_eq!(allowance.left(begin), Portion { most: 20, bulk: 0 });
        allowance.spend(begin, 99);
        assert_eq!(allowance.left(begin), Portion { most: 1, bulk: 0 });
        // Where all of it comes again in a moment, or there is but one, nothing is kept.
        for (count, period) in [(10, SECOND), (1, day)] {
            let portion = Allowance::new(Rate { count, period }).left(begin);
            assert_eq!(portion, Portion::of(count as usize));
        }
        let few = Allowance::new(Rate { count: 3, period: day }).left(begin);
        assert_eq!(few, Portion { most: 3, bulk: 2 });
    }
}
