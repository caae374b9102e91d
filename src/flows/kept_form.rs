//! A form that was sent after its session had ended (R-C4): kept sealed, offered to the same user in
//! the same browser, sent once or not at all, and never by itself.
//!
//! Whose it is, the device cookie says: it was given to this browser at the last login, is sealed,
//! and holds under the account's present credential only. Who never signed in can keep nothing.

use super::{Outage, Services};
use crate::domain::account::{AccountId, AccountState};
use crate::domain::kept_form::{KeptForm, KeptFormToken, SealedForm};
use crate::ports::Unavailable;

/// A form that is kept, with the moment when it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The form.
    pub form: KeptForm,
    /// When it was sent.
    pub sent_at: jiff::Timestamp,
}

/// Keeps a form for the account that last signed in in the browser with this device cookie; `None`
/// if there is no such account. The token is for that browser.
pub async fn keep(
    services: &Services,
    device: &str,
    form: &KeptForm,
) -> Result<Option<KeptFormToken>, Outage> {
    let Some(account) = services.account_of_device(device).await? else { return Ok(None) };
    if account.state() == AccountState::Disabled {
        return Ok(None);
    }
    let token = KeptFormToken(services.random.bytes());
    let plain = serde_json::to_vec(form).map_err(|error| Unavailable::new("kept form", error))?;
    let sealed = SealedForm {
        id: token.id(),
        account: account.id,
        sealed: services.vault.seal(&purpose(account.id), &plain),
        kept_at: services.clock.now(),
    };
    services.kept_forms.keep(sealed).await?;
    Ok(Some(token))
}

/// What is kept under this token for `account`. The form of another account goes: whoever signed in
/// after its owner has ended the matter.
pub async fn offered(
    services: &Services,
    token: &KeptFormToken,
    account: AccountId,
) -> Result<Option<Kept>, Outage> {
    let Some(found) = services.kept_forms.find(&token.id()).await? else { return Ok(None) };
    if found.account != account {
        services.kept_forms.take(&token.id()).await?;
        return Ok(None);
    }
    opened(services, &found)
}

/// Takes the form out, to be sent or thrown away; `None` if it is no longer there.
pub async fn take(
    services: &Services,
    token: &KeptFormToken,
    account: AccountId,
) -> Result<Option<Kept>, Outage> {
    match services.kept_forms.take(&token.id()).await? {
        Some(taken) if taken.account == account => opened(services, &taken),
        _ => Ok(None),
    }
}

fn opened(services: &Services, form: &SealedForm) -> Result<Option<Kept>, Outage> {
    if form.expired(services.clock.now()) {
        return Ok(None);
    }
    let unreadable = |error: &dyn std::fmt::Display| Unavailable::new("kept form", error);
    let plain = services
        .vault
        .open(&purpose(form.account), &form.sealed)
        .map_err(|error| unreadable(&error))?;
    let opened = serde_json::from_slice(&plain).map_err(|error| unreadable(&error))?;
    Ok(Some(Kept { form: opened, sent_at: form.kept_at }))
}

fn purpose(account: AccountId) -> String {
    format!("kept form:{account}")
}
