//! The canonical name of an account: an extension within a tenant.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// `{extension}@{tenant}`, lower-case and NFKC-normalised, so that spelling variants are one name
/// (R-C2) and share one lockout counter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoginName {
    extension: String,
    tenant: String,
}

/// Why a login name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginNameError {
    /// The extension or the tenant is missing.
    #[error("a login name needs an extension and a tenant, for example 1001@example.com")]
    Incomplete,
    /// A control character, a space or a separator where none may be.
    #[error("a login name must not contain spaces, quotes or control characters")]
    BadCharacter,
    /// Longer than 255 characters in all.
    #[error("a login name has at most 255 characters")]
    TooLong,
}

impl LoginName {
    /// Builds the canonical name from its parts.
    pub fn new(extension: &str, tenant: &str) -> Result<Self, LoginNameError> {
        let (extension, tenant) = (fold(extension), fold(tenant));
        if extension.is_empty() || tenant.is_empty() {
            return Err(LoginNameError::Incomplete);
        }
        if extension.len() + tenant.len() > 254 {
            return Err(LoginNameError::TooLong);
        }
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'<>\\@".contains(c);
        if !extension.chars().all(allowed) || !tenant.chars().all(allowed) {
            return Err(LoginNameError::BadCharacter);
        }
        Ok(Self { extension, tenant })
    }

    /// Reads the canonical form `extension@tenant` (as stored, imported and shown).
    pub fn parse(text: &str) -> Result<Self, LoginNameError> {
        let (extension, tenant) = text.rsplit_once('@').ok_or(LoginNameError::Incomplete)?;
        Self::new(extension, tenant)
    }

    /// Whether the name is written in characters that every PBX and its database compare byte by
    /// byte. Others (`ö`, zero-width characters, a dot at the end) may be equal to another user's
    /// name there but not here: an account must not come about by such a spelling.
    pub fn is_plain(&self) -> bool {
        let plain = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte))
                && !part.starts_with('.')
                && !part.ends_with('.')
        };
        plain(&self.extension) && plain(&self.tenant)
    }

    /// The user's extension within the tenant.
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// The tenant (the PBX's domain).
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

/// Folds what people type into one spelling: NFKC, lower-case, no surrounding space.
pub fn fold(typed: &str) -> String {
    typed.nfkc().collect::<String>().trim().to_lowercase()
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.extension, self.tenant)
    }
}

impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-C2: case and surrounding space do not matter, compatibility forms neither.
    #[test]
    fn spelling_variants_are_one_name() {
        let name = LoginName::new("1001", "abc-company.11111.service").unwrap();
        for typed in [" 1001@ABC-Company.11111.service ", "１００１@abc-company.11111.service"]
        {
            assert_eq!(LoginName::parse(typed).unwrap(), name, "{typed}");
        }
    }

    /// R-A5: no second spelling of somebody's name becomes an account of its own.
    #[test]
    fn names_that_a_pbx_may_take_for_another_are_not_plain() {
        for plain in ["1001@abc-company.11111.service", "anna_b.c@acme", "+15551000@acme"] {
            assert!(LoginName::parse(plain).unwrap().is_plain(), "{plain}");
        }
        for odd in [
            "1001@abc-company.11111.service.",
            "1001@.acme",
            "10\u{200b}01@acme",
            "1001@acm\u{e9}",
            "1001@acme\u{ad}",
            "1001%@acme",
            "1001;@acme",
        ] {
            assert!(!LoginName::parse(odd).unwrap().is_plain(), "{odd:?}");
        }
    }

    #[test]
    fn unusable_names_are_refused() {
        for bad in ["", "1001", "@x", "1001@", "10 01@x", "1\"@x", "1\0@x", "a@b@c\n"] {
            assert!(LoginName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
