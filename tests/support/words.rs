//! The texts of `locales`, read as files: tests of what a user reads name the text, not its words.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

/// Pieces of a text that are shorter may be words of either language, or names.
const TELLING: usize = 14;

/// The texts of one language.
pub struct Words {
    texts: BTreeMap<String, String>,
    /// What only the other language says.
    foreign: Vec<String>,
}

impl Words {
    /// Those of `"en"` or `"es"`.
    pub fn of(language: &str) -> Self {
        let other = if language == "en" { "es" } else { "en" };
        let (texts, other) = (texts_of(language), texts_of(other));
        let own = texts.values().cloned().collect::<Vec<_>>().join("\n");
        let foreign = other.values().flat_map(|text| pieces(text));
        let foreign = foreign.filter(|piece| piece.len() >= TELLING && !own.contains(piece));
        Self { foreign: foreign.collect(), texts }
    }

    /// A text, with its `{name}`s.
    pub fn get(&self, key: &str) -> &str {
        self.texts.get(key).unwrap_or_else(|| panic!("no text has the key {key}"))
    }

    /// Asserts that `seen` says this text, with something filled in for each `{name}`.
    pub fn are_said(&self, key: &str, seen: &str) {
        let seen = in_one_line(seen);
        let mut rest = seen.as_str();
        for piece in pieces(self.get(key)) {
            let Some((_, after)) = rest.split_once(&piece) else {
                panic!("{key} should be said, with \u{201c}{piece}\u{201d}: {seen}");
            };
            rest = after;
        }
    }

    /// Asserts that what is seen has neither keys instead of words, nor a `{name}` that nothing was
    /// filled in for, nor words of the other language.
    pub fn are_all_of(&self, seen: &str) {
        let seen = in_one_line(seen);
        let in_key = |letter: char| letter.is_ascii_alphanumeric() || "._".contains(letter);
        let keys = seen.split(|letter| !in_key(letter)).map(|word| word.trim_matches('.'));
        let keys: Vec<_> = keys.filter(|word| self.texts.contains_key(*word)).collect();
        assert!(keys.is_empty(), "keys instead of words: {keys:?} in {seen}");
        let open = seen.split('{').skip(1).filter_map(|part| part.split_once('}'));
        let open: Vec<_> = open.map(|(name, _)| name).collect();
        assert!(open.is_empty(), "not filled in: {open:?} in {seen}");
        let foreign: Vec<_> = self.foreign.iter().filter(|piece| seen.contains(*piece)).collect();
        assert!(foreign.is_empty(), "words of another language: {foreign:?} in {seen}");
    }
}

/// What stands before, between and behind the `{name}`s of a text.
fn pieces(text: &str) -> Vec<String> {
    let parts = text.split('{').enumerate();
    let outside = parts.map(|(number, part)| match part.split_once('}') {
        Some((_, behind)) if number > 0 => behind,
        _ => part,
    });
    outside.map(in_one_line).filter(|piece| !piece.is_empty()).collect()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn texts_of(language: &str) -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("locales/{language}.toml"));
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut texts = BTreeMap::new();
    collect("", &Value::Table(table), &mut texts);
    texts
}

fn collect(key: &str, value: &Value, texts: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect(&below, value, texts);
            }
        }
        Value::String(text) => {
            texts.insert(key.to_owned(), text.clone());
        }
        other => panic!("{key} is no text: {other}"),
    }
}
