//! JSON (RFC 8259), byte by byte: any number of values one behind the other, so that JSON lines are
//! read too. What no JSON parser would read is not let through. Values are not looked at, only
//! where they end.

use std::sync::Arc;

use memchr::memchr2;

use super::pieces::Pieces;
use super::{MAX_DEPTH, Unreadable, refuse_nul};
use crate::profile::{At, LONGEST_NAME, Redaction, Sight};

pub(super) struct Json {
    rule: Arc<Redaction>,
    /// What is put in, in its quotes.
    with: String,
    state: State,
    /// The objects and arrays around.
    open: Vec<Level>,
    name: Name,
    /// What the value of the last name is.
    member: Sight,
    /// How many brackets are around the value that is dropped.
    dropping: Option<usize>,
}

/// An object or array.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// The pointers that lead into it.
    leading: u64,
    /// The number of the next element; `None` in an object.
    element: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Around the outermost values.
    Outside,
    /// Before a value.
    Value,
    /// Behind `[`.
    FirstValue,
    /// Behind `{`.
    FirstName,
    /// Behind a comma in an object.
    NextName,
    Colon,
    /// Behind a value.
    Behind,
    /// In a string; whether behind a backslash.
    Text {
        escaped: bool,
    },
    Name(Escape),
    /// In `null`, `true` or `false`: what is still to come.
    Word(&'static [u8]),
    Number,
}

#[derive(Debug, Clone, Copy)]
enum Escape {
    No,
    Begun,
    Unicode { digits: u8, value: u16 },
}

impl Json {
    pub(super) fn new(rule: Arc<Redaction>) -> Self {
        let with = serde_json::Value::from(rule.with()).to_string();
        Self {
            rule,
            with,
            state: State::Outside,
            open: Vec::new(),
            name: Name::default(),
            member: Sight::default(),
            dropping: None,
        }
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.dropping.is_some()
    }

    #[cfg(test)]
    pub(super) fn name_capacity(&self) -> usize {
        self.name.bytes.capacity()
    }

