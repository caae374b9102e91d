//! Names in `application/x-www-form-urlencoded` bodies.

use super::name::{Fields, digit};

/// Collects one name at a time, decoded.
#[derive(Debug, Default)]
pub(super) struct UrlEncoded {
    name: Vec<u8>,
    in_value: bool,
    /// Blanks at the end of `name`.
    blanks: usize,
    cut: bool,
    /// The beginning of a percent-encoding: `%`, or `%` and one digit.
    escape: Escape,
}

#[derive(Debug, Default, Clone, Copy)]
enum Escape {
    #[default]
    None,
    Begun,
    High(u8),
}

/// Names longer than this decide nothing further.
const LONGEST: usize = 1024;
/// Of a row of blanks inside a name so many are kept.
const MOST_BLANKS: usize = 64;

impl UrlEncoded {
    /// Whether `chunk` completes a credential field's name.
    pub(super) fn push(&mut self, chunk: &[u8], fields: &Fields) -> bool {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            if self.in_value {
                let Some(end) = memchr::memchr2(b'&', b';', rest) else { return false };
                self.in_value = false;
                rest = &rest[end + 1..];
                continue;
            }
            rest = &rest[1..];
            match byte {
                b'=' | b'&' | b';' => {
                    if self.finish(fields) {
                        return true;
                    }
                    self.in_value = byte == b'=';
                }
                _ => self.decode(byte),
            }
        }
        false
    }

    /// Whether the name that ends here is a credential field's.
    pub(super) fn finish(&mut self, fields: &Fields) -> bool {
        self.give_up_escape();
        if self.cut {
            // What was cut off may have closed a bracket.
            self.name.push(b']');
        }
        let hit = !self.name.is_empty() && fields.hit(&self.name);
        self.name.clear();
        (self.cut, self.blanks) = (false, 0);
        hit
    }

    fn decode(&mut self, byte: u8) {
        match (self.escape, byte) {
            (Escape::None, b'%') => self.escape = Escape::Begun,
            (Escape::None, b'+') => self.keep(b' '),
            (Escape::None, _) => self.keep(byte),
            (Escape::Begun, _) if digit(byte).is_some() => self.escape = Escape::High(byte),
            (Escape::High(high), _) if digit(byte).is_some() => {
                self.escape = Escape::None;
                let value = digit(high).zip(digit(byte)).map(|(high, low)| high << 4 | low);
                self.keep(value.unwrap_or_default());
            }
            _ => {
                self.give_up_escape();
                self.decode(byte);
            }
        }
    }

    /// A broken percent-encoding stands for itself.
    fn give_up_escape(&mut self) {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Begun => self.keep(b'%'),
            Escape::High(high) => {
                self.keep(b'%');
                self.keep(high);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        let blank = byte.is_ascii_whitespace() || byte == 0x0b;
        self.blanks = if blank { self.blanks + 1 } else { 0 };
        if blank && self.name.is_empty() || self.blanks > MOST_BLANKS {
            return;
        }
        if self.name.len() < LONGEST {
            self.name.push(byte);
        } else {
            self.cut = true;
        }
    }
}
