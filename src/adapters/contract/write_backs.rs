//! The journal of [`CredentialStore`].

use std::time::Duration;

use uuid::Uuid;

use super::{World, fresh_id, run_against};
use crate::domain::account::{Account, SealedPin};
use crate::domain::pin_journal::{JournalEntry, Stage};
use crate::ports::{
    AccountChange, AccountStore, Begun, CredentialChange, CredentialStore, JournalStep,
};

/// The mark of this process, and of another one.
pub(super) const OURS: Uuid = Uuid::from_u128(1);
pub(super) const THEIRS: Uuid = Uuid::from_u128(2);

const LEASE: Duration = Duration::from_secs(60);

/// A write-back of this process that begins now, and is left alone for a minute.
pub(super) fn entry_of(world: &World, account: &Account) -> JournalEntry {
    JournalEntry {
        account: account.id,
        stage: Stage::Writing,
        phc: Some("$argon2id$canary".into()),
        epoch: account.epoch,
        old: Some(SealedPin(vec![0, 255, 10, 13, 39])),
        new: SealedPin((0..=255).collect()),
        holder: OURS,
        began_at: world.now(),
        attempts: 0,
        next_attempt_at: world.now() + LEASE,
    }
}

/// R-B4: what is about to happen is on the disk before it does, as it was given; its sealed bytes
/// unchanged.
async fn a_row_survives_as_it_was(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let entry = entry_of(&world, &account);
    let unknown = JournalEntry { old: None, ..entry_of(&world, &other) };
    let (begun, durable) = world.durably(world.credentials.begin(entry.clone())).await;
    assert_eq!((begun.unwrap(), durable), (Begun::Yes, true));
    assert_eq!(world.credentials.begin(unknown.clone()).await.unwrap(), Begun::Yes);
    let world = world.restarted().await;
    assert_eq!(world.credentials.entry(account.id).await.unwrap(), Some(entry));
    assert_eq!(world.credentials.entry(other.id).await.unwrap(), Some(unknown));
    assert_eq!(world.credentials.entry(fresh_id()).await.unwrap(), None);
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 2);
    let unchanged = world.accounts.by_id(account.id).await.unwrap();
    assert_eq!(unchanged, Some(account), "nothing of ours has changed yet");
}

/// R-B4: a second tab gets a conflict: of twenty that begin at once one does.
async fn of_concurrent_beginnings_one_is_written(world: World) {
    let account = world.account("1001@abc.example").await;
    let begins = (0..20).map(|number: u8| {
        let credentials = world.credentials.clone();
        let entry = JournalEntry { new: SealedPin(vec![number]), ..entry_of(&world, &account) };
        tokio::spawn(async move { (number, credentials.begin(entry).await.unwrap()) })
    });
    let outcomes = futures::future::join_all(begins).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let winners: Vec<u8> =
        outcomes.iter().filter(|(_, begun)| *begun == Begun::Yes).map(|(n, _)| *n).collect();
    let conflicts = outcomes.iter().filter(|(_, begun)| *begun == Begun::Conflict).count();
    assert_eq!((winners.len(), conflicts), (1, 19));
    let stored = world.credentials.entry(account.id).await.unwrap().unwrap();
    assert_eq!(stored.new, SealedPin(vec![winners[0]]));
}

/// R-B4: what was decided on an account that has changed since does not begin.
async fn an_overtaken_write_back_does_not_begin(world: World) {
    let account = world.account("1001@abc.example").await;
    let entry = entry_of(&world, &account);
    let begin = async |entry: &JournalEntry| world.credentials.begin(entry.clone()).await.unwrap();
    let present = world.set_password(account.id, "one").await;
    assert_eq!(begin(&entry).await, Begun::Overtaken);
    let entry = entry_of(&world, &present);
    world.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    assert_eq!(begin(&entry).await, Begun::Overtaken);
    let disabled = world.accounts.by_id(account.id).await.unwrap().unwrap();
    assert_eq!(begin(&entry_of(&world, &disabled)).await, Begun::Overtaken);
    world.accounts.delete(account.id).await.unwrap();
    assert_eq!(begin(&entry).await, Begun::Overtaken);
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 0);
}

