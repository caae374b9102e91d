//! Opening a family of tokens: a session that no cookie names.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Issued, answer, refresh_token};
use crate::domain::account::{Account, AccountId};
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{Grant, GrantKind, PbxAccess, TokenHash};
use crate::domain::jar::Jar;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, ObtainedWith, Progress, SessionRecord, SessionToken};
use crate::flows::{KnownToken, Services};
use crate::ports::{NotedToken, PbxTokens, TokenUse, Unavailable};

/// What a family begins with.
pub(in crate::flows) struct NewFamily<'a> {
    pub account: &'a Account,
    pub obtained_with: ObtainedWith,
    pub grant: Grant,
    pub access: PbxAccess,
    /// The PBX server that gave the access.
    pub server: usize,
    pub client_address: IpAddr,
    pub user_agent: &'a str,
}

/// Who asks, by whichever grant.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub endpoint: &'a str,
    pub client: Option<&'a ClientCredentials>,
    pub client_address: IpAddr,
    pub user_agent: &'a str,
}

impl Services {
    /// Opens a family; `None` if the account was changed (password, disabling) since it was judged.
    /// Nobody gets the value that its id is the hash of: it opens nothing as a cookie.
    pub(in crate::flows) async fn open_family(
        &self,
        new: NewFamily<'_>,
    ) -> Result<Option<Arc<LiveSession>>, Unavailable> {
        let now = self.clock.now();
        let mut user_agent = new.user_agent.to_owned();
        user_agent.truncate(user_agent.floor_char_boundary(512));
        let session = self.sessions.open(SessionRecord {
            id: SessionToken(self.random.bytes()).id(),
            account: new.account.id,
            login: new.account.login.clone(),
            obtained_with: new.obtained_with,
            progress: Progress::Complete,
            epoch: new.account.epoch,
            created_at: now,
            last_seen: now,
            jar: Jar::new(),
            jar_generation: 0,
            server: new.server,
            user_agent,
            client: new.client_address,
            grant: Some(Box::new(new.grant)),
            access: Some(Arc::new(new.access)),
        });
        let opened = Some(session.await?).filter(|session| !session.has_ended());
        if opened.is_some() {
            let (services, account) = (self.clone(), new.account.id);
            tokio::spawn(async move {
                if let Err(error) = end_forgotten(&services, account).await {
                    tracing::warn!(%error, "applications that nobody uses were not ended");
                }
            });
        }
        Ok(opened)
    }
}

/// So many families an account has at most. An application that asks for new tokens each time and
/// never comes back to those before must not fill the store.
const MOST: usize = 100;

/// Ends those above [`MOST`] that were not used for longest.
async fn end_forgotten(services: &Services, account: AccountId) -> Result<(), Unavailable> {
    for forgotten in services.sessions.surplus_families(account, MOST).await? {
        services.sessions.end(&forgotten).await?;
    }
    Ok(())
}

/// Opens a family on tokens of the PBX and says what its client gets. `None` if the account was
/// changed meanwhile: then the PBX is told that nobody wants them.
pub(super) async fn hand_out(
    services: &Services,
    asker: Asker<'_>,
    account: &Account,
    obtained_with: ObtainedWith,
    tokens: PbxTokens,
) -> Result<Option<Issued>, Unavailable> {
    let kind = services.policies.tokens.kind;
    let expires_at = services.clock.now() + services.policies.tokens.refresh;
    let grant = Grant {
        kind,
        endpoint: asker.endpoint.to_owned(),
        client: asker.client.cloned(),
        expires_at,
    };
    let opened = services.open_family(NewFamily {
        account,
        obtained_with,
        grant,
        access: match kind {
            GrantKind::Pass => passed(services, &tokens),
            GrantKind::Jwt | GrantKind::Basic => access(services, &tokens),
        },
        server: tokens.server,
        client_address: asker.client_address,
        user_agent: asker.user_agent,
    });
    let issued = match opened.await? {
        None => None,
        Some(session) if kind == GrantKind::Pass => {
            let stored = note(services, &session, &tokens, &[]).await?;
            stored.then(|| answer::passed(services, &session, &tokens))
        }
        Some(session) => {
            let refresh = refresh_token::make(services, &session.record().id, 0);
            let hash = TokenHash::of(refresh.expose());
            let begun = services.tokens.begin_chain(&session.record().id, hash).await?;
            begun.then(|| answer::ours(services, &session, refresh))
        }
    };
    if issued.is_none() {
        forget(services, asker.endpoint, tokens);
    }
    Ok(issued)
}

/// Tells the PBX that nobody wants these, while nobody waits.
pub(super) fn forget(services: &Services, endpoint: &str, tokens: PbxTokens) {
    let (services, endpoint) = (services.clone(), endpoint.to_owned());
    tokio::spawn(async move {
        services.issuer.forget(&endpoint, &tokens.access, tokens.server).await;
    });
}

/// What the PBX is shown for a client that has tokens of ours.
pub(in crate::flows) fn access(services: &Services, tokens: &PbxTokens) -> PbxAccess {
    PbxAccess {
        authorization: Secret::new(format!("Bearer {}", tokens.access.expose())),
        refresh: tokens.refresh.clone(),
        expires_at: tokens.expires_in.map(|life| services.clock.now() + life),
        fields: answer::without_tokens(tokens),
    }
}

/// The same for one that shows the PBX's token itself.
pub(super) fn passed(services: &Services, tokens: &PbxTokens) -> PbxAccess {
    PbxAccess { authorization: Secret::new(""), refresh: None, ..access(services, tokens) }
}

/// Takes down the PBX's tokens; those that they replace are spent. `false` as
/// [`TokenStore::note`](crate::ports::TokenStore::note) says it.
pub(super) async fn note(
    services: &Services,
    session: &Arc<LiveSession>,
    tokens: &PbxTokens,
    replaced: &[TokenHash],
) -> Result<bool, Unavailable> {
    let noted = noted(services, session, tokens);
    let stored = services.tokens.note(&noted, replaced).await?;
    // A PBX may give a token once more that was known here by a family that has ended.
    for token in noted.iter().filter(|token| stored && token.usage == TokenUse::Access) {
        let known = KnownToken { session: Arc::clone(session), expires_at: token.expires_at };
        services.memory.keep_token(token.hash, known);
    }
    Ok(stored)
}

fn noted(services: &Services, session: &LiveSession, tokens: &PbxTokens) -> Vec<NotedToken> {
    let end = answer::end(session);
    let expires_at = tokens.expires_in.map_or(end, |life| end.min(services.clock.now() + life));
    let family = session.record().id;
    let note = |token: &Secret, usage, expires_at| NotedToken {
        hash: TokenHash::of(token.expose()),
        usage,
        family,
        expires_at,
    };
    let refresh = tokens.refresh.iter().map(|token| note(token, TokenUse::Refresh, end));
    refresh.chain([note(&tokens.access, TokenUse::Access, expires_at)]).collect()
}
