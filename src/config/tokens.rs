//! `[tokens]`: the API's tokens (R-F3, R-F6).

use std::time::Duration;

use super::section::Section;
use super::value::{DAY, HOUR, MINUTE, SECOND, Value, Wrong, YEAR, wrong};
use crate::profile::TokenMode;

/// `[tokens]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensConfig {
    /// What clients get; `None`: the profile's default.
    pub mode: Option<TokenMode>,
    /// How long the answer of a refresh is repeated for a client that lost it; zero: never.
    pub reuse_grace: Duration,
    /// Life of an access token.
    pub access: Duration,
    /// Life of a refresh token.
    pub refresh: Duration,
}

pub(super) fn read(section: &Section<'_>) -> TokensConfig {
    let mode = section.get("mode", mode).flatten();
    match mode {
        Some(TokenMode::Jwt) => section.unavailable("mode", "tokens of our own"),
        Some(TokenMode::Pass) => {
            let hint = "token endpoints answer 403 in this version, whatever the mode";
            section.warn("mode", "not used in this version", Some(hint));
        }
        None => {}
    }
    if section.get("accept_legacy_until", optional_moment).is_some_and(|given| given) {
        section.unavailable("accept_legacy_until", "tokens that the PBX issued before");
    }
    let grace = |value: Value<'_>| value.duration(Duration::ZERO..=MINUTE * 5);
    let tokens = TokensConfig {
        mode,
        reuse_grace: section.or("reuse_grace", Duration::ZERO, grace),
        access: section.or("access", HOUR, |value| value.duration(MINUTE..=DAY)),
        refresh: section.or("refresh", DAY * 30, |value| value.duration(HOUR..=YEAR)),
    };
    if tokens.reuse_grace >= SECOND {
        section.warn("reuse_grace", "not used in this version", None);
    }
    if tokens.refresh < tokens.access {
        let key = if section.has("refresh") { "refresh" } else { "access" };
        section.problem(key, "a refresh token must outlive its access token", None);
    }
    tokens
}

fn mode(value: Value<'_>) -> Result<Option<TokenMode>, Wrong> {
    match value.optional_text()? {
        None => Ok(None),
        Some(_) => value.choice(&[("jwt", TokenMode::Jwt), ("pass", TokenMode::Pass)]).map(Some),
    }
}

/// Whether a moment was given; empty text stands for none.
fn optional_moment(value: Value<'_>) -> Result<bool, Wrong> {
    match value.optional_text() {
        Ok(None) => Ok(false),
        _ => value.moment().map(|_| true).or_else(|reason| wrong(reason.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn the_defaults_promise_nothing_that_is_still_to_come() {
        let tokens = config("[tokens]\nmode = \"\"\naccept_legacy_until = \"\"\n").tokens;
        assert_eq!(tokens.mode, None);
        assert_eq!((tokens.access, tokens.refresh), (HOUR, DAY * 30));
    }

    #[test]
    fn what_is_still_to_come_is_an_error() {
        let problems = problems(
            "[tokens]\nmode = \"jwt\"\naccept_legacy_until = 2019-01-01\naccess = \"2h\"\n\
             refresh = \"1h\"\n",
        );
        assert!(problems[0].contains(":2: tokens.mode: not available in this version"));
        assert!(problems[1].contains(":3: tokens.accept_legacy_until: not available"));
        assert!(problems[2].contains(":5: tokens.refresh: a refresh token must outlive"));
    }
}
