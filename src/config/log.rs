//! `[log]`: what is written about our work.

use super::section::Section;
use super::value::Value;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least important level that is written: `error`, `warn`, `info`, `debug`, `trace`.
    pub level: String,
    /// Whether each request gets a line.
    pub access: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, and for fail2ban.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn read(section: &Section<'_>) -> LogConfig {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    LogConfig {
        format: section.or("format", LogFormat::Text, |value| value.choice(&formats)),
        level: section.or("level", "info", |value| value.choice(&levels)).to_owned(),
        access: section.or("access", true, Value::boolean),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn formats_and_levels() {
        let log = config("[log]\nformat = \"json\"\nlevel = \"debug\"\naccess = false\n").log;
        assert_eq!(log.format, LogFormat::Json);
        assert_eq!((log.level.as_str(), log.access), ("debug", false));
        let problems = problems("[log]\nlevel = \"warning\"\naccess = \"no\"\n");
        assert!(problems[0].contains("is not one of \"error\", \"warn\""), "{problems:?}");
        assert!(problems[1].contains("must be true or false (without quotes), not text"));
    }
}
