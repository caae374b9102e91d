//! The rules for voicemail PINs (R-B3), for every place where Passgate accepts a new one.

use std::collections::HashSet;
use std::sync::Arc;

use super::secret::Secret;

/// The rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPolicy {
    /// At least this many digits.
    pub min_length: usize,
    /// At most this many digits.
    pub max_length: usize,
    /// Frequently used PINs.
    pub blocklist: Arc<CommonPins>,
}

/// One rule that a PIN breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinProblem {
    /// Something other than the digits 0 to 9: a telephone has no more.
    NotDigits,
    /// Fewer digits than this.
    TooShort(usize),
    /// More digits than this.
    TooLong(usize),
    /// Among the frequently used ones.
    TooCommon,
    /// Digits that follow each other up or down: 3456, 8901, 4321.
    Sequence,
    /// One digit or block over and over: 7777, 2727, 123123.
    Repeated,
    /// The extension itself.
    IsExtension,
}

impl PinPolicy {
    /// 4 to 16 digits and the shipped list.
    pub fn standard() -> Self {
        Self { min_length: 4, max_length: 16, blocklist: Arc::new(CommonPins::built_in()) }
    }

    /// All rules that `pin` breaks as the PIN of `extension`.
    pub fn check(&self, pin: &Secret, extension: &str) -> Vec<PinProblem> {
        let pin = pin.expose();
        if pin.is_empty() {
            return vec![PinProblem::TooShort(self.min_length)];
        }
        if !pin.bytes().all(|byte| byte.is_ascii_digit()) {
            return vec![PinProblem::NotDigits];
        }
        let digits = pin.as_bytes();
        [
            (digits.len() < self.min_length, PinProblem::TooShort(self.min_length)),
            (digits.len() > self.max_length, PinProblem::TooLong(self.max_length)),
            (self.blocklist.contains(pin), PinProblem::TooCommon),
            (is_sequence(digits), PinProblem::Sequence),
            (is_repeated(digits), PinProblem::Repeated),
            (pin == extension, PinProblem::IsExtension),
        ]
        .into_iter()
        .filter_map(|(broken, problem)| broken.then_some(problem))
        .collect()
    }
}

impl Default for PinPolicy {
    fn default() -> Self {
        Self::standard()
    }
}

/// Frequently used PINs.
#[derive(PartialEq, Eq)]
pub struct CommonPins {
    pins: HashSet<Box<str>>,
}

/// A list of PINs that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a PIN: digits only, one PIN a line")]
pub struct BadPinList {
    /// Counted from 1.
    pub line: usize,
}

impl CommonPins {
    /// The shipped list (`data/common-pins.txt`).
    pub fn built_in() -> Self {
        let lines = include_str!("../../data/common-pins.txt").lines();
        Self { pins: lines.map(Box::from).collect() }
    }

    /// Reads a list: one PIN a line; empty lines and lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, BadPinList> {
        let mut pins = HashSet::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !line.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(BadPinList { line: index + 1 });
            }
            pins.insert(Box::from(line));
        }
        Ok(Self { pins })
    }

    /// Whether the PIN is in the list.
    pub fn contains(&self, pin: &str) -> bool {
        self.pins.contains(pin)
    }
}

impl std::fmt::Debug for CommonPins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommonPins({} entries)", self.pins.len())
    }
}

/// Every digit follows its neighbour in the same direction; 0 and 9 are neighbours, as on the
/// keypad's last rows.
fn is_sequence(digits: &[u8]) -> bool {
    let runs =
        |step: u8| digits.windows(2).all(|pair| (pair[0] - b'0' + step) % 10 == pair[1] - b'0');
    digits.len() >= 3 && (runs(1) || runs(9))
}

/// The whole is one block repeated at least twice.
fn is_repeated(digits: &[u8]) -> bool {
    (1..=digits.len() / 2)
        .filter(|size| digits.len().is_multiple_of(*size))
        .any(|size| digits.chunks(size).all(|block| block == &digits[..size]))
}

#[cfg(test)]
mod tests {
    use super::PinProblem::*;
    use super::*;

    /// Without the list, so that each other rule is seen to work by itself.
    fn bare() -> PinPolicy {
        PinPolicy { blocklist: Arc::new(CommonPins::parse("").unwrap()), ..PinPolicy::standard() }
    }

    /// R-B3: digits only, length, no sequences or repeats, not the extension.
    #[test]
    fn each_rule() {
        for (pin, expected) in [
            ("4829", vec![]),
            ("0382", vec![]),
            ("8642", vec![]),
            ("48291750382917", vec![]),
            ("482", vec![TooShort(4)]),
            ("", vec![TooShort(4)]),
            ("48291750382917465", vec![TooLong(16)]),
            ("48a9", vec![NotDigits]),
            ("48 29", vec![NotDigits]),
            ("４８２９", vec![NotDigits]),
            ("3456", vec![Sequence]),
            ("7654", vec![Sequence]),
            ("7890", vec![Sequence]),
            ("1098", vec![Sequence]),
            ("7777", vec![Repeated]),
            ("2727", vec![Repeated]),
            ("482482", vec![Repeated]),
            ("48248", vec![]),
            ("1001", vec![IsExtension]),
            ("11", vec![TooShort(4), Repeated]),
        ] {
            assert_eq!(bare().check(&Secret::new(pin), "1001"), expected, "{pin}");
        }
    }

    /// R-B3: not in the blacklist of frequently used PINs (1111, 1234, …): shipped, replaceable.
    #[test]
    fn frequent_pins_are_refused() {
        for pin in ["1111", "1234", "2580", "1984", "12345", "159753", "5201314", "14789632"] {
            assert!(PinPolicy::standard().check(&Secret::new(pin), "1001").contains(&TooCommon));
        }
        let own = CommonPins::parse("# ours\n4829\n\n").unwrap();
        let policy = PinPolicy { blocklist: Arc::new(own), ..PinPolicy::standard() };
        assert_eq!(policy.check(&Secret::new("4829"), "1001"), vec![TooCommon]);
        assert_eq!(policy.check(&Secret::new("1984"), "1001"), vec![]);
    }

    #[test]
    fn a_list_with_something_else_in_it_is_refused() {
        assert_eq!(CommonPins::parse("1234\nabcd\n").unwrap_err(), BadPinList { line: 2 });
    }

    /// The shipped list has PINs of 4 to 8 digits and nothing else.
    #[test]
    fn the_shipped_list_is_clean() {
        let text = include_str!("../../data/common-pins.txt");
        assert!(CommonPins::parse(text).is_ok());
        assert!(text.lines().count() > 1_000);
        assert!(text.lines().all(|line| (4..=8).contains(&line.len())));
    }
}
