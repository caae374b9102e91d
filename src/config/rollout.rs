//! `[rollout]`: the three dated phases (R-A1), for all and per tenant.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::section::Section;
use super::value::{HOUR, Moment, Value, Wrong, YEAR, wrong_but};
use crate::domain::login_name::fold;
use crate::domain::reminders::{ReminderPlan, Reminders};
use crate::domain::rollout::{Rollout, Schedule};

/// `[rollout]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutConfig {
    /// When each phase begins, for all and for tenants with dates of their own.
    pub rollout: Rollout,
    /// The rules of tenants without an entry of their own.
    pub everyone: RolloutRules,
    /// The complete rules of the others, by canonical tenant.
    pub tenants: HashMap<String, RolloutRules>,
}

/// What holds besides the dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRules {
    /// What happens at reject (R-A4).
    pub reject_action: RejectAction,
    /// Whether a new PIN is asked for with the first password (R-A3).
    pub redeclare_pin: bool,
    /// The applications named on the help page.
    pub affected: Vec<String>,
    /// When reminders go out, longest before first.
    pub reminders: Reminders,
    /// The time zone of dates without an offset, and of dates that are shown.
    pub time_zone: TimeZone,
}

/// What happens to a PIN login at reject (R-A4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectAction {
    /// It is refused and a reset link is e-mailed.
    Email,
    /// It is led into the reset flow, which e-mails the link.
    Redirect,
}

impl RolloutConfig {
    /// The rules that hold for `tenant`.
    pub fn rules(&self, tenant: &str) -> &RolloutRules {
        self.tenants.get(tenant).unwrap_or(&self.everyone)
    }

    /// When reminders go out, for all and for tenants with an entry of their own.
    pub fn reminders(&self) -> ReminderPlan {
        let tenants = self.tenants.iter();
        ReminderPlan {
            everyone: self.everyone.reminders.clone(),
            tenants: tenants.map(|(name, own)| (name.clone(), own.reminders.clone())).collect(),
        }
    }

    /// Whether a login will be refused with a promise of an e-mail somewhere, some day.
    pub(super) fn promises_mail(&self) -> bool {
        self.rollout.everyone.reject.is_some()
            || self.rollout.tenants.values().any(|schedule| schedule.reject.is_some())
    }
}

/// The dates as written: a tenant may read the general ones in its own time zone.
#[derive(Clone, Default)]
struct Dates {
    warn: Option<Moment>,
    force: Option<Moment>,
    reject: Option<Moment>,
}

pub(super) fn read(section: &Section<'_>) -> RolloutConfig {
    let defaults = RolloutRules {
        reject_action: RejectAction::Email,
        redeclare_pin: true,
        affected: ["Web portal", "API", "Softphone"].map(str::to_owned).to_vec(),
        reminders: Reminders::default(),
        time_zone: TimeZone::UTC,
    };
    let (dates, everyone) = entry(section, &Dates::default(), &defaults);
    if dates.any_local() && !section.has("time_zone") {
        let hint = "write time_zone = \"America/New_York\", say";
        section.warn("time_zone", "not given: the dates begin at midnight UTC", Some(hint));
    }
    let mut rollout =
        Rollout { everyone: schedule(section, &dates, &everyone), tenants: HashMap::new() };
    let mut tenants = HashMap::new();
    for (name, tenant) in section.named_sections("tenants") {
        let (dates, rules) = entry(&tenant, &dates, &everyone);
        let schedule = schedule(&tenant, &dates, &rules);
        let name = fold(name);
        if rollout.tenants.insert(name.clone(), schedule).is_some() {
            tenant.problem("warn", &format!("the tenant \"{name}\" is given twice"), None);
        }
        tenants.insert(name, rules);
    }
    let config = RolloutConfig { rollout, everyone, tenants };
    warn_of_dateless_reminders(section, &config);
    config
}

/// Reminders before a date that no tenant has.
fn warn_of_dateless_reminders(section: &Section<'_>, config: &RolloutConfig) {
    let rollout = &config.rollout;
    let schedules = || rollout.tenants.values().chain([&rollout.everyone]);
    let Reminders { before_force, before_reject } = &config.everyone.reminders;
    let section = section.section("reminders");
    if !before_force.is_empty() && schedules().all(|schedule| schedule.force.is_none()) {
        section.warn("before_force", "there is no force date: it never goes out", None);
    }
    if !before_reject.is_empty() && schedules().all(|schedule| schedule.reject.is_none()) {
        section.warn("before_reject", "there is no reject date: it never goes out", None);
    }
}

