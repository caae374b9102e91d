//! The rules for portal passwords (R-B1).

use super::login_name::LoginName;
use super::secret::Secret;

/// The rules of one tenant.
#[derive(Debug, Clone, Default)]
pub struct PasswordPolicy {}

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
}

impl PasswordPolicy {
    /// All rules that `password` breaks.
    pub fn check(&self, password: &Secret, context: &PasswordContext<'_>) -> Vec<PasswordProblem> {
        let _ = (password, context);
        Vec::new()
    }
}
