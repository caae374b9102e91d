//! What the stores keep no longer than it is of use.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{ALICE, EQUIPPED, World};
use crate::domain::account::{Account, AccountId, NewAccount, Role};
use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, MailKind, MailState, NewMail, Portion, Urgency};
use crate::domain::one_time_code::{IssuedCode, OneTimeCode, Purpose};
use crate::flows::courier::Courier;
use crate::flows::sweep::sweep;
use crate::flows::{mails, post};
use crate::ports::Created;

const HOUR: Duration = Duration::from_secs(3600);

async fn alice(world: &World) -> Account {
    let name = LoginName::parse(ALICE).unwrap();
    world.with_pin().await;
    world.services.accounts.find(&name).await.unwrap().unwrap()
}

/// R-D1: for a week after its end the holder of a link is told that it ran out; then the code is
/// forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_are_forgotten_a_week_after_their_end() {
    let world = World::new().await;
    let account = alice(&world).await;
    let services = &world.services;
    let code = OneTimeCode(services.random.bytes());
    let now = services.clock.now();
    let issued = IssuedCode::new(&code, Purpose::Reset, &account, "a@b.example", HOUR, now);
    services.codes.issue(issued).await.unwrap();
    for (minutes, known) in [(0, true), (60, true), (7 * 24 * 60, true), (1, false)] {
        world.pass_minutes(minutes);
        sweep(services).await.unwrap();
        let found = services.codes.find(&code.hash()).await.unwrap();
        assert_eq!(found.is_some(), known, "{minutes} minutes later");
    }
}

/// Privacy: a mail is forgotten a month after it was sent; one that waits is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_are_forgotten_a_month_after_their_end() {
    let world = World::new().await;
    let account = alice(&world).await;
    let services = &world.services;
    let mail = |number| NewMail {
        id: MailId(Uuid::from_u128(number)),
        kind: MailKind::PasswordSet,
        account: account.id,
        epoch: None,
        to: "a@b.example".into(),
        on_file: None,
        language: None,
        asked_at: services.clock.now(),
        lock: None,
        urgency: Urgency::Prompt,
    };
    let limit = services.policies.mails_per_account;
    let (sent, waiting) = (mail(1), mail(2));
    for mail in [&sent, &waiting] {
        services.outbox.enqueue(mail.clone(), limit).await.unwrap();
    }
    services.outbox.sent(sent.id, services.clock.now()).await.unwrap();
    for (minutes, known) in [(0, true), (30 * 24 * 60, true), (1, false)] {
        world.pass_minutes(minutes);
        sweep(services).await.unwrap();
        let found = services.outbox.by_id(sent.id).await.unwrap();
        assert_eq!(found.is_some(), known, "{minutes} minutes later");
        assert!(services.outbox.by_id(waiting.id).await.unwrap().is_some());
    }
}

/// Reliability: a mail whose account cannot be read waits by itself; the mails behind it leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_cannot_be_written_holds_up_no_other() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some("alice@corp.example")).await;
    let new = NewAccount {
        login: LoginName::parse("1999@abc-company.11111.service").unwrap(),
        email: Some("zoe@corp.example".into()),
        name: String::new(),
        role: Role::User,
    };
    let (id, now) = (AccountId(Uuid::from_u128(1999)), world.services.clock.now());
    let Created::New(zoe) = world.services.accounts.create(id, new, now).await.unwrap() else {
        panic!("she was there before");
    };
    post::request(&world.services, &zoe, MailKind::Reset, None).await.unwrap();
    world.pass_minutes(1);
    let alice = world.alice().await;
    post::request(&world.services, &alice, MailKind::Reset, None).await.unwrap();
    world.database.run("UPDATE accounts SET tenant = 'un readable' WHERE extension = '1999'").await;
    let arrived = world.mails().await;
    assert_eq!(
        arrived.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(),
        ["alice@corp.example"]
    );
    let waiting = world.services.outbox.list(Some(MailState::Queued), None, 9).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].attempts), (1, 1));
    assert!(waiting[0].last_error.as_ref().unwrap().contains("cannot be read"));
    // It is listed with all others, without the name that cannot be read.
    let listed = mails::list(&world.services, None, None, 9).await.unwrap();
    let logins: Vec<_> = listed.items.iter().map(|mail| mail.login.clone()).collect();
    assert_eq!(logins, [Some(alice.login), None]);
}

/// R-E1: bulk mails never take the last free hand: who waits for a link does not wait for the
/// servers of many others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_stays_free_for_who_waits() {
    let world = World::with(EQUIPPED).await;
    let room = |hands, portion| Courier::new(Arc::clone(&world.services), hands).room(portion);
    assert_eq!(room(4, Portion::of(100)), Portion { most: 4, bulk: 3 });
    assert_eq!(room(4, Portion { most: 2, bulk: 1 }), Portion { most: 2, bulk: 1 });
    // Who has one only must use it.
    assert_eq!(room(1, Portion::of(100)), Portion::of(1));
    assert_eq!(room(0, Portion::of(100)), Portion::of(1));
}
