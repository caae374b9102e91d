//! `[session]`: how long one lives (R-C4), and where it begins.

use std::time::Duration;

use super::section::Section;
use super::value::{DAY, HOUR, MINUTE, SECOND, Value, Wrong, YEAR, wrong};
use crate::domain::session::SessionPolicy;

/// `[session]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Its limits.
    pub policy: SessionPolicy,
    /// Where a login lands, as a path of this origin; `None`: the profile's home.
    pub home: Option<String>,
    /// So long before its end it is said; never longer than half of the idle time. `None`: never.
    pub warning: Option<Duration>,
}

pub(super) fn read(section: &Section<'_>) -> SessionConfig {
    let policy = SessionPolicy {
        idle: section.or("idle", HOUR * 4, |value| value.duration(MINUTE..=DAY * 90)),
        absolute: section
            .or("absolute", Some(DAY * 7), |value| value.duration_or_off(MINUTE..=YEAR)),
    };
    if policy.absolute.is_some_and(|absolute| absolute < policy.idle) {
        let key = if section.has("absolute") { "absolute" } else { "idle" };
        section.problem(key, "absolute is shorter than idle, which then never counts", None);
    }
    let warning =
        section.or("warning", Some(MINUTE * 5), |value| value.duration_or_off(SECOND * 30..=HOUR));
    if section.has("warning") && warning.is_some_and(|warning| warning >= policy.idle) {
        section.problem("warning", "as long as idle: the warning would always be there", None);
    }
    SessionConfig {
        policy,
        home: section.get("home", home).flatten(),
        warning: warning.map(|warning| warning.min(policy.idle / 2)),
    }
}

/// A path of this origin, and nothing that a browser could take for another one.
fn home(value: Value<'_>) -> Result<Option<String>, Wrong> {
    let Some(path) = value.optional_text()? else { return Ok(None) };
    let inside = path.starts_with('/') && !path.starts_with("//");
    if inside && !path.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
        Ok(Some(path))
    } else {
        wrong(format!("\"{path}\" is not a path of the portal: it begins with one slash"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn limits() {
        let session = config("[session]\nabsolute = \"off\"\nhome = \"/portal/home\"\n").session;
        assert_eq!(session.policy, SessionPolicy { idle: HOUR * 4, absolute: None });
        assert_eq!(session.home.as_deref(), Some("/portal/home"));
        assert_eq!(config("").session.policy.absolute, Some(DAY * 7));
    }

    /// R-C4: five minutes before the end; a session that is shorter than that is announced halfway.
    #[test]
    fn the_warning_comes_before_the_end() {
        let warning = |more: &str| config(&format!("[session]\n{more}")).session.warning;
        assert_eq!(warning(""), Some(MINUTE * 5));
        assert_eq!(warning("warning = \"off\"\n"), None);
        assert_eq!(warning("warning = \"10m\"\n"), Some(MINUTE * 10));
        assert_eq!(warning("idle = \"4m\"\n"), Some(MINUTE * 2));
        let problems = problems("[session]\nidle = \"4m\"\nwarning = \"5m\"\n");
        assert!(problems[0].contains(":3: session.warning: as long as idle"), "{problems:?}");
    }

    #[test]
    fn contradictions_and_strange_homes() {
        let problems = problems("[session]\nidle = \"8d\"\nhome = \"//evil.example\"\n");
        assert!(problems[0].contains(":2: session.idle: absolute is shorter than idle"));
        assert!(problems[1].contains(":3: session.home: \"//evil.example\" is not a path"));
    }
}
