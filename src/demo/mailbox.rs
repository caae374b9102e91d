//! The mailbox of the demo: what Passgate would have sent by e-mail, to be read in the browser.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

/// Mails kept; the oldest go first.
const MAX_MAILS: usize = 500;

/// One e-mail as it was handed over.
#[derive(Debug, Clone)]
pub struct DemoMail {
    /// The sender, as in the header field.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, if there is one.
    pub html: Option<String>,
    /// When it was sent, by the demo's clock.
    pub at: Timestamp,
}

/// The mails, shared by who sends them and the page that shows them.
#[derive(Debug, Clone, Default)]
pub struct Mailbox(Arc<Mutex<Mails>>);

#[derive(Debug, Default)]
struct Mails {
    count: u64,
    kept: VecDeque<(u64, DemoMail)>,
}

impl Mailbox {
    /// Puts a mail in.
    pub fn deliver(&self, mail: DemoMail) {
        let mut mails = self.0.lock();
        mails.count += 1;
        let number = mails.count;
        mails.kept.push_back((number, mail));
        while mails.kept.len() > MAX_MAILS {
            mails.kept.pop_front();
        }
    }

    /// All mails with their numbers, the latest first.
    pub fn list(&self) -> Vec<(u64, DemoMail)> {
        self.0.lock().kept.iter().rev().cloned().collect()
    }

    /// The mail with this number.
    pub fn mail(&self, number: u64) -> Option<DemoMail> {
        let mails = self.0.lock();
        mails.kept.iter().find(|(kept, _)| *kept == number).map(|(_, mail)| mail.clone())
    }

    /// How many mails there are.
    pub fn len(&self) -> usize {
        self.0.lock().kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A piece of a plain text: words, or an address that can be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Words(&'a str),
    Link(&'a str),
}

/// Cuts a plain text at its web addresses.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = ["https://", "http://"].iter().filter_map(|s| rest.find(s)).min() {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"".contains(c));
        let link = from[..end.unwrap_or(from.len())].trim_end_matches(['.', ',', ')', ';']);
        if !before.is_empty() {
            pieces.push(Piece::Words(before));
        }
        pieces.push(Piece::Link(link));
        rest = &from[link.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links of a plain text can be followed, without the full stop after them.
    #[test]
    fn links_are_cut_out_of_text() {
        let text = "Open https://localhost:8443/account/reset?code=abc.\nBye";
        let expected = [
            Piece::Words("Open "),
            Piece::Link("https://localhost:8443/account/reset?code=abc"),
            Piece::Words(".\nBye"),
        ];
        assert_eq!(pieces(text), expected);
        assert_eq!(pieces("no link"), [Piece::Words("no link")]);
    }
}
