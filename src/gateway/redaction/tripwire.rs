//! Finds hidden members of JSON in what is not read as JSON: behind a warning of PHP, in a script
//! that wraps it (JSONP), in the lines of an event stream, in a string. Such an answer ends there.

use std::sync::Arc;

use super::Unreadable;
use crate::profile::{LONGEST_NAME, Redaction};

/// Longest spelling of a name that is looked at: every character of it may be an escape,
/// in UTF-16.
const LONGEST_SPELLING: usize = 12 * LONGEST_NAME;

pub(super) struct Tripwire {
    rule: Arc<Redaction>,
    /// What came since the last quote, unless it is longer than any name.
    word: Vec<u8>,
    /// How much came since then, as far as it matters.
    length: usize,
    /// A hidden name was closed; only blanks came since.
    armed: bool,
}

impl Tripwire {
    pub(super) fn new(rule: Arc<Redaction>) -> Self {
        Self { rule, word: Vec::new(), length: 0, armed: false }
    }

    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Unreadable> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.armed {
                let first = rest.iter().position(|b| !b.is_ascii_whitespace() && *b != 0);
                match first.map(|first| rest[first]) {
                    None => return Ok(()),
                    Some(b':') => return Err(Unreadable("a hidden member where JSON is not read")),
                    Some(_) => self.armed = false,
                }
            }
            let quote = memchr::memchr(b'"', rest);
            self.keep(&rest[..quote.unwrap_or(rest.len())]);
            let Some(quote) = quote else { return Ok(()) };
            self.armed =
                self.length <= LONGEST_SPELLING && self.rule.hides_member(&unescaped(&self.word));
            self.word.clear();
            self.length = 0;
            rest = &rest[quote + 1..];
        }
        Ok(())
    }

    /// Any quote may end a name and any may begin one: text has quotes of its own.
    fn keep(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > LONGEST_SPELLING {
            return;
        }
        // In UTF-16 every other byte is NUL.
        self.word.extend(bytes.iter().filter(|byte| **byte != 0));
    }
}

/// A name without its escapes; and without the backslash before its last quote, in JSON that stands
/// in a string.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let end = word.iter().rposition(|byte| *byte != b'\\').map_or(0, |last| last + 1);
    let mut rest = &word[..end];
    let mut name = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        let digits = rest.strip_prefix(b"u").and_then(|digits| digits.get(..4));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(value) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            let character = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
            name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[5..];
        }
    }
    name
}
