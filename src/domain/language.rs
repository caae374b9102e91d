//! In which language somebody is spoken to.

use std::fmt;
use std::sync::Arc;

/// A language tag (`es`, `pt-br`), lower-case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(Arc<str>);

/// Longer tags say more than any text of ours distinguishes.
const LONGEST_TAG: usize = 20;
/// More ranges than these nobody has chosen by hand.
const MOST_RANGES: usize = 20;

impl Language {
    /// The language with this tag; `None` if it is no tag: letters and digits, joined by hyphens
    /// (or underscores, as in file names).
    pub fn parse(tag: &str) -> Option<Self> {
        let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        let named =
            (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_lowercase());
        let plain = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let fits = tag.len() <= LONGEST_TAG && named && tag.split('-').all(plain);
        fits.then(|| Self(tag.into()))
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.0
    }

    /// `es` of `es-mx`.
    fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// The one of `available` that speaks to somebody who wants this language: the same, else the
    /// same without its region, else one of another region.
    pub fn among<'a>(&self, available: &'a [Self]) -> Option<&'a Self> {
        let exact = available.iter().find(|other| *other == self);
        let general = || available.iter().find(|other| other.tag() == self.primary());
        let related = || available.iter().find(|other| other.primary() == self.primary());
        exact.or_else(general).or_else(related)
    }

    /// The one of `available` that the reader wants most, by what the browser says
    /// (`Accept-Language`, RFC 9110, 12.5.4); `None` if it names none of them.
    pub fn wanted<'a>(accept_language: &str, available: &'a [Self]) -> Option<&'a Self> {
        let mut ranges: Vec<(u16, &str)> =
            accept_language.split(',').take(MOST_RANGES).filter_map(range).collect();
        // Stable: what is wanted equally stays in the browser's order.
        ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        ranges.into_iter().find_map(|(_, tag)| Self::parse(tag)?.among(available))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A language range and its weight in thousandths; `None` for what is not wanted at all, and for
/// what cannot be read.
fn range(text: &str) -> Option<(u16, &str)> {
    let mut parts = text.split(';');
    let tag = parts.next()?.trim();
    let weight = match parts.find_map(|part| part.trim().strip_prefix("q=")) {
        None => 1000,
        Some(weight) => {
            let weight: f32 = weight.trim().parse().ok()?;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range by the clamp"
            )]
            let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
            thousandths
        }
    };
    (weight > 0).then_some((weight, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &[&str]) -> Vec<Language> {
        tags.iter().map(|tag| Language::parse(tag).unwrap()).collect()
    }

    #[test]
    fn the_browser_decides() {
        let ours = languages(&["en", "es"]);
        for (header, chosen) in [
            ("es-MX,es;q=0.9,en;q=0.8", Some("es")),
            ("en-GB", Some("en")),
            ("de, es;q=0.3, en;q=0.5", Some("en")),
            ("fr;q=1.0, es;q=0.1", Some("es")),
            ("es;q=0, en;q=0.1", Some("en")),
            ("es;q=0", None),
            ("de,fr", None),
            ("*", None),
            ("", None),
            ("es;q=abc,,;;q=,en_US", Some("en")),
            ("ES", Some("es")),
        ] {
            let found = Language::wanted(header, &ours).map(Language::tag);
            assert_eq!(found, chosen, "{header}");
        }
    }

    #[test]
    fn regions_help_each_other() {
        let ours = languages(&["en", "pt-br", "pt-pt"]);
        assert_eq!(Language::wanted("pt-PT", &ours).unwrap().tag(), "pt-pt");
        assert_eq!(Language::wanted("pt", &ours).unwrap().tag(), "pt-br");
        assert_eq!(Language::wanted("en-ZA", &ours).unwrap().tag(), "en");
    }

    #[test]
    fn what_is_no_tag_is_none() {
        for bad in ["", "e", "english!", "../en", "en\r\n", "en--us", "abcdefgh", "en-toolongpart"]
        {
            assert_eq!(Language::parse(bad).filter(|l| l.tag() != "en"), None, "{bad}");
        }
        assert_eq!(Language::parse("pt_BR").unwrap().tag(), "pt-br");
    }

    /// A header that is as long as it may be is no work.
    #[test]
    fn only_the_first_ranges_are_read() {
        let header = format!("{}es", "de,".repeat(10_000));
        assert_eq!(Language::wanted(&header, &languages(&["es"])), None);
    }
}
