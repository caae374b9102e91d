//! One-time codes: the secret part of a link in an e-mail.
//!
//! 256 random bits, known to the store by their SHA-256 only, for one purpose and one account
//! (OWASP forgot-password cheat sheet; ASVS 5.0 V6.4). A code is not marked when it is used. What
//! it is used for changes the account, and the code is bound to what the account was before: after
//! a new password, or another address, no earlier code fits any more. So exactly one of any number
//! of parallel uses wins, by the same comparison that guards every change of a credential.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::account::{Account, AccountId};

/// What a code is good for. A code for one purpose is unknown to every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A new portal password (R-D1, R-A4).
    Reset,
    /// The first portal password and voicemail PIN of a new user (R-D4).
    Welcome,
    /// The address that the mail went to becomes the address on file.
    ConfirmEmail,
}

/// The code itself. Its text stands in a link and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(pub [u8; 32]);

impl OneTimeCode {
    /// As it stands in a link.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads what stands in a link; `None` for what cannot be a code.
    pub fn parse(text: &str) -> Option<Self> {
        // Mail programs like to keep the full stop or the blank beside a link.
        let text = text.trim().trim_end_matches('.');
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// What the store knows of it.
    pub fn hash(&self) -> CodeHash {
        CodeHash(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}

/// SHA-256 of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeHash(pub [u8; 32]);

/// A code as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCode {
    /// SHA-256 of the code.
    pub hash: CodeHash,
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose.
    pub account: AccountId,
    /// [`Account::epoch`] when it was made: a new password moves it on.
    pub epoch: u64,
    /// The address on file when it was made.
    pub on_file: Option<String>,
    /// Where the mail with the link went.
    pub sent_to: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a code does not work (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeProblem {
    /// Nobody was given this code for this purpose, or the account is gone or switched off.
    Unknown,
    /// It was used, or the password or the address was changed since.
    Spent,
    /// Its time is over.
    Expired,
}

impl IssuedCode {
    /// A code for `account`, from now on.
    pub fn new(
        code: &OneTimeCode,
        purpose: Purpose,
        account: &Account,
        sent_to: &str,
        life: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            hash: code.hash(),
            purpose,
            account: account.id,
            epoch: account.epoch,
            on_file: account.email.clone(),
            sent_to: sent_to.to_owned(),
            issued_at: now,
            expires_at: now + life,
        }
    }

    /// Whether it works for `purpose` on the account as it is now.
    pub fn check(
        &self,
        purpose: Purpose,
        account: &Account,
        now: Timestamp,
    ) -> Result<(), CodeProblem> {
        if self.purpose != purpose || self.account != account.id || account.disabled {
            return Err(CodeProblem::Unknown);
        }
        if self.epoch != account.epoch || self.on_file != account.email {
            return Err(CodeProblem::Spent);
        }
        if now >= self.expires_at {
            return Err(CodeProblem::Expired);
        }
        Ok(())
    }
}
