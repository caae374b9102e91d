//! XML, and whatever else begins with `<`: the contents of hidden elements, and hidden attributes.
//! Read leniently, because HTML comes here too: what is no markup is text.

use std::sync::Arc;

use memchr::memchr;

use super::pieces::Pieces;
use super::{Unreadable, refuse_nul};
use crate::profile::{LONGEST_NAME, Redaction};

pub(super) struct Xml {
    rule: Arc<Redaction>,
    /// What is put in, in markup.
    with: String,
    state: State,
    /// The name of an element or attribute.
    name: Vec<u8>,
    /// In a tag: it is one whose contents are hidden.
    hides: bool,
    /// In a tag: the last byte was `/`.
    slash: bool,
    /// Elements within the one whose contents are dropped.
    dropping: Option<u64>,
    /// The value of an attribute is dropped.
    dropping_value: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Text,
    /// Behind `<`.
    Opened,
    /// Behind `<!`: so much of `--` or `[CDATA[` came.
    Bang {
        matched: usize,
        cdata: bool,
    },
    /// In a comment or CDATA: so many of its closing bytes came.
    Until {
        closer: u8,
        seen: u8,
    },
    /// `<?…?>`; whether `?` came last.
    Instruction(bool),
    /// `<!DOCTYPE …>`, and the quote that is open in it.
    Declaration(Option<u8>),
    ElementName,
    ClosingTag,
    /// In a tag, behind a name or a value.
    Tag,
    AttributeName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
}

const CDATA: &[u8] = b"[CDATA[";

impl Xml {
    pub(super) fn new(rule: Arc<Redaction>) -> Self {
        let with = rule.with().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let with = with.replace('"', "&quot;").replace('\'', "&apos;");
        Self {
            rule,
            with,
            state: State::Text,
            name: Vec::new(),
            hides: false,
            slash: false,
            dropping: None,
            dropping_value: false,
        }
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.dropping.is_some() || self.dropping_value
    }

    /// Reads a piece from `begin` on.
    pub(super) fn push(&mut self, begin: usize, out: &mut Pieces) -> Result<(), Unreadable> {
        let piece = out.piece();
        refuse_nul(&piece)?;
        let mut at = begin;
        while let Some(&byte) = piece.get(at) {
            match self.state {
                State::Text => {
                    let Some(found) = memchr(b'<', &piece[at..]) else { break };
                    at += found;
                    self.state = State::Opened;
                }
                State::Opened => self.opened(byte, at, out),
                State::Bang { matched, cdata } => self.bang(byte, matched, cdata),
                State::Until { closer, seen } => {
                    self.state = match byte {
                        b'>' if seen >= 2 => State::Text,
                        _ if byte == closer => {
                            State::Until { closer, seen: seen.saturating_add(1) }
                        }
                        _ => State::Until { closer, seen: 0 },
                    };
                }
                State::Instruction(true) if byte == b'>' => self.state = State::Text,
                State::Instruction(_) => self.state = State::Instruction(byte == b'?'),
                State::Declaration(quote) => self.declaration(byte, quote)?,
                State::ClosingTag => {
                    if byte == b'>' {
                        self.state = State::Text;
                    }
                }
                State::ElementName => {
                    if ends_name(byte) {
                        self.hides = self.name_is_hidden();
                        self.state = State::Tag;
                        continue;
                    }
                    self.keep(byte);
                }
                State::Tag => self.tag(byte, at, out),
                State::AttributeName => match byte {
                    b'=' => self.state = State::BeforeValue,
                    _ if ends_name(byte) => {
                        self.state = State::Tag;
                        continue;
                    }
                    _ => self.keep(byte),
                },
                State::BeforeValue => match byte {
                    b'"' | b'\'' => {
                        self.state = State::Quoted(byte);
                        self.value_begins(at + 1, out);
                    }
                    b'>' => {
                        self.state = State::Tag;
                        continue;
                    }
                    _ if byte.is_ascii_whitespace() => {}
                    _ => {
                        self.state = State::Unquoted;
                        self.value_begins(at, out);
                    }
                },
                State::Quoted(quote) => {
                    if byte == quote {
                        self.value_ended(at, out);
                    }
                }
                State::Unquoted => {
                    if byte == b'>' || byte.is_ascii_whitespace() {
                        self.value_ended(at, out);
                        continue;
                    }
                }
            }
            at += 1;
        }
        Ok(())
    }

