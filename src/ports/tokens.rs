//! Tokens, durable: by which family each is known.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::grant::TokenHash;
use crate::domain::session::SessionId;

/// What a known token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenUse {
    /// Calls of the API.
    Access,
    /// New tokens.
    Refresh,
    /// Nothing any more: it gave way to another.
    Spent,
}

/// A token of the PBX that went through our hands (mode `pass`), or a Basic login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedToken {
    /// Its hash.
    pub hash: TokenHash,
    /// What it is good for.
    pub usage: TokenUse,
    /// The family that it belongs to.
    pub family: SessionId,
    /// When it stops working here.
    pub expires_at: Timestamp,
}

/// What became of a refresh token of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// It was the newest, and gave way to its successor.
    Now,
    /// It gave way a moment ago (`reuse_grace`), and its successor was not used yet: the answer of
    /// then, sealed, to be repeated as it was.
    Again(Vec<u8>),
    /// It gave way before: somebody has a copy.
    Reused,
    /// There is no such family (any more).
    Gone,
}

/// One turn of a refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family.
    pub family: SessionId,
    /// The token that was shown: its place in the chain …
    pub shown: u64,
    /// … and its hash.
    pub shown_hash: TokenHash,
    /// The hash of its successor, whose place is the next one.
    pub successor: TokenHash,
    /// The answer, sealed, for a client that loses it; `None` when it is not to be repeated.
    pub answer: Option<Vec<u8>>,
    /// Answers given after this moment may be repeated (`now - reuse_grace`).
    pub repeatable_since: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// The tokens of families. A chain goes with its session; noted tokens stay known until they expire:
/// what was ended here is never taken for one that the PBX issued before us (R-F6).
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Notes tokens of a family whose session exists. Those of `replaced` are spent in the same
    /// step. `false`, and nothing happened, if the session is gone, or one of `replaced` was spent
    /// already (somebody else was faster).
    async fn note(
        &self,
        tokens: &[NotedToken],
        replaced: &[TokenHash],
    ) -> Result<bool, Unavailable>;

    /// The token with this hash, if it is known. Its family may have ended: ask the sessions.
    async fn find(&self, hash: &TokenHash) -> Result<Option<NotedToken>, Unavailable>;

    /// Begins the chain of a family's refresh tokens, at place 0. `false` if the session is gone.
    async fn begin_chain(&self, family: &SessionId, first: TokenHash) -> Result<bool, Unavailable>;

    /// The newest place of a family's chain, and the hash of the token there; `None` if there is
    /// no such family (any more).
    async fn newest(&self, family: &SessionId) -> Result<Option<(u64, TokenHash)>, Unavailable>;

    /// Lets a refresh token give way to its successor, atomically: of twenty parallel calls with
    /// the same token one is [`Rotated::Now`].
    async fn rotate(&self, rotation: &Rotation) -> Result<Rotated, Unavailable>;

    /// Forgets noted tokens that expired before `before`, and answers that nobody may repeat then.
    async fn purge(&self, before: Timestamp) -> Result<(), Unavailable>;
}
