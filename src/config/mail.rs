//! `[mail]`: how e-mail leaves.

use std::path::PathBuf;

use super::rollout::RolloutConfig;
use super::section::Section;
use super::value::{Rate, SECOND, Value, Wrong, parse_url, wrong, wrong_but};
use crate::domain::secret::Secret;

/// `[mail]`, when e-mail is on.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The SMTP server.
    pub server: MailServer,
    /// The authorities to trust instead of the public ones: a PEM file.
    pub ca: Option<PathBuf>,
    /// Login name there and the password that goes with it, if it wants one.
    pub login: Option<(String, Secret)>,
    /// Sender, unless the account's brand has its own.
    pub from: String,
    /// At most this many mails in this time.
    pub rate: Rate,
    /// So many connections at a time, each with one mail.
    pub connections: usize,
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

/// The sender that holds without `mail.from`. No mail server that looks takes mail from it.
pub const EXAMPLE_SENDER: &str = "Portal <no-reply@example.com>";

pub(super) fn read(section: &Section<'_>) -> Option<MailConfig> {
    let server = section.get("url", server).flatten();
    let ca = section.path("ca");
    let user = section.get("user", Value::optional_text).flatten();
    let password = section.secret("password", "password_file");
    let from = section.get("from", optional_mailbox).flatten();
    let rate = section.or("rate", Rate { count: 10, period: SECOND }, Value::rate);
    let connections = section.or("connections", 4, |value| value.integer(1..=50));
    if password.is_some() && user.is_none() {
        section.problem("password_file", "a password without a user", Some("name it in user"));
    }
    let server = server?;
    if user.is_some() && password.is_none() {
        section.problem("user", "a user without a password", Some("give it in password_file"));
    }
    if ca.is_some() && server.tls == MailTls::None {
        section.problem("ca", "tls=none asks for no certificate", Some("remove one of them"));
    }
    if password.is_some() && server.tls == MailTls::None {
        let hint = "use smtps:// or ?tls=starttls, unless the server is on this machine";
        section.warn("url", "the password of the mail server is sent unprotected", Some(hint));
    }
    let from = from.unwrap_or_else(|| EXAMPLE_SENDER.to_owned());
    if from.contains("@example.com") {
        let hint = "write an address of yours: mail from this one is refused or taken for spam";
        section.warn("from", &format!("the sender is the example, {from}"), Some(hint));
    }
    let login = user.zip(password);
    Some(MailConfig { server, ca, login, from, rate, connections })
}

/// Nobody should learn on the day of reject that no mail goes out.
pub(super) fn say_that_it_is_off(section: &Section<'_>, rollout: &RolloutConfig) {
    let hint = if rollout.promises_mail() {
        "reset, welcome and confirmation links are not sent, and nobody hears of a changed portal \
         password; at reject, users without a portal password get no link but are told to ask for \
         help ([support] contact)"
    } else {
        "reset, welcome and confirmation links are not sent, and nobody hears of a changed portal \
         password"
    };
    let plan = rollout.reminders();
    let reminders = match plan.all(&rollout.rollout).is_empty() {
        true => "",
        false => "; nor do the reminders before the dates go out",
    };
    section.warn("url", "E-MAIL IS OFF", Some(&format!("{hint}{reminders}")));
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
        assert!(warnings("").concat().contains("mail.url: E-MAIL IS OFF"));
        let reject = warnings("[rollout]\nreject = 2018-12-03T00:00:00Z\n").concat();
        assert!(reject.contains("at reject, users without a portal password get no link"));
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
    fn a_mail_server_with_a_login() {
        let text = "[mail]\nurl = \"smtps://mx\"\nuser = \"portal\"\npassword = \"x\"\n\
                    from = \"A <a@b.example>\"\nrate = \"100/1h\"\nca = \"mail-ca.pem\"\n\
                    connections = 3\n";
        let mail = config(text).mail.unwrap();
        assert_eq!(mail.login.map(|(user, _)| user).as_deref(), Some("portal"));
        assert_eq!(mail.ca, Some(PathBuf::from("/etc/passgate/mail-ca.pem")));
        assert_eq!((mail.rate, mail.connections), (Rate { count: 100, period: SECOND * 3600 }, 3));
        assert_eq!(config("[mail]\nurl = \"smtps://mx\"\n").mail.unwrap().connections, 4);
        assert!(!warnings(text).concat().contains("mail"));
    }

    /// A password that everybody on the way can read is said.
    #[test]
    fn a_login_without_protection_is_said() {
        let unprotected = |url: &str| {
            let text = format!("[mail]\nurl = \"{url}\"\nuser = \"portal\"\npassword = \"x\"\n");
            warnings(&text).concat().contains("is sent unprotected")
        };
        assert!(unprotected("smtp://mx?tls=none"));
        assert!(!unprotected("smtp://mx") && !unprotected("smtps://mx"));
    }

    /// Mail from an address that is not the operator's does not arrive.
    #[test]
    fn the_example_sender_is_said() {
        let warnings = warnings("[mail]\nurl = \"smtps://mx\"\n").concat();
        assert!(warnings.contains("mail.from: the sender is the example"), "{warnings}");
    }

    #[test]
    fn what_cannot_be_meant() {
        let text = "[mail]\nurl = \"smtp://mx?tls=none\"\nca = \"x.pem\"\nuser = \"portal\"\n\
                    rate = \"fast\"\nconnections = 0\n";
        let problems = problems(text);
        assert!(problems[0].contains(":3: mail.ca: tls=none asks for no certificate"));
        assert!(problems[1].contains(":4: mail.user: a user without a password"));
        assert!(problems[2].contains(":5: mail.rate: \"fast\" is not a rate"));
        assert!(problems[3].contains(":6: mail.connections: must be a whole number from 1 to 50"));
    }
}
