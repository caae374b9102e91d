//! [`CredentialStore::commit`]. The journal itself: [`super::write_backs`].

use super::write_backs::{OURS, THEIRS, entry_of};
use super::{World, fresh_id, run_against};
use crate::domain::account::{AccountState, SealedPin};
use crate::domain::mail::{MailKind, MailState};
use crate::domain::pin_journal::Stage;
use crate::ports::{
    AccountChange, AccountStore, Begun, CredentialChange, CredentialStore, JournalStep, Outbox,
    SessionStore,
};

/// R-B2, R-C8: a new password moves the epoch on, and the one before is kept.
async fn a_password_replaces_the_one_before(world: World) {
    let id = world.account("1001@abc.example").await.id;
    let first = world.set_password(id, "one").await;
    assert_eq!((first.epoch, first.previous_password.is_none()), (1, true));
    world.pass(60);
    let second = world.set_password(id, "two").await;
    assert_eq!((second.epoch, second.state()), (2, AccountState::Password));
    assert_eq!(second.previous_password, first.password);
    let password = second.password.as_ref().unwrap();
    assert_eq!((password.phc.as_str(), password.set_at), ("two", world.now()));
    let world = world.restarted().await;
    assert_eq!(world.accounts.by_id(id).await.unwrap(), Some(second));
}

/// R-B4: password, PIN, journal, sessions and mails change together, and survive a power cut.
async fn everything_changes_at_once(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    world.accounts.change(account.id, AccountChange::PinRefused, None).await.unwrap();
    for owner in [&account, &account, &other] {
        world.sessions.open(world.session_of(owner)).await.unwrap();
    }
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let notice = world.mail(&account, MailKind::PasswordSet);
    let link = world.mail(&account, MailKind::ConfirmEmail);
    let change = CredentialChange {
        pin: Some(SealedPin(vec![0, 255, 0, 7])),
        journal: JournalStep::Finish { holder: OURS },
        mails: vec![notice.clone(), link.clone()],
        ..world.new_password(account.id, "one").await
    };
    let (after, durable) = world.durably(world.credentials.commit(change)).await;
    assert!(durable);
    let after = after.unwrap().unwrap();
    assert_eq!((after.epoch, after.state()), (1, AccountState::Password));
    assert_eq!((&after.pin, after.pin_refused), (&Some(SealedPin(vec![0, 255, 0, 7])), false));

    let world = world.restarted().await;
    assert_eq!(world.accounts.by_id(account.id).await.unwrap(), Some(after));
    assert_eq!(world.credentials.entry(account.id).await.unwrap(), None);
    assert_eq!(world.sessions.count().await.unwrap(), 1, "the other account's");
    let queued = async |id| world.outbox.by_id(id).await.unwrap().unwrap();
    let stored = queued(notice.id).await;
    assert_eq!((&stored.mail, stored.state), (&notice, MailState::Queued));
    // The link's mail is not overtaken by the very change that it belongs to.
    assert_eq!(queued(link.id).await.mail.epoch, Some(1));
}

/// R-B4: a PIN alone, proved in the background, ends no session.
async fn a_pin_alone_ends_no_session(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let change = CredentialChange {
        pin: Some(SealedPin(vec![7])),
        journal: JournalStep::Finish { holder: OURS },
        ..CredentialChange::of(account.id)
    };
    let after = world.credentials.commit(change).await.unwrap().unwrap();
    assert_eq!((after.epoch, after.password, after.pin), (0, None, Some(SealedPin(vec![7]))));
    assert!(world.sessions.find(&session.record().id).await.unwrap().is_some());
    world.sessions.revalidate().await.unwrap();
    assert!(!session.has_ended());
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 0);
}

/// R-B4: a write-back comes to its end also where the account was switched off meanwhile; only the
/// password does not become valid.
async fn a_switched_off_account_blocks_no_end(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    world.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    let change = CredentialChange {
        pin: Some(SealedPin(vec![7])),
        journal: JournalStep::Finish { holder: OURS },
        ..world.new_password(account.id, "late").await
    };
    assert_eq!(world.credentials.commit(change.clone()).await.unwrap(), None);
    let change = CredentialChange { password: None, ..change };
    let after = world.credentials.commit(change).await.unwrap().unwrap();
    assert_eq!((after.state(), &after.password), (AccountState::Disabled, &None));
    assert_eq!(after.pin, Some(SealedPin(vec![7])));
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 0);
}

/// R-B4, R-C8: of twenty concurrent changes that expect the same epoch one wins.
async fn of_concurrent_passwords_one_wins(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut changes = Vec::new();
    for number in 0..20 {
        let mut change = world.new_password(account.id, &number.to_string()).await;
        change.mails = vec![world.mail(&account, MailKind::PasswordSet)];
        changes.push(change);
    }
    let commits = changes.into_iter().map(|change| {
        let credentials = world.credentials.clone();
        tokio::spawn(async move { credentials.commit(change).await.unwrap() })
    });
    let outcomes = futures::future::join_all(commits).await;
    let winners: Vec<_> = outcomes.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(winners.len(), 1);
    let stored = world.accounts.by_id(account.id).await.unwrap().unwrap();
    assert_eq!((stored.epoch, &stored.password), (1, &winners[0].password));
    assert_eq!(world.outbox.list(None, None, 50).await.unwrap().len(), 1, "and tells of it once");
}

