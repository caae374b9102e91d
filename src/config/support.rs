//! `[support]`: whom users are told to ask.

use super::section::Section;
use super::value::Value;

/// `[support]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportConfig {
    /// As it stands in a sentence: "Please contact …".
    /// Without it, each language has words of its own.
    pub contact: Option<String>,
}

pub(super) fn read(section: &Section<'_>) -> SupportConfig {
    SupportConfig { contact: section.get("contact", Value::optional_text).flatten() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;

    #[test]
    fn a_contact_can_be_named() {
        assert_eq!(config("").support.contact, None);
        let named = config("[support]\ncontact = \"555-0100\"\n").support.contact;
        assert_eq!(named.as_deref(), Some("555-0100"));
    }
}
