//! Reminders before the dates of the rollout (R-A8): when they go out, and to whom.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::rollout::{Rollout, Schedule};

/// A reminder that did not go out at its moment (Passgate was off) still does within this time.
const STILL_USEFUL: Duration = Duration::from_secs(24 * 3600);

/// Which date a reminder goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ahead {
    /// From then on, a PIN leads to the set-password page only.
    Force,
    /// From then on, a PIN is refused.
    Reject,
}

impl Ahead {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Force, Self::Reject];

    /// In a stable spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Force => "force",
            Self::Reject => "reject",
        }
    }

    fn date(self, schedule: &Schedule) -> Option<Timestamp> {
        match self {
            Self::Force => schedule.force,
            Self::Reject => schedule.reject,
        }
    }
}

/// One reminder: so long before this date. A date that is moved makes another one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReminderPoint {
    /// What begins on the date.
    pub ahead: Ahead,
    /// The date.
    pub date: Timestamp,
    /// How long before it.
    pub before: Duration,
}

impl ReminderPoint {
    /// When it goes out.
    pub fn moment(&self) -> Timestamp {
        self.date - self.before
    }

    /// Whether it goes out at `now`: at its moment, or not long after it, and before the date.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.moment() <= now && now < self.date && now < self.moment() + STILL_USEFUL
    }
}

/// How long before the dates of a tenant reminders go out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reminders {
    /// Before force.
    pub before_force: Vec<Duration>,
    /// Before reject.
    pub before_reject: Vec<Duration>,
}

impl Reminders {
    /// All reminders of a tenant with these dates.
    fn points(&self, schedule: &Schedule) -> Vec<ReminderPoint> {
        let of = |ahead: Ahead, all: &[Duration]| {
            let date = ahead.date(schedule);
            let point =
                |before: &Duration| Some(ReminderPoint { ahead, date: date?, before: *before });
            all.iter().filter_map(point).collect::<Vec<_>>()
        };
        [of(Ahead::Force, &self.before_force), of(Ahead::Reject, &self.before_reject)].concat()
    }
}

/// The reminders of everybody, with the tenants that have their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReminderPlan {
    /// For tenants without an entry of their own.
    pub everyone: Reminders,
    /// By tenant (canonical spelling).
    pub tenants: HashMap<String, Reminders>,
}

impl ReminderPlan {
    /// Whether the accounts of `tenant` get this reminder.
    pub fn concerns(&self, rollout: &Rollout, tenant: &str, point: &ReminderPoint) -> bool {
        let reminders = self.tenants.get(tenant).unwrap_or(&self.everyone);
        reminders.points(rollout.schedule(tenant)).contains(point)
    }

    /// What is to go out at `now`, over all tenants. Of several reminders before one date that are
    /// due together (Passgate was off, or they are close) only the last goes out.
    pub fn due(&self, rollout: &Rollout, now: Timestamp) -> Vec<ReminderPoint> {
        let mut latest: HashMap<(Ahead, Timestamp), ReminderPoint> = HashMap::new();
        for point in self.all(rollout).into_iter().filter(|point| point.is_due(now)) {
            let present = latest.entry((point.ahead, point.date)).or_insert(point);
            present.before = present.before.min(point.before);
        }
        let mut due: Vec<_> = latest.into_values().collect();
        due.sort();
        due
    }

