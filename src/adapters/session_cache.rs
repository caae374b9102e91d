//! The first level of the sessions: what the hot path asks, in memory, over the durable level.
//!
//! Two structures: the cache, bounded, which is asked per request; and the register of every
//! session object that somebody still holds (a request, a WebSocket, the cache). The register
//! makes sure that there is one object per session, also where the cache has let go of it, so
//! that ending a session reaches all of its connections.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::sqlite::{ChangeMark, Limits, SqliteSessions, Stale};
use crate::domain::account::AccountId;
use crate::domain::session::{JarState, LiveSession, SessionId, SessionRecord};
use crate::ports::{SessionStore, Unavailable};

type ById = BuildHasherDefault<IdHasher>;

/// Sessions in memory over sessions in SQLite.
pub struct CachedSessions {
    durable: SqliteSessions,
    cache: Cache<SessionId, Arc<LiveSession>, ById>,
    register: Mutex<HashMap<SessionId, Weak<LiveSession>, ById>>,
    /// Counts revocations: whoever loaded a session while one happened looks again.
    revocations: AtomicU64,
    /// Last-seen times of sessions that the cache let go of, and of a flush that failed.
    unwritten: Arc<Mutex<Vec<(SessionId, Timestamp)>>>,
    /// A revocation was cut off half-way: every session in memory is to be looked at.
    sweep: AtomicBool,
    mark: Mutex<Option<ChangeMark>>,
}

impl CachedSessions {
    /// Keeps at most `capacity` sessions in the first level; the least recently used go first.
    pub fn new(durable: SqliteSessions, capacity: u64) -> Self {
        let unwritten = Arc::new(Mutex::new(Vec::new()));
        let left = Arc::clone(&unwritten);
        let cache = Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |id: Arc<SessionId>, session: Arc<LiveSession>, cause| {
                if cause.was_evicted()
                    && let Some(seen) = session.unwritten_last_seen()
                {
                    left.lock().push((*id, seen));
                }
            })
            .build_with_hasher(ById::default());
        Self {
            durable,
            cache,
            register: Mutex::default(),
            revocations: AtomicU64::new(0),
            unwritten,
            sweep: AtomicBool::new(false),
            mark: Mutex::new(None),
        }
    }

    /// Ends the sessions in memory that were revoked behind the cache's back: by another process
    /// (during an upgrade two run on one file), or by a change of the account that nobody followed
    /// with [`SessionStore::end_all`]. To be called every 500 ms, so that a revocation counts
    /// within a second; costs one `PRAGMA data_version` unless something was written elsewhere.
    pub async fn revalidate(&self) -> Result<(), Unavailable> {
        let mark = self.durable.database().change_mark().await?;
        let accounts = self.durable.database().take_revoked();
        let sweep = self.sweep.swap(false, Ordering::SeqCst);
        let everything = sweep || *self.mark.lock() != Some(mark);
        let suspects: Vec<SessionId> = self
            .live()
            .iter()
            .map(|session| session.record())
            .filter(|record| everything || accounts.contains(&record.account))
            .map(|record| record.id)
            .collect();
        match self.durable.still_valid(&suspects).await {
            Ok(valid) => {
                for id in suspects.iter().filter(|id| !valid.contains(id)) {
                    self.forget(id);
                }
                *self.mark.lock() = Some(mark);
                Ok(())
            }
            Err(outage) => {
                // The mark stays the old one, so the next call looks again.
                self.durable.database().note_revoked(accounts);
                self.sweep.fetch_or(sweep, Ordering::SeqCst);
                Err(outage)
            }
        }
    }

    /// Makes the session the one object of its id, and puts it into the cache.
    fn take_in(&self, mut record: SessionRecord) -> Arc<LiveSession> {
        let id = record.id;
        let session = {
            let mut register = self.register.lock();
            let present =
                register.get(&id).and_then(Weak::upgrade).filter(|session| !session.has_ended());
            if let Some(present) = present {
                // Another process may have seen its user, or taken cookies into its jar.
                present.touch(record.last_seen);
                present.renew_jar(JarState::taken_from(&mut record));
                present
            } else {
                let session = LiveSession::new(record);
                register.insert(id, Arc::downgrade(&session));
                session
            }
        };
        self.cache.insert(id, Arc::clone(&session));
        session
    }

    /// Ends a session in memory, for everybody who holds it. Its row must be gone already: else a
    /// request could load it anew.
    fn forget(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let session = self.register.lock().remove(id).and_then(|session| session.upgrade());
        self.cache.invalidate(id);
        if let Some(session) = &session {
            session.end();
        }
        session
    }

    /// How often everybody who was loading a session had to look again.
    #[cfg(test)]
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    fn registered(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.register.lock().get(id).and_then(Weak::upgrade)
    }
}

