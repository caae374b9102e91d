//! The rules for portal passwords (R-B1).
//!
//! Sources: NIST SP 800-63B-4 §3.1.1 (length, blocklist, context words, Unicode), ASVS 5.0 V6.2.

use std::sync::Arc;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::login_name::{LoginName, fold};
use super::secret::Secret;

/// Passwords have at most this many characters; longer ones are refused, never cut.
pub const MAX_LENGTH: usize = 128;

/// Nothing above this many bytes is looked at: whatever it is, it has more than [`MAX_LENGTH`]
/// characters that anybody types.
const MAX_BYTES: usize = 16 * 1024;

/// A forbidden word surrounded by fewer characters than this is still that word.
const DECORATION: usize = 6;

/// Shorter words (a two-digit extension) are in too many passwords by accident.
const SHORTEST_WORD: usize = 3;

/// A built-in set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PasswordProfile {
    /// 8 characters, 1 capital letter, 1 digit.
    Standard,
    /// NIST SP 800-63B-4 for passwords used alone: 15 characters, no rules of composition.
    Nist,
}

/// The rules of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The built-in set that the rules started from.
    pub profile: PasswordProfile,
    /// At least this many characters (after NFC; not bytes).
    pub min_length: usize,
    /// At most this many characters.
    pub max_length: usize,
    /// At least this many capital letters (Unicode `Uppercase`).
    pub min_capitals: usize,
    /// At least this many digits (Unicode number categories).
    pub min_digits: usize,
    /// The most common passwords; `None` allows them.
    pub blocklist: Option<Arc<CommonPasswords>>,
}

/// What a password must not be made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct PasswordContext<'a> {
    /// The account's login name.
    pub login: Option<&'a LoginName>,
    /// The address on file.
    pub email: Option<&'a str>,
    /// The voicemail PIN.
    pub pin: Option<&'a Secret>,
}

/// One rule that a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordProblem {
    /// Shorter than this many characters.
    TooShort(usize),
    /// Longer than this many characters.
    TooLong(usize),
    /// Fewer capital letters than this.
    TooFewCapitals(usize),
    /// Fewer digits than this.
    TooFewDigits(usize),
    /// It is the login name, or hardly more than that.
    IsLoginName,
    /// It is the extension, or hardly more than that.
    IsExtension,
    /// It is the e-mail address or the part before the `@`, or hardly more than that.
    IsEmail,
    /// It is the voicemail PIN, or hardly more than that.
    IsPin,
    /// It is among the most common passwords.
    TooCommon,
    /// It has the shape of a voicemail PIN. Typed with a wrong login name it would be tried at the
    /// PBX like one, and a portal password never leaves Passgate (R-B5).
    LooksLikePin,
    /// It is the one-time initial password that it shall replace (R-E1).
    IsInitial,
}

/// One rule, for pages that show the rules and tick them off while the user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", content = "amount", rename_all = "snake_case")]
pub enum Rule {
    /// At least this many characters: `[...text.normalize("NFC")].length` in a script.
    MinLength(usize),
    /// At least this many capital letters: `\p{Uppercase}`.
    MinCapitals(usize),
    /// At least this many digits: `\p{N}`.
    MinDigits(usize),
    /// At most this many characters.
    MaxLength(usize),
    /// Not the login name, the extension, the e-mail address or the PIN.
    NotPersonal,
    /// Not a common password; only the server can tell.
    NotCommon,
}

impl PasswordPolicy {
    /// At least 8 characters, 1 capital letter and 1 digit; common passwords refused.
    pub fn standard() -> Self {
        Self {
            profile: PasswordProfile::Standard,
            min_length: 8,
            max_length: MAX_LENGTH,
            min_capitals: 1,
            min_digits: 1,
            blocklist: Some(Arc::new(CommonPasswords::built_in())),
        }
    }

    /// At least 15 characters of any kind; common passwords refused.
    pub fn nist() -> Self {
        Self {
            profile: PasswordProfile::Nist,
            min_length: 15,
            min_capitals: 0,
            min_digits: 0,
            ..Self::standard()
        }
    }

    /// All rules that `password` breaks, so that the user mends them in one go.
    pub fn check(&self, password: &Secret, context: &PasswordContext<'_>) -> Vec<PasswordProblem> {
        if password.expose().len() > MAX_BYTES {
            return vec![PasswordProblem::TooLong(self.max_length)];
        }
        // Cleared on drop like the password itself.
        let text = Secret::new(password.expose().nfc().collect::<String>());
        let mut problems = self.shape_problems(text.expose());
        if problems.contains(&PasswordProblem::TooLong(self.max_length)) {
            return problems;
        }
        let folded = Secret::new(fold(text.expose()));
        problems.extend(personal_problems(folded.expose(), context));
        if self.blocklist.as_ref().is_some_and(|common| is_common(folded.expose(), common)) {
            problems.push(PasswordProblem::TooCommon);
        }
        problems
    }

