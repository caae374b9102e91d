//! Whose is a bearer token that the PBX made and that we do not know? Pages of the PBX hand theirs
//! to their scripts (R-F5), and there are those from before Passgate stood in front (R-F6).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::Caller;
use crate::domain::account::{Account, AccountState};
use crate::domain::grant::TokenHash;
use crate::domain::lockout::counted_address;
use crate::domain::login_name::LoginName;
use crate::domain::rollout::Phase;
use crate::domain::secret::Secret;
use crate::flows::{Outage, Services};
use crate::profile::Profile;

/// So many bearers of nobody from one address does the PBX see in a minute: it may ban who shows
/// more, and that would be Passgate.
const MOST_STRANGERS: u32 = 120;

/// The account that a JWT of the PBX names in its claims; `None` for any other token.
///
/// The signature is the PBX's business: it checks it before it acts. A forged claim gains
/// nothing, because the PBX refuses the token; what matters here is that a *genuine* token of
/// somebody else does not pass with this session.
pub fn in_claims(token: &str, profile: &Profile) -> Option<LoginName> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let tenant = text("domain").or_else(|| text("tenant"));
    let user = text("user").or_else(|| text("sub")).or_else(|| text("login"))?;
    profile.login_name(user, tenant).ok()
}

/// Whether a bearer that came with a session is the session's own (R-F5): by its claims, else by
/// the PBX's word, which holds for a minute.
pub async fn is_of(
    services: &Services,
    profile: &Profile,
    login: &LoginName,
    token: &str,
    caller: Caller<'_>,
) -> Result<bool, Outage> {
    if let Some(named) = in_claims(token, profile) {
        return Ok(named == *login);
    }
    Ok(by_the_pbx(services, token, caller).await?.as_ref() == Some(login))
}

/// Until when a token passes that the PBX issued before Passgate stood in front (R-F6): to the
/// configured date, at the latest until PINs stop opening the portal for its tenant. `None`: it does
/// not (any more); nor does one of somebody who has a portal password or is switched off.
pub async fn legacy_passes_until(
    services: &Services,
    profile: &Profile,
    token: &str,
    caller: Caller<'_>,
) -> Result<Option<Timestamp>, Outage> {
    let now = services.clock.now();
    let until = services.policies.tokens.accept_legacy_until.filter(|until| now < *until);
    let Some(until) = until else { return Ok(None) };
    // Nobody is signed in beside it: the PBX's word counts more than what the token says.
    let owner = match services.issuer.knows_owners() {
        true => by_the_pbx(services, token, caller).await?,
        false => in_claims(token, profile),
    };
    let Some(owner) = owner else { return Ok(None) };
    let schedule = services.policies.rollout.schedule(owner.tenant());
    if schedule.phase(now) >= Phase::Force {
        return Ok(None);
    }
    let account = services.accounts.find(&owner).await?;
    let state = account.as_ref().map_or(AccountState::PinOnly, Account::state);
    let dates = [schedule.force, schedule.reject].into_iter().flatten();
    Ok((state == AccountState::PinOnly).then(|| dates.fold(until, Timestamp::min)))
}

async fn by_the_pbx(
    services: &Services,
    token: &str,
    caller: Caller<'_>,
) -> Result<Option<LoginName>, Outage> {
    if !services.issuer.knows_owners() {
        return Ok(None);
    }
    let hash = TokenHash::of(token);
    let now = services.clock.now();
    if let Some(owner) = services.memory.owner(&hash, now) {
        return Ok(Some(owner));
    }
    // An app that polls with a dead token, or somebody who makes them up, is no load for the PBX.
    if services.memory.is_stranger(&hash, now) {
        return Ok(None);
    }
    let Caller { client, user_agent, host } = caller;
    let address = counted_address(client, &services.policies.lockout.offices);
    if address.is_some_and(|address| services.memory.strangers_from(address, now) >= MOST_STRANGERS)
    {
        return Err(Outage::Busy(Duration::from_secs(60)));
    }
    let asked = services.issuer.owner(&Secret::new(token), user_agent, client, host).await;
    let owner = asked.map_err(Outage::Pbx)?;
    match &owner {
        Some(owner) => services.memory.keep_owner(hash, owner.clone(), now),
        None => services.memory.keep_stranger(hash, address, now),
    }
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    /// R-F5: the bearer's user is read from the JWT's claims, in the profile's spellings.
    #[test]
    fn claims_name_the_account() {
        let text = Profile::builtin("netsapiens").unwrap();
        let profile = Profile::parse(text, "netsapiens.toml").unwrap();
        let expected = LoginName::new("1001", "acme.1.service").unwrap();
        for claims in
            [r#"{"user":"1001","domain":"acme.1.service"}"#, r#"{"sub":"1001@ACME.1.service"}"#]
        {
            assert_eq!(in_claims(&jwt(claims), &profile).as_ref(), Some(&expected), "{claims}");
        }
        for other in
            [jwt("{}"), jwt("[]"), "32hex".into(), "a.b".into(), format!("{}.x", jwt("{}"))]
        {
            assert_eq!(in_claims(&other, &profile), None, "{other}");
        }
    }
}
