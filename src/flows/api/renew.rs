//! Another token of the PBX for an application, behind its back (R-C7 for tokens): before the one
//! it has ends, and when the PBX no longer takes it.
//!
//! One at a time per family, and at most once a minute: neither a PBX that gives no token nor one
//! that refuses good ones is asked with every request. Nothing is renewed in mode
//! `pass`: the application shows the PBX's token itself, and refreshes it itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{CHANNEL, basic};
use crate::domain::grant::{Grant, GrantKind, PbxAccess};
use crate::domain::secret::Secret;
use crate::domain::session::{JarState, LiveSession, ObtainedWith};
use crate::flows::known_pins::KnownPins;
use crate::flows::memory::LastRenewal;
use crate::flows::{Outage, Services};
use crate::ports::{PbxGrant, PbxTokenAnswer, PbxTokenRequest, PbxTokens, Unavailable};

/// So long before its end the PBX's token is renewed …
const AHEAD: Duration = Duration::from_secs(60);
/// … and from so long before it on, requests wait for that.
const TOO_LATE: Duration = Duration::from_secs(5);
/// The PBX is not asked again before this time is over, unless a token ends sooner.
const PAUSE: Duration = Duration::from_secs(60);

/// Why there is no other token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRenewed {
    /// The PBX takes neither the refresh token nor a PIN that is known: its owner is asked for the
    /// PIN in the portal.
    #[error("the PBX gives no other token")]
    Refused,
    /// It was tried a moment ago, in vain.
    #[error("the PBX was asked in vain a moment ago")]
    Pausing,
    /// The one that the PBX refused is new: it is not the token that it minds.
    #[error("the PBX refuses a new token, too")]
    IsNew,
    /// It could not be found out.
    #[error(transparent)]
    Outage(#[from] Outage),
}

/// Sees to it that the PBX's token lasts for the request at hand. Costs one comparison unless it is
/// about to end.
pub async fn before_its_end(
    services: &Services,
    session: &Arc<LiveSession>,
    jar: Arc<JarState>,
) -> Result<Arc<JarState>, NotRenewed> {
    let ends = jar.access.as_ref().and_then(|access| access.expires_at);
    let Some(ends) = ends else { return Ok(jar) };
    let now = services.clock.now();
    if now < ends - AHEAD || !is_renewed_here(session) {
        return Ok(jar);
    }
    let renewal = begin(services, session, jar.generation, Why::Ends);
    if now < ends - TOO_LATE {
        // This request still gets through with the one that there is.
        return Ok(jar);
    }
    finished(renewal, session).await
}

/// The PBX did not take the token of `sent_with`: what the request is to be sent with instead.
pub async fn after_refusal(
    services: &Services,
    session: &Arc<LiveSession>,
    sent_with: u64,
) -> Result<Arc<JarState>, NotRenewed> {
    if !is_renewed_here(session) {
        return Err(NotRenewed::Refused);
    }
    finished(begin(services, session, sent_with, Why::Refused), session).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Ends,
    Refused,
}

fn is_renewed_here(session: &LiveSession) -> bool {
    session.record().grant.as_ref().is_some_and(|grant| grant.kind != GrantKind::Pass)
}

type Running = tokio::task::JoinHandle<Result<(), NotRenewed>>;

/// Begins it apart from the request: a client that goes away must not cut it off between the PBX's
/// answer and our keeping it.
fn begin(services: &Services, session: &Arc<LiveSession>, sent_with: u64, why: Why) -> Running {
    let (services, session) = (services.clone(), Arc::clone(session));
    tokio::spawn(async move { in_turn(&services, &session, sent_with, why).await })
}

async fn finished(
    renewal: Running,
    session: &Arc<LiveSession>,
) -> Result<Arc<JarState>, NotRenewed> {
    match renewal.await {
        Ok(Ok(())) => Ok(session.jar()),
        Ok(Err(failed)) => Err(failed),
        Err(error) => Err(Outage::Store(Unavailable::new("renewal", error)).into()),
    }
}

async fn in_turn(
    services: &Services,
    session: &Arc<LiveSession>,
    sent_with: u64,
    why: Why,
) -> Result<(), NotRenewed> {
    let turn = services.memory.renewal(&session.record().id);
    let mut last = turn.lock().await;
    if session.has_ended() {
        return Err(NotRenewed::Refused);
    }
    if session.jar().generation != sent_with {
        return Ok(());
    }
    let now = services.clock.now();
    let just_now = last.filter(|last| now.duration_since(last.at).unsigned_abs() < PAUSE);
    match just_now.map(|last| last.succeeded) {
        Some(false) => return Err(NotRenewed::Pausing),
        Some(true) if why == Why::Refused => return Err(NotRenewed::IsNew),
        _ => {}
    }
    let renewed = renew(services, session, sent_with).await;
    *last = Some(LastRenewal { at: now, succeeded: renewed.is_ok() });
    if let Err(error) = &renewed {
        let login = &session.record().login;
        tracing::warn!(%login, %error, "the PBX's token of an application could not be renewed");
    }
    renewed
}

