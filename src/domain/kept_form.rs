//! A form that was sent after its session had ended, kept until its user has signed in again (R-C4).

use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::account::AccountId;

/// Longer ones are not kept (bytes).
pub const LARGEST: usize = 64 * 1024;
/// So long one is kept.
pub const LIFE: Duration = Duration::from_secs(3600);
/// So many are kept for one account: the latest.
pub const MOST_OF_ACCOUNT: u32 = 3;
/// So many are kept in all: the latest.
pub const MOST: u32 = 1000;

/// The random value in the browser's cookie. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptFormToken(pub [u8; 32]);

impl KeptFormToken {
    /// The id under which the form is stored.
    pub fn id(&self) -> KeptFormId {
        KeptFormId(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for KeptFormToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptFormToken(…)")
    }
}

/// SHA-256 of the token: useless to somebody who reads the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeptFormId(pub [u8; 32]);

/// The form, as it was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptForm {
    /// Path and query that it was sent to.
    pub target: String,
    /// The page that it was sent from, if the browser said so.
    pub referer: Option<String>,
    /// What its fields are written in.
    pub content_type: String,
    /// Its fields, urlencoded.
    pub body: String,
}

impl std::fmt::Debug for KeptForm {
    /// Without what was typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptForm").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// A form as it is stored: sealed for its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedForm {
    /// Hash of the browser's token.
    pub id: KeptFormId,
    /// Whose it is.
    pub account: AccountId,
    /// The form, sealed.
    pub sealed: Vec<u8>,
    /// Since when it is kept.
    pub kept_at: Timestamp,
}

impl SealedForm {
    /// Whether its time is over.
    pub fn expired(&self, now: Timestamp) -> bool {
        now.duration_since(self.kept_at) >= jiff::SignedDuration::from_secs(LIFE.as_secs() as i64)
    }
}

/// Whether a urlencoded form may be kept: not too long, and no field with something in it is called
/// like a secret. Secrets are not kept for an hour where nobody asked for it.
pub fn may_be_kept(body: &str) -> bool {
    body.len() <= LARGEST
        && body.split(['&', ';']).all(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            value.is_empty() || !is_called_secret(&name)
        })
}

/// `password`, `new_pwd`, `data[Profile][vmail_pin]`, `voicemailPIN` …; not `shipping`, `opinion`.
fn is_called_secret(name: &str) -> bool {
    let folded = name.to_lowercase();
    if ["password", "passwd", "passwort", "passphrase", "passcode", "secret"]
        .iter()
        .any(|word| folded.contains(word))
    {
        return true;
    }
    words(name).any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        ["pin", "pwd", "pass", "pw", "contraseña"].contains(&word.to_lowercase().as_str())
    })
}

/// The words of a field's name: between marks, and where a capital follows a small letter.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            let mut before = None;
            let end = rest.char_indices().find(|(_, c)| {
                let begins = c.is_uppercase() && before.is_some_and(char::is_lowercase);
                before = Some(*c);
                begins
            });
            let (word, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            rest = after;
            (!word.is_empty()).then_some(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-C4: "never contains or keeps credential fields", whatever the portal calls them.
    #[test]
    fn fields_that_are_called_like_secrets_are_not_kept() {
        for name in [
            "password",
            "data[Profile][vmail_pin]",
            "data%5BProfile%5D%5Bvmail_pin%5D",
            "voicemailPin",
            "voicemailPIN",
            "PIN",
            "pin2",
            "new-pwd",
            "userPassword2",
            "client_secret",
            "user.pass",
            "p%61ss",
        ] {
            assert!(!may_be_kept(&format!("a=b&{name}=1234")), "{name}");
            assert!(may_be_kept(&format!("a=b&{name}=")), "{name}: nothing is in it");
        }
        for name in ["shipping", "opinion", "spinach", "passenger", "compass", "data[Pinned]", "a"]
        {
            assert!(may_be_kept(&format!("{name}=1234&b=c")), "{name}");
        }
        assert!(!may_be_kept("a=1;pin=2"));
        assert!(may_be_kept("") && may_be_kept(&"a".repeat(LARGEST)));
        assert!(!may_be_kept(&"a".repeat(LARGEST + 1)));
    }
}
