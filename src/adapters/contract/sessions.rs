//! [`SessionStore`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{World, fresh_token, run_against};
use crate::domain::session::{LiveSession, ObtainedWith, Progress};
use crate::ports::{AccountChange, AccountStore, SessionStore};

/// Counts how often a long-lived connection of the session was closed.
fn watch(session: &LiveSession) -> Arc<AtomicUsize> {
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    session.watch(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    closed
}

/// R-G3: sessions survive a restart as they were; what is asked per request does not wait.
async fn sessions_survive_a_restart(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut record = world.session_of(&account);
    record.obtained_with = ObtainedWith::Password;
    record.progress = Progress::PinNeeded;
    let opened = world.sessions.open(record.clone()).await.unwrap();
    let cached = world.sessions.cached(&record.id).unwrap();
    assert!(Arc::ptr_eq(&opened, &cached));
    assert!(world.sessions.cached(&fresh_token().id()).is_none());
    drop((opened, cached));
    let world = world.restarted().await;
    assert!(world.sessions.cached(&record.id).is_none());
    let found = world.sessions.find(&record.id).await.unwrap().unwrap();
    assert_eq!(found.snapshot(), record);
    assert!(world.sessions.cached(&record.id).is_some());
    assert_eq!(world.sessions.count().await.unwrap(), 1);
    assert!(world.sessions.find(&fresh_token().id()).await.unwrap().is_none());
}

/// R-C6: an ended session is gone for everybody, and its WebSockets are closed before the call
/// returns.
async fn ending_closes_what_is_open(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let id = session.record().id;
    let closed = watch(&session);
    let ended = world.sessions.end(&id).await.unwrap().unwrap();
    assert!(ended.has_ended() && session.has_ended());
    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert!(world.sessions.cached(&id).is_none());
    assert!(world.sessions.find(&id).await.unwrap().is_none());
    assert!(world.sessions.end(&id).await.unwrap().is_none());
    assert_eq!(world.sessions.count().await.unwrap(), 0);
}

/// R-C6: a session that only the durable level knows is ended too; its jar comes back, for the
/// sign-out at the PBX.
async fn ending_gives_the_jar_back(world: World) {
    let account = world.account("1001@abc.example").await;
    let id = world.sessions.open(world.session_of(&account)).await.unwrap().record().id;
    let world = world.restarted().await;
    let ended = world.sessions.end(&id).await.unwrap().unwrap();
    assert_eq!(ended.jar().jar.value("PHPSESSID"), Some("cookie-canary"));
    assert!(ended.has_ended());
}

/// R-C8: all sessions of an account are ended but one, also where a change has ended them all.
async fn all_but_one_are_ended(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(world.sessions.open(world.session_of(&account)).await.unwrap());
    }
    let unrelated = world.sessions.open(world.session_of(&other)).await.unwrap();
    let closed: Vec<_> = sessions.iter().map(|session| watch(session)).collect();
    for disabled in [true, false] {
        let change = AccountChange::Disabled(disabled);
        world.accounts.change(account.id, change, None).await.unwrap();
    }
    let kept = sessions[0].record().id;
    assert_eq!(world.sessions.end_all(account.id, Some(kept)).await.unwrap(), 3);
    let count = |index: usize| closed[index].load(Ordering::SeqCst);
    assert_eq!([count(0), count(1), count(2), count(3)], [0, 1, 1, 1]);
    assert!(world.sessions.find(&kept).await.unwrap().is_some());
    assert!(!sessions[0].has_ended() && !unrelated.has_ended());
    for gone in &sessions[1..] {
        assert!(world.sessions.find(&gone.record().id).await.unwrap().is_none());
    }
    assert_eq!(world.sessions.end_all(account.id, None).await.unwrap(), 1);
    assert!(sessions[0].has_ended() && !unrelated.has_ended());
}

/// Security: a session of an older epoch is not found, whoever forgot to end it.
async fn a_new_epoch_ends_sessions(world: World) {
    let account = world.account("1001@abc.example").await;
    for disable in [false, true] {
        let account = world.accounts.by_id(account.id).await.unwrap().unwrap();
        let session = world.sessions.open(world.session_of(&account)).await.unwrap();
        if disable {
            let change = AccountChange::Disabled(true);
            world.accounts.change(account.id, change, None).await.unwrap();
        } else {
            world.set_password(account.id, "p").await;
        }
        assert!(world.sessions.find(&session.record().id).await.unwrap().is_none());
        assert!(session.has_ended());
        assert!(world.sessions.cached(&session.record().id).is_none());
        assert!(world.sessions.of_account(account.id).await.unwrap().is_empty());
    }
}

/// R-C8: a new password has deleted the sessions already; ending them reaches what is in memory all
/// the same, before the call returns, and who is loading one meanwhile.
async fn sessions_without_a_row_are_ended(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let unrelated = world.sessions.open(world.session_of(&other)).await.unwrap();
    let closed = watch(&session);
    world.set_password(account.id, "p").await;
    assert_eq!(world.sessions.count().await.unwrap(), 1);
    assert_eq!(world.sessions.end_all(account.id, None).await.unwrap(), 1);
    assert!(session.has_ended() && !unrelated.has_ended());
    assert_eq!(closed.load(Ordering::SeqCst), 1);
    assert!(world.sessions.cached(&session.record().id).is_none());
    assert_eq!(world.sessions.end_all(account.id, None).await.unwrap(), 0);
}

/// Security: a login that was judged before the account changed opens nothing afterwards.
async fn a_login_overtaken_by_a_change_opens_nothing(world: World) {
    let account = world.account("1001@abc.example").await;
    let late = world.session_of(&account);
    world.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    let session = world.sessions.open(late.clone()).await.unwrap();
    assert!(session.has_ended());
    assert!(world.sessions.cached(&late.id).is_none());
    assert!(world.sessions.find(&late.id).await.unwrap().is_none());
    assert_eq!(world.sessions.count().await.unwrap(), 0);
}

