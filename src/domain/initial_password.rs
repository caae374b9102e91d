//! One-time initial passwords (R-E1): made by Passgate, read out over the phone, good for nothing
//! but choosing a portal password.

use std::time::Duration;

use jiff::Timestamp;

use super::secret::Secret;

/// How long one works: until the end of a long weekend.
pub const INITIAL_LIFE: Duration = Duration::from_secs(72 * 3600);

/// Sixteen characters of which no two look alike, in either case, and few sound alike. No vowels:
/// they make no words. A number with a power of two makes every one equally likely.
const ALPHABET: &[u8; 16] = b"fhkmprwxy2346789";

/// So many characters of four bits each: 64 bits, in four groups of four.
const LENGTH: usize = 16;
const GROUP: usize = 4;

/// An initial password that is out, as the account keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredInitial {
    /// The argon2id hash of its characters without the hyphens, in PHC string form.
    pub phc: String,
    /// From then on it works no more.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for StoredInitial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredInitial(expires_at: {})", self.expires_at)
    }
}

impl StoredInitial {
    /// Whether it can be used at `now`. A clock that was far ahead when it was issued, and was put
    /// right since, gives no long life.
    pub fn works_at(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.expires_at <= now + INITIAL_LIFE + INITIAL_LIFE
    }
}

/// An initial password in its plain form: only its characters. How people type it (with or without
/// hyphens, in capitals) makes no difference.
#[derive(Debug, Clone)]
pub struct InitialPassword(Secret);

impl InitialPassword {
    /// The one that these random bytes make.
    pub fn of(random: [u8; LENGTH / 2]) -> Self {
        let nibbles = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(Secret::new(
            nibbles.map(|nibble| char::from(ALPHABET[usize::from(nibble)])).collect::<String>(),
        ))
    }

    /// Reads what somebody typed; `None` if it cannot be one.
    pub fn parse(typed: &Secret) -> Option<Self> {
        let mut plain = String::with_capacity(LENGTH);
        for character in typed.expose().chars().filter(|&character| !separates(character)) {
            let character = character.to_ascii_lowercase();
            let known = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || plain.len() == LENGTH {
                return None;
            }
            plain.push(character);
        }
        let plain = Secret::new(plain);
        (plain.expose().len() == LENGTH).then_some(Self(plain))
    }

    /// What is hashed.
    pub fn plain(&self) -> &Secret {
        &self.0
    }

    /// As it is shown and read out: `fhkm-prwx-y234-6789`.
    pub fn grouped(&self) -> Secret {
        let mut text = String::with_capacity(LENGTH + LENGTH / GROUP - 1);
        for (index, character) in self.0.expose().chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(character);
        }
        Secret::new(text)
    }
}

/// Spaces, and the dashes that programs make of hyphens.
fn separates(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> Option<String> {
        InitialPassword::parse(&Secret::new(typed)).map(|it| it.plain().expose().to_owned())
    }

    /// R-E1: easy to read out over the phone: four short groups, and no two characters that are
    /// taken for each other on paper or on a screen.
    #[test]
    fn it_has_four_groups_without_look_alikes() {
        let initial = InitialPassword::of([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(initial.grouped().expose(), "fhkm-prwx-y234-6789");
        for pair in ["0o", "1l", "1i", "il", "2z", "5s", "8b", "6g", "9g", "9q", "uv", "nm", "bd"] {
            let both = pair.bytes().all(|byte| ALPHABET.contains(&byte));
            assert!(!both, "{pair} look or sound alike");
        }
        for unclear in b"0o1li5s" {
            assert!(!ALPHABET.contains(unclear), "{}", char::from(*unclear));
        }
    }

    /// At least 60 bits: sixteen different characters, each of four random bits.
    #[test]
    fn it_has_sixty_four_bits() {
        let mut different = ALPHABET.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 16);
        let made = |bytes| InitialPassword::of(bytes).plain().expose().to_owned();
        for bit in 0..64 {
            let bytes = (1_u64 << bit).to_be_bytes();
            assert_ne!(made(bytes), made([0; 8]), "bit {bit} makes a difference");
        }
        assert_eq!(made([0xff; 8]).len(), LENGTH);
    }

    /// However it is typed, it is the same; anything else is not taken for one.
    #[test]
    fn hyphens_spaces_and_capitals_make_no_difference() {
        let plain = Some("fhkmprwxy2346789".to_owned());
        for typed in [
            "fhkm-prwx-y234-6789",
            "FHKM PRWX Y234 6789",
            " fhkmprwxy2346789\t",
            "fh-km-pr-wx-y2-34-67-89",
            // What word processors and chats make of hyphens.
            "fhkm–prwx–y234–6789",
            "fhkm‑prwx‑y234—6789",
        ] {
            assert_eq!(parsed(typed), plain, "{typed}");
        }
        for typed in [
            "",
            "fhkm-prwx-y234-678",
            "fhkm-prwx-y234-67899",
            "ohkm-prwx-y234-6789",
            "fhkm_prwx_y234_6789",
            "Lighthouse-42",
            "4711",
        ] {
            assert_eq!(parsed(typed), None, "{typed}");
        }
    }

    /// It expires at its hour, and is never printed.
    #[test]
    fn it_ends_and_is_not_printed() {
        let now = Timestamp::UNIX_EPOCH;
        let stored =
            StoredInitial { phc: "$argon2id$canary".into(), expires_at: now + INITIAL_LIFE };
        assert!(stored.works_at(now) && !stored.works_at(now + INITIAL_LIFE));
        assert_eq!(INITIAL_LIFE.as_secs(), 72 * 3600);
        // A clock that was far ahead, and was put right since, gives no long life.
        assert!(stored.works_at(now - INITIAL_LIFE));
        assert!(!stored.works_at(now - INITIAL_LIFE - Duration::from_secs(1)));
        let shown = format!("{stored:?} {:?}", InitialPassword::of([7; 8]));
        assert!(!shown.contains("canary") && !shown.contains("xxxx"), "{shown}");
    }
}
