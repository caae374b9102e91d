//! `[cache]`: where sessions and counters are shared between nodes (R-G3).

use super::section::Section;
use super::value::wrong_but;

/// `[cache]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheConfig {
    /// In this process, over the embedded store: one node.
    Embedded,
}

pub(super) fn read(section: &Section<'_>) -> CacheConfig {
    const REDIS: [&str; 4] = ["redis://", "rediss://", "redis-cluster://", "redis-sentinel://"];
    let embedded = section.or("url", true, |value| match value.text()? {
        "embedded" => Ok(true),
        url if REDIS.iter().any(|scheme| url.starts_with(scheme)) => Ok(false),
        // The text is not repeated: it may hold a password.
        _ => wrong_but("is no kind of cache", "write \"embedded\""),
    });
    let password = section.secret("password", "password_file");
    if !embedded {
        section.unavailable("url", "Redis; only \"embedded\"");
    } else if password.is_some() {
        section.problem("password_file", "the embedded cache has no password", None);
    }
    CacheConfig::Embedded
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn only_embedded() {
        assert_eq!(config("[cache]\nurl = \"embedded\"\n").cache, CacheConfig::Embedded);
        for url in ["redis://h", "rediss://h", "redis-cluster://h", "redis-sentinel://h"] {
            let problems = problems(&format!("[cache]\nurl = \"{url}\"\n"));
            assert!(problems[0].contains(":2: cache.url: not available in this version: Redis"));
        }
        assert!(problems("[cache]\nurl = \"memcached\"\n")[0].contains("hint: write \"embedded\""));
    }
}
