//! `[lockout]`: failed logins (R-C5).

use std::time::Duration;

use super::section::Section;
use super::value::{DAY, MINUTE, SECOND, Value};
use crate::domain::lockout::LockoutPolicy;

pub(super) fn read(section: &Section<'_>) -> LockoutPolicy {
    let life = |value: Value<'_>| value.duration(SECOND..=DAY);
    let floor = |value: Value<'_>| value.duration(Duration::ZERO..=SECOND * 10);
    let policy = LockoutPolicy {
        max_failures: section.or("max_failures", 5, |value| value.integer(1..=1_000)),
        window: section.or("window", MINUTE * 15, life),
        duration: section.or("duration", MINUTE * 15, life),
        max_failures_per_address: section
            .or("max_failures_per_address", 500, |value| value.integer(1..=1_000_000)),
        offices: section.plain_list("offices", Value::network),
        refusal_floor: section.or("refusal_floor", Duration::from_millis(500), floor),
        tell_owner: section.or("tell_owner", true, Value::boolean),
    };
    if policy.max_failures_per_address < policy.max_failures {
        section.problem(
            "max_failures_per_address",
            &format!("lower than max_failures ({})", policy.max_failures),
            Some("one user's mistakes would lock everybody behind the same address"),
        );
    }
    if policy.max_failures > 10 {
        let hint = "every attempt is a guess; 5 are usual, 10 are many";
        section.warn("max_failures", "many attempts before a login name waits", Some(hint));
    }
    if policy.offices.iter().any(|office| office.prefix_len() == 0) {
        section.problem("offices", "no address would be counted", Some("name your own networks"));
    }
    if policy.refusal_floor < Duration::from_millis(100) {
        let hint = "a hash takes tens of milliseconds; \"500ms\" hides it";
        section.warn("refusal_floor", "the time of a refusal may say what was wrong", Some(hint));
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    /// R-C5: 5 failed attempts within 15 minutes, then 15 minutes.
    #[test]
    fn the_defaults() {
        let lockout = config("").lockout;
        assert_eq!((lockout.max_failures, lockout.max_failures_per_address), (5, 500));
        assert_eq!((lockout.window, lockout.duration), (MINUTE * 15, MINUTE * 15));
        assert!(
            lockout.tell_owner && !config("[lockout]\ntell_owner = false\n").lockout.tell_owner
        );
    }

    #[test]
    fn all_mistakes_are_reported_with_line_and_hint() {
        let problems = problems(
            "[lockout]\nmax_failure = 5\nwindow = 15\nduration = \"soon\"\nmax_failures = 0\n\
             offices = [\"10.0.0.0/33\"]\n",
        );
        assert_eq!(problems.len(), 5, "{problems:?}");
        for (problem, expected) in problems.iter().zip([
            ":2: unknown key `max_failure` in [lockout]\n  hint: did you mean `max_failures`?",
            ":3: lockout.window: is a number without a unit\n  hint: write a number and a unit",
            ":4: lockout.duration: \"soon\" is not a duration",
            ":5: lockout.max_failures: must be a whole number from 1 to 1000",
            ":6: lockout.offices: \"10.0.0.0/33\" is not a network",
        ]) {
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn an_address_is_locked_after_a_name() {
        let problems = problems("[lockout]\nmax_failures_per_address = 3\n");
        assert!(problems[0].contains("lower than max_failures (5)"));
    }
}
