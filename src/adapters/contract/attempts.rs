//! [`AttemptStore`].

use std::time::Duration;

use super::{World, run_against};
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockScope, LockoutPolicy};
use crate::ports::{AttemptStore, Reservation, Reserved};

fn policy() -> LockoutPolicy {
    LockoutPolicy {
        max_failures: 5,
        window: Duration::from_secs(900),
        duration: Duration::from_secs(900),
        max_failures_per_address: 12,
        offices: Vec::new(),
        refusal_floor: Duration::ZERO,
        tell_owner: true,
    }
}

fn subject(name: &str, device: Option<&str>, address: Option<&str>) -> AttemptSubject {
    AttemptSubject {
        name: name.to_owned(),
        device: device.map(str::to_owned),
        address: address.map(str::to_owned),
    }
}

impl World {
    async fn reserve(&self, subject: &AttemptSubject) -> Result<Reservation, LockScope> {
        match self.attempts.reserve(subject, &policy(), self.now()).await.unwrap() {
            Reserved::Allowed(reservation) => Ok(reservation),
            Reserved::Locked { scope, .. } => Err(scope),
        }
    }

    async fn settle(&self, reservation: Reservation, outcome: AttemptOutcome) -> Option<LockScope> {
        let settled = self.attempts.settle(reservation, outcome, &policy(), self.now()).await;
        settled.unwrap().map(|(scope, _)| scope)
    }

    /// A whole attempt; what it locked.
    async fn attempt(
        &self,
        subject: &AttemptSubject,
        outcome: AttemptOutcome,
    ) -> Result<Option<LockScope>, LockScope> {
        let reservation = self.reserve(subject).await?;
        Ok(self.settle(reservation, outcome).await)
    }
}

/// R-C5, security: of fifty parallel guesses five are judged, and one lock is reported.
async fn of_fifty_parallel_attempts_five_are_allowed(world: World) {
    let attempts = (0..50).map(|_| {
        let (store, now) = (world.attempts.clone(), world.now());
        tokio::spawn(async move {
            let victim = subject("1001@abc.example", None, Some("192.0.2.1"));
            store.reserve(&victim, &policy(), now).await.unwrap()
        })
    });
    let mut allowed = Vec::new();
    for outcome in futures::future::join_all(attempts).await {
        match outcome.unwrap() {
            Reserved::Allowed(reservation) => allowed.push(reservation),
            Reserved::Locked { until, scope } => {
                assert_eq!((until, scope), (world.now() + policy().duration, LockScope::Name));
            }
        }
    }
    assert_eq!(allowed.len(), 5);
    let mut locks = Vec::new();
    for reservation in allowed {
        locks.extend(world.settle(reservation, AttemptOutcome::Failure).await);
    }
    assert_eq!(locks, [LockScope::Name]);
}

/// R-C5: five failures lock for fifteen minutes; a restart in between changes nothing (R-G3), and
/// attempts during the lock do not extend it.
async fn a_restart_keeps_the_lock(world: World) {
    let victim = subject("1001@abc.example", None, None);
    for turn in 1..=5 {
        let locked = world.attempt(&victim, AttemptOutcome::Failure).await.unwrap();
        assert_eq!(locked, (turn == 5).then_some(LockScope::Name), "{turn}");
    }
    let until = world.now() + policy().duration;
    let world = world.restarted().await;
    for _ in 0..3 {
        world.pass(299);
        assert_eq!(world.reserve(&victim).await.unwrap_err(), LockScope::Name);
        let locked = world.attempts.locked_until(&victim.name, world.now()).await.unwrap();
        assert_eq!(locked, Some(until));
    }
    world.pass(3);
    assert_eq!(world.attempts.locked_until(&victim.name, world.now()).await.unwrap(), None);
    world.attempt(&victim, AttemptOutcome::Success).await.unwrap();
}

/// R-C5: success clears the name's counter.
async fn success_clears_the_name(world: World) {
    let user = subject("1001@abc.example", None, Some("192.0.2.1"));
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(world.attempt(&user, AttemptOutcome::Failure).await, Ok(None));
        }
        assert_eq!(world.attempt(&user, AttemptOutcome::Success).await, Ok(None));
    }
    // Eight failures of twelve stand against the address, which success never clears.
    for number in 0..4 {
        let other = subject(&format!("{number}@abc.example"), None, Some("192.0.2.1"));
        let locked = world.attempt(&other, AttemptOutcome::Failure).await.unwrap();
        assert_eq!(locked, (number == 3).then_some(LockScope::Address));
    }
    assert_eq!(world.reserve(&user).await.unwrap_err(), LockScope::Address);
}

