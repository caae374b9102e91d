//! `[pages]`: our own pages.

use super::section::Section;
use super::value::{Value, Wrong, wrong, wrong_but};

/// `[pages]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesConfig {
    /// The path below which they live: `/account`. No slash at its end.
    pub prefix: String,
    /// What public forms say about accounts (R-D6).
    pub disclosure: Disclosure,
    /// The language of those whose browser and brand name none.
    pub default_locale: String,
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
        default_locale: section.or("default_locale", "en".to_owned(), locale),
    }
}

/// A language that the pages are written in.
pub(super) fn locale(value: Value<'_>) -> Result<String, Wrong> {
    match value.text()? {
        language @ ("en" | "es") => Ok(language.to_owned()),
        other => wrong(format!("\"{other}\" is not there; choose \"en\" or \"es\"")),
    }
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
    fn english_and_spanish_are_there() {
        assert_eq!(config("").pages.default_locale, "en");
        for there in ["en", "es"] {
            let text = format!("[pages]\ndefault_locale = \"{there}\"\n");
            assert_eq!(config(&text).pages.default_locale, there);
        }
        let problems = problems("[pages]\ndefault_locale = \"fr\"\n");
        assert!(problems[0].contains("choose \"en\" or \"es\""), "{problems:?}");
    }
}
