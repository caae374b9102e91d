//! `[limits]`: rates, connections and patience.

use std::time::Duration;

use super::path_limits::{self, PathLimit};
use super::section::Section;
use super::value::{DAY, MINUTE, Rate, SECOND, Value};

/// `[limits]`. `None`: not limited.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Requests of one client address.
    pub requests_per_address: Option<Rate>,
    /// Requests of one session.
    pub requests_per_session: Option<Rate>,
    /// Requests with one token.
    pub requests_per_token: Option<Rate>,
    /// `[[limits.path]]`, in order.
    pub paths: Vec<PathLimit>,
    /// Public forms (forgot password and the like) of one client address.
    pub public_forms_per_address: Option<Rate>,
    /// E-mails to one account.
    pub mails_per_account: Option<Rate>,
    /// E-mails that somebody asked for to one address, over all accounts that share it.
    pub mails_per_address: Option<Rate>,
    /// Open connections of one client address.
    pub connections_per_address: u32,
    /// Patience for the whole header block of a request.
    pub header_time: Duration,
    /// Patience for the next byte of a body.
    pub body_stall: Duration,
}

pub(super) fn read(section: &Section<'_>) -> LimitsConfig {
    let requests = |key| {
        let rate = section.or(key, None, Value::rate_or_off);
        rate.filter(|rate| request_rate(section, key, *rate))
    };
    let rate =
        |key, count, period| section.or(key, Some(Rate { count, period }), Value::rate_or_off);
    let patience = |value: Value<'_>| value.duration(SECOND..=MINUTE * 10);
    LimitsConfig {
        requests_per_address: requests("requests_per_address"),
        requests_per_session: requests("requests_per_session"),
        requests_per_token: requests("requests_per_token"),
        paths: path_limits::read(&section.sections("path")),
        public_forms_per_address: rate("public_forms_per_address", 20, MINUTE * 10),
        mails_per_account: rate("mails_per_account", 3, MINUTE * 60),
        mails_per_address: rate("mails_per_address", 10, MINUTE * 60),
        connections_per_address: section
            .or("connections_per_address", 1024, |value| value.integer(1..=1_000_000)),
        header_time: section.or("header_time", SECOND * 10, patience),
        body_stall: section.or("body_stall", SECOND * 30, patience),
    }
}

/// Whether requests can be counted so; noted if not. Who waits for more than a day does not come
/// back, and the counts are lost at a restart.
pub(super) fn request_rate(section: &Section<'_>, key: &'static str, rate: Rate) -> bool {
    let fine = rate.period <= DAY;
    if !fine {
        section.problem(key, "counts over more than a day", Some("write \"1000/1h\" or the like"));
    }
    fine
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn rates_or_off() {
        let limits = config("[limits]\npublic_forms_per_address = \"off\"\n").limits;
        assert_eq!(limits.public_forms_per_address, None);
        assert_eq!(limits.mails_per_account, Some(Rate { count: 3, period: MINUTE * 60 }));
        assert_eq!(limits.mails_per_address, Some(Rate { count: 10, period: MINUTE * 60 }));
        assert_eq!((limits.header_time, limits.body_stall), (SECOND * 10, SECOND * 30));
    }

    /// R-G4: off by default.
    #[test]
    fn requests_are_limited_where_that_is_wanted() {
        let limits = config("").limits;
        assert_eq!(limits.requests_per_address, None);
        assert!(limits.paths.is_empty());
        let limits = config("[limits]\nrequests_per_session = \"100/10s\"\n").limits;
        assert_eq!(limits.requests_per_session, Some(Rate { count: 100, period: SECOND * 10 }));
        assert_eq!(limits.requests_per_token, None);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let problems =
            problems("[limits]\nrequests_per_token = \"10/2d\"\nheader_time = \"off\"\n");
        assert!(problems[0].contains(":2: limits.requests_per_token: counts over more than a day"));
        assert!(problems[1].contains(":3: limits.header_time: \"off\" is not a duration"));
    }
}
