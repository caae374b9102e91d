//! What reaches a mail's header, whoever wrote it: the finished message as bytes.

use uuid::Uuid;

use super::*;
use crate::domain::mail::{MailId, MailKind};
use crate::gateway::replay::Draw;

/// What breaks mails, and what must be able to stand in them.
const PIECES: [&str; 40] = [
    "\r\n",
    "\r",
    "\n",
    "\r\n ",
    "\r\n\t",
    "\n\n",
    "\0",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{feff}",
    "Bcc: x@evil.example",
    "Subject: Hi",
    "Content-Type: text/html",
    "\r\n\r\n<b>body</b>",
    "\r\n.\r\nMAIL FROM:<x@evil.example>",
    ":",
    ";",
    ",",
    "<",
    ">",
    "\"",
    "\\",
    "(",
    ")",
    "@",
    "=?utf-8?b?",
    "?=",
    "=0D=0A",
    "%0d%0a",
    " ",
    "\t",
    "Jane",
    "Müller & Söhne",
    "日本語のお客様",
    "👩‍👩‍👧",
    "\r\n--=_00000000000000000000000000009999--\r\n",
];

/// Makes mails out of pieces in random order.
struct Pieces(Draw);

impl Pieces {
    fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.0.below(12) {
            let piece = PIECES[self.0.below(PIECES.len())];
            // Now and then much of it: no line may become too long.
            let times = if self.0.below(10) == 0 { 1 + self.0.below(600) } else { 1 };
            (0..times).for_each(|_| text.push_str(piece));
        }
        if self.0.below(8) == 0 {
            text.push_str(&"x".repeat(self.0.below(3000)));
        }
        text
    }

    fn mail(&mut self) -> Mail {
        let to = match self.0.below(12) {
            0 => format!("{}@corp.example", self.text()),
            1 => format!("jane@{}.example", self.text()),
            _ => "jane@corp.example".into(),
        };
        Mail {
            id: MailId(Uuid::from_u128(0x1234)),
            kind: MailKind::Reset,
            from: match self.0.below(12) {
                0 => self.text(),
                _ => format!("{} <no-reply@acme.example>", self.text()),
            },
            to,
            subject: self.text(),
            text: self.text(),
            html: self.text(),
            date: "2018-12-03T14:12:00Z".parse().unwrap(),
        }
    }
}

/// The fields of a header, each with its continuation lines.
fn fields(head: &str) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for line in head.split("\r\n") {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => value.push_str(line),
            _ => {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{head:?}"));
                fields.push((name, value.to_owned()));
            }
        }
    }
    fields
}

/// What RFC 5321 and 5322 ask of every message, and that it has exactly our own header fields, one
/// sender and one recipient: no value brings others.
fn check(mail: &Mail) {
    let message = write(mail, "portal.example").unwrap();
    let bytes = &message.bytes;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(bytes.get(index + 1), Some(&b'\n'), "a lone CR: {mail:#?}"),
            b'\n' => assert_eq!(bytes[index - 1], b'\r', "a lone LF"),
            0 => panic!("a NUL"),
            _ => {}
        }
    }
    let text = String::from_utf8(bytes.clone()).unwrap();
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.chars().any(|c| c.is_control() && !"\r\n\t".contains(c)), "{head:?}");
    assert!(!head.split("\r\n").any(|line| line.trim().is_empty()), "an empty line: {head:?}");
    let fields = fields(head);
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let ours = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut expected = ours;
    expected.sort_unstable();
    assert_eq!(sorted, expected, "{head}");
    let value = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).unwrap().1.trim();
    // The envelope has one of each, and nothing that would end its command.
    for address in [&message.from, &message.to] {
        let address = address.to_string();
        assert!(!address.contains(['\r', '\n', ' ', '<', '>', '\0', ',']), "{address:?}");
        assert_eq!(address.matches('@').count(), 1, "{address:?}");
    }
    assert!(value("To").ends_with(&message.to.to_string()), "{head}");
    assert_eq!(value("Message-ID"), "<00000000000000000000000000001234@portal.example>");
    // Two parts, whatever is in them.
    let boundary = format!("--=_{}", mail.id);
    let delimiters = body.split("\r\n").filter(|line| line.trim_end().starts_with(&boundary));
    assert_eq!(delimiters.count(), 3, "{body}");
}

/// Security "no name, subject or address brings header fields or recipients of its own": for values
/// of every kind, where they may stand at all. What cannot be an address is refused.
#[test]
fn replay_no_value_breaks_a_message() {
    let (mut written, mut refused) = (0, 0);
    for number in 1..=3000 {
        let mail = Pieces(Draw::seeded(number)).mail();
        match write(&mail, "portal.example") {
            Ok(_) => {
                check(&mail);
                written += 1;
            }
            Err(why) => {
                assert!(why.contains("address"), "{why}");
                refused += 1;
            }
        }
    }
    assert!(written > 1000 && refused > 100, "{written} written, {refused} refused");
}
