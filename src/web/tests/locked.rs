//! The owner of a login name that was locked is told (R-C5).

use std::time::{Duration, Instant};

use super::desk::Arrived;
use super::{ALICE, EQUIPPED, Setup, World};
use crate::domain::mail::{MailKind, MailState};
use crate::ports::AccountChange;

const ADDRESS: &str = "alice@corp.example";
const NOBODY: &str = "4711@abc-company.11111.service";

impl World {
    /// Somebody guesses until the name waits; what the last guess was answered with.
    async fn guess(&self, login: &str) -> String {
        let mut browser = self.browser();
        let mut said = String::new();
        for guess in 0..5 {
            said = browser.sign_in(login, &format!("0000{guess}")).await.said("alert");
        }
        let (attempts, now) = (&self.services.attempts, self.services.clock.now());
        assert!(attempts.locked_until(login, now).await.unwrap().is_some(), "{said}");
        said
    }

    /// So many mails are in the outbox, waited for: they are queued beside the answer.
    async fn queued(&self, so_many: usize) {
        let begun = Instant::now();
        while self.services.outbox.list(None, None, 50).await.unwrap().len() < so_many {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody was told");
            tokio::task::yield_now().await;
        }
    }

    /// What the owner was told, once it is queued.
    async fn told(&self) -> Arrived {
        self.queued(1).await;
        let mut mails = self.mails().await;
        assert_eq!(mails.len(), 1, "{:?}", mails.iter().map(|mail| mail.kind).collect::<Vec<_>>());
        mails.remove(0)
    }
}

/// R-C5: one mail to the address on file: when, from where, until when, what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_told_of_a_lock() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    world.guess(ALICE).await;
    let mail = world.told().await;
    assert_eq!((mail.to.as_str(), mail.kind), (ADDRESS, MailKind::Locked));
    let text = mail.text.replace('\n', " ");
    for words in [
        "the last time at 12:00 on 5 November 2018 (UTC) from the network address 203.0.113.7.",
        "has to wait until 12:15 on 5 November 2018 (UTC)",
        "https://portal.example.com/account/forgot-password",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert_eq!(mail.code, "", "its link can do nothing by itself");
}

/// R-C5: who guesses at the present portal password inside a session makes a lock like any other,
/// and the owner hears of it; unless the browser has a counter of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_inside_a_session_are_told_too() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let mut own = world.with_password().await;
    let mut stolen = world.browser();
    stolen.cookies.clone_from(&own.cookies);
    stolen.cookies.remove(crate::web::cookies::DEVICE);
    world.mails().await; // That the password was set.
    let new = "New-Word-77";
    let wrong = [("current_password", "Wrong-9999"), ("password", new), ("confirm", new)];
    for _ in 0..6 {
        own.fill_in("/account/security", &wrong).await;
    }
    for _ in 0..5 {
        stolen.fill_in("/account/security", &wrong).await;
    }
    world.queued(2).await;
    let kinds: Vec<_> = world.mails().await.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [MailKind::Locked], "the name's lock, and not the browser's");
}

/// R-C5: nobody is bombarded: however often a name is locked, its owner is told once a day; and it
/// takes nothing away from the links that they may ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_once_a_day() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let mut told = 0;
    for hour in 0..26 {
        world.guess(ALICE).await;
        if [0, 24].contains(&hour) {
            told += 1;
            world.queued(told).await;
        }
        world.pass_minutes(60);
    }
    assert_eq!(world.services.outbox.list(None, None, 50).await.unwrap().len(), told);
    for _ in 0..3 {
        world.mailed(MailKind::Reset).await;
        world.pass_minutes(3);
    }
}

/// R-C5: the same answer whether the name is somebody's or nobody's; told are those only who can be
/// written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_of_who_exists() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    assert_eq!(world.guess(NOBODY).await, world.guess(ALICE).await);
    world.told().await;
    world.pass_minutes(25 * 60);
    let off = AccountChange::Disabled(true);
    world.services.accounts.change(world.alice().await.id, off, None).await.unwrap();
    world.guess(ALICE).await;
    let on = AccountChange::Disabled(false);
    let alice = world.services.accounts.change(world.alice().await.id, on, None).await.unwrap();
    let gone = AccountChange::Details { email: Some(None), name: None, role: None };
    world.pass_minutes(16);
    world.services.accounts.change(alice.unwrap().id, gone, None).await.unwrap();
    world.guess(ALICE).await;
    world.pass_minutes(16);
    world.address(ADDRESS).await;
    world.guess(ALICE).await;
    world.queued(2).await;
    assert_eq!(world.services.outbox.list(None, None, 50).await.unwrap().len(), 2);
}

/// With e-mail off nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mail_nobody_is_told() {
    let world = World::with(Setup { mail: false, ..EQUIPPED }).await;
    world.import_alice(Some(ADDRESS)).await;
    world.guess(ALICE).await;
    world.pass_minutes(16);
    world.with_pin().await;
    assert!(world.services.outbox.list(None, None, 50).await.unwrap().is_empty());
}

/// A mail about a lock is not needed where the address is another one by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_to_the_address_on_file_only() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    world.guess(ALICE).await;
    world.queued(1).await;
    world.address("alice@other.example").await;
    assert!(world.mails().await.is_empty());
    let mails = world.services.outbox.list(Some(MailState::Dropped), None, 50).await.unwrap();
    assert_eq!((mails.len(), mails[0].mail.kind), (1, MailKind::Locked));
}
