//! What this process remembers for a while so as not to ask or compute again. Bounded; losing any
//! of it costs time and nothing else.

use std::net::IpAddr;
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
/// Places at which a name is locked.
const LOCKED: u64 = 100_000;
/// Bearers of nobody, and where they come from.
const STRANGERS: u64 = 100_000;
/// Applications for which the PBX is asked for another token.
const RENEWALS: u64 = 100_000;
/// After this time the PBX is asked again whose a bearer is.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
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
    locked: Cache<TokenHash, Timestamp>,
    strangers: Cache<TokenHash, Timestamp>,
    places: Cache<IpAddr, (Timestamp, u32)>,
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
            locked: cache(LOCKED),
            strangers: cache(STRANGERS),
            places: cache(STRANGERS),
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
        is_recent(asked_at, now).then_some(owner)
    }

    /// Whether the PBX said less than a minute ago that it does not know this bearer.
    pub(super) fn is_stranger(&self, hash: &TokenHash, now: Timestamp) -> bool {
        let asked_at = self.strangers.get(hash);
        asked_at.is_some_and(|at| is_recent(at, now))
    }

    /// Remembers that it does not.
    pub(super) fn keep_stranger(&self, hash: TokenHash, from: Option<IpAddr>, now: Timestamp) {
        self.strangers.insert(hash, now);
        if let Some(from) = from {
            let since = self.places.get(&from).filter(|(since, _)| is_recent(*since, now));
            let (since, count) = since.unwrap_or((now, 0));
            self.places.insert(from, (since, count + 1));
        }
    }

    /// How many of them came from this address in this minute. Counted without a lock: it may be
    /// one too few.
    pub(super) fn strangers_from(&self, address: IpAddr, now: Timestamp) -> u32 {
        let counted = self.places.get(&address).filter(|(since, _)| is_recent(*since, now));
        counted.map_or(0, |(_, count)| count)
    }

    /// Whether a name was found locked at this place, and still is.
    pub(super) fn is_locked(&self, place: &TokenHash, now: Timestamp) -> bool {
        self.locked.get(place).is_some_and(|until| now < until)
    }

    /// An administrator has unlocked it.
    pub(super) fn forget_locked(&self, place: &TokenHash) {
        self.locked.invalidate(place);
    }

    /// Remembers until when it is.
    pub(super) fn keep_locked(&self, place: TokenHash, until: Timestamp) {
        self.locked.insert(place, until);
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

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() < ASKED_AGAIN
}

fn cache<K, V>(capacity: u64) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(capacity).time_to_live(LONGEST).build()
}
