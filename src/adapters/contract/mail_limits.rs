//! [`Outbox`]: how many mails one address gets.

use std::time::Duration;

use super::{World, run_against};
use crate::domain::mail::{AddressLimit, MailKind, MailLimit, NewMail, Urgency};
use crate::ports::{Enqueued, Outbox};

const HOUR: Duration = Duration::from_secs(3600);
const ACCOUNT: MailLimit = MailLimit {
    most: 3,
    per: HOUR,
    again_after: Duration::from_secs(120),
    address: AddressLimit::NONE,
};

/// R-D6: an address that several accounts share gets so many mails over all of them, in whatever case
/// it is written; who asks for the next one is told when there is room.
async fn an_address_gets_only_so_many(world: World) {
    let limit = MailLimit { address: AddressLimit { most: 4, per: HOUR }, ..ACCOUNT };
    let mut accounts = Vec::new();
    for number in 1001..1009 {
        accounts.push(world.account(&format!("{number}@abc.example")).await);
    }
    let ask = async |number: usize, kind, to: &str| {
        let mail = NewMail { to: to.into(), ..world.mail(&accounts[number], kind) };
        world.outbox.enqueue(mail, limit).await.unwrap()
    };
    let (shared, first) = ("desk@example.com", world.now());
    assert_eq!(ask(0, MailKind::Reset, shared).await, Enqueued::Now);
    world.pass(10);
    assert_eq!(ask(1, MailKind::Welcome, "Desk@Example.com").await, Enqueued::Now);
    // Neither reports nor bulk mails count, nor a lock that strangers brought about.
    for kind in [MailKind::PasswordSet, MailKind::EmailChanged, MailKind::Locked] {
        assert_eq!(ask(2, kind, shared).await, Enqueued::Now);
    }
    let mut bulk = world.mail(&accounts[3], MailKind::Reminder);
    (bulk.to, bulk.urgency) = (shared.into(), Urgency::Bulk);
    assert_eq!(world.outbox.enqueue(bulk, limit).await.unwrap(), Enqueued::Now);
    assert_eq!(ask(3, MailKind::LoginNames, shared).await, Enqueued::Now);
    world.pass(10);
    let latest = world.now();
    assert_eq!(ask(4, MailKind::Rejected, shared).await, Enqueued::Now);
    let full = Enqueued::AddressFull { latest, until: first + HOUR };
    assert_eq!(ask(5, MailKind::Reset, shared).await, full);
    assert_eq!(ask(5, MailKind::Reset, "DESK@EXAMPLE.COM").await, full);
    assert_eq!(ask(5, MailKind::ConfirmEmail, "elsewhere@example.com").await, Enqueued::Now);
    // A lock is told only where there is room; a report always.
    let told = ask(6, MailKind::Locked, shared).await;
    assert!(matches!(told, Enqueued::AddressFull { .. }), "{told:?}");
    assert_eq!(ask(6, MailKind::PasswordChanged, shared).await, Enqueued::Now);
    world.pass(3600 - 21);
    assert!(matches!(ask(5, MailKind::Reset, shared).await, Enqueued::AddressFull { .. }));
    world.pass(1);
    assert_eq!(ask(5, MailKind::Reset, shared).await, Enqueued::Now);
    assert!(matches!(ask(7, MailKind::Reset, shared).await, Enqueued::AddressFull { .. }));
}

/// R-D6: of twenty accounts that ask at once for the same address, as many get a mail as the address
/// gets.
async fn of_concurrent_accounts_an_address_gets_so_many(world: World) {
    let limit = MailLimit { address: AddressLimit { most: 4, per: HOUR }, ..ACCOUNT };
    let mut mails = Vec::new();
    for number in 1001..1021 {
        let account = world.account(&format!("{number}@abc.example")).await;
        mails.push(world.mail(&account, MailKind::Reset));
    }
    let requests = mails.into_iter().map(|mail| {
        let outbox = world.outbox.clone();
        tokio::spawn(async move { outbox.enqueue(mail, limit).await.unwrap() })
    });
    let answers = futures::future::join_all(requests).await;
    let queued = answers.iter().filter(|answer| *answer.as_ref().unwrap() == Enqueued::Now).count();
    assert_eq!((queued, world.outbox.list(None, None, 50).await.unwrap().len()), (4, 4));
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        an_address_gets_only_so_many,
        of_concurrent_accounts_an_address_gets_so_many,
    );
}
