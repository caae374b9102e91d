//! Clocks.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::ports::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that can be moved: the demo steps through the phases with it, tests through time.
#[derive(Debug, Default)]
pub struct MovableClock {
    /// Fixed base; `None` follows the machine's clock.
    base: Option<Timestamp>,
    offset_ms: AtomicI64,
}

impl MovableClock {
    /// Follows the machine's clock, until it is moved.
    pub fn running() -> Self {
        Self::default()
    }

    /// Stands still at `moment` until it is moved.
    pub fn standing_at(moment: Timestamp) -> Self {
        Self { base: Some(moment), offset_ms: AtomicI64::new(0) }
    }

    /// Moves on (or back, with a negative step) from where it is.
    pub fn advance(&self, step: SignedDuration) {
        self.offset_ms.fetch_add(milliseconds(step), Ordering::SeqCst);
    }

    /// Sets the distance from the base, whatever it was before.
    pub fn set_offset(&self, offset: SignedDuration) {
        self.offset_ms.store(milliseconds(offset), Ordering::SeqCst);
    }

    /// The distance from the base.
    pub fn offset(&self) -> SignedDuration {
        SignedDuration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        let base = self.base.unwrap_or_else(|| SystemClock.now());
        // Past the end of the calendar the clock stands still: it never panics.
        base.saturating_add(self.offset()).unwrap_or(base)
    }
}

fn milliseconds(step: SignedDuration) -> i64 {
    i64::try_from(step.as_millis()).unwrap_or(if step.is_negative() { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_until_moved() {
        let start = Timestamp::from_second(1_542_000_000).unwrap();
        let clock = MovableClock::standing_at(start);
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_mins(15));
        clock.advance(SignedDuration::from_mins(-5));
        assert_eq!(clock.now(), start + SignedDuration::from_mins(10));
        clock.set_offset(SignedDuration::ZERO);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn a_running_clock_keeps_its_offset() {
        let clock = MovableClock::running();
        clock.set_offset(SignedDuration::from_hours(24));
        let ahead = clock.now().duration_since(SystemClock.now());
        assert!(ahead > SignedDuration::from_hours(23) && ahead <= SignedDuration::from_hours(24));
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        let clock = MovableClock::standing_at(Timestamp::MAX);
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
