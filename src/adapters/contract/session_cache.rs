//! What the first level of the sessions promises beyond the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{World, run_against};
use crate::adapters::key_ring::KeyRing;
use crate::adapters::random::OsRandom;
use crate::adapters::session_cache::CachedSessions;
use crate::adapters::sqlite::SqliteSessions;
use crate::domain::session::SessionId;
use crate::ports::{AccountChange, AccountStore, Clock, CredentialStore, SessionStore};

impl World {
    /// A first level with room for `capacity` sessions over the same durable level.
    fn small_cache(&self, capacity: u64) -> CachedSessions {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let ring = KeyRing::open_or_create(&self.file("keyring.json"), clock, Arc::new(OsRandom));
        let durable = SqliteSessions::new(self.database.clone(), Arc::new(ring.unwrap()));
        CachedSessions::new(durable, capacity)
    }
}

/// Decision 6: what another process revokes (two run during an upgrade) ends here with the next
/// revalidation; nothing else does.
async fn a_neighbours_revocation_counts_here(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let open = async |account| world.sessions.open(world.session_of(account)).await.unwrap();
    let (signed_out, disabled, unrelated) =
        (open(&account).await, open(&account).await, open(&other).await);
    world.sessions.revalidate().await.unwrap();
    assert!(!signed_out.has_ended() && !disabled.has_ended());

    let neighbour = world.neighbour().await;
    neighbour.sessions.end(&signed_out.record().id).await.unwrap();
    world.sessions.revalidate().await.unwrap();
    assert!(signed_out.has_ended());
    assert!(world.sessions.cached(&signed_out.record().id).is_none());
    assert!(!disabled.has_ended());

    neighbour.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    world.sessions.revalidate().await.unwrap();
    assert!(disabled.has_ended() && !unrelated.has_ended());
}

/// Revalidation is cheap: what this process writes itself does not make it look at every session.
async fn own_writes_are_no_news(world: World) {
    let mark = async || world.database.change_mark().await.unwrap();
    let before = mark().await;
    let account = world.account("1001@abc.example").await;
    world.sessions.open(world.session_of(&account)).await.unwrap();
    assert_eq!(mark().await, before);
    let neighbour = world.neighbour().await;
    neighbour.account("1002@abc.example").await;
    assert_ne!(mark().await, before);
}

/// Security: disabling an account, a new password and deleting end its sessions at once, also where
/// the change was not followed by ending them.
async fn an_own_change_counts_without_being_followed_up(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let unrelated = world.sessions.open(world.session_of(&other)).await.unwrap();
    world.sessions.revalidate().await.unwrap();
    world.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    world.sessions.revalidate().await.unwrap();
    assert!(session.has_ended() && !unrelated.has_ended());
    let session = world.sessions.open(world.session_of(&other)).await.unwrap();
    let other = world.set_password(other.id, "p").await;
    world.sessions.revalidate().await.unwrap();
    assert!(session.has_ended() && unrelated.has_ended());
    let session = world.sessions.open(world.session_of(&other)).await.unwrap();
    world.accounts.delete(other.id).await.unwrap();
    world.sessions.revalidate().await.unwrap();
    assert!(session.has_ended());
}

/// The first level is bounded. What it lets go of stays one session as long as somebody holds it:
/// ending it closes its WebSockets, and its last-seen time is not lost.
async fn a_session_outlives_its_place_in_the_cache(world: World) {
    let account = world.account("1001@abc.example").await;
    let sessions = world.small_cache(4);
    let held = sessions.open(world.session_of(&account)).await.unwrap();
    let id = held.record().id;
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    held.watch(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    world.pass(120);
    let touched = sessions.open(world.session_of(&account)).await.unwrap();
    let touched_id = touched.record().id;
    world.pass(120);
    touched.touch(world.now());
    let seen = world.now();
    drop(touched);
    let mut opened = Vec::new();
    for _ in 0..50 {
        opened.push(sessions.open(world.session_of(&account)).await.unwrap().record().id);
    }
    sessions.flush().await.unwrap();
    assert!(sessions.cached(&id).is_none(), "it has been evicted");
    let cached = opened.iter().filter(|id| sessions.cached(id).is_some()).count();
    assert!((1..=4).contains(&cached), "{cached}");
    assert!(sessions.live().iter().any(|session| session.record().id == id));
    let again = sessions.find(&id).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&held, &again));
    let reloaded = sessions.find(&touched_id).await.unwrap().unwrap();
    assert_eq!(reloaded.last_seen(), seen);
    for _ in 0..50 {
        sessions.open(world.session_of(&account)).await.unwrap();
    }
    assert_eq!(sessions.end_all(account.id, None).await.unwrap(), 102);
    assert!(held.has_ended());
    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert!(sessions.live().is_empty());
}