    fn opened(&mut self, byte: u8, at: usize, out: &mut Pieces) {
        self.state = match byte {
            b'/' => {
                match &mut self.dropping {
                    Some(0) => {
                        self.dropping = None;
                        out.replace(at, "<");
                        out.resume(at);
                    }
                    Some(within) => *within -= 1,
                    None => {}
                }
                State::ClosingTag
            }
            b'!' => State::Bang { matched: 0, cdata: false },
            b'?' => State::Instruction(false),
            b'<' => State::Opened,
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                self.name.clear();
                self.keep(byte);
                State::ElementName
            }
            _ => State::Text,
        };
    }

    fn bang(&mut self, byte: u8, matched: usize, cdata: bool) {
        self.state = match (matched, byte) {
            (0, b'-') => State::Bang { matched: 1, cdata: false },
            (1, b'-') if !cdata => State::Until { closer: b'-', seen: 0 },
            (_, _) if (cdata || matched == 0) && CDATA.get(matched) == Some(&byte) => {
                if matched + 1 == CDATA.len() {
                    State::Until { closer: b']', seen: 0 }
                } else {
                    State::Bang { matched: matched + 1, cdata: true }
                }
            }
            (_, b'>') => State::Text,
            _ => State::Declaration(None),
        };
    }

    fn declaration(&mut self, byte: u8, quote: Option<u8>) -> Result<(), Unreadable> {
        self.state = match (quote, byte) {
            (None, b'>') => State::Text,
            // Entities of one's own could stand for anything.
            (None, b'[') => return Err(Unreadable("a document type with declarations")),
            (None, b'"' | b'\'') => State::Declaration(Some(byte)),
            (Some(open), _) if open == byte => State::Declaration(None),
            _ => State::Declaration(quote),
        };
        Ok(())
    }

    fn tag(&mut self, byte: u8, at: usize, out: &mut Pieces) {
        match byte {
            b'>' => {
                self.state = State::Text;
                match &mut self.dropping {
                    _ if self.slash => {}
                    Some(within) => *within += 1,
                    None if self.hides => {
                        out.replace(at + 1, &self.with);
                        self.dropping = Some(0);
                    }
                    None => {}
                }
                self.slash = false;
            }
            b'/' => self.slash = true,
            b'=' => self.state = State::BeforeValue,
            _ if byte.is_ascii_whitespace() => {}
            // A quote where none belongs is one of a value that nobody named.
            b'"' | b'\'' => self.state = State::Quoted(byte),
            _ => {
                self.slash = false;
                self.name.clear();
                self.keep(byte);
                self.state = State::AttributeName;
            }
        }
    }

    fn value_begins(&mut self, at: usize, out: &mut Pieces) {
        if self.dropping.is_none() && self.name_is_hidden() {
            out.replace(at, &self.with);
            self.dropping_value = true;
        }
    }

    fn value_ended(&mut self, at: usize, out: &mut Pieces) {
        if std::mem::take(&mut self.dropping_value) {
            out.resume(at);
        }
        self.name.clear();
        self.slash = false;
        self.state = State::Tag;
    }

    fn keep(&mut self, byte: u8) {
        // One more than the longest, so that longer ones are none.
        if self.name.len() <= LONGEST_NAME {
            self.name.push(byte);
        }
    }

    /// Whether the name, without its namespace's prefix, is hidden.
    fn name_is_hidden(&self) -> bool {
        let local = self.name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        self.name.len() <= LONGEST_NAME && self.rule.hides_element(local)
    }
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'=')
}
