//! `[mail]`: how e-mail leaves.

use super::rollout::RolloutConfig;
use super::section::Section;
use super::value::{Rate, SECOND, Value, Wrong, parse_url, wrong, wrong_but};
use crate::domain::secret::Secret;

/// `[mail]`, when e-mail is on.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The SMTP server.
    pub server: MailServer,
    /// Login name there, if it wants one.
    pub user: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
    /// Sender, unless the account's brand has its own.
    pub from: String,
    /// At most this many mails in this time.
    pub rate: Rate,
}

/// An SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
}

/// How a connection to an SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all.
    None,
    /// From the `STARTTLS` command on, which must succeed.
    StartTls,
    /// From the first byte (`smtps://`).
    Always,
}

pub(super) fn read(section: &Section<'_>) -> Option<MailConfig> {
    let server = section.get("url", server).flatten();
    let user = section.get("user", Value::optional_text).flatten();
    let password = section.secret("password", "password_file");
    let from = section.get("from", optional_mailbox).flatten();
    let rate = section.or("rate", Rate { count: 10, period: SECOND }, Value::rate);
    if password.is_some() && user.is_none() {
        section.problem("password_file", "a password without a user", Some("name it in user"));
    }
    let server = server?;
    section.unavailable("url", "e-mail; leave it empty");
    let from = from.unwrap_or_else(|| "Portal <no-reply@example.com>".to_owned());
    Some(MailConfig { server, user, password, from, rate })
}

/// Nobody should learn on the day of reject that no mail goes out.
pub(super) fn say_that_it_is_off(section: &Section<'_>, rollout: &RolloutConfig) {
    let hint = if rollout.promises_mail() {
        "at reject, users without a portal password are told to ask for help ([support] contact)"
    } else {
        "reset links and reminders are not sent"
    };
    section.warn("url", "e-mail is off", Some(hint));
}

/// `Name <address>` or an address alone; empty stands for none.
pub(super) fn optional_mailbox(value: Value<'_>) -> Result<Option<String>, Wrong> {
    let Some(text) = value.optional_text()? else { return Ok(None) };
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text.as_str(),
    };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;\"".contains(c);
    match address.split_once('@') {
        Some((local, domain))
            if !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && address.chars().all(plain)
                && !text.contains(char::is_control) =>
        {
            Ok(Some(text))
        }
        _ => wrong_but(
            format!("\"{}\" is not an e-mail address", text.escape_default()),
            "write \"Portal <no-reply@example.com>\"",
        ),
    }
}

/// `smtp://host:25?tls=none|starttls` or `smtps://host:465`; empty: e-mail is off.
fn server(value: Value<'_>) -> Result<Option<MailServer>, Wrong> {
    const HINT: &str = "write \"smtp://host:587?tls=starttls\" or \"smtps://host:465\"";
    let Some(text) = value.optional_text()? else { return Ok(None) };
    let url = parse_url(&text).or_else(|_| wrong_but("is not the URL of a mail server", HINT))?;
    if !url.username().is_empty() || url.password().is_some() {
        return wrong_but("must not contain a user name or a password", "use user, password_file");
    }
    let tls = match (url.scheme(), url.query()) {
        ("smtp", None | Some("tls=starttls")) => MailTls::StartTls,
        ("smtp", Some("tls=none")) => MailTls::None,
        ("smtps", None) => MailTls::Always,
        ("smtp" | "smtps", Some(_)) => return wrong_but("has a query that is not known", HINT),
        _ => return wrong_but("is not the URL of a mail server", HINT),
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return wrong("has no host");
    };
    let default = if tls == MailTls::Always { 465 } else { 25 };
    Ok(Some(MailServer { host: host.to_owned(), port: url.port().unwrap_or(default), tls }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};
    use super::*;

    #[test]
    fn off_by_default_and_said_so() {
        assert!(config("[mail]\nurl = \"\"\n").mail.is_none());
        assert!(warnings("").concat().contains("mail.url: e-mail is off"));
        let reject = warnings("[rollout]\nreject = 2018-12-03T00:00:00Z\n").concat();
        assert!(reject.contains("at reject, users without a portal password are told"));
    }

    #[test]
    fn servers() {
        let server = |text| server(Value::Text(text)).ok().flatten();
        let expected = |port, tls| Some(MailServer { host: "mx.example".to_owned(), port, tls });
        assert_eq!(server("smtp://mx.example"), expected(25, MailTls::StartTls));
        assert_eq!(server("smtp://mx.example:2525?tls=none"), expected(2525, MailTls::None));
        assert_eq!(server("smtps://mx.example"), expected(465, MailTls::Always));
        for bad in ["mx.example", "smtp://mx?tls=maybe", "smtp://u:p@mx", "https://mx", "smtp:mx"] {
            assert_eq!(server(bad), None, "{bad}");
        }
    }

    /// A header could be forged through a sender with a line break.
    #[test]
    fn senders() {
        for good in ["a@b.example", "Portal <no-reply@b.example>"] {
            assert!(optional_mailbox(Value::Text(good)).is_ok(), "{good}");
        }
        for bad in ["Portal", "a@", "@b", "A <a@b", "a@b@c", "x\r\ny <a@b>", "a@b, c@d"] {
            assert!(optional_mailbox(Value::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mail_server_is_still_to_come() {
        let problems = problems("[mail]\nurl = \"smtps://mx\"\nrate = \"fast\"\n");
        assert!(problems[0].contains(":2: mail.url: not available in this version: e-mail"));
        assert!(problems[1].contains(":3: mail.rate: \"fast\" is not a rate"));
    }
}
