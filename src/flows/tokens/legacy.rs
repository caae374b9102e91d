//! Cut-over (R-F6): a refresh token that nobody here knows. Until the configured date the PBX is
//! asked; what it hands out begins a family, as if its owner had come with the PIN.

use super::family::{Asker, forget, hand_out};
use super::issue::CHANNEL;
use super::refresh::ask_pbx;
use super::{Issued, RefreshAsk, TokenRefusal};
use crate::domain::account::{Account, AccountState};
use crate::domain::login_name::LoginName;
use crate::domain::rollout::Phase;
use crate::domain::session::ObtainedWith;
use crate::flows::login::create;
use crate::flows::{Outage, Services};
use crate::ports::{PbxTokens, SecurityEvent};

pub(super) async fn refresh(
    services: &Services,
    ask: &RefreshAsk,
) -> Result<Result<Issued, TokenRefusal>, Outage> {
    let now = services.clock.now();
    if services.policies.tokens.accept_legacy_until.is_none_or(|until| until <= now) {
        return Ok(Err(TokenRefusal::RefreshInvalid));
    }
    let tokens = match ask_pbx(services, ask, None).await? {
        Ok(tokens) => *tokens,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let account = match owner(services, ask, &tokens).await? {
        Some(login) => may_go_on(services, &login).await?,
        None => Err(TokenRefusal::RefreshInvalid),
    };
    let account = match account {
        Ok(account) => account,
        Err(refusal) => {
            forget(services, &ask.endpoint, tokens);
            return Ok(Err(refusal));
        }
    };
    let event = SecurityEvent::of("legacy_token", CHANNEL, &account.login);
    services.audit.record(event.from_client(ask.client_address).with_result("refresh"));
    let issued = hand_out(services, Asker::from(ask), &account, ObtainedWith::Pin, tokens).await?;
    let Some(issued) = issued else { return Ok(Err(TokenRefusal::RefreshInvalid)) };
    let event = SecurityEvent::of("token_issued", CHANNEL, &account.login);
    services.audit.record(event.from_client(ask.client_address).with_result("refresh_token"));
    Ok(Ok(issued))
}

/// Whose the PBX's tokens are, by its own word.
async fn owner(
    services: &Services,
    ask: &RefreshAsk,
    tokens: &PbxTokens,
) -> Result<Option<LoginName>, Outage> {
    if tokens.owner.is_some() || !services.issuer.knows_owners() {
        return Ok(tokens.owner.clone());
    }
    let (access, client) = (&tokens.access, ask.client_address);
    let asked = services.issuer.owner(access, &ask.user_agent, client, &ask.host).await;
    asked.map_err(Outage::Pbx)
}

/// Their account, if a PIN still opens it.
async fn may_go_on(
    services: &Services,
    login: &LoginName,
) -> Result<Result<Account, TokenRefusal>, Outage> {
    let policies = &services.policies;
    let account = match services.accounts.find(login).await? {
        Some(account) => account,
        None if policies.create_on_first_login && login.is_plain() => {
            create(services, login).await?
        }
        None => return Ok(Err(TokenRefusal::RefreshInvalid)),
    };
    if account.state() != AccountState::PinOnly {
        return Ok(Err(TokenRefusal::RefreshInvalid));
    }
    if policies.rollout.phase(login.tenant(), services.clock.now()) >= Phase::Force {
        return Ok(Err(TokenRefusal::PinTooLate));
    }
    Ok(Ok(account))
}