    /// The rules in the order in which a page lists them.
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules = vec![Rule::MinLength(self.min_length)];
        if self.min_capitals > 0 {
            rules.push(Rule::MinCapitals(self.min_capitals));
        }
        if self.min_digits > 0 {
            rules.push(Rule::MinDigits(self.min_digits));
        }
        rules.push(Rule::MaxLength(self.max_length));
        rules.push(Rule::NotPersonal);
        if self.blocklist.is_some() {
            rules.push(Rule::NotCommon);
        }
        rules
    }

    fn shape_problems(&self, text: &str) -> Vec<PasswordProblem> {
        let length = text.chars().count();
        let capitals = text.chars().filter(|c| c.is_uppercase()).count();
        let digits = text.chars().filter(|c| c.is_numeric()).count();
        [
            (length < self.min_length, PasswordProblem::TooShort(self.min_length)),
            (length > self.max_length, PasswordProblem::TooLong(self.max_length)),
            (capitals < self.min_capitals, PasswordProblem::TooFewCapitals(self.min_capitals)),
            (digits < self.min_digits, PasswordProblem::TooFewDigits(self.min_digits)),
        ]
        .into_iter()
        .filter_map(|(broken, problem)| broken.then_some(problem))
        .collect()
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::standard()
    }
}

/// The most common passwords, folded and sorted (`data/common-passwords.txt`).
#[derive(PartialEq, Eq)]
pub struct CommonPasswords {
    sorted: Vec<&'static str>,
}

impl CommonPasswords {
    /// The shipped list. Builds an index; make it once and share it.
    pub fn built_in() -> Self {
        Self { sorted: include_str!("../../data/common-passwords.txt").lines().collect() }
    }

    /// Whether the folded text is in the list.
    pub fn contains(&self, folded: &str) -> bool {
        self.sorted.binary_search(&folded).is_ok()
    }
}

impl std::fmt::Debug for CommonPasswords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommonPasswords({} entries)", self.sorted.len())
    }
}

fn personal_problems(folded: &str, context: &PasswordContext<'_>) -> Vec<PasswordProblem> {
    let mut problems = Vec::new();
    if let Some(login) = context.login {
        let dashed = format!("{}-{}", login.extension(), login.tenant());
        if decorates(folded, &login.to_string()) || decorates(folded, &dashed) {
            problems.push(PasswordProblem::IsLoginName);
        }
        if decorates(folded, login.extension()) {
            problems.push(PasswordProblem::IsExtension);
        }
    }
    if let Some(email) = context.email.map(fold) {
        let local = email.split('@').next().unwrap_or_default();
        if decorates(folded, &email) || decorates(folded, local) {
            problems.push(PasswordProblem::IsEmail);
        }
    }
    if context.pin.is_some_and(|pin| decorates(folded, pin.expose())) {
        problems.push(PasswordProblem::IsPin);
    }
    problems
}

/// Whether `text` is `word`, or contains it and hardly anything else.
fn decorates(text: &str, word: &str) -> bool {
    let length = word.chars().count();
    text == word
        || length >= SHORTEST_WORD
            && text.contains(word)
            && text.chars().count() - length < DECORATION
}

/// Common as it stands, or after a few signs in front of and behind it are taken away.
fn is_common(folded: &str, common: &CommonPasswords) -> bool {
    let bare = folded.trim_matches(|c: char| !c.is_alphanumeric());
    let signs = folded.chars().count() - bare.chars().count();
    common.contains(folded) || signs < DECORATION && common.contains(bare)
}

#[cfg(test)]
mod tests {
    use super::PasswordProblem::*;
    use super::*;

    fn problems(policy: &PasswordPolicy, password: &str) -> Vec<PasswordProblem> {
        let login = LoginName::new("1001", "abc-company.11111.service").unwrap();
        let pin = Secret::new("482159");
        let context = PasswordContext {
            login: Some(&login),
            email: Some("Jane.Doe@Example.com"),
            pin: Some(&pin),
        };
        policy.check(&Secret::new(password), &context)
    }