/// R-B4: a refused write: the row goes, and everything is as it was. Only its holder can say so.
async fn only_its_holder_abandons_a_row(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    assert!(!world.credentials.abandon(account.id, THEIRS).await.unwrap());
    assert!(world.credentials.entry(account.id).await.unwrap().is_some());
    let (gone, durable) = world.durably(world.credentials.abandon(account.id, OURS)).await;
    assert!(gone.unwrap() && durable);
    assert!(!world.credentials.abandon(account.id, OURS).await.unwrap());
    assert_eq!(world.credentials.entry(account.id).await.unwrap(), None);
    let again = world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    assert_eq!(again, Begun::Yes);
}

/// R-B4: a row left by a process that died is found and taken over at once; who works on one in this
/// process is left alone for the time that they have.
async fn a_dead_process_leaves_a_row_to_others(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let claim = async |world: &World, holder| {
        let (now, until) = (world.now(), world.now() + LEASE);
        world.credentials.claim(account.id, holder, now, until).await.unwrap()
    };
    let due = async |world: &World, holder| {
        let due = world.credentials.due(holder, world.now()).await.unwrap();
        assert!(due.iter().all(|id| *id == account.id));
        !due.is_empty()
    };
    world.pass(59);
    assert!(!due(&world, OURS).await);
    assert_eq!(claim(&world, OURS).await, None);

    let world = world.restarted().await;
    assert!(due(&world, THEIRS).await);
    let taken = claim(&world, THEIRS).await.unwrap();
    assert_eq!((taken.stage, taken.holder), (Stage::Writing, THEIRS));
    assert_eq!(taken.phc.as_deref(), Some("$argon2id$canary"));
    assert_eq!(taken.next_attempt_at, world.now() + LEASE);
    assert_eq!(world.credentials.entry(account.id).await.unwrap().as_ref(), Some(&taken));
    // Two workers of one process do not take it; who held it before holds it no more.
    assert!(!due(&world, THEIRS).await);
    assert_eq!(claim(&world, THEIRS).await, None);
    let finish = JournalStep::Finish { holder: OURS };
    let late = CredentialChange { journal: finish, ..world.new_password(account.id, "late").await };
    assert_eq!(world.credentials.commit(late).await.unwrap(), None);
    assert!(!world.credentials.abandon(account.id, OURS).await.unwrap());
    // A worker that did not come back in its time is followed by another one.
    world.pass(60);
    assert!(due(&world, THEIRS).await);
    assert!(claim(&world, THEIRS).await.is_some());
    let finish = JournalStep::Finish { holder: THEIRS };
    let change =
        CredentialChange { journal: finish, ..world.new_password(account.id, "one").await };
    assert!(world.credentials.commit(change).await.unwrap().is_some());
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 0);
}

/// R-B4: a pending row is due at its time, taken by one worker at a time, counted and put off.
async fn a_pending_row_is_tried_again(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let next_attempt_at = world.now() + Duration::from_secs(30);
    let journal = JournalStep::Pend { holder: OURS, next_attempt_at };
    let change = CredentialChange { journal, ..world.new_password(account.id, "one").await };
    world.credentials.commit(change).await.unwrap().unwrap();
    let due = async || world.credentials.due(OURS, world.now()).await.unwrap();

    world.pass(29);
    assert!(due().await.is_empty());
    let until = world.now() + LEASE;
    let early = world.credentials.claim(account.id, OURS, world.now(), until).await.unwrap();
    assert_eq!(early, None);
    world.pass(1);
    assert_eq!(due().await, [account.id]);
    let until = world.now() + LEASE;
    let claims = (0..20).map(|number: u128| {
        let (credentials, now) = (world.credentials.clone(), world.now());
        // Workers of this process and of another.
        let holder = if number.is_multiple_of(2) { OURS } else { THEIRS };
        let id = account.id;
        tokio::spawn(async move { credentials.claim(id, holder, now, until).await.unwrap() })
    });
    let claims = futures::future::join_all(claims).await;
    let mut taken: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken.len(), 1);
    let taken = taken.remove(0);
    assert_eq!((taken.stage, taken.attempts, taken.phc), (Stage::Pending, 0, None));
    assert!(due().await.is_empty());

    let next = world.now() + Duration::from_secs(120);
    let stranger = Uuid::from_u128(3);
    world.credentials.postpone(account.id, stranger, world.now()).await.unwrap();
    world.credentials.postpone(account.id, taken.holder, next).await.unwrap();
    let put_off = world.credentials.entry(account.id).await.unwrap().unwrap();
    assert_eq!((put_off.attempts, put_off.next_attempt_at), (1, next));
    assert!(![OURS, THEIRS, stranger].contains(&put_off.holder));
    world.pass(119);
    assert!(due().await.is_empty());
    world.pass(1);
    assert_eq!(due().await, [account.id]);
    // Whoever wants it before its time says so.
    let early = world.now() + Duration::from_secs(3600);
    let until = early + LEASE;
    assert!(world.credentials.claim(account.id, OURS, early, until).await.unwrap().is_some());
    // A worker that never came back is followed by another one.
    assert!(world.credentials.claim(account.id, OURS, early, until).await.unwrap().is_none());
    assert!(world.credentials.claim(account.id, OURS, until, until).await.unwrap().is_some());
}

