//! Decision 9: an outage of the store is an outage, never "no such account" or "no such session".

use super::{World, fresh_id, login, new_account, run_against};
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockoutPolicy};
use crate::ports::{
    AccountChange, AccountQuery, AccountStore, AttemptStore, Reserved, SessionStore,
};

async fn every_answer_is_unavailable(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    let (id, session_id, now) = (account.id, session.record().id, world.now());
    let subject = AttemptSubject { name: "x".into(), device: None, address: None };
    let policy = LockoutPolicy {
        max_failures: 5,
        window: std::time::Duration::from_secs(900),
        duration: std::time::Duration::from_secs(900),
        max_failures_per_address: 500,
        offices: Vec::new(),
        refusal_floor: std::time::Duration::ZERO,
    };
    let reserved = world.attempts.reserve(&subject, &policy, now).await.unwrap();
    let Reserved::Allowed(reservation) = reserved else { panic!("nothing is locked") };
    session.touch(now + std::time::Duration::from_secs(600));
    session.change_jar(0, |jar| jar.take("a=b"));
    world.database.close().await;

    let accounts = &world.accounts;
    accounts.find(&login("1001@abc.example")).await.unwrap_err();
    accounts.by_id(id).await.unwrap_err();
    accounts.create(fresh_id(), new_account("1@b.example"), now).await.unwrap_err();
    accounts.change(id, AccountChange::PinRefused, None).await.unwrap_err();
    accounts.list(&AccountQuery::default()).await.unwrap_err();
    accounts.import(Vec::new(), now, false).await.unwrap_err();
    accounts.import(Vec::new(), now, true).await.unwrap_err();
    accounts.delete(id).await.unwrap_err();
    accounts.count().await.unwrap_err();
    accounts.ping().await.unwrap_err();

    let attempts = &world.attempts;
    attempts.reserve(&subject, &policy, now).await.unwrap_err();
    attempts.settle(reservation, AttemptOutcome::Failure, &policy, now).await.unwrap_err();
    attempts.locked_until("x", now).await.unwrap_err();
    attempts.unlock("x").await.unwrap_err();
    attempts.purge(&policy, now).await.unwrap_err();

    let sessions = &world.sessions;
    sessions.find(&session_id).await.unwrap_err();
    sessions.open(world.session_of(&account)).await.unwrap_err();
    sessions.save_jar(&session).await.unwrap_err();
    sessions.end(&session_id).await.unwrap_err();
    sessions.end_all(id, None).await.unwrap_err();
    sessions.of_account(id).await.unwrap_err();
    sessions.flush().await.unwrap_err();
    sessions.purge(now, None).await.unwrap_err();
    sessions.count().await.unwrap_err();
    sessions.revalidate().await.unwrap_err();
    // The hot path goes on: who is signed in stays so while the store is away.
    assert!(!session.has_ended());
    assert!(sessions.cached(&session_id).is_some());
    // Nothing was half-written.
    let world = world.restarted().await;
    assert_eq!(world.sessions.of_account(id).await.unwrap().len(), 1);
    assert_eq!(world.accounts.by_id(id).await.unwrap(), Some(account));
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite: every_answer_is_unavailable);
}
