//! `[session]`: how long one lives (R-C4), and where it begins.

use super::section::Section;
use super::value::{DAY, HOUR, MINUTE, Value, Wrong, YEAR, wrong};
use crate::domain::session::SessionPolicy;

/// `[session]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Its limits.
    pub policy: SessionPolicy,
    /// Where a login lands, as a path of this origin; `None`: the profile's home.
    pub home: Option<String>,
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
    SessionConfig { policy, home: section.get("home", home).flatten() }
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

    #[test]
    fn contradictions_and_strange_homes() {
        let problems = problems("[session]\nidle = \"8d\"\nhome = \"//evil.example\"\n");
        assert!(problems[0].contains(":2: session.idle: absolute is shorter than idle"));
        assert!(problems[1].contains(":3: session.home: \"//evil.example\" is not a path"));
    }
}
