//! Mails are handed over side by side: nobody waits for another's server, a server that is down is
//! not hammered, and what the process was doing when it was killed is the only thing done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;

use crate::outbox::{World, address, is};
use crate::support::until;

/// How often each of these mails was tried so far.
async fn attempts(world: &World) -> Vec<u64> {
    world.gateway.outbox().await.iter().map(|mail| mail["attempts"].as_u64().unwrap()).collect()
}

/// One recipient whose server does not answer holds up no other mail; when it answers after all,
/// its mail arrives, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_recipient_holds_up_no_other() {
    let world = World::with(10, "warn", "connections = 2\n").await;
    world.smtp.fail_with(json!({ "hang_for": address(0) })).await;
    world.ask(0).await;
    until(async || world.mail(0).await["attempts"] == 1).await;
    join_all((1..10).map(|number| world.ask(number))).await;
    for number in 1..10 {
        world.smtp.mail_to(&address(number)).await;
    }
    assert_eq!(world.mail(0).await["state"], "queued", "it still waits for its answer");
    world.smtp.work_again().await;
    world.smtp.mail_to(&address(0)).await;
    world.all(is("sent")).await;
    assert_eq!(world.smtp.mails().await.len(), 10, "each once");
}

/// `mail.connections`: so many mails are under way at a time, and no more; all others leave over the
/// same connections.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_than_configured() {
    let world = World::with(12, "warn", "connections = 3\n").await;
    world.smtp.fail_with(json!({ "hang": "rcpt" })).await;
    join_all((0..12).map(|number| world.ask(number))).await;
    until(async || world.smtp.logins().await.len() == 3).await;
    assert_eq!(attempts(&world).await.iter().sum::<u64>(), 3, "the others are not even taken up");
    world.smtp.work_again().await;
    world.all(is("sent")).await;
    assert_eq!(world.smtp.logins().await.len(), 3, "the same three");
    assert_eq!(world.smtp.mails().await.len(), 12);
}

/// What holds for one mail holds for all: a server that does not take our login is asked by those
/// under way at most, however many mails wait; and again half a minute later, not sooner.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_not_hammered() {
    let world = World::with(30, "warn", "connections = 4\nrate = \"1000/s\"\n").await;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    join_all((0..30).map(|number| world.ask(number))).await;
    let says = async |words: &str| {
        world.all(|mail| mail["last_error"].as_str().is_some_and(|why| why.contains(words))).await;
    };
    says("cannot be reached").await;
    world.smtp.fail_with(json!({ "auth": "535 5.7.8 no" })).await;
    for round in 1..=3 {
        world.in_vain("30s").await;
        says("does not take the login").await;
        let (tried, mails) = (world.smtp.logins().await.len(), world.gateway.outbox().await);
        assert!(
            (round..=round * 4).contains(&tried),
            "{tried} tries for {} mails in {round} rounds",
            mails.len()
        );
        assert!(mails.iter().all(|mail| mail["attempts"] == 0), "{mails:?}");
    }
    world.smtp.work_again().await;
    world.gateway.advance("30s").await;
    world.all(is("sent")).await;
    assert_eq!(world.smtp.mails().await.len(), 30, "each once");
}

/// A clock that is set while mails are under way makes nobody believe that their process died: they
/// arrive once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_is_not_taken_up_again() {
    let world = World::with(3, "warn", "connections = 3\n").await;
    world.smtp.fail_with(json!({ "hang": "data" })).await;
    join_all((0..2).map(|number| world.ask(number))).await;
    until(async || attempts(&world).await == [1, 1]).await;
    world.gateway.advance("10m").await;
    until(async || attempts(&world).await == [2, 2]).await;
    world.smtp.work_again().await;
    world.all(is("sent")).await;
    assert_eq!(world.smtp.mails().await.len(), 2);
}

/// A stop lets the mails under way come to their end: nothing arrives twice after the restart, and
/// what waited is sent by the next process.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_nothing_in_the_middle() {
    let mut world = World::with(9, "warn", "connections = 3\n").await;
    world.smtp.fail_with(json!({ "hang": "data" })).await;
    join_all((0..9).map(|number| world.ask(number))).await;
    until(async || attempts(&world).await.iter().sum::<u64>() == 3).await;
    world.gateway.ask_to_stop().await;
    until(async || TcpStream::connect(world.gateway.https).await.is_err()).await;
    world.smtp.work_again().await;
    assert!(world.gateway.stopped().await, "{}", world.gateway.log());
    let before = world.smtp.mails().await.len();
    assert_eq!(before, 3, "those under way, and no others");
    world.gateway.run_again(crate::support::at("warn")).await;
    world.all(is("sent")).await;
    assert_eq!(world.smtp.mails().await.len(), 9, "each once");
}

