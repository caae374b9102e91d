//! `[tokens]`: the API's tokens (R-F3, R-F6).

use std::time::Duration;

use jiff::Timestamp;

use super::rollout::RolloutConfig;
use super::section::Section;
use super::value::{DAY, HOUR, MINUTE, Moment, Value, Wrong, YEAR};
use crate::domain::access_token::LONGEST_LIFE;
use crate::domain::grant::LONGEST_REUSE_GRACE;
use crate::profile::{Profile, TokenMode};

/// `[tokens]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensConfig {
    /// What clients get; `None`: the profile's default.
    pub mode: Option<TokenMode>,
    /// Until when tokens pass that the PBX gave before Passgate stood in front (R-F6); `None`: they
    /// never do. A tenant's force date ends it sooner.
    pub accept_legacy_until: Option<Timestamp>,
    /// How long the answer of a refresh is repeated for a client that lost it; zero: never.
    pub reuse_grace: Duration,
    /// Life of an access token.
    pub access: Duration,
    /// Life of a family of tokens, from the login on.
    pub refresh: Duration,
}

pub(super) fn read(section: &Section<'_>, rollout: &RolloutConfig) -> TokensConfig {
    let mode = section.get("mode", mode).flatten();
    let grace = |value: Value<'_>| value.duration(Duration::ZERO..=LONGEST_REUSE_GRACE);
    let tokens = TokensConfig {
        mode,
        accept_legacy_until: accept_legacy_until(section, rollout),
        reuse_grace: section.or("reuse_grace", Duration::ZERO, grace),
        access: section.or("access", HOUR, |value| value.duration(MINUTE..=LONGEST_LIFE)),
        refresh: section.or("refresh", DAY * 30, |value| value.duration(HOUR..=YEAR)),
    };
    if tokens.refresh < tokens.access {
        let key = if section.has("refresh") { "refresh" } else { "access" };
        section.problem(key, "a refresh token must outlive its access token", None);
    }
    tokens
}

/// Whoever chooses our own tokens should know where they work.
pub(super) fn warn_of_other_hosts(section: &Section<'_>, tokens: &TokensConfig, profile: &Profile) {
    if tokens.mode == Some(TokenMode::Jwt) && profile.token_mode() == TokenMode::Pass {
        let message = "apps of this PBX use their tokens on other hosts, too: with \"jwt\" they \
                       work only through Passgate";
        let hint = "keep \"pass\" unless all that your apps talk to lies behind Passgate";
        section.warn("mode", message, Some(hint));
    }
}

/// A date begins where the phases begin: in the rollout's time zone.
fn accept_legacy_until(section: &Section<'_>, rollout: &RolloutConfig) -> Option<Timestamp> {
    const KEY: &str = "accept_legacy_until";
    let until = match section.get(KEY, optional_moment).flatten()? {
        Moment::Fixed(at) => at,
        Moment::Local(local) => match local.to_zoned(rollout.everyone.time_zone.clone()) {
            Ok(zoned) => zoned.timestamp(),
            Err(error) => {
                section.problem(KEY, &format!("is out of range: {error}"), None);
                return None;
            }
        },
    };
    let schedules = rollout.rollout.tenants.values().chain([&rollout.rollout.everyone]);
    if schedules.filter_map(|schedule| schedule.force).any(|force| force < until) {
        let message = "lies after a force date, from which on such tokens are refused";
        section.warn(KEY, message, None);
    }
    Some(until)
}

fn mode(value: Value<'_>) -> Result<Option<TokenMode>, Wrong> {
    match value.optional_text()? {
        None => Ok(None),
        Some(_) => value.choice(&[("jwt", TokenMode::Jwt), ("pass", TokenMode::Pass)]).map(Some),
    }
}

/// Empty text stands for none.
fn optional_moment(value: Value<'_>) -> Result<Option<Moment>, Wrong> {
    match value.optional_text() {
        Ok(None) => Ok(None),
        _ => value.moment().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};
    use super::*;

    const DATES: &str = "[rollout]\ntime_zone = \"America/New_York\"\nforce = 2018-11-19\n\
                         [tokens]\naccept_legacy_until = ";

    #[test]
    fn the_defaults() {
        let tokens = config("[tokens]\nmode = \"\"\naccept_legacy_until = \"\"\n").tokens;
        assert_eq!((tokens.mode, tokens.accept_legacy_until), (None, None));
        assert_eq!((tokens.access, tokens.refresh), (HOUR, DAY * 30));
        assert_eq!(tokens.reuse_grace, Duration::ZERO);
        let tokens = config("[tokens]\nmode = \"jwt\"\nreuse_grace = \"30s\"\n").tokens;
        assert_eq!(tokens.mode, Some(TokenMode::Jwt));
        assert_eq!(tokens.reuse_grace, Duration::from_secs(30));
    }

    /// R-F6: the last day is read where the phases are; after the force date it says nothing.
    #[test]
    fn cut_over_is_a_date_of_the_rollout() {
        let until = |date: &str| config(&format!("{DATES}{date}\n")).tokens.accept_legacy_until;
        assert_eq!(until("2018-11-19"), Some("2018-11-19T05:00:00Z".parse().unwrap()));
        assert_eq!(
            until("\"2018-11-10T08:00:00+01:00\""),
            Some("2018-11-10T07:00:00Z".parse().unwrap())
        );
        let told = |date: &str| warnings(&format!("{DATES}{date}\n")).concat();
        assert!(told("2018-11-20").contains("accept_legacy_until: lies after a force date"));
        assert!(!told("2018-11-19").contains("accept_legacy_until"));
        let problems = problems(&format!("{DATES}\"some day\"\n"));
        assert!(problems[0].contains(":5: tokens.accept_legacy_until: \"some day\" is not a date"));
    }

    /// R-F3: whose apps use their tokens elsewhere, too, is told.
    #[test]
    fn tokens_of_our_own_work_here_only() {
        let told = warnings("[tokens]\nmode = \"jwt\"\n").concat();
        assert!(told.contains("tokens.mode: apps of this PBX use their tokens on other hosts"));
        assert!(!warnings("[tokens]\nmode = \"pass\"\n").concat().contains("tokens.mode"));
        let generic = "[portal]\nprofile = \"generic\"\n[tokens]\nmode = \"jwt\"\n";
        assert!(!warnings(generic).concat().contains("tokens.mode"));
    }

    #[test]
    fn contradictions() {
        let problems = problems(
            "[tokens]\naccess = \"2h\"\nrefresh = \"1h\"\nreuse_grace = \"10m\"\nmode = \"oauth\"\n",
        );
        assert!(problems[0].contains(":3: tokens.refresh: a refresh token must outlive"));
        assert!(problems[1].contains(":4: tokens.reuse_grace:"), "{problems:?}");
        assert!(problems[2].contains(":5: tokens.mode:"), "{problems:?}");
    }
}
