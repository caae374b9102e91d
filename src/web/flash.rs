//! A message for the next page, in a sealed cookie that is shown once: how a 303 back to the
//! portal's own login page says what went wrong, with the login name kept (R-C1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};

use super::cookies;
use super::notice::Message;
use crate::ports::Vault;

const PURPOSE: &str = "flash";
/// A message that was not shown by then is stale (seconds).
const LIFE: u32 = 120;
/// Longer login names are cut: cookies are small.
const LONGEST_LOGIN: usize = 256;

/// A message for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// What is said.
    pub message: Message,
    /// What the user typed as login name, for the form; may be empty.
    pub login: String,
}

/// The `Set-Cookie` value that carries `flash` to the next page.
pub fn create(vault: &dyn Vault, flash: &Flash, now: Timestamp) -> HeaderValue {
    let login: String = flash.login.chars().take(LONGEST_LOGIN).collect();
    let plain = format!("{}\n{}\n{login}", now.as_second(), flash.message.spelled());
    let sealed = vault.seal(PURPOSE, plain.as_bytes());
    cookies::set(cookies::FLASH, &URL_SAFE_NO_PAD.encode(sealed), Some(LIFE))
}

/// Reads the value of the flash cookie; `None` if it is not ours or too old. Whoever shows it
/// answers with [`remove`] too.
pub fn parse(vault: &dyn Vault, value: &str, now: Timestamp) -> Option<Flash> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let plain = vault.open(PURPOSE, &sealed).ok()?;
    let mut lines = std::str::from_utf8(&plain).ok()?.splitn(3, '\n');
    let made = Timestamp::from_second(lines.next()?.parse().ok()?).ok()?;
    let age = now.duration_since(made);
    if age > SignedDuration::from_secs(LIFE.into()) || age < SignedDuration::from_secs(-5) {
        return None;
    }
    let message = Message::read(lines.next()?)?;
    Some(Flash { message, login: lines.next()?.to_owned() })
}

/// The `Set-Cookie` value that removes the message.
pub fn remove() -> HeaderValue {
    cookies::remove(cookies::FLASH)
}
