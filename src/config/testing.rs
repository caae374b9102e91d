//! What the tests of the sections share: the three keys without a default come from the
//! environment, so that the text under test keeps its own line numbers.

use std::path::Path;

use super::{Config, Loaded, Problems};

/// Where the texts under test pretend to be.
pub(super) const FILE: &str = "/etc/passgate/passgate.toml";

const REQUIRED: [(&str, &str, &str); 3] = [
    ("public_url", "PASSGATE_SERVER__PUBLIC_URL", "https://portal.example.com"),
    ("servers", "PASSGATE_UPSTREAM__SERVERS", "http://127.0.0.1:9080"),
    ("profile", "PASSGATE_PORTAL__PROFILE", "netsapiens"),
];

/// Loads `text` with `variables`, and nothing else.
pub(super) fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(text, Path::new(FILE), variables.iter().map(own))
}

/// Loads `text`; a required key that it does not give comes from the environment.
pub(super) fn load(text: &str) -> Result<Loaded, Problems> {
    let given = |key: &str, section: &str| {
        let mut inside = false;
        text.lines().any(|line| {
            if line.starts_with('[') {
                inside = line == section;
            }
            inside && line.starts_with(key)
        })
    };
    let sections = ["[server]", "[upstream]", "[portal]"];
    let variables: Vec<(&str, &str)> = REQUIRED
        .iter()
        .zip(sections)
        .filter(|((key, ..), section)| !given(key, section))
        .map(|((_, name, value), _)| (*name, *value))
        .collect();
    load_with(text, &variables)
}

/// The configuration; panics with its problems.
pub(super) fn config(text: &str) -> Config {
    match load(text) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

/// The problems, as an operator reads them.
pub(super) fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// The warnings of a configuration that can be used.
pub(super) fn warnings(text: &str) -> Vec<String> {
    match load(text) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => panic!("{problems}"),
    }
}