async fn renew(
    services: &Services,
    session: &Arc<LiveSession>,
    sent_with: u64,
) -> Result<(), NotRenewed> {
    let (record, jar) = (session.record(), session.jar());
    let (Some(grant), Some(access)) = (&record.grant, &jar.access) else {
        return Err(NotRenewed::Refused);
    };
    if grant.kind == GrantKind::Basic {
        let renewed = basic::other_access(services, session, access).await?;
        return keep(services, session, sent_with, renewed, jar.server).await;
    }
    let asking = Asking { services, session, grant, server: jar.server };
    let tokens = match asking.by_refresh_token(access).await? {
        Some(tokens) => tokens,
        None => {
            // Another process may have been faster with the refresh token.
            services.sessions.find(&record.id).await.map_err(Outage::Store)?;
            if session.jar().generation != sent_with {
                return Ok(());
            }
            asking.by_pin().await?
        }
    };
    let renewed = access_of(&tokens, access, services.clock.now());
    keep(services, session, sent_with, renewed, tokens.server).await
}

async fn keep(
    services: &Services,
    session: &LiveSession,
    sent_with: u64,
    renewed: PbxAccess,
    server: usize,
) -> Result<(), NotRenewed> {
    if session.replace_access(sent_with, renewed, server) {
        // Kept in memory in any case; what is lost at worst is one renewal by PIN.
        if let Err(error) = services.sessions.save_jar(session).await {
            tracing::error!(%error, "a renewed token of the PBX could not be stored");
        }
    }
    Ok(())
}

/// What the PBX is asked for, and for whom.
struct Asking<'a> {
    services: &'a Services,
    session: &'a Arc<LiveSession>,
    grant: &'a Grant,
    server: usize,
}

impl Asking<'_> {
    /// `None`: there is no refresh token, or the PBX does not take it.
    async fn by_refresh_token(&self, access: &PbxAccess) -> Result<Option<PbxTokens>, Outage> {
        let Some(refresh) = &access.refresh else { return Ok(None) };
        match self.ask(PbxGrant::Refresh(refresh)).await? {
            PbxTokenAnswer::Granted(tokens) => Ok(Some(*tokens)),
            PbxTokenAnswer::Unknown { detail } => {
                Err(Outage::Unclear(Unavailable::new("pbx", detail)))
            }
            _ => Ok(None),
        }
    }

    /// By the PIN on file, unless the PBX refused that one before (R-B6). Who came with a password is
    /// not tied to it: another one that is known will do.
    async fn by_pin(&self) -> Result<PbxTokens, NotRenewed> {
        let (services, record) = (self.services, self.session.record());
        let account = services.accounts.by_id(record.account).await.map_err(Outage::Store)?;
        let account = account.filter(|account| !account.disabled);
        let Some(account) = account else { return Err(NotRenewed::Refused) };
        let only_that = record.obtained_with == ObtainedWith::Pin;
        if only_that && (account.pin_refused || account.pin.is_none()) {
            return Err(NotRenewed::Refused);
        }
        let mut pins = KnownPins::of(services, &account, CHANNEL, record.client)?;
        while let Some(pin) = pins.next().await? {
            let login = &record.login;
            match self.ask(PbxGrant::Password { login, pin: &pin, continued: false }).await? {
                PbxTokenAnswer::Granted(tokens) => {
                    pins.accepted().await?;
                    return Ok(*tokens);
                }
                PbxTokenAnswer::Refused => pins.refused().await?,
                PbxTokenAnswer::Unknown { detail } => {
                    return Err(Outage::Unclear(Unavailable::new("pbx", detail)).into());
                }
                // A second factor has nobody to answer it here.
                PbxTokenAnswer::Challenge(_)
                | PbxTokenAnswer::BadClient
                | PbxTokenAnswer::Rejected { .. } => break,
            }
            if only_that {
                break;
            }
        }
        Err(NotRenewed::Refused)
    }

    async fn ask(&self, grant: PbxGrant<'_>) -> Result<PbxTokenAnswer, Outage> {
        let record = self.session.record();
        let request = PbxTokenRequest {
            endpoint: &self.grant.endpoint,
            grant,
            client: self.grant.client.as_ref(),
            carried: &[],
            user_agent: &record.user_agent,
            client_address: record.client,
            host: &self.services.policies.public_host,
            server: Some(self.server),
        };
        self.services.issuer.ask(request).await.map_err(Outage::Pbx)
    }
}

/// What comes in the place of `before`. A refresh token that the PBX does not replace goes on
/// working (RFC 6749 §6).
fn access_of(tokens: &PbxTokens, before: &PbxAccess, now: Timestamp) -> PbxAccess {
    PbxAccess {
        authorization: Secret::new(format!("Bearer {}", tokens.access.expose())),
        refresh: tokens.refresh.clone().or_else(|| before.refresh.clone()),
        expires_at: tokens.expires_in.and_then(|life| now.checked_add(life).ok()),
        fields: before.fields.clone(),
    }
}

/// The token in an `Authorization` of ours to the PBX.
pub(super) fn bearer_in(access: &PbxAccess) -> Option<Secret> {
    let (scheme, token) = access.authorization.expose().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token))
}
