//! Names of members in JSON bodies, at any depth, read more leniently than any parser: other
//! quotes, bare names, comments and repeated members do not hide one.

use super::name::{Fields, LONGEST, fold};

/// Deeper than this no form is nested.
const MAX_DEPTH: usize = 128;

#[derive(Debug)]
pub(super) struct Json {
    state: State,
    /// The last string or bare word.
    word: Vec<u8>,
    /// Whether `word` may be the name of a member, if `:` follows.
    word_ended: bool,
    /// The member whose value comes next, folded.
    member: Vec<u8>,
    /// The members around, folded, each with a NUL in front.
    path: Vec<u8>,
    /// Length of `path` outside of each open bracket.
    open: Vec<usize>,
    too_deep: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Not known yet whether this is JSON at all.
    Unknown,
    /// It is not.
    Other,
    Between,
    Word,
    Text(u8),
    Escape(u8),
    Unicode {
        quote: u8,
        digits: u8,
        value: u32,
    },
}

impl Json {
    /// `unsure` reads only a body that begins with `{` or `[`.
    pub(super) fn new(unsure: bool) -> Self {
        Self {
            state: if unsure { State::Unknown } else { State::Between },
            word: Vec::new(),
            word_ended: false,
            member: Vec::new(),
            path: Vec::new(),
            open: Vec::new(),
            too_deep: false,
        }
    }

    pub(super) fn too_deep(&self) -> bool {
        self.too_deep
    }

    /// Whether `chunk` completes a credential field's name.
    pub(super) fn push(&mut self, chunk: &[u8], fields: &Fields) -> bool {
        // NULs are left out: so text in UTF-16 reads like ASCII.
        chunk.iter().filter(|byte| **byte != 0).any(|byte| self.step(*byte, fields))
    }

    fn step(&mut self, byte: u8, fields: &Fields) -> bool {
        match self.state {
            State::Other => {}
            State::Unknown => match byte {
                b'{' | b'[' => {
                    self.state = State::Between;
                    return self.between(byte, fields);
                }
                // A byte order mark, of UTF-8 or of another.
                0xef | 0xbb | 0xbf | 0xfe | 0xff => {}
                _ if byte.is_ascii_whitespace() => {}
                _ => self.state = State::Other,
            },
            State::Between => return self.between(byte, fields),
            State::Word => {
                if is_word(byte) {
                    self.keep(byte);
                } else {
                    (self.state, self.word_ended) = (State::Between, true);
                    return self.between(byte, fields);
                }
            }
            State::Text(quote) => match byte {
                b'\\' => self.state = State::Escape(quote),
                _ if byte == quote => (self.state, self.word_ended) = (State::Between, true),
                _ => self.keep(byte),
            },
            State::Escape(quote) => {
                self.state = State::Text(quote);
                match byte {
                    b'u' => self.state = State::Unicode { quote, digits: 0, value: 0 },
                    b'n' | b'r' | b't' | b'b' | b'f' => self.keep(b' '),
                    _ => self.keep(byte),
                }
            }
            State::Unicode { quote, digits, value } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    self.state = State::Text(quote);
                    return self.step(byte, fields);
                };
                let value = value << 4 | digit;
                self.state = if digits == 3 {
                    // Characters outside ASCII are in no field's name: any byte stands for them.
                    self.keep(u8::try_from(value).unwrap_or(0xff));
                    State::Text(quote)
                } else {
                    State::Unicode { quote, digits: digits + 1, value }
                };
            }
        }
        false
    }

    fn between(&mut self, byte: u8, fields: &Fields) -> bool {
        match byte {
            b'"' | b'\'' | b'`' => {
                self.word.clear();
                self.state = State::Text(byte);
            }
            b':' if self.word_ended => return self.name(fields),
            b'{' | b'[' => {
                if self.open.len() == MAX_DEPTH {
                    self.too_deep = true;
                    return false;
                }
                self.open.push(self.path.len());
                self.path.append(&mut self.member);
                self.word_ended = false;
            }
            b'}' | b']' => {
                self.path.truncate(self.open.pop().unwrap_or(0));
                self.member.clear();
                self.word_ended = false;
            }
            b',' => {
                self.member.clear();
                self.word_ended = false;
            }
            _ if is_word(byte) => {
                self.word.clear();
                self.keep(byte);
                self.state = State::Word;
            }
            _ => {}
        }
        false
    }

    /// A member's name is complete: alone, or seen from any of the members around it, it may be a
    /// field (`{"data":{"Login":{"password":…}}}` is `data[Login][password]`).
    fn name(&mut self, fields: &Fields) -> bool {
        self.word_ended = false;
        self.member.clear();
        self.member.push(0);
        self.member.extend_from_slice(fold(self.word.iter().copied()).as_slice());
        let mut whole = self.path.clone();
        whole.extend_from_slice(&self.member);
        whole
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == 0)
            .any(|(at, _)| fields.hit_folded(&whole[at + 1..]))
    }

    fn keep(&mut self, byte: u8) {
        // A blank in front would only take space from what matters.
        if self.word.len() < LONGEST && !(self.word.is_empty() && byte.is_ascii_whitespace()) {
            self.word.push(byte);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | b'.' | 0x80..)
}
