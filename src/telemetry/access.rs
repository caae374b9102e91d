//! The access log: one line per request, never a secret.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::escape;

/// Target of the lines, for `log.level`: `info,passgate::access=off`.
pub const TARGET: &str = "passgate::access";

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct AccessLine<'a> {
    /// Client address, if it was known when the request ended.
    pub client: Option<IpAddr>,
    /// Method as it came.
    pub method: &'a str,
    /// Name of the route (`Route::as_str`).
    pub route: &'static str,
    /// Path; a query is cut off.
    pub path: &'a str,
    /// Status of the answer; 0 when the connection ended before one.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the end of the request's head to the end of the answer.
    pub duration: Duration,
    /// Request id, also sent upstream.
    pub request_id: &'a str,
    /// Name of the machine client that it was let in as.
    pub machine: Option<&'a str>,
}

/// Whether lines are written at all: ask before gathering what the line needs.
#[inline]
pub fn enabled() -> bool {
    tracing::enabled!(target: "passgate::access", tracing::Level::INFO)
}

/// Writes the line, if the access log is on.
pub fn record(line: &AccessLine<'_>) {
    tracing::info!(
        target: "passgate::access",
        client = %Dash(line.client),
        method = %escape::path(line.method),
        route = %line.route,
        path = %escape::path(line.path),
        status = line.status,
        bytes = line.bytes,
        duration = %Seconds(line.duration),
        id = %escape::path(line.request_id),
        machine = line.machine.map(tracing::field::display),
    );
}

struct Dash(Option<IpAddr>);

impl fmt::Display for Dash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// Seconds with microseconds, as other access logs write them.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::LogOptions;
    use crate::telemetry::log::tests::captured;

    fn line() -> AccessLine<'static> {
        AccessLine {
            client: Some("203.0.113.7".parse().unwrap()),
            method: "GET",
            route: "own_page",
            path: "/account/reset?code=SECRET",
            status: 200,
            bytes: 45,
            duration: Duration::from_micros(1_234),
            request_id: "7f3a",
            machine: None,
        }
    }

    /// One line per request with what an operator needs, and no query: codes stand there.
    #[test]
    fn a_request_is_one_line_without_its_query() {
        let text = captured(&LogOptions::default(), || {
            assert!(enabled());
            record(&line());
        });
        let expected = "INFO passgate::access: client=203.0.113.7 method=GET route=own_page \
                        path=/account/reset status=200 bytes=45 duration=0.001234 id=7f3a";
        assert!(text.trim_end().ends_with(expected), "{text}");
        let text = captured(&LogOptions::default(), || {
            record(&AccessLine { machine: Some("phones"), ..line() });
        });
        assert!(text.trim_end().ends_with(" id=7f3a machine=phones"), "{text}");
    }

    #[test]
    fn the_access_log_can_be_switched_off() {
        let off = LogOptions { access: false, ..LogOptions::default() };
        assert_eq!(captured(&off, || assert!(!enabled())), "");
        assert_eq!(captured(&off, || record(&line())), "");
        let by_level =
            LogOptions { level: "info,passgate::access=off".into(), ..LogOptions::default() };
        assert_eq!(captured(&by_level, || record(&line())), "");
    }
}
