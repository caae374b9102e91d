//! The API's access and refresh tokens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::sessions::random_hex;

/// Tokens kept; beyond it the expired ones are dropped.
const MAX_TOKENS: usize = 100_000;

/// What a token stands for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// Login name of the user.
    pub(super) user: String,
    /// The client that it was given to.
    pub(super) client: String,
    pub(super) access: String,
    pub(super) refresh: String,
    expires: Instant,
}

#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Grant>>);

impl Tokens {
    pub(super) fn issue(&self, user: &str, client: &str, life: Duration) -> Grant {
        let grant = Grant {
            user: user.into(),
            client: client.into(),
            access: random_hex(16),
            refresh: random_hex(16),
            expires: Instant::now() + life,
        };
        let mut tokens = self.0.lock();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, grant| grant.expires > now);
        }
        tokens.insert(grant.access.clone(), grant.clone());
        tokens.insert(grant.refresh.clone(), grant.clone());
        grant
    }

    /// The grant behind a live access token.
    pub(super) fn access(&self, token: &str) -> Option<Grant> {
        let tokens = self.0.lock();
        let grant = tokens.get(token).filter(|grant| grant.access == token)?;
        (grant.expires > Instant::now()).then(|| grant.clone())
    }

    /// Takes a refresh token, which ends it and its access token.
    pub(super) fn take_refresh(&self, token: &str, client: &str) -> Option<Grant> {
        let mut tokens = self.0.lock();
        let known = tokens.get(token);
        known.filter(|grant| grant.refresh == token && grant.client == client)?;
        let grant = tokens.remove(token)?;
        tokens.remove(&grant.access);
        Some(grant)
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}