    /// Every reminder of everybody.
    pub fn all(&self, rollout: &Rollout) -> Vec<ReminderPoint> {
        let mut all = self.everyone.points(&rollout.everyone);
        let own = rollout.tenants.keys().chain(self.tenants.keys());
        for tenant in own {
            let reminders = self.tenants.get(tenant).unwrap_or(&self.everyone);
            all.extend(reminders.points(rollout.schedule(tenant)));
        }
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rollout() -> Rollout {
        let everyone = Schedule {
            warn: None,
            force: Some(at("2018-11-19T05:00:00Z")),
            reject: Some(at("2018-12-03T05:00:00Z")),
        };
        let late = Schedule { reject: Some(at("2019-01-07T05:00:00Z")), ..everyone };
        Rollout { everyone, tenants: HashMap::from([("late".to_owned(), late)]) }
    }

    fn plan() -> ReminderPlan {
        let everyone =
            Reminders { before_force: vec![7 * DAY, DAY], before_reject: vec![14 * DAY] };
        ReminderPlan { everyone, tenants: HashMap::new() }
    }

    fn due(plan: &ReminderPlan, now: &str) -> Vec<(Ahead, u64)> {
        let due = plan.due(&rollout(), at(now));
        due.iter().map(|point| (point.ahead, point.before.as_secs() / 3600)).collect()
    }

    /// R-A8: reminders go out so long before the dates; one whose moment passed while nobody
    /// looked still does for a day, but not after the date.
    #[test]
    fn a_reminder_is_due_for_a_day() {
        let force = Ahead::Force;
        for (now, expected) in [
            ("2018-11-12T04:59:59Z", vec![]),
            ("2018-11-12T05:00:00Z", vec![(force, 7 * 24)]),
            ("2018-11-13T04:59:59Z", vec![(force, 7 * 24)]),
            ("2018-11-13T05:00:00Z", vec![]),
            ("2018-11-18T05:00:00Z", vec![(force, 24)]),
            ("2018-11-19T04:59:59Z", vec![(force, 24)]),
            // 14 days before reject is the moment of force.
            ("2018-11-19T05:00:00Z", vec![(Ahead::Reject, 14 * 24)]),
        ] {
            assert_eq!(due(&plan(), now), expected, "{now}");
        }
        let short = Reminders { before_force: vec![2 * HOUR], ..Reminders::default() };
        let plan = ReminderPlan { everyone: short, ..ReminderPlan::default() };
        assert_eq!(due(&plan, "2018-11-19T04:59:59Z"), [(force, 2)]);
        assert_eq!(due(&plan, "2018-11-19T05:00:00Z"), []);
    }

    /// R-A8: nobody gets two reminders of one date at once.
    #[test]
    fn of_several_that_are_due_the_last_goes_out() {
        let everyone = Reminders {
            before_force: vec![25 * HOUR, 24 * HOUR, HOUR],
            before_reject: vec![DAY * 15 - HOUR * 2],
        };
        let plan = ReminderPlan { everyone, ..ReminderPlan::default() };
        assert_eq!(due(&plan, "2018-11-18T04:00:00Z"), [(Ahead::Force, 25)]);
        assert_eq!(due(&plan, "2018-11-18T05:00:00Z"), [(Ahead::Force, 24)]);
        let both = [(Ahead::Force, 1), (Ahead::Reject, 15 * 24 - 2)];
        assert_eq!(due(&plan, "2018-11-19T04:30:00Z"), both);
    }

    /// R-A8: it is the tenant's own date that counts, and a date that moved makes new reminders.
    #[test]
    fn each_tenant_by_its_own_dates() {
        let (plan, rollout) = (plan(), rollout());
        let general = ReminderPoint {
            ahead: Ahead::Reject,
            date: at("2018-12-03T05:00:00Z"),
            before: 14 * DAY,
        };
        let own = ReminderPoint { date: at("2019-01-07T05:00:00Z"), ..general };
        assert_eq!(plan.due(&rollout, general.moment()), [general]);
        assert_eq!(plan.due(&rollout, own.moment()), [own]);
        let concerns = |tenant, point| plan.concerns(&rollout, tenant, point);
        assert!(concerns("any", &general) && !concerns("late", &general));
        assert!(!concerns("any", &own) && concerns("late", &own));
        let before_force = ReminderPoint {
            ahead: Ahead::Force,
            date: at("2018-11-19T05:00:00Z"),
            before: 7 * DAY,
        };
        assert!(concerns("any", &before_force) && concerns("late", &before_force), "the same date");
        assert_eq!(plan.all(&rollout).len(), 4);

        let quiet = Reminders::default();
        let tenants = HashMap::from([("late".to_owned(), quiet)]);
        let plan = ReminderPlan { tenants, ..plan };
        assert!(!plan.concerns(&rollout, "late", &own));
        assert_eq!(plan.due(&rollout, own.moment()), []);
    }
}
