//! Which requests a section is about: `paths` and `methods`.

use super::section::Section;
use super::value::{Value, Wrong, wrong};
use crate::profile::PathSet;

/// The methods that are served.
const METHODS: [(&str, &str); 7] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("OPTIONS", "OPTIONS"),
];

/// `paths`, spelled as in a profile; at least one.
pub(super) fn paths(section: &Section<'_>) -> Option<PathSet> {
    let entries = section.required_list("paths", "[\"/ns-api/*\"]", entry)?;
    let mut set = PathSet::default();
    for entry in entries {
        // Each has been tried alone.
        set.add(&entry).ok()?;
    }
    if set.is_empty() {
        section.problem("paths", "needs at least one path", None);
    }
    Some(set)
}

fn entry(value: Value<'_>) -> Result<String, Wrong> {
    let text = value.filled_text()?;
    if !text.starts_with('~') && text.contains(['?', '#']) {
        return wrong(format!("\"{text}\": a path has no query"));
    }
    match PathSet::default().add(&text) {
        Ok(()) => Ok(text),
        Err(why) => wrong(why),
    }
}

/// `methods`; empty if it was not given.
pub(super) fn methods(section: &Section<'_>) -> Vec<&'static str> {
    section.plain_list("methods", |value| value.choice(&METHODS))
}
