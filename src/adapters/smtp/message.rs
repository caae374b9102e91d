//! A mail as it goes over the wire (RFC 5322, MIME): text and HTML as alternatives.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart, header};

use crate::ports::Mail;

/// What is handed over.
pub(super) struct Message {
    /// Sender of the envelope: where bounces go.
    pub from: Address,
    /// Recipient of the envelope.
    pub to: Address,
    /// Header and body.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Whether every mail server understands it.
    pub fn is_ascii(&self) -> bool {
        [&self.from, &self.to].iter().all(|address| AsRef::<str>::as_ref(address).is_ascii())
            && self.bytes.is_ascii()
    }
}

/// Writes `mail` down. Values of header fields are one line each, whatever is in them: a name must
/// not bring header fields of its own.
pub(super) fn write(mail: &Mail, own_host: &str) -> Result<Message, String> {
    let from = mailbox(&mail.from).ok_or("the sender (mail.from) is not an e-mail address")?;
    let to = address(&mail.to).ok_or("the recipient's address cannot be used")?;
    // The boundary cannot occur in the parts: each mail's identity is random.
    let parts = MultiPart::builder()
        .kind(lettre::message::MultiPartKind::Alternative)
        .boundary(format!("=_{}", mail.id))
        .singlepart(SinglePart::plain(lines(&mail.text)))
        .singlepart(SinglePart::html(lines(&mail.html)));
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let message = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(one_line(&mail.subject))
        .header(header::Date::new(system_time(mail.date)))
        .message_id(Some(format!("<{}@{own_host}>", mail.id)))
        // RFC 3834: nobody's holiday notice answers it.
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .multipart(parts)
        .map_err(|error| format!("the mail cannot be written: {error}"))?;
    Ok(Message { from: from.email, to, bytes: message.formatted() })
}

/// `Name <address>`, or an address alone.
fn mailbox(text: &str) -> Option<Mailbox> {
    let Some((name, rest)) = text.rsplit_once('<') else {
        return Some(Mailbox::new(None, address(text)?));
    };
    let name = one_line(name.trim().trim_matches('"'));
    let name = (!name.is_empty()).then_some(name);
    Some(Mailbox::new(name, address(rest.strip_suffix('>')?)?))
}

/// An address whose domain is written in ASCII (RFC 5891), so that only a local part outside of
/// ASCII needs a server that knows such addresses.
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => match url::Host::parse(domain).ok()? {
            url::Host::Domain(ascii) => ascii,
            _ => return None,
        },
    };
    Address::new(local, domain).ok()
}

/// Lines as a message has them: a lone CR would be one that some servers take for an end of line and
/// others do not (SMTP smuggling), and other control characters have no place in it.
fn lines(text: &str) -> String {
    let ends = text.replace("\r\n", "\n").replace('\r', "\n");
    ends.chars().map(|c| if c.is_control() && !"\n\t".contains(c) { ' ' } else { c }).collect()
}

/// No subject or name in a header is longer, in characters: a long word cannot be folded.
const LONGEST_VALUE: usize = 200;

fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// Not before 1970, which the library cannot write: a moved clock must not end the process.
fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::from(at.max(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod message_tests;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::mail::{MailId, MailKind};

    fn mail() -> Mail {
        Mail {
            id: MailId(Uuid::from_u128(0x1234)),
            kind: MailKind::Reset,
            from: "Portal <no-reply@acme.example>".into(),
            to: "jane@corp.example".into(),
            subject: "Set your portal password".into(),
            text: "Hello.\n\nhttps://portal.example/account/reset?code=abc\n".into(),
            html: "<p>Hello.</p>".into(),
            date: "2018-12-03T14:12:00Z".parse().unwrap(),
        }
    }

    fn written(mail: &Mail) -> String {
        String::from_utf8(write(mail, "portal.example").unwrap().bytes).unwrap()
    }

    /// The same identity and date at every attempt, two parts, and no answer by machines wanted.
    #[test]
    fn a_mail_as_it_is_sent() {
        let text = written(&mail());
        for line in [
            "From: Portal <no-reply@acme.example>\r\n",
            "To: jane@corp.example\r\n",
            "Subject: Set your portal password\r\n",
            "Date: Mon, 03 Dec 2018 14:12:00 +0000\r\n",
            "Message-ID: <00000000000000000000000000001234@portal.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
            "\r\nhttps://portal.example/account/reset?code=abc\r\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert_eq!(text, written(&mail()), "an attempt differs from the one before");
    }

    /// Names outside of ASCII arrive; no line is longer than mail servers take (RFC 5321: 998).
    #[test]
    fn umlauts_and_long_lines() {
        let mut mail = mail();
        mail.from = "Müller & Söhne <portal@exämple.example>".into();
        mail.subject = "Gruß ".repeat(60);
        mail.html = "<p>ä</p>".repeat(500);
        mail.text = "x".repeat(5_000);
        let message = write(&mail, "portal.example").unwrap();
        assert!(message.is_ascii());
        assert_eq!(message.from.to_string(), "portal@xn--exmple-cua.example");
        let text = String::from_utf8(message.bytes).unwrap();
        assert!(text.split("\r\n").all(|line| line.len() < 998));
        assert!(text.contains("From: =?utf-8?b?"), "{text}");
        mail.to = "jürgen@corp.example".into();
        assert!(!write(&mail, "portal.example").unwrap().is_ascii());
    }

    /// No name, subject or address brings header fields or recipients of its own.
    #[test]
    fn hostile_values_stay_values() {
        let mut hostile = mail();
        hostile.subject = "Hi\r\nBcc: x@evil.example\r\n\r\nbody\0\u{85}".into();
        hostile.from = "A\r\nBcc: x@evil.example, \"b\" <c@d.example>, <a@b.example>".into();
        let text = written(&hostile);
        let head = text.split("\r\n\r\n").next().unwrap();
        let fields: Vec<&str> =
            head.split("\r\n").filter(|l| !l.starts_with([' ', '\t'])).collect();
        assert!(
            !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("bcc")),
            "{head}"
        );
        assert_eq!(fields.len(), 8, "{head}");
        let message = write(&hostile, "portal.example").unwrap();
        assert_eq!(message.from.to_string(), "a@b.example");
        for to in
            ["a@b.example\r\nBcc: c@d.example", "a@b.example>\r\nDATA", "a@b, c@d", "a b@c", ""]
        {
            hostile.to = to.into();
            assert!(write(&hostile, "portal.example").is_err(), "{to:?}");
        }
    }
}