/// The keys of one entry; what is not given is as in `general`.
fn entry(section: &Section<'_>, general: &Dates, rules: &RolloutRules) -> (Dates, RolloutRules) {
    let date = |key, general: Option<Moment>| section.get(key, Value::moment).or(general);
    let dates = Dates {
        warn: date("warn", general.warn),
        force: date("force", general.force),
        reject: date("reject", general.reject),
    };
    let actions = [("email", RejectAction::Email), ("redirect", RejectAction::Redirect)];
    let reject_action =
        section.or("reject_action", rules.reject_action, |value| value.choice(&actions));
    let reminders = section.section("reminders");
    let rules = RolloutRules {
        reject_action,
        redeclare_pin: section.or("redeclare_pin", rules.redeclare_pin, Value::boolean),
        affected: section
            .list("affected", Value::filled_text)
            .map_or_else(|| rules.affected.clone(), |list| list.into_iter().map(|l| l.0).collect()),
        reminders: Reminders {
            before_force: reminder(&reminders, "before_force", &rules.reminders.before_force),
            before_reject: reminder(&reminders, "before_reject", &rules.reminders.before_reject),
        },
        time_zone: section.or("time_zone", rules.time_zone.clone(), time_zone),
    };
    (dates, rules)
}

fn reminder(section: &Section<'_>, key: &'static str, general: &[Duration]) -> Vec<Duration> {
    let Some(listed) = section.list(key, |value| value.duration(HOUR..=YEAR)) else {
        return general.to_vec();
    };
    let mut reminders: Vec<Duration> = listed.into_iter().map(|(duration, _)| duration).collect();
    reminders.sort_unstable_by(|one, other| other.cmp(one));
    reminders.dedup();
    reminders
}

