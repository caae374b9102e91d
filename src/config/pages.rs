//! `[pages]`: our own pages.

use std::path::PathBuf;

use super::section::Section;
use super::value::{Value, Wrong, wrong, wrong_but};
use crate::domain::language::Language;

/// `[pages]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesConfig {
    /// The path below which they live: `/account`. No slash at its end.
    pub prefix: String,
    /// What public forms say about accounts (R-D6).
    pub disclosure: Disclosure,
    /// The language of those whose browser and brand name none.
    pub default_locale: Language,
    /// A directory with the operator's own texts and templates, if there is one.
    pub overrides: Option<PathBuf>,
    /// Whether the portal's pages get a link to account security (R-D5).
    pub security_link: bool,
}

/// What public forms say about accounts (R-D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// Whether an account was found.
    Helpful,
    /// The same answer in every case.
    Uniform,
}

pub(super) fn read(section: &Section<'_>) -> PagesConfig {
    let disclosures = [("helpful", Disclosure::Helpful), ("uniform", Disclosure::Uniform)];
    PagesConfig {
        prefix: section.or("prefix", "/account".to_owned(), prefix),
        disclosure: section.or("disclosure", Disclosure::Helpful, |v| v.choice(&disclosures)),
        default_locale: section.or("default_locale", english(), locale),
        overrides: section.path("overrides"),
        security_link: section.or("security_link", true, Value::boolean),
    }
}

/// A language. Whether there are texts in it is known when `overrides` was read.
pub(super) fn locale(value: Value<'_>) -> Result<Language, Wrong> {
    let text = value.text()?;
    match Language::parse(text) {
        Some(language) => Ok(language),
        None => wrong_but(format!("\"{text}\" is no language"), "write \"en\" or \"es\""),
    }
}

fn english() -> Language {
    // A tag, as the test below shows.
    Language::parse("en").unwrap_or_else(|| unreachable!("en is a tag"))
}

fn prefix(value: Value<'_>) -> Result<String, Wrong> {
    let text = value.text()?;
    let Some(path) = text.strip_prefix('/') else {
        let message = format!("\"{text}\" must begin with a slash");
        return wrong_but(message, format!("did you mean \"/{text}\"?"));
    };
    if path.is_empty() {
        return wrong_but("must not be the whole site", "write \"/account\"");
    }
    if text.ends_with('/') {
        let message = format!("\"{text}\" must not end with a slash");
        return wrong_but(message, format!("did you mean \"{}\"?", text.trim_end_matches('/')));
    }
    let plain = |segment: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !segment.is_empty() && !segment.starts_with('.') && segment.chars().all(allowed)
    };
    if !path.split('/').all(plain) {
        return wrong(format!(
            "\"{text}\" may have only letters, digits, -, _ and . between slashes"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};

    #[test]
    fn the_prefix_is_one_plain_path() {
        assert_eq!(config("[pages]\nprefix = \"/my/account\"\n").pages.prefix, "/my/account");
        for bad in ["account", "/", "/account/", "/a//b", "/../a", "/a b", "/a?b", "/%61", ""] {
            let problems = problems(&format!("[pages]\nprefix = \"{bad}\"\n"));
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
            assert!(problems[0].contains(":2: pages.prefix: "), "{problems:?}");
        }
    }

    #[test]
    fn a_language_is_a_tag() {
        assert_eq!(config("").pages.default_locale.tag(), "en");
        assert_eq!(
            config("[pages]\ndefault_locale = \"pt_BR\"\n").pages.default_locale.tag(),
            "pt-br"
        );
        assert!(problems("[pages]\ndefault_locale = \"Spanish!\"\n")[0].contains("no language"));
    }
}
