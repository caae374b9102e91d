//! `[support]`: whom users are told to ask.

use super::section::Section;
use super::value::Value;

/// `[support]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupportConfig {
    /// As it stands in a sentence: "Please contact …".
    pub contact: String,
}

pub(super) fn read(section: &Section<'_>) -> SupportConfig {
    let contact = "your company administrator or support".to_owned();
    SupportConfig { contact: section.or("contact", contact, Value::filled_text) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};

    #[test]
    fn a_contact_is_always_there() {
        assert_eq!(config("").support.contact, "your company administrator or support");
        assert!(problems("[support]\ncontact = \" \"\n")[0].contains("must not be empty"));
    }
}