/// R-C5: the account's own former secret, repeated by an old app, counts once per window.
async fn a_former_secret_counts_once(world: World) {
    let user = subject("1001@abc.example", None, Some("192.0.2.1"));
    for _ in 0..60 {
        world.pass(10);
        let outcome = AttemptOutcome::FormerSecret([7; 16]);
        assert_eq!(world.attempt(&user, outcome).await, Ok(None));
    }
    // Together with the one that counted, four more are five.
    for turn in 1..=4 {
        let locked = world.attempt(&user, AttemptOutcome::Failure).await.unwrap();
        assert_eq!(locked, (turn == 4).then_some(LockScope::Name), "{turn}");
    }
}

/// R-C5: what could not be judged leaves no trace; neither does what was refused by a lock count
/// for the address.
async fn outages_and_locked_attempts_count_nothing(world: World) {
    let user = subject("1001@abc.example", None, Some("192.0.2.1"));
    for _ in 0..20 {
        assert_eq!(world.attempt(&user, AttemptOutcome::NotJudged).await, Ok(None));
    }
    for _ in 0..5 {
        world.attempt(&user, AttemptOutcome::Failure).await.unwrap();
    }
    for _ in 0..50 {
        assert_eq!(world.reserve(&user).await.unwrap_err(), LockScope::Name);
    }
    // Five of twelve: a colleague behind the same address goes on.
    let colleague = subject("1002@abc.example", None, Some("192.0.2.1"));
    assert_eq!(world.attempt(&colleague, AttemptOutcome::Failure).await, Ok(None));
}

/// R-C5: a browser that signed in before has a counter of its own, so that a stranger cannot lock
/// the owner out; nor does the device open a second door for the stranger.
async fn a_known_device_counts_for_itself(world: World) {
    let stranger = subject("1001@abc.example", None, None);
    let owner = subject("1001@abc.example", Some("device-1"), None);
    for _ in 0..5 {
        world.attempt(&stranger, AttemptOutcome::Failure).await.unwrap();
    }
    assert_eq!(world.reserve(&stranger).await.unwrap_err(), LockScope::Name);
    for turn in 1..=5 {
        let locked = world.attempt(&owner, AttemptOutcome::Failure).await.unwrap();
        assert_eq!(locked, (turn == 5).then_some(LockScope::Device));
    }
    assert_eq!(world.reserve(&owner).await.unwrap_err(), LockScope::Device);
    let other = subject("1001@abc.example", Some("device-2"), None);
    assert_eq!(world.attempt(&other, AttemptOutcome::Success).await, Ok(None));
    // The owner proved who they are: their name waits no longer.
    assert!(world.reserve(&stranger).await.is_ok());
    assert_eq!(world.reserve(&owner).await.unwrap_err(), LockScope::Device);
}

/// R-C5: an administrator unlocks the name and its devices, nobody else's.
async fn an_administrator_unlocks(world: World) {
    let locked = [
        subject("1001@abc.example", None, None),
        subject("1001@abc.example", Some("device-1"), None),
        subject("1002@abc.example", None, None),
    ];
    for one in &locked {
        for _ in 0..5 {
            world.attempt(one, AttemptOutcome::Failure).await.unwrap();
        }
    }
    world.attempts.unlock("1001@abc.example").await.unwrap();
    assert!(world.reserve(&locked[0]).await.is_ok());
    assert!(world.reserve(&locked[1]).await.is_ok());
    assert_eq!(world.reserve(&locked[2]).await.unwrap_err(), LockScope::Name);
}

/// Counters that say nothing any more are forgotten, all others kept.
async fn a_purge_forgets_only_what_is_over(world: World) {
    let old = subject("1001@abc.example", None, Some("192.0.2.1"));
    for _ in 0..5 {
        world.attempt(&old, AttemptOutcome::Failure).await.unwrap();
    }
    world.pass(600);
    let recent = subject("1002@abc.example", None, None);
    for _ in 0..5 {
        world.attempt(&recent, AttemptOutcome::Failure).await.unwrap();
    }
    let purge = async || world.attempts.purge(&policy(), world.now()).await.unwrap();
    purge().await;
    assert_eq!(world.reserve(&old).await.unwrap_err(), LockScope::Name);
    world.pass(301);
    purge().await;
    assert_eq!(world.reserve(&recent).await.unwrap_err(), LockScope::Name);
    let locked = world.attempts.locked_until(&recent.name, world.now()).await.unwrap();
    assert!(locked.is_some());
    assert_eq!(world.counters().await, 1);
    // A clock that was set back far enough has nothing to keep either.
    world.pass(-100_000);
    world.pass(901);
    purge().await;
    world.pass(200_000);
    purge().await;
    assert_eq!(world.counters().await, 0);
}

impl World {
    async fn counters(&self) -> i64 {
        self.database.counters().await
    }
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        of_fifty_parallel_attempts_five_are_allowed,
        a_restart_keeps_the_lock,
        success_clears_the_name,
        a_former_secret_counts_once,
        outages_and_locked_attempts_count_nothing,
        a_known_device_counts_for_itself,
        an_administrator_unlocks,
        a_purge_forgets_only_what_is_over,
    );
}
