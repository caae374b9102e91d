//! `[email]`: who has the say over addresses (R-D5).

use super::section::Section;

/// Who has the say over e-mail addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailSource {
    /// Passgate: a directory never overwrites a newer, confirmed address.
    Passgate,
    /// The PBX: changes are written back to it.
    Pbx,
}

pub(super) fn read(section: &Section<'_>) -> EmailSource {
    let sources = [("passgate", EmailSource::Passgate), ("pbx", EmailSource::Pbx)];
    let source = section.or("source", EmailSource::Passgate, |value| value.choice(&sources));
    if source == EmailSource::Pbx {
        section.unavailable("source", "only \"passgate\"");
    }
    source
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn ours_until_write_back_comes() {
        assert_eq!(config("").email, EmailSource::Passgate);
        let problems = problems("[email]\nsource = \"pbx\"\n");
        assert!(problems[0].contains(":2: email.source: not available in this version"));
    }
}
