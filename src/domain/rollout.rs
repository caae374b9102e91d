//! The three dated phases of the move from PIN to portal password (R-A1).

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a tenant stands in the rollout. Ordered: later phases are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the first date: the PIN logs in and nothing is said.
    Quiet,
    /// The PIN logs in and a notice asks for a portal password (R-A2).
    Warn,
    /// The PIN leads to the set-password page and nowhere else (R-A3).
    Force,
    /// The PIN is refused (R-A4).
    Reject,
}

/// When each phase begins for one tenant. A phase without a date never begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Start of [`Phase::Warn`].
    pub warn: Option<Timestamp>,
    /// Start of [`Phase::Force`].
    pub force: Option<Timestamp>,
    /// Start of [`Phase::Reject`].
    pub reject: Option<Timestamp>,
}

impl Schedule {
    /// The phase that runs at `now`: the latest one whose date has come.
    pub fn phase(&self, now: Timestamp) -> Phase {
        let begun = |date: Option<Timestamp>| date.is_some_and(|date| date <= now);
        if begun(self.reject) {
            Phase::Reject
        } else if begun(self.force) {
            Phase::Force
        } else if begun(self.warn) {
            Phase::Warn
        } else {
            Phase::Quiet
        }
    }

    /// Whole days until the PIN stops opening the portal, rounded up: to the reject date, without
    /// one to the force date (R-A2). `None` when neither is set or both have passed.
    pub fn days_left(&self, now: Timestamp) -> Option<u32> {
        let end = self.reject.or(self.force)?;
        let seconds = end.as_second() - now.as_second();
        (seconds > 0).then(|| u32::try_from((seconds + 86_399) / 86_400).unwrap_or(u32::MAX))
    }
}

/// The schedule of everybody, with the tenants that have dates of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rollout {
    /// For tenants without an entry of their own.
    pub everyone: Schedule,
    /// Complete schedules by tenant (canonical spelling), the general dates already filled in.
    pub tenants: HashMap<String, Schedule>,
}

impl Rollout {
    /// The schedule that holds for `tenant`.
    pub fn schedule(&self, tenant: &str) -> &Schedule {
        self.tenants.get(tenant).unwrap_or(&self.everyone)
    }

    /// The phase that runs for `tenant` at `now`.
    pub fn phase(&self, tenant: &str, now: Timestamp) -> Phase {
        self.schedule(tenant).phase(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule() -> Schedule {
        Schedule {
            warn: Some(at("2018-11-05T05:00:00Z")),
            force: Some(at("2018-11-19T05:00:00Z")),
            reject: Some(at("2018-12-03T05:00:00Z")),
        }
    }

    /// R-A1: phases advance by the clock alone; the first instant belongs to the new phase.
    #[test]
    fn phases_begin_on_their_instant() {
        for (now, phase) in [
            ("2018-11-05T04:59:59Z", Phase::Quiet),
            ("2018-11-05T05:00:00Z", Phase::Warn),
            ("2018-11-19T05:00:00Z", Phase::Force),
            ("2018-12-03T04:59:59Z", Phase::Force),
            ("2018-12-03T05:00:00Z", Phase::Reject),
        ] {
            assert_eq!(schedule().phase(at(now)), phase, "{now}");
        }
    }

    /// R-A1: a phase without a date never begins; a missing one in the middle is passed over.
    #[test]
    fn phases_without_a_date_never_begin() {
        let only_reject = Schedule { warn: None, force: None, ..schedule() };
        assert_eq!(only_reject.phase(at("2018-12-02T00:00:00Z")), Phase::Quiet);
        assert_eq!(only_reject.phase(at("2018-12-04T00:00:00Z")), Phase::Reject);
        assert_eq!(Schedule::default().phase(at("2100-01-01T00:00:00Z")), Phase::Quiet);
    }

    /// R-A2: the days are counted to the reject date; without one, to the force date.
    #[test]
    fn days_left_are_rounded_up_to_the_last_day() {
        let now = at("2018-11-05T05:00:01Z");
        assert_eq!(schedule().days_left(now), Some(28));
        assert_eq!(Schedule { reject: None, ..schedule() }.days_left(now), Some(14));
        assert_eq!(schedule().days_left(at("2018-12-03T04:59:59Z")), Some(1));
        assert_eq!(schedule().days_left(at("2018-12-03T05:00:00Z")), None);
        assert_eq!(Schedule { reject: None, force: None, ..schedule() }.days_left(now), None);
    }
}
