//! Counting by the generic cell rate algorithm (GCRA): per client one moment, the one at which all
//! that it has used will be given back. In memory, bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use parking_lot::Mutex;

/// Parts with a lock each.
const SHARDS: usize = 16;
/// Most clients in one part: some 130 000 of a limit together, in at most 12 MiB.
const CLIENTS: usize = 8 * 1024;

/// How many requests in how long. Times are nanoseconds since the limits began to count: no clock
/// that somebody can set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After so long one more request may come.
    interval: u64,
    /// So much may be used in advance.
    burst: u64,
}

impl Pace {
    /// `count` in `period`, and bursts of twice as many.
    pub(super) fn new(count: u32, period: Duration) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX / 4);
        let interval = (period / u64::from(count.max(1))).max(1);
        Self { interval, burst: interval.saturating_mul(2 * u64::from(count)) }
    }
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It may pass; so many more may follow it at once, and one more after the time.
    Left(u64, Duration),
    /// None is left; the next one may come after this time.
    Nothing(Duration),
}

/// The clients that a limit has counted.
pub(super) struct Cells {
    pace: Pace,
    hasher: RandomState,
    shards: [Mutex<HashMap<u128, u64>>; SHARDS],
}

impl Cells {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, hasher: RandomState::new(), shards: Default::default() }
    }

    /// Counts a request of `client` at `now`.
    pub(super) fn take(&self, client: u128, now: u64) -> Taken {
        let Pace { interval, burst } = self.pace;
        let mut cells = self.shards[self.hasher.hash_one(client) as usize % SHARDS].lock();
        let used = cells.get(&client).map_or(0, |until| until.saturating_sub(now));
        let used_then = used.saturating_add(interval);
        if used_then > burst {
            return Taken::Nothing(Duration::from_nanos(used_then - burst));
        }
        if cells.len() >= CLIENTS && !cells.contains_key(&client) {
            make_room(&mut cells, now);
        }
        cells.insert(client, now + used_then);
        let free = burst - used_then;
        Taken::Left(free / interval, Duration::from_nanos(interval - free % interval))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// Forgets who has everything again. Where that is too few, many addresses are at work: those that
/// have used least are forgotten too, and never more than half, so that it is seldom done.
fn make_room(cells: &mut HashMap<u128, u64>, now: u64) {
    cells.retain(|_, until| *until > now);
    if cells.len() > CLIENTS / 4 * 3 {
        let mut moments: Vec<u64> = cells.values().copied().collect();
        let (_, middle, _) = moments.select_nth_unstable(CLIENTS / 2);
        let middle = *middle;
        cells.retain(|_, until| *until > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// R-G4: bursts of twice the number pass, then the rate holds.
    #[test]
    fn a_burst_and_then_the_rate() {
        let cells = Cells::new(Pace::new(3, seconds(30)));
        for left in (0..6).rev() {
            assert_eq!(cells.take(1, 0), Taken::Left(left, seconds(10)), "{left}");
        }
        assert_eq!(cells.take(1, 0), Taken::Nothing(seconds(10)));
        assert_eq!(cells.take(2, 0), Taken::Left(5, seconds(10)), "another client");
        assert_eq!(cells.take(1, 9 * SECOND), Taken::Nothing(seconds(1)), "refusals do not count");
        assert_eq!(cells.take(1, 10 * SECOND), Taken::Left(0, seconds(10)));
        assert_eq!(cells.take(1, 10 * SECOND), Taken::Nothing(seconds(10)));
        assert_eq!(cells.take(1, 100 * SECOND), Taken::Left(5, seconds(10)), "all is given back");
    }

    /// R-G4: over ten periods, ten times the number and one burst pass, never more.
    #[test]
    fn the_rate_holds_however_it_is_asked() {
        let cells = Cells::new(Pace::new(5, seconds(1)));
        let asked = (0..10_000).map(|turn| cells.take(7, turn * (SECOND / 1_000)));
        let passed = asked.filter(|taken| matches!(taken, Taken::Left(..))).count();
        assert_eq!(passed, 10 * 5 + 10 - 1);
    }

    /// Security: a million addresses fill no memory, and do not free the one that is at its limit.
    #[test]
    fn many_clients_are_bounded() {
        let cells = Cells::new(Pace::new(2, seconds(3600)));
        for _ in 0..4 {
            cells.take(0, 0);
        }
        for client in 1..1_000_000_u128 {
            cells.take(client, u64::try_from(client).unwrap());
        }
        assert!(cells.len() <= SHARDS * CLIENTS, "{}", cells.len());
        assert!(matches!(cells.take(0, 1_000_000), Taken::Nothing(_)));
    }

    #[test]
    fn extreme_rates() {
        let cells = Cells::new(Pace::new(u32::MAX, Duration::from_millis(1)));
        assert!(matches!(cells.take(1, 0), Taken::Left(..)));
        let cells = Cells::new(Pace::new(1, Duration::MAX));
        assert!(matches!(cells.take(1, 0), Taken::Left(1, _)));
        assert!(matches!(cells.take(1, 0), Taken::Left(0, _)));
        assert!(matches!(cells.take(1, 0), Taken::Nothing(_)));
    }
}