/// Faults: a clock that was far ahead and was put right lets no row wait until then: neither one
/// that was put off, nor one whose worker is gone.
async fn a_clock_put_right_lets_no_row_wait(world: World) {
    let account = world.account("1001@abc.example").await;
    world.pass(1_000_000);
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let due = async || world.credentials.due(OURS, world.now()).await.unwrap();
    assert!(due().await.is_empty());
    world.pass(-1_000_000);
    assert_eq!(due().await, [account.id]);
    let (now, until) = (world.now(), world.now() + LEASE);
    assert!(world.credentials.claim(account.id, OURS, now, until).await.unwrap().is_some());
    assert!(due().await.is_empty());
}

/// R-B4: rows are looked at by how long they have been due.
async fn the_longest_due_comes_first(world: World) {
    let mut expected = Vec::new();
    for (name, wait) in
        [("1001@abc.example", 90), ("1002@abc.example", 30), ("1003@abc.example", 60)]
    {
        let account = world.account(name).await;
        world.credentials.begin(entry_of(&world, &account)).await.unwrap();
        let next = world.now() + Duration::from_secs(wait);
        world.credentials.postpone(account.id, OURS, next).await.unwrap();
        expected.push((wait, account.id));
    }
    expected.sort_by_key(|(wait, _)| *wait);
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    world.pass(90);
    assert_eq!(world.credentials.due(OURS, world.now()).await.unwrap(), expected);
}

/// R-E1: a deleted account takes its write-back along.
async fn a_deleted_account_leaves_no_row(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    world.accounts.delete(account.id).await.unwrap();
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 0);
    let far = world.now() + Duration::from_secs(1_000_000);
    assert!(world.credentials.due(THEIRS, far).await.unwrap().is_empty());
    assert_eq!(world.credentials.claim(account.id, THEIRS, far, far).await.unwrap(), None);
    world.credentials.postpone(account.id, OURS, far).await.unwrap();
}

/// Security: what is printed of a row shows neither hash nor PIN.
async fn a_row_is_printed_without_secrets(world: World) {
    let account = world.account("1001@abc.example").await;
    let entry = JournalEntry {
        old: Some(SealedPin(b"canary".to_vec())),
        new: SealedPin(b"canary".to_vec()),
        ..entry_of(&world, &account)
    };
    let text = format!("{entry:?} {entry:#?}");
    assert!(text.contains("Writing"), "{text}");
    for secret in ["canary", "argon2", "99, 97", "99,\n"] {
        assert!(!text.contains(secret), "{text}");
    }
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_row_survives_as_it_was,
        of_concurrent_beginnings_one_is_written,
        an_overtaken_write_back_does_not_begin,
        only_its_holder_abandons_a_row,
        a_dead_process_leaves_a_row_to_others,
        a_pending_row_is_tried_again,
        a_clock_put_right_lets_no_row_wait,
        the_longest_due_comes_first,
        a_deleted_account_leaves_no_row,
        a_row_is_printed_without_secrets,
    );
}
