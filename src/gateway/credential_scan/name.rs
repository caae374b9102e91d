//! Parameter names, read the way the most lenient server reads them.

/// Longer names are cut here: all that decides is at their beginning.
pub(super) const LONGEST: usize = 512;

/// The names that are looked for, folded.
#[derive(Debug)]
pub(super) struct Fields(Vec<Vec<u8>>);

impl Fields {
    pub(super) fn new<'f>(names: impl Iterator<Item = &'f str>) -> Self {
        let fold = |name: &str| fold(name.bytes()).as_slice().to_vec();
        Self(names.map(fold).filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is one of the fields.
    pub(super) fn hit(&self, name: &[u8]) -> bool {
        self.hit_folded(fold(name.iter().copied()).as_slice())
    }

    /// The same for a percent-encoded name.
    pub(super) fn hit_encoded(&self, name: &[u8]) -> bool {
        // A letter stands for itself: most names are ruled out by their first byte.
        if let Some(first) = name.first().filter(|byte| byte.is_ascii_alphanumeric())
            && !self.0.iter().any(|field| field[0] == first.to_ascii_lowercase())
        {
            return false;
        }
        self.hit_folded(fold(Decoded { rest: name }).as_slice())
    }

    /// The same for a name that is folded already. What follows in further brackets does not
    /// matter: `user[]` is `user` to many.
    pub(super) fn hit_folded(&self, folded: &[u8]) -> bool {
        self.0.iter().any(|field| {
            folded.strip_prefix(field.as_slice()).is_some_and(|rest| matches!(rest, [] | [0, ..]))
        })
    }
}

/// A folded name: lower case, `data[Login][user]` as `data␀login␀user`.
pub(super) struct Folded {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Folded {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }
}

/// Reads a name as PHP does (`php_register_variable_ex`) and a little more leniently: leading
/// blanks are skipped, a NUL ends it, `.` and blanks become `_`, brackets nest unless the first is
/// never closed, blanks and quotes around an index do not count, nor do empty indexes.
pub(super) fn fold(name: impl Iterator<Item = u8> + Clone) -> Folded {
    let name = name.take_while(|byte| *byte != 0);
    let closes = name.clone().skip_while(|byte| *byte != b'[').any(|byte| byte == b']');
    let mut out = Folded { bytes: [0; LONGEST], length: 0 };
    let mut place = Reading::Base;
    // Blanks count only if something follows them.
    let mut blanks = 0;
    let mut begun = false;
    for byte in name {
        let blank = byte.is_ascii_whitespace() || byte == 0x0b;
        match (place, byte) {
            (Reading::Base | Reading::Between, b'[') if closes => {
                (place, begun, blanks) = (Reading::Index, false, 0);
            }
            (Reading::Between, _) => {}
            (Reading::Index, b']') => (place, blanks) = (Reading::Between, 0),
            (Reading::Base, _) if blank => blanks += usize::from(begun),
            (Reading::Index, _) if blank || matches!(byte, b'"' | b'\'') => {
                blanks += usize::from(begun);
            }
            _ => {
                if place == Reading::Index && !begun {
                    out.push(0);
                }
                for _ in 0..blanks.min(LONGEST) {
                    out.push(if place == Reading::Base { b'_' } else { b' ' });
                }
                (begun, blanks) = (true, 0);
                out.push(match (place, byte) {
                    (Reading::Base, b'.' | b'[') => b'_',
                    _ => byte.to_ascii_lowercase(),
                });
            }
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Base,
    Index,
    Between,
}

/// The bytes that an urlencoded name stands for; broken encodings stand for themselves.
#[derive(Clone)]
struct Decoded<'n> {
    rest: &'n [u8],
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, taken) = match *self.rest {
            [] => return None,
            [b'%', high, low, ..] => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (byte, 1),
        };
        self.rest = &self.rest[taken..];
        Some(byte)
    }
}

/// The value of a hex digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