fn schedule(section: &Section<'_>, dates: &Dates, rules: &RolloutRules) -> Schedule {
    let begins = |key, date: Option<Moment>| match date? {
        Moment::Fixed(at) => Some(at),
        Moment::Local(local) => match local.to_zoned(rules.time_zone.clone()) {
            Ok(zoned) => Some(zoned.timestamp()),
            Err(error) => {
                section.problem(key, &format!("is out of range: {error}"), None);
                None
            }
        },
    };
    let schedule = Schedule {
        warn: begins("warn", dates.warn),
        force: begins("force", dates.force),
        reject: begins("reject", dates.reject),
    };
    let phases = [("warn", schedule.warn), ("force", schedule.force), ("reject", schedule.reject)];
    let dated: Vec<(&'static str, Timestamp)> =
        phases.into_iter().filter_map(|(key, at)| Some((key, at?))).collect();
    for pair in dated.windows(2) {
        let [(earlier, begins), (later, too_soon)] = pair else { continue };
        if too_soon < begins {
            let show = |at: &Timestamp| at.to_zoned(rules.time_zone.clone()).datetime();
            let message = format!("{} is before {earlier} ({})", show(too_soon), show(begins));
            let hint = format!("{later} must not begin before {earlier}");
            // At the one that was written here; a tenant may have moved either.
            let key = if section.has(later) { later } else { earlier };
            section.problem_at(section.place(key), later, &message, Some(&hint));
        }
    }
    schedule
}

impl Dates {
    fn any_local(&self) -> bool {
        [self.warn, self.force, self.reject]
            .iter()
            .any(|date| matches!(date, Some(Moment::Local(_))))
    }
}

fn time_zone(value: Value<'_>) -> Result<TimeZone, Wrong> {
    let text = value.text()?;
    TimeZone::get(text).or_else(|_| {
        let names: Vec<String> =
            jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let message = format!("\"{text}\" is not a time zone");
        match super::source::closest(text, names.iter().map(String::as_str)) {
            Some(name) => wrong_but(message, format!("did you mean \"{name}\"?")),
            None => wrong_but(message, "write a name such as \"America/New_York\" or \"UTC\""),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};
    use super::*;

    const DATES: &str = "[rollout]\ntime_zone = \"America/New_York\"\nwarn = 2018-11-05\n\
                         force = 2018-11-19T08:30:00\nreject = \"2018-12-03T00:00:00+01:00\"\n";

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    /// R-A1: each phase begins at a configured date, or date and time, in the configured zone.
    #[test]
    fn dates_are_read_in_the_time_zone() {
        let schedule = config(DATES).rollout.rollout.everyone;
        assert_eq!(schedule.warn, at("2018-11-05T05:00:00Z"));
        assert_eq!(schedule.force, at("2018-11-19T13:30:00Z"));
        assert_eq!(schedule.reject, at("2018-12-02T23:00:00Z"));
    }

    /// R-A1: per-tenant overrides in the file, any of the keys; the rest is as for everybody.
    #[test]
    fn tenants_are_filled_in() {
        let rollout = config(&format!(
            "{DATES}[rollout.tenants.\"ACME.11111.service\"]\nreject = 2019-01-07\n\
             redeclare_pin = false\n[rollout.tenants.west]\ntime_zone = \"America/Los_Angeles\"\n"
        ))
        .rollout;
        let acme = rollout.rollout.schedule("acme.11111.service");
        assert_eq!(acme.warn, at("2018-11-05T05:00:00Z"));
        assert_eq!(acme.reject, at("2019-01-07T05:00:00Z"));
        assert!(!rollout.rules("acme.11111.service").redeclare_pin);
        assert!(rollout.rules("west").redeclare_pin && rollout.rules("other").redeclare_pin);
        assert_eq!(rollout.rollout.schedule("west").warn, at("2018-11-05T08:00:00Z"));
    }

    #[test]
    fn phases_out_of_order_are_a_contradiction() {
        let problems = problems(
            "[rollout]\ntime_zone = \"UTC\"\nwarn = 2018-12-05\nforce = 2018-11-19\n\
             reject = 2018-12-03\n[rollout.tenants.acme]\nforce = 2019-12-05\n\
             [rollout.tenants.late]\nwarn = 2017-01-01\n",
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains(
            ":4: rollout.force: 2018-11-19T00:00:00 is before warn (2018-12-05T00:00:00)\n  \
             hint: force must not begin before warn"
        ));
        assert!(
            problems[1].contains(":7: rollout.tenants.\"acme\".reject: 2018-12-03T00:00:00 is")
        );
    }

    #[test]
    fn a_missing_phase_in_the_middle_is_passed_over() {
        let text = "[rollout]\nwarn = 2018-12-05\nreject = 2018-12-03\n";
        assert!(problems(text)[0].contains("rollout.reject: 2018-12-03T00:00:00 is before warn"));
    }

    #[test]
    fn what_cannot_be_a_date_or_zone_is_said() {
        let problems = problems(
            "[rollout]\ntime_zone = \"America/New_Yorck\"\nwarn = 20181105\nforce = \"x\"\n",
        );
        assert!(problems[0].contains("hint: did you mean \"America/New_York\"?"), "{problems:?}");
        assert!(problems[1].contains("must be a date or a date and time, not the number 20181105"));
        assert!(problems[2].contains("\"x\" is not a date"), "{problems:?}");
    }

    #[test]
    fn dates_without_a_zone_are_warned_about() {
        let warned = |text| warnings(text).concat().contains("rollout.time_zone: not given");
        assert!(warned("[rollout]\nwarn = 2018-11-05\n"));
        assert!(!warned("[rollout]\nwarn = 2018-11-05T00:00:00Z\n"));
    }

    /// R-A8: reminders are listed as durations, for all and per tenant.
    #[test]
    fn reminders_are_read() {
        let hours = |hours: &[u64]| -> Vec<Duration> {
            hours.iter().map(|hours| Duration::from_secs(hours * 3600)).collect()
        };
        let rollout = config(&format!(
            "{DATES}[rollout.reminders]\nbefore_force = [\"1d\", \"7d\", \"24h\"]\n\
             before_reject = [\"14d\"]\n[rollout.tenants.ACME.reminders]\nbefore_force = []\n"
        ))
        .rollout;
        let plan = rollout.reminders();
        assert_eq!(plan.everyone.before_force, hours(&[7 * 24, 24]));
        assert_eq!(plan.everyone.before_reject, hours(&[14 * 24]));
        let acme = &plan.tenants["acme"];
        assert_eq!((&acme.before_force, &acme.before_reject), (&vec![], &hours(&[14 * 24])));
        let problems = problems("[rollout.reminders]\nbefore_force = [\"7d\", \"x\"]\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("reminders.before_force: \"x\" is not a duration"));
    }

    /// Reminders of a date that there is not, or that nobody could send, are told at the check.
    #[test]
    fn reminders_that_never_go_out_are_warned_about() {
        let text = "[rollout]\ntime_zone = \"UTC\"\nforce = 2018-11-19\n\
                    [rollout.reminders]\nbefore_force = [\"7d\"]\nbefore_reject = [\"7d\"]\n";
        let told = warnings(text).concat();
        assert!(told.contains("before_reject: there is no reject date"), "{told}");
        assert!(!told.contains("before_force: there is no"), "{told}");
        assert!(told.contains("nor do the reminders before the dates"), "{told}");
        assert!(!warnings("").concat().contains("reminders"));
    }
}
