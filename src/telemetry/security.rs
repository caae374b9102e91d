//! The log lines that fail2ban and its like read. Their spelling is a promise:
//! `authentication failure; channel=portal login=1001@abc client=203.0.113.7 reason=bad_password`.

use std::fmt;
use std::net::IpAddr;

use super::escape;

/// Which of the two stable lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityKind {
    /// A login was refused.
    Failure,
    /// A failure locked a name, a device or an address.
    Lockout,
}

impl SecurityKind {
    fn words(self) -> &'static str {
        match self {
            Self::Failure => "authentication failure;",
            Self::Lockout => "authentication lockout;",
        }
    }
}

/// The line as it stands in the text log after `passgate: `. `login` is what was typed: it is
/// escaped and bounded here. A missing client is `-`; an address carries no port.
pub fn security_line(
    kind: SecurityKind,
    channel: &str,
    login: &str,
    client: Option<IpAddr>,
    reason: &str,
) -> String {
    format!(
        "{} channel={} login={} client={} reason={}",
        kind.words(),
        escape::login(channel),
        escape::login(login),
        Client(client),
        escape::login(reason),
    )
}

/// Writes the line to the log (target `passgate`, level warn). In JSON the four fields are
/// members of their own.
pub fn record_security(
    kind: SecurityKind,
    channel: &str,
    login: &str,
    client: Option<IpAddr>,
    reason: &str,
) {
    // The text formatter prints fields as ` name=value` after the message: together they are
    // exactly `security_line`, which a test holds true.
    tracing::warn!(
        target: "passgate",
        channel = %escape::login(channel),
        login = %escape::login(login),
        client = %Client(client),
        reason = %escape::login(reason),
        "{}",
        kind.words(),
    );
}

/// An address in canonical form (an IPv4 address that arrived in IPv6 clothes is shown as IPv4,
/// which is how firewalls know it).
struct Client(Option<IpAddr>);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.to_canonical().fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::tests::captured;
    use crate::telemetry::log::{Format, LogOptions};

    const LINE: &str = "authentication failure; channel=portal \
                        login=1001@abc-company.11111.service client=203.0.113.7 \
                        reason=bad_password";

    fn client() -> Option<IpAddr> {
        Some("203.0.113.7".parse().unwrap())
    }

    /// R-G5: the stable line, letter by letter.
    #[test]
    fn the_line_is_the_promised_one() {
        let login = "1001@abc-company.11111.service";
        let line = security_line(SecurityKind::Failure, "portal", login, client(), "bad_password");
        assert_eq!(line, LINE);
        let mapped = Some("::ffff:203.0.113.7".parse().unwrap());
        let line = security_line(SecurityKind::Lockout, "token", "", mapped, "locked_name");
        assert_eq!(
            line,
            "authentication lockout; channel=token login=- client=203.0.113.7 reason=locked_name"
        );
    }

    /// R-G5: what the text log holds ends in exactly that line, after `passgate: `.
    #[test]
    fn the_text_log_holds_the_line() {
        let options = LogOptions { format: Format::Text, ..LogOptions::default() };
        let text = captured(&options, || {
            record_security(
                SecurityKind::Failure,
                "portal",
                "1001@abc-company.11111.service",
                client(),
                "bad_password",
            );
        });
        assert!(text.trim_end().ends_with(&format!(" passgate: {LINE}")), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    /// R-G5: in JSON the fields are members.
    #[test]
    fn the_json_log_has_members() {
        let options = LogOptions { format: Format::Json, ..LogOptions::default() };
        let text = captured(&options, || {
            record_security(SecurityKind::Failure, "portal", "a b\n", client(), "bad_password");
        });
        let value: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(value["message"], "authentication failure;");
        assert_eq!(value["login"], "a%20b%0A");
        assert_eq!(value["client"], "203.0.113.7");
        assert_eq!(value["reason"], "bad_password");
        assert_eq!(value["target"], "passgate");
    }
}