/// R-B4: all or nothing: where one condition fails, nothing happens.
async fn what_is_overtaken_changes_nothing(world: World) {
    let account = world.account("1001@abc.example").await;
    world.credentials.begin(entry_of(&world, &account)).await.unwrap();
    let everything = async |journal| CredentialChange {
        pin: Some(SealedPin(vec![7])),
        journal,
        mails: vec![world.mail(&account, MailKind::PasswordSet)],
        ..world.new_password(account.id, "late").await
    };
    let pend = JournalStep::Pend { holder: THEIRS, next_attempt_at: world.now() };
    let mut overtaken = everything(JournalStep::Finish { holder: OURS }).await;
    if let Some(new) = &mut overtaken.password {
        new.expected_epoch = 7;
    }
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    for change in [
        everything(JournalStep::Finish { holder: THEIRS }).await,
        everything(pend).await,
        overtaken,
    ] {
        assert_eq!(world.credentials.commit(change).await.unwrap(), None);
    }
    assert_eq!(world.accounts.by_id(account.id).await.unwrap().as_ref(), Some(&account));
    assert!(world.sessions.find(&session.record().id).await.unwrap().is_some());

    // Nor without a row, switched off, or deleted.
    let finish = everything(JournalStep::Finish { holder: OURS }).await;
    assert!(world.credentials.abandon(account.id, OURS).await.unwrap());
    assert_eq!(world.credentials.commit(finish).await.unwrap(), None);
    world.accounts.change(account.id, AccountChange::Disabled(true), None).await.unwrap();
    let disabled = world.accounts.by_id(account.id).await.unwrap();
    let change = everything(JournalStep::Leave).await;
    assert_eq!(world.credentials.commit(change.clone()).await.unwrap(), None);
    assert_eq!(world.accounts.by_id(account.id).await.unwrap(), disabled);
    world.accounts.delete(account.id).await.unwrap();
    assert_eq!(world.credentials.commit(change).await.unwrap(), None);
    let nobody = CredentialChange::of(fresh_id());
    assert_eq!(world.credentials.commit(nobody).await.unwrap(), None);
    assert!(world.outbox.list(None, None, 50).await.unwrap().is_empty());
}

/// R-B4: a write whose end is not known: the password is valid already, the row waits for the
/// background, held by nobody.
async fn an_unclear_end_is_pending(world: World) {
    let account = world.account("1001@abc.example").await;
    let begun = entry_of(&world, &account);
    world.credentials.begin(begun.clone()).await.unwrap();
    let later = world.now() + std::time::Duration::from_secs(30);
    let change = CredentialChange {
        journal: JournalStep::Pend { holder: OURS, next_attempt_at: later },
        ..world.new_password(account.id, "one").await
    };
    let after = world.credentials.commit(change).await.unwrap().unwrap();
    assert_eq!((after.epoch, after.state(), &after.pin), (1, AccountState::Password, &None));
    let world = world.restarted().await;
    let pending = world.credentials.entry(account.id).await.unwrap().unwrap();
    assert_eq!(
        (pending.stage, &pending.phc, pending.next_attempt_at),
        (Stage::Pending, &None, later)
    );
    assert_eq!((&pending.old, &pending.new), (&begun.old, &begun.new));
    assert_eq!((pending.began_at, pending.attempts), (begun.began_at, 0));
    assert!(![OURS, THEIRS].contains(&pending.holder));
    // Not of its holder any more; and a second write-back has to wait.
    assert!(!world.credentials.abandon(account.id, OURS).await.unwrap());
    let again = world.credentials.begin(entry_of(&world, &after)).await.unwrap();
    assert_eq!(again, Begun::Conflict);
    assert_eq!(world.credentials.open_write_backs().await.unwrap(), 1);
}

/// R-B4, security: a failure at the last step undoes all others, and tells nothing of what was to be
/// stored.
async fn a_failure_undoes_everything(world: World) {
    let account = world.account("1001@abc.example").await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END";
    world.database.run(full).await;
    let change = CredentialChange {
        pin: Some(SealedPin(b"canary".to_vec())),
        mails: vec![world.mail(&account, MailKind::PasswordSet)],
        ..world.new_password(account.id, "canary").await
    };
    let error = world.credentials.commit(change).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("full") && !text.contains("canary"), "{text}");
    assert_eq!(world.accounts.by_id(account.id).await.unwrap(), Some(account), "all or nothing");
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_password_replaces_the_one_before,
        everything_changes_at_once,
        a_pin_alone_ends_no_session,
        a_switched_off_account_blocks_no_end,
        of_concurrent_passwords_one_wins,
        what_is_overtaken_changes_nothing,
        an_unclear_end_is_pending,
        a_failure_undoes_everything,
    );
}
