//! Names of the parts of multipart bodies.
//!
//! Servers disagree about boundaries, so none is looked for: *every* line that reads like a
//! `Content-Disposition` field is judged, wherever it stands. An uploaded file would have to hold
//! a line that names a credential field to be refused wrongly.

use super::name::Fields;

#[derive(Debug)]
pub(super) struct Multipart {
    state: State,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, which may still turn out to be a `Content-Disposition`.
    Begin,
    /// In such a line.
    Disposition,
    /// Behind such a line, which a blank continues (obsolete folding).
    Behind,
    /// In any other line.
    Other,
}

const FIELD: &[u8] = b"content-disposition";
/// A longer `Content-Disposition` is none that a browser writes.
const LONGEST: usize = 8 * 1024;

impl Default for Multipart {
    fn default() -> Self {
        Self { state: State::Begin, line: Vec::new() }
    }
}

impl Multipart {
    /// Whether `chunk` completes a credential field's name.
    pub(super) fn push(&mut self, chunk: &[u8], fields: &Fields) -> bool {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            match self.state {
                State::Other => {
                    let Some(end) = memchr::memchr(b'\n', rest) else { return false };
                    self.begin();
                    rest = &rest[end + 1..];
                    continue;
                }
                State::Begin => self.begin_with(byte),
                State::Disposition if byte == b'\n' => {
                    if names_a_field(&self.line, fields) {
                        return true;
                    }
                    self.state = State::Behind;
                }
                State::Disposition => {
                    if self.line.len() == LONGEST {
                        return true;
                    }
                    self.line.push(byte);
                }
                State::Behind if matches!(byte, b' ' | b'\t') => {
                    self.line.push(b' ');
                    self.state = State::Disposition;
                }
                State::Behind => {
                    self.begin();
                    continue;
                }
            }
            rest = &rest[1..];
        }
        false
    }

    fn begin(&mut self) {
        self.line.clear();
        self.state = State::Begin;
    }

    fn begin_with(&mut self, byte: u8) {
        match FIELD.get(self.line.len()) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => self.line.push(byte),
            None if byte == b':' => {
                self.line.clear();
                self.state = State::Disposition;
            }
            None if matches!(byte, b' ' | b'\t') => {}
            _ if byte == b'\n' => self.begin(),
            _ => self.state = State::Other,
        }
    }
}

/// Whether one of the `name` parameters of a `Content-Disposition`, however it is quoted, names a
/// credential field.
fn names_a_field(line: &[u8], fields: &Fields) -> bool {
    let hit = |name: &[u8]| fields.hit(name) || fields.hit_encoded(name);
    let mut at = 0;
    while let Some(found) = find_ignoring_case(&line[at..], b"name") {
        let begin = at + found;
        at = begin + b"name".len();
        // Not the end of `filename`.
        let inside_a_word = begin > 0
            && (line[begin - 1].is_ascii_alphanumeric() || b"_-".contains(&line[begin - 1]));
        if inside_a_word {
            continue;
        }
        match line[at..].trim_ascii_start() {
            // RFC 8187 and RFC 2231 forms are forbidden in forms (RFC 7578 §4.2).
            [b'*', ..] => return true,
            [b'=', value @ ..] => {
                let value = value.trim_ascii();
                // RFC 2047 words are read by some mail-like parsers only.
                if readings(value).iter().any(|name| hit(name)) || value.starts_with(b"\"=?") {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The ways in which servers read a parameter's value.
fn readings(value: &[u8]) -> [Vec<u8>; 3] {
    let bare =
        value.split(|byte| matches!(byte, b';' | b',' | b' ' | b'\t')).next().unwrap_or(value);
    let Some((quote, inside)) = value.split_first().filter(|(first, _)| b"\"'`".contains(first))
    else {
        return [bare.to_vec(), value.to_vec(), Vec::new()];
    };
    let plain = inside.split(|byte| byte == quote).next().unwrap_or(inside);
    let mut unescaped = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next().filter(|byte| *byte != quote) {
        unescaped.push(match byte {
            b'\\' => *bytes.next().unwrap_or(&b'\\'),
            _ => *byte,
        });
    }
    [plain.to_vec(), unescaped, bare.to_vec()]
}

fn find_ignoring_case(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window.eq_ignore_ascii_case(word))
}