#[async_trait]
impl SessionStore for CachedSessions {
    fn cached(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        self.cache.get(id)
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, Unavailable> {
        loop {
            let before = self.revocations.load(Ordering::SeqCst);
            let Some(record) = self.durable.load(id).await? else {
                // Not for made-up ids: each of them would make everybody else look again.
                if self.cache.contains_key(id) || self.registered(id).is_some() {
                    self.forget(id);
                }
                return Ok(None);
            };
            let session = self.take_in(record);
            // A revocation deletes the row first and then looks for the session in memory. One
            // that found nothing there, because it came before `take_in`, has moved the count.
            if self.revocations.load(Ordering::SeqCst) == before {
                return Ok(Some(session));
            }
        }
    }

    /// A session whose account was changed (password, disabling) since its login was judged has
    /// ended before it began: it is returned ended.
    async fn open(&self, record: SessionRecord) -> Result<Arc<LiveSession>, Unavailable> {
        let before = self.revocations.load(Ordering::SeqCst);
        if !self.durable.insert(&record).await? {
            let session = LiveSession::new(record);
            session.end();
            return Ok(session);
        }
        let id = record.id;
        let session = self.take_in(record);
        if self.revocations.load(Ordering::SeqCst) != before && self.find(&id).await?.is_none() {
            session.end();
        }
        Ok(session)
    }

    async fn save_jar(&self, session: &LiveSession) -> Result<(), Unavailable> {
        if session.has_ended() {
            return Ok(());
        }
        self.durable.save_jar(session.record(), &session.jar()).await
    }

    async fn end(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, Unavailable> {
        let unfinished = SweepUnlessDone::new(&self.sweep);
        let record = self.durable.delete(id).await?;
        let session = self.forget(id);
        unfinished.done();
        Ok(record.map(|record| {
            session.unwrap_or_else(|| {
                let session = LiveSession::new(record);
                session.end();
                session
            })
        }))
    }

    async fn end_all(
        &self,
        account: AccountId,
        except: Option<SessionId>,
    ) -> Result<usize, Unavailable> {
        let unfinished = SweepUnlessDone::new(&self.sweep);
        let mut ended: HashSet<SessionId> =
            self.durable.delete_all(account, except).await?.into_iter().collect();
        // A change of the password has deleted the rows already: who is loading one of them looks
        // again, and those in memory are found by their account.
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let of_account = |session: &Arc<LiveSession>| session.record().account == account;
        let present = self.live().into_iter().filter(of_account).map(|one| one.record().id);
        ended.extend(present.filter(|id| Some(*id) != except));
        for id in &ended {
            self.forget(id);
        }
        unfinished.done();
        Ok(ended.len())
    }

    async fn of_account(&self, account: AccountId) -> Result<Vec<SessionRecord>, Unavailable> {
        let mut records = self.durable.of_account(account).await?;
        for record in &mut records {
            if let Some(session) = self.registered(&record.id) {
                record.last_seen = record.last_seen.max(session.last_seen());
            }
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.last_seen));
        Ok(records)
    }

    fn live(&self) -> Vec<Arc<LiveSession>> {
        let register = self.register.lock();
        register.values().filter_map(Weak::upgrade).filter(|session| !session.has_ended()).collect()
    }

    async fn flush(&self) -> Result<(), Unavailable> {
        self.register.lock().retain(|_, session| session.strong_count() > 0);
        // Runs the listener for whatever was evicted since.
        self.cache.run_pending_tasks();
        let mut seen = std::mem::take(&mut *self.unwritten.lock());
        seen.extend(self.live().iter().filter_map(|session| {
            session.unwritten_last_seen().map(|seen| (session.record().id, seen))
        }));
        if seen.is_empty() {
            return Ok(());
        }
        let written = self.durable.write_last_seen(&seen).await;
        if written.is_err() {
            // Each of these was marked as written: keep them for the next time.
            self.unwritten.lock().append(&mut seen);
        }
        written
    }

    async fn purge(
        &self,
        idle_before: Timestamp,
        created_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<u64, Unavailable> {
        self.flush().await?;
        // The memory knows better: last-seen is written back at most once a minute, and an open
        // WebSocket is not cut by the idle limit.
        let in_use = |stale: &Stale| {
            stale.is_portal
                && created_before.is_none_or(|before| stale.created_at >= before)
                && self.registered(&stale.id).is_some_and(|session| {
                    session.last_seen() >= idle_before || session.watched() > 0
                })
        };
        let limits = Limits { idle_before, created_before, now };
        let stale = self.durable.stale(&limits).await?;
        let doomed: Vec<SessionId> =
            stale.into_iter().filter(|stale| !in_use(stale)).map(|stale| stale.id).collect();
        let unfinished = SweepUnlessDone::new(&self.sweep);
        let deleted: HashSet<SessionId> =
            self.durable.delete_stale(&doomed, &limits).await?.into_iter().collect();
        for id in &deleted {
            self.forget(id);
        }
        unfinished.done();
        Ok(deleted.len() as u64)
    }

    async fn count(&self) -> Result<u64, Unavailable> {
        self.durable.count().await
    }

    async fn surplus_families(
        &self,
        account: AccountId,
        most: usize,
    ) -> Result<Vec<SessionId>, Unavailable> {
        let mut families = self.durable.families_of(account).await?;
        if families.len() <= most {
            return Ok(Vec::new());
        }
        for (id, seen) in &mut families {
            if let Some(session) = self.registered(id) {
                *seen = session.last_seen().max(*seen);
            }
        }
        families.sort_by_key(|(_, seen)| std::cmp::Reverse(*seen));
        Ok(families.into_iter().skip(most).map(|(id, _)| id).collect())
    }

    async fn count_families(&self) -> Result<u64, Unavailable> {
        self.durable.count_families().await
    }
}

impl std::fmt::Debug for CachedSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedSessions").field("cached", &self.cache.entry_count()).finish()
    }
}

/// A call that is dropped between the deletion of the row and the end in memory (its request was
/// cancelled) leaves the rest to the next [`CachedSessions::revalidate`].
struct SweepUnlessDone<'a> {
    sweep: &'a AtomicBool,
    done: bool,
}

impl<'a> SweepUnlessDone<'a> {
    fn new(sweep: &'a AtomicBool) -> Self {
        Self { sweep, done: false }
    }

    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for SweepUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.sweep.store(true, Ordering::SeqCst);
        }
    }
}

/// Session ids are SHA-256 values: eight of their bytes are as good a hash as any.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // The length prefix of the array, the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn ids_are_spread_by_their_own_bytes() {
        let hasher = ById::default();
        let hash = |byte: u8| hasher.hash_one(SessionId([byte; 32]));
        assert_eq!(hash(7), 0x0707_0707_0707_0707);
        assert_ne!(hash(7), hash(8));
    }
}