    /// R-B1: at least 8 characters, at least 1 capital letter, at least 1 digit; all broken rules
    /// are said at once.
    #[test]
    fn standard_rules() {
        let standard = PasswordPolicy::standard();
        for (password, expected) in [
            ("Tulpenfeld7", vec![]),
            ("Tulpen7", vec![TooShort(8)]),
            ("tulpenfeld", vec![TooFewCapitals(1), TooFewDigits(1)]),
            ("", vec![TooShort(8), TooFewCapitals(1), TooFewDigits(1)]),
            ("Ärmelkanal 3 ohne Brücke", vec![]),
            ("Пароль-для-портала-5", vec![]),
        ] {
            assert_eq!(problems(&standard, password), expected, "{password}");
        }
    }

    /// R-B1: at most 128 characters, counted as characters after NFC, nothing is cut.
    #[test]
    fn length_is_counted_in_characters() {
        let standard = PasswordPolicy::standard();
        let longest = format!("A1{}", "é".repeat(126));
        assert_eq!(problems(&standard, &longest), vec![]);
        assert_eq!(problems(&standard, &format!("{longest}x")), vec![TooLong(128)]);
        let decomposed = format!("A1{}", "e\u{301}".repeat(126));
        assert_eq!(problems(&standard, &decomposed), vec![]);
        assert_eq!(problems(&standard, "A1🙂🙂🙂"), vec![TooShort(8)]);
        assert_eq!(problems(&standard, &"A1x".repeat(400_000)), vec![TooLong(128)]);
    }

    /// R-B1: refused are login name, extension, e-mail and the PIN, whatever the case and with a
    /// few characters around them.
    #[test]
    fn what_the_attacker_knows_is_refused() {
        let standard = PasswordPolicy::standard();
        for (password, expected) in [
            ("1001@ABC-company.11111.service", vec![IsLoginName]),
            ("1001-ABC-company.11111.service!", vec![IsLoginName]),
            ("Abc1001!", vec![IsExtension]),
            ("JANE.DOE@example.com1", vec![IsEmail]),
            ("Jane.Doe1", vec![IsEmail]),
            ("Pin482159", vec![IsPin]),
            ("４８２１５９Abc", vec![IsPin]),
            ("Windmill-1001-Harbour", vec![]),
        ] {
            assert_eq!(problems(&standard, password), expected, "{password}");
        }
    }

    /// R-B1: the most common passwords are refused (default on), with signs around them too.
    #[test]
    fn common_passwords_are_refused() {
        let standard = PasswordPolicy::standard();
        for password in
            ["Password1", "PASSWORD123", "Password1!", "Trustno1", "Qwerty123", "!Iloveyou1!"]
        {
            assert_eq!(problems(&standard, password), vec![TooCommon], "{password}");
        }
        let without = PasswordPolicy { blocklist: None, ..standard };
        assert_eq!(problems(&without, "Password1"), vec![]);
    }

    /// R-B1: the profile `nist` has length 15, no composition rules, blocklist.
    #[test]
    fn nist_rules() {
        let nist = PasswordPolicy::nist();
        assert_eq!(problems(&nist, "correct horse b"), vec![]);
        assert_eq!(problems(&nist, "correct horse"), vec![TooShort(15)]);
        assert_eq!(problems(&nist, "password"), vec![TooShort(15), TooCommon]);
    }

    /// R-B1: without a context (nothing known of the account) the other rules still hold.
    #[test]
    fn short_words_do_not_forbid_by_accident() {
        let login = LoginName::new("10", "example.com").unwrap();
        let context = PasswordContext { login: Some(&login), ..PasswordContext::default() };
        let standard = PasswordPolicy::standard();
        assert_eq!(standard.check(&Secret::new("Tulip-10"), &context), vec![]);
    }

    #[test]
    fn the_rules_are_described_for_pages() {
        let json = serde_json::to_value(PasswordPolicy::standard().rules()).unwrap();
        assert_eq!(json[0], serde_json::json!({"rule": "min_length", "amount": 8}));
        assert_eq!(json[5], serde_json::json!({"rule": "not_common"}));
        assert_eq!(PasswordPolicy::nist().rules().len(), 4);
    }

    /// The look-up is a binary search: an unsorted or unfolded entry would never be found.
    #[test]
    fn the_shipped_list_is_sorted_and_folded() {
        let common = CommonPasswords::built_in();
        assert!(common.sorted.len() > 10_000);
        assert!(common.sorted.is_sorted());
        for entry in &common.sorted {
            assert_eq!(*entry, fold(entry));
        }
    }
}