/// What was found after the kills.
#[derive(Debug, Default)]
struct Found {
    kills: usize,
    /// Mails that arrived a second time.
    twice: usize,
    /// The most that one kill has doubled.
    most: usize,
}

const CONNECTIONS: usize = 8;

/// Security "kill -9 … queued mails": whatever waited arrives. Twice arrives only what was under way
/// when the process was killed: the mail server had it, and nobody could note that any more. That is
/// one for each connection at most, under the same `Message-ID`.
///
/// `PASSGATE_KILL_MAILS` sets how many mails wait; docs/operations.md has the figures of a run with
/// 1,000.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_bulk() {
    let mails: usize =
        std::env::var("PASSGATE_KILL_MAILS").map_or(60, |number| number.parse().expect("a number"));
    let keys = format!("connections = {CONNECTIONS}\nrate = \"10000/s\"\n");
    let mut world = World::with(mails, "warn", &keys).await;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    stream::iter(0..mails).for_each_concurrent(16, |number| world.ask(number)).await;
    until(async || queued(&world).await == mails).await;

    // As long as something waits, the process is killed after a random number of mails.
    world.smtp.fail_with(json!({ "slow": 0.01 })).await;
    let mut found = Found::default();
    let mut known = BTreeMap::<String, usize>::new();
    loop {
        world.gateway.advance("3m").await;
        let span = 1 + below((mails / 12).max(20));
        let goal = world.smtp.count() + span;
        until_or(Duration::from_secs(60), async || {
            world.smtp.count() >= goal || queued(&world).await == 0
        })
        .await;
        if queued(&world).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(below(15) as u64)).await;
        world.gateway.kill_and_run_again().await;
        found.kills += 1;
        let (twice, arrived) = doubled(&world).await;
        // Those that this kill doubles arrive in the next life; the sum is judged at the end.
        found.most = found.most.max(twice - found.twice);
        (found.twice, known) = (twice, arrived);
    }
    world.smtp.work_again().await;
    world.all(is("sent")).await;
    let (twice, arrived) = doubled(&world).await;
    found.most = found.most.max(twice - found.twice);
    found.twice = twice;
    assert!(known.keys().all(|recipient| arrived.contains_key(recipient)));

    let lost: Vec<_> = (0..mails).filter(|n| !arrived.contains_key(&address(*n))).collect();
    assert!(lost.is_empty(), "{lost:?} did not arrive");
    assert!(found.kills > 0, "it was never killed in the middle");
    assert!(found.most <= CONNECTIONS, "more than were under way: {found:?}");
    assert!(found.twice <= found.kills * CONNECTIONS, "{found:?}");
    eprintln!(
        "| mails | kills | delivered | lost | twice | most of one kill |\n|---|---|---|---|---|---|\n\
         | {mails} | {} | {} | {} | {} | {} |",
        found.kills,
        arrived.len(),
        lost.len(),
        found.twice,
        found.most
    );
}

/// How many mails arrived a second time, and how often each recipient got one; a second one must
/// have the `Message-ID` of the first.
async fn doubled(world: &World) -> (usize, BTreeMap<String, usize>) {
    let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
    let mut arrived = BTreeMap::<String, usize>::new();
    for mail in world.smtp.mails().await {
        let recipient = mail.recipients.concat();
        ids.entry(recipient.clone()).or_default().insert(mail.id().to_owned());
        *arrived.entry(recipient).or_default() += 1;
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "another Message-ID: {ids:?}");
    (arrived.values().map(|count| count - 1).sum(), arrived)
}

/// How many mails have not ended.
async fn queued(world: &World) -> usize {
    let path = "/api/v1/outbox?limit=1000&state=queued";
    let (status, list) = world.gateway.api("GET", path, serde_json::Value::Null).await;
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().len()
}

async fn until_or(patience: Duration, condition: impl AsyncFn() -> bool) {
    let met = tokio::time::timeout(patience, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(met.await.is_ok(), "nothing arrived any more");
}

fn below(bound: usize) -> usize {
    usize::try_from(getrandom::u64().unwrap() % bound.max(1) as u64).unwrap()
}
