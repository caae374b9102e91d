//! What this process remembers for a while so as not to ask or compute again. Bounded; losing any
//! of it costs time and nothing else.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;

use crate::domain::account::AccountId;
use crate::domain::grant::TokenHash;
use crate::domain::login_name::LoginName;
use crate::domain::session::{LiveSession, SessionId};

/// Tokens that are looked up once, not with each request.
const TOKENS: u64 = 100_000;
/// Bearers of the PBX whose owner was asked for.
const OWNERS: u64 = 100_000;
/// Secrets that were refused.
const REFUSED: u64 = 100_000;
/// Applications for which the PBX is asked for another token.
const RENEWALS: u64 = 100_000;
/// Nothing here is kept longer, whatever the clock of the policies says.
const LONGEST: Duration = Duration::from_secs(3600);

/// A token that was verified, or found in the store, and the family that it belongs to.
#[derive(Debug, Clone)]
pub struct KnownToken {
    /// The family.
    pub session: Arc<LiveSession>,
    /// When the token itself ends.
    pub expires_at: Timestamp,
}

/// Why a secret was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedAs {
    /// It never was right.
    Wrong,
    /// It was right once (R-C5).
    Former,
    /// It is the PIN, and its time is over.
    TooLate,
}

/// Who tried which secret: the account as of its epoch, and the secret's keyed fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tried {
    pub account: AccountId,
    pub epoch: u64,
    pub secret: [u8; 16],
}

/// The memory.
pub struct Memory {
    tokens: Cache<TokenHash, KnownToken>,
    owners: Cache<TokenHash, (LoginName, Timestamp)>,
    refused: Cache<Tried, (RefusedAs, Timestamp)>,
    renewals: Cache<SessionId, Arc<Renewal>>,
}

/// The turn of whoever renews what the PBX knows an application by; in it, what came of it last.
pub(super) type Renewal = tokio::sync::Mutex<Option<LastRenewal>>;

/// When the PBX was last asked, and whether it gave another token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastRenewal {
    pub at: Timestamp,
    pub succeeded: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            tokens: cache(TOKENS),
            owners: cache(OWNERS),
            refused: cache(REFUSED),
            renewals: cache(RENEWALS),
        }
    }
}

impl Memory {
    /// A token that is known and whose own time is not over. Its family may have ended: that is
    /// remembered, too, so that it is not looked up again with every request.
    pub fn token(&self, hash: &TokenHash, now: Timestamp) -> Option<KnownToken> {
        self.tokens.get(hash).filter(|known| known.expires_at > now)
    }

    /// Remembers a token.
    pub fn keep_token(&self, hash: TokenHash, token: KnownToken) {
        self.tokens.insert(hash, token);
    }

    /// Whose bearer this is, if that was asked for less than a minute ago.
    pub fn owner(&self, hash: &TokenHash, now: Timestamp) -> Option<LoginName> {
        let (owner, asked_at) = self.owners.get(hash)?;
        let age = now.duration_since(asked_at).unsigned_abs();
        (age < Duration::from_secs(60)).then_some(owner)
    }

    /// Remembers whose it is.
    pub fn keep_owner(&self, hash: TokenHash, owner: LoginName, now: Timestamp) {
        self.owners.insert(hash, (owner, now));
    }

    /// The turn to renew what the PBX knows this family by.
    pub(super) fn renewal(&self, family: &SessionId) -> Arc<Renewal> {
        self.renewals.get_with(*family, Arc::default)
    }

    pub(super) fn refused(
        &self,
        tried: &Tried,
        window: Duration,
        now: Timestamp,
    ) -> Option<RefusedAs> {
        let (refused, at) = self.refused.get(tried)?;
        (now.duration_since(at).unsigned_abs() < window).then_some(refused)
    }

    pub(super) fn keep_refused(&self, tried: Tried, refused: RefusedAs, now: Timestamp) {
        self.refused.insert(tried, (refused, now));
    }
}

fn cache<K, V>(capacity: u64) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(capacity).time_to_live(LONGEST).build()
}
