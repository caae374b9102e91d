//! `[codes]`: how long one-time links live.

use std::time::Duration;

use super::section::Section;
use super::value::{DAY, HOUR, MINUTE, Value};

/// `[codes]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodesConfig {
    /// A reset link (R-D1), from the moment its mail is handed over.
    pub reset: Duration,
    /// A welcome link (R-D4).
    pub welcome: Duration,
}

pub(super) fn read(section: &Section<'_>) -> CodesConfig {
    let life = |value: Value<'_>| value.duration(MINUTE..=DAY * 30);
    CodesConfig {
        reset: section.or("reset", HOUR, life),
        welcome: section.or("welcome", HOUR * 72, life),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    /// R-D1, R-D4: 1 hour and 72 hours.
    #[test]
    fn lives_of_links() {
        assert_eq!(config("").codes, CodesConfig { reset: HOUR, welcome: HOUR * 72 });
        assert!(
            problems("[codes]\nreset = \"1s\"\n")[0].contains("must be from \"1m\" to \"30d\"")
        );
    }
}
