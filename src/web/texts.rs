//! The texts that users see: `locales/*.toml`, one file per language, key → text.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Zoned;

use super::overrides::Overrides;
use crate::domain::language::Language;

/// The languages that ship. The first one fills the gaps of the others.
const LOCALES: [(&str, &str); 2] =
    [("en", include_str!("../../locales/en.toml")), ("es", include_str!("../../locales/es.toml"))];

/// The texts of one language.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    entries: HashMap<String, String>,
}

impl Texts {
    /// The texts of `language`, with English where there is none. What an operator wrote goes
    /// before what ships.
    pub fn new(language: &Language, overrides: &Overrides) -> Self {
        let mut entries = HashMap::new();
        for tag in [LOCALES[0].0, language.tag()] {
            let shipped = LOCALES.iter().find(|(code, _)| *code == tag);
            if let Some((_, toml)) = shipped {
                // The files are part of the binary, and a test reads each.
                entries.extend(parse(toml).unwrap_or_default());
            }
            entries.extend(overrides.texts_of(tag));
        }
        entries.insert("language.code".into(), language.tag().into());
        Self { entries }
    }

    /// The languages that ship.
    pub fn shipped() -> impl Iterator<Item = Language> {
        LOCALES.iter().filter_map(|(code, _)| Language::parse(code))
    }

    /// The keys and English texts that ship.
    pub fn english() -> HashMap<String, String> {
        parse(LOCALES[0].1).unwrap_or_default()
    }

    /// The text of `key`. A key without a text shows itself: ugly, but never a blank page.
    pub fn get<'a>(&'a self, key: &'a str) -> &'a str {
        self.entries.get(key).map_or(key, String::as_str)
    }

    /// The text of `key` with its `{name}`s filled in.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        interpolate(self.get(key), values)
    }

    /// A span of time in the largest unit that says it exactly: days only where there are several.
    pub fn span(&self, span: Duration) -> String {
        let minutes = ((span.as_secs() + 30) / 60).max(1);
        match minutes {
            _ if minutes.is_multiple_of(24 * 60) && minutes > 24 * 60 => {
                self.count("days", minutes / (24 * 60))
            }
            _ if minutes.is_multiple_of(60) => self.count("hours", minutes / 60),
            _ => self.count("minutes", minutes),
        }
    }

    /// A moment as `key` says it is written (strftime), with the month's name in this language.
    pub fn moment(&self, key: &str, at: &Zoned) -> String {
        let month = format!("months.{}", at.month());
        at.strftime(&self.get(key).replace("%B", self.get(&month))).to_string()
    }

    /// The text of `key` in the form that belongs to `count`, with `{count}` filled in.
    pub fn count(&self, key: &str, count: u64) -> String {
        let form = if count == 1 { "one" } else { "other" };
        self.fill(&format!("{key}.{form}"), &[("count", &count.to_string())])
    }
}

/// Puts values in place of `{name}`. Values are not looked at again, so one that contains braces
/// stays as it is.
pub(super) fn interpolate(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// The names of the values that a text wants filled in.
pub(super) fn names_in(text: &str) -> Vec<&str> {
    let parts = text.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

/// The texts of one file, by key.
pub(super) fn parse(toml: &str) -> Result<HashMap<String, String>, toml::de::Error> {
    let mut entries = HashMap::new();
    flatten("", &toml.parse::<toml::Table>()?, &mut entries);
    Ok(entries)
}

fn flatten(prefix: &str, table: &toml::Table, entries: &mut HashMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, entries),
            toml::Value::String(text) => {
                entries.insert(key, text.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "texts_tests.rs"]
mod tests;