/// Faults: last-seen times that could not be written are written when the store is back.
async fn a_failed_flush_is_made_up_for(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    world.pass(120);
    session.touch(world.now());
    world.database.run("ALTER TABLE sessions RENAME TO away").await;
    world.sessions.flush().await.unwrap_err();
    world.database.run("ALTER TABLE away RENAME TO sessions").await;
    world.sessions.flush().await.unwrap();
    drop(session);
    let stored = world.neighbour().await.sessions.of_account(account.id).await.unwrap();
    assert_eq!(stored[0].last_seen, world.now());
}

/// Loads that race with the end of their session never leave it alive in memory.
async fn no_load_outruns_the_end(world: World) {
    let account = world.account("1001@abc.example").await;
    for _ in 0..40 {
        let id = world.sessions.open(world.session_of(&account)).await.unwrap().record().id;
        // A fresh cache, so that each find goes to the durable level.
        let sessions = Arc::new(world.small_cache(100));
        let finds: Vec<_> = (0..4)
            .map(|_| {
                let sessions = Arc::clone(&sessions);
                tokio::spawn(async move { sessions.find(&id).await.unwrap() })
            })
            .collect();
        let ended = sessions.end(&id).await.unwrap();
        assert!(ended.is_some());
        for find in finds {
            let found = find.await.unwrap();
            assert!(found.is_none_or(|session| session.has_ended()));
        }
        assert!(sessions.cached(&id).is_none_or(|session| session.has_ended()));
        assert!(sessions.live().is_empty());
    }
}

/// The same where a new password has deleted the rows before the sessions are ended.
async fn no_load_outruns_a_new_password(world: World) {
    let mut account = world.account("1001@abc.example").await;
    for _ in 0..40 {
        let id = world.sessions.open(world.session_of(&account)).await.unwrap().record().id;
        let sessions = Arc::new(world.small_cache(100));
        let finds: Vec<_> = (0..4)
            .map(|_| {
                let sessions = Arc::clone(&sessions);
                tokio::spawn(async move { sessions.find(&id).await.unwrap() })
            })
            .collect();
        account = world.set_password(account.id, "p").await;
        let before = sessions.revocations();
        sessions.end_all(account.id, None).await.unwrap();
        assert!(sessions.revocations() > before, "who is loading one at this moment looks again");
        for find in finds {
            let found = find.await.unwrap();
            assert!(found.is_none_or(|session| session.has_ended()));
        }
        assert!(sessions.cached(&id).is_none_or(|session| session.has_ended()));
        assert!(sessions.live().is_empty());
    }
}

/// Security: a new password counts for the sessions in memory also where its request was cut off
/// while it was being written.
async fn a_change_cut_off_half_way_counts(world: World) {
    let id = world.account("1001@abc.example").await.id;
    let mut changed = 0;
    for patience in 0..200 {
        let account = world.accounts.by_id(id).await.unwrap().unwrap();
        let session = world.sessions.open(world.session_of(&account)).await.unwrap();
        world.sessions.revalidate().await.unwrap();
        let change = world.new_password(id, "p").await;
        {
            let mut commit = std::pin::pin!(world.credentials.commit(change));
            // The last one is waited for.
            for _ in 0..if patience == 199 { usize::MAX } else { patience * 10 } {
                if futures::poll!(commit.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        world.sessions.revalidate().await.unwrap();
        let after = world.accounts.by_id(id).await.unwrap().unwrap();
        let moved = after.epoch != account.epoch;
        assert_eq!(session.has_ended(), moved, "{patience}");
        changed += u32::from(moved);
        world.sessions.end_all(id, None).await.unwrap();
    }
    assert!((1..200).contains(&changed), "some were cut off in time, others too late: {changed}");
}

/// Whoever sends made-up cookies does not make others load their sessions again and again.
async fn made_up_ids_disturb_nobody(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let before = world.sessions.revocations();
    assert!(world.sessions.find(&SessionId([7; 32])).await.unwrap().is_none());
    assert_eq!(world.sessions.revocations(), before);

    let neighbour = world.neighbour().await;
    neighbour.sessions.end(&session.record().id).await.unwrap();
    assert!(world.sessions.find(&session.record().id).await.unwrap().is_none());
    assert!(session.has_ended(), "what is in memory ends");
}

mod cached_sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_neighbours_revocation_counts_here,
        own_writes_are_no_news,
        an_own_change_counts_without_being_followed_up,
        a_session_outlives_its_place_in_the_cache,
        a_failed_flush_is_made_up_for,
        no_load_outruns_the_end,
        no_load_outruns_a_new_password,
        a_change_cut_off_half_way_counts,
        made_up_ids_disturb_nobody,
    );
}