/// Decision 6: what comes late, a last-seen time or a jar, never revives an ended session.
async fn a_late_write_never_revives(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let neighbour = world.neighbour().await;
    neighbour.sessions.end(&session.record().id).await.unwrap().unwrap();
    world.pass(600);
    session.touch(world.now());
    session.change_jar(0, |jar| jar.take("PHPSESSID=late"));
    world.sessions.save_jar(&session).await.unwrap();
    world.sessions.flush().await.unwrap();
    assert_eq!(world.sessions.count().await.unwrap(), 0);
    assert!(world.sessions.find(&session.record().id).await.unwrap().is_none());
    assert!(session.has_ended());
}

/// R-C4: last-seen times are written back in batches, at most once a minute each, never backward.
async fn last_seen_is_written_back(world: World) {
    let account = world.account("1001@abc.example").await;
    let begun = world.now();
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let id = session.record().id;
    let neighbour = world.neighbour().await;
    let stored = async || neighbour.sessions.of_account(account.id).await.unwrap()[0].last_seen;
    world.pass(59);
    session.touch(world.now());
    world.sessions.flush().await.unwrap();
    assert_eq!(stored().await, begun);
    assert_eq!(world.sessions.of_account(account.id).await.unwrap()[0].last_seen, world.now());
    world.pass(1);
    session.touch(world.now());
    world.sessions.flush().await.unwrap();
    assert_eq!(stored().await, world.now());
    // The neighbour saw the user later: what is written afterwards does not undo it, and on the
    // next look the memory knows.
    world.pass(100);
    session.touch(world.now());
    world.pass(200);
    let seen_there = neighbour.sessions.find(&id).await.unwrap().unwrap();
    seen_there.touch(world.now());
    neighbour.sessions.flush().await.unwrap();
    drop(seen_there);
    world.sessions.flush().await.unwrap();
    assert_eq!(
        world.neighbour().await.sessions.of_account(account.id).await.unwrap()[0].last_seen,
        world.now()
    );
    assert!(session.last_seen() < world.now());
    world.sessions.find(&id).await.unwrap();
    assert_eq!(session.last_seen(), world.now());
}

/// The jar is saved if it is newer than the stored one, and sealed at rest.
async fn only_a_newer_jar_is_saved(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let id = session.record().id;
    let stale = LiveSession::new(session.snapshot());
    for value in ["one", "two"] {
        let generation = session.jar().generation;
        assert!(session.change_jar(generation, |jar| jar.take(&format!("PHPSESSID={value}"))));
    }
    world.sessions.save_jar(&session).await.unwrap();
    assert!(stale.change_jar(0, |jar| jar.take("PHPSESSID=stale")));
    world.sessions.save_jar(&stale).await.unwrap();
    drop(session);
    let world = world.restarted().await;
    let jar = world.sessions.find(&id).await.unwrap().unwrap().jar();
    assert_eq!((jar.jar.value("PHPSESSID"), jar.generation), (Some("two"), 2));
    for name in ["passgate.db", "passgate.db-wal"] {
        let bytes = std::fs::read(world.file(name)).unwrap_or_default();
        for secret in [&b"cookie-canary"[..], b"PHPSESSID"] {
            let readable = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!readable, "{name}");
        }
    }
}

/// R-C4: a purge deletes what is over and spares what memory knows to be in use.
async fn a_purge_spares_what_is_in_use(world: World) {
    let account = world.account("1001@abc.example").await;
    let begun = world.now();
    let open = async || world.sessions.open(world.session_of(&account)).await.unwrap();
    let (idle, busy, watched) = (open().await, open().await, open().await);
    watched.watch(Box::new(|| {}));
    world.pass(50);
    // Too little to be written back, enough to live on.
    busy.touch(world.now());
    let limit = begun + std::time::Duration::from_secs(30);
    assert_eq!(world.sessions.purge(limit, None, world.now()).await.unwrap(), 1);
    assert_eq!((idle.has_ended(), busy.has_ended(), watched.has_ended()), (true, false, false));
    world.pass(100_000);
    busy.touch(world.now());
    // The absolute limit spares nobody.
    assert_eq!(world.sessions.purge(limit, Some(limit), world.now()).await.unwrap(), 2);
    assert!(busy.has_ended() && watched.has_ended());
    assert_eq!(world.sessions.count().await.unwrap(), 0);
}

/// R-C8: users see their sessions, latest first.
async fn the_sessions_of_an_account_latest_first(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        world.pass(10);
        expected.insert(0, world.sessions.open(world.session_of(&account)).await.unwrap());
    }
    world.pass(10);
    expected[2].touch(world.now());
    expected.rotate_right(1);
    let listed = world.sessions.of_account(account.id).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|record| record.id).collect();
    assert_eq!(ids, expected.iter().map(|session| session.record().id).collect::<Vec<_>>());
    assert_eq!(world.sessions.live().len(), 3);
}

mod cached_sqlite {
    use super::*;

    run_against!(World::sqlite:
        sessions_survive_a_restart,
        ending_closes_what_is_open,
        ending_gives_the_jar_back,
        all_but_one_are_ended,
        a_new_epoch_ends_sessions,
        sessions_without_a_row_are_ended,
        a_login_overtaken_by_a_change_opens_nothing,
        a_late_write_never_revives,
        last_seen_is_written_back,
        only_a_newer_jar_is_saved,
        a_purge_spares_what_is_in_use,
        the_sessions_of_an_account_latest_first,
    );
}