    /// Reads a piece from `begin` on.
    pub(super) fn push(&mut self, begin: usize, out: &mut Pieces) -> Result<(), Unreadable> {
        let piece = out.piece();
        refuse_nul(&piece)?;
        let mut at = begin;
        while let Some(&byte) = piece.get(at) {
            match self.state {
                State::Text { escaped: true } => {
                    self.state = State::Text { escaped: false };
                    at += 1;
                }
                State::Text { escaped: false } => {
                    let Some(found) = memchr2(b'"', b'\\', &piece[at..]) else { break };
                    at += found + 1;
                    if piece[at - 1] == b'"' {
                        self.value_ended(at, out);
                    } else {
                        self.state = State::Text { escaped: true };
                    }
                }
                State::Name(Escape::No) => {
                    let rest = &piece[at..];
                    let Some(found) = memchr2(b'"', b'\\', rest) else {
                        self.name.push(rest);
                        break;
                    };
                    at += found + 1;
                    if rest[found] == b'\\' {
                        self.name.push(&rest[..found]);
                        self.state = State::Name(Escape::Begun);
                    } else if self.name.is_empty() {
                        self.named(Some(&rest[..found]).filter(|name| name.len() <= LONGEST_NAME));
                    } else {
                        self.name.push(&rest[..found]);
                        let name = std::mem::take(&mut self.name);
                        self.named(name.read());
                    }
                }
                State::Name(escape) => {
                    self.state = State::Name(self.name.escaped(escape, byte)?);
                    at += 1;
                }
                State::Number if is_in_number(byte) => at += 1,
                State::Number => self.value_ended(at, out),
                State::Word([next, rest @ ..]) if *next == byte => {
                    at += 1;
                    self.state = State::Word(rest);
                    if rest.is_empty() {
                        self.value_ended(at, out);
                    }
                }
                State::Word(_) => return Err(Unreadable("a word that JSON does not have")),
                _ if is_space(byte) => at += 1,
                _ => {
                    self.between(byte, at, out)?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// A byte of the structure.
    fn between(&mut self, byte: u8, at: usize, out: &mut Pieces) -> Result<(), Unreadable> {
        let in_array = self.open.last().is_some_and(|level| level.element.is_some());
        match (self.state, byte) {
            // RFC 7464: it stands before each text of a sequence.
            (State::Outside, 0x1e) => {}
            (State::Outside | State::Value | State::FirstValue, _) if begins_value(byte) => {
                self.value(byte, at, out)?;
            }
            (State::FirstName | State::NextName, b'"') => self.state = State::Name(Escape::No),
            (State::Colon, b':') => self.state = State::Value,
            (State::Behind, b',') => {
                self.state = match self.open.last_mut().and_then(|level| level.element.as_mut()) {
                    Some(element) => {
                        *element += 1;
                        State::Value
                    }
                    None => State::NextName,
                };
            }
            (State::Behind | State::FirstValue, b']') if in_array => self.close(at, out),
            (State::Behind | State::FirstName, b'}') if !in_array => self.close(at, out),
            _ => return Err(Unreadable("no JSON")),
        }
        Ok(())
    }

    fn value(&mut self, byte: u8, at: usize, out: &mut Pieces) -> Result<(), Unreadable> {
        let sight = match self.open.last() {
            _ if self.dropping.is_some() => Sight::default(),
            None => self.rule.whole(),
            Some(Level { leading: 0, element: Some(_) }) => Sight::default(),
            Some(Level { leading, element: Some(element) }) => {
                self.rule.within(*leading, self.open.len() - 1, At::Index(*element))
            }
            Some(Level { element: None, .. }) => self.member,
        };
        // `null`, `true` and `false` tell nothing, and pages may rely on them.
        if sight.hidden && !matches!(byte, b'n' | b't' | b'f') {
            out.replace(at, &self.with);
            self.dropping = Some(self.open.len());
        }
        self.state = match byte {
            b'"' => State::Text { escaped: false },
            b'{' | b'[' => {
                if self.open.len() == MAX_DEPTH {
                    return Err(Unreadable("nested too deep"));
                }
                let element = (byte == b'[').then_some(0);
                self.open.push(Level { leading: sight.leading, element });
                if byte == b'[' { State::FirstValue } else { State::FirstName }
            }
            b'n' => State::Word(b"ull"),
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            _ => State::Number,
        };
        Ok(())
    }

    /// A member's name is complete; `None` if it is too long to be looked for.
    fn named(&mut self, name: Option<&[u8]>) {
        self.state = State::Colon;
        if let (None, Some(level)) = (self.dropping, self.open.last()) {
            self.member = self.rule.within(level.leading, self.open.len() - 1, At::Member(name));
        }
    }

    fn close(&mut self, at: usize, out: &mut Pieces) {
        self.open.pop();
        self.value_ended(at + 1, out);
    }

    fn value_ended(&mut self, end: usize, out: &mut Pieces) {
        if self.dropping == Some(self.open.len()) {
            self.dropping = None;
            out.resume(end);
        }
        self.state = if self.open.is_empty() { State::Outside } else { State::Behind };
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn begins_value(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b'n' | b't' | b'f' | b'-' | b'0'..=b'9')
}

fn is_in_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// A member's name that came in several pieces or has escapes in it.
#[derive(Debug, Default)]
struct Name {
    bytes: Vec<u8>,
    too_long: bool,
    /// The first half of a character outside of the basic plane.
    high: Option<u16>,
}

impl Name {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.too_long && self.high.is_none()
    }

    fn push(&mut self, more: &[u8]) {
        if more.is_empty() {
            return;
        }
        if self.high.take().is_some() {
            self.push("\u{fffd}".as_bytes());
        }
        if self.bytes.len() + more.len() > LONGEST_NAME {
            self.too_long = true;
        } else if !self.too_long {
            self.bytes.extend_from_slice(more);
        }
    }

    fn escaped(&mut self, escape: Escape, byte: u8) -> Result<Escape, Unreadable> {
        const BAD: Unreadable = Unreadable("an escape that JSON does not have");
        if let Escape::Unicode { digits, value } = escape {
            let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            let value = value << 4 | digit.ok_or(BAD)?;
            if digits < 3 {
                return Ok(Escape::Unicode { digits: digits + 1, value });
            }
            self.unit(value);
            return Ok(Escape::No);
        }
        let meant = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return Ok(Escape::Unicode { digits: 0, value: 0 }),
            _ => return Err(BAD),
        };
        self.push(&[meant]);
        Ok(Escape::No)
    }

    /// One unit of UTF-16. Halves without the other one are in no name that is looked for.
    fn unit(&mut self, unit: u16) {
        let before = self.high.take();
        if matches!(unit, 0xd800..0xdc00) {
            if before.is_some() {
                self.push("\u{fffd}".as_bytes());
            }
            self.high = Some(unit);
            return;
        }
        for character in char::decode_utf16(before.into_iter().chain([unit])) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    fn read(&self) -> Option<&[u8]> {
        (!self.too_long && self.high.is_none()).then_some(&self.bytes)
    }
}

/// Whether no hidden member of `value` says anything but what is put in.
pub(super) fn shows_nothing(rule: &Redaction, value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Object(members) => members.iter().all(|(name, value)| {
            let says_nothing = match value {
                Value::Null | Value::Bool(_) => true,
                value => value == rule.with(),
            };
            if rule.hides_member(name.as_bytes()) {
                says_nothing
            } else {
                shows_nothing(rule, value)
            }
        }),
        Value::Array(elements) => elements.iter().all(|element| shows_nothing(rule, element)),
        _ => true,
    }
}
