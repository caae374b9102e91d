//! `[headers]`: security headers that are a matter of choice.

use std::fmt;
use std::time::Duration;

use super::section::Section;
use super::server::ServerConfig;
use super::value::{DAY, MINUTE, Value, YEAR};

/// `[headers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadersConfig {
    /// `Strict-Transport-Security`, if it is sent.
    pub hsts: Option<Hsts>,
}

/// `Strict-Transport-Security` (RFC 6797). Browsers remember it: it cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hsts {
    /// How long they remember.
    pub max_age: Duration,
    /// Whether hosts below ours are meant too, whoever runs them.
    pub include_subdomains: bool,
}

impl fmt::Display for Hsts {
    /// The value of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age.as_secs())?;
        if self.include_subdomains { f.write_str("; includeSubDomains") } else { Ok(()) }
    }
}

/// Not sent without a certificate of the operator's: a browser that trusts a self-made one (on
/// localhost, say) would refuse plain http there for months, for every other program too.
pub(super) fn read(section: &Section<'_>, server: Option<&ServerConfig>) -> HeadersConfig {
    let max_age =
        section.or("hsts", Some(DAY * 180), |value| value.duration_or_off(MINUTE..=YEAR * 2));
    let include_subdomains = section.or("hsts_include_subdomains", false, Value::boolean);
    if include_subdomains && max_age.is_none() {
        let message = "says nothing while hsts is \"off\"";
        section.problem("hsts_include_subdomains", message, None);
    }
    let own_certificate = server.is_some_and(|server| !server.certificates.is_empty());
    let hsts =
        max_age.filter(|_| own_certificate).map(|max_age| Hsts { max_age, include_subdomains });
    HeadersConfig { hsts }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};

    const CERTIFICATE: &str = "[[server.certificate]]\ncert = \"a\"\nkey = \"b\"\n";

    /// R-G1: HSTS never includes subdomains by default, and waits for a real certificate.
    #[test]
    fn hsts_waits_for_a_real_certificate() {
        assert_eq!(config("").headers.hsts, None);
        let hsts = config(CERTIFICATE).headers.hsts.unwrap();
        assert_eq!(hsts.to_string(), "max-age=15552000");
        let off = config(&format!("{CERTIFICATE}[headers]\nhsts = \"off\"\n"));
        assert_eq!(off.headers.hsts, None);
    }

    #[test]
    fn subdomains_of_nothing_are_a_contradiction() {
        let problems = problems("[headers]\nhsts = \"off\"\nhsts_include_subdomains = true\n");
        assert!(problems[0].contains(":3: headers.hsts_include_subdomains: says nothing"));
    }
}
