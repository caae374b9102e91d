//! [`Outbox`].

use std::time::Duration;

use jiff::Timestamp;

use super::{World, fresh_id, run_against};
use crate::domain::account::Account;
use crate::domain::mail::{
    AddressLimit, MailId, MailKind, MailLimit, MailState, NewMail, Portion, StoredMail, Urgency,
};
use crate::ports::{AccountStore, Enqueued, Outbox};

const LIMIT: MailLimit = MailLimit {
    most: 3,
    per: Duration::from_secs(3600),
    again_after: Duration::from_secs(120),
    address: AddressLimit::NONE,
};
const UNLIMITED: MailLimit = MailLimit {
    most: u32::MAX,
    per: Duration::ZERO,
    again_after: Duration::ZERO,
    address: AddressLimit::NONE,
};
const LEASE: Duration = Duration::from_secs(300);

/// Asks for a mail with a link, now.
async fn ask(world: &World, account: &Account, kind: MailKind) -> Enqueued {
    world.outbox.enqueue(world.mail(account, kind), LIMIT).await.unwrap()
}

/// Queues a mail, whatever was asked for before.
async fn queue(world: &World, account: &Account, kind: MailKind) -> MailId {
    let mail = world.mail(account, kind);
    assert_eq!(world.outbox.enqueue(mail.clone(), UNLIMITED).await.unwrap(), Enqueued::Now);
    mail.id
}

async fn claim(world: &World, most: usize) -> Vec<StoredMail> {
    world.outbox.claim(world.now(), LEASE, Portion::of(most)).await.unwrap()
}

async fn stored(world: &World, id: MailId) -> StoredMail {
    world.outbox.by_id(id).await.unwrap().unwrap()
}

/// One to the usual address was asked for at this time.
fn already(asked_at: Timestamp) -> Enqueued {
    Enqueued::Already { asked_at, to: "ada@example.com".into() }
}

/// R-D1: what was queued survives a power cut, as it was.
async fn a_mail_survives_as_it_was(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut mails = Vec::new();
    for kind in MailKind::ALL {
        let mail = world.mail(&account, kind);
        let (answer, durable) = world.durably(world.outbox.enqueue(mail.clone(), UNLIMITED)).await;
        assert_eq!((answer.unwrap(), durable), (Enqueued::Now, true));
        mails.push(mail);
    }
    let world = world.restarted().await;
    for mail in mails {
        let expected = StoredMail {
            next_attempt_at: mail.asked_at,
            mail,
            state: MailState::Queued,
            attempts: 0,
            last_error: None,
            ended_at: None,
        };
        assert_eq!(stored(&world, expected.mail.id).await, expected);
    }
    assert_eq!(world.outbox.by_id(MailId(fresh_id().0)).await.unwrap(), None);
}

/// R-D6: of twenty that ask at once one mail is queued; the others are told when.
async fn of_concurrent_requests_one_is_queued(world: World) {
    let account = world.account("1001@abc.example").await;
    let asked = world.now();
    let requests = (0..20).map(|number: i64| {
        let (outbox, mut mail) = (world.outbox.clone(), world.mail(&account, MailKind::Reset));
        // They read the clock in another order than they arrive.
        mail.asked_at = asked - jiff::SignedDuration::from_millis(number);
        tokio::spawn(async move { outbox.enqueue(mail, LIMIT).await.unwrap() })
    });
    let answers = futures::future::join_all(requests).await;
    let queued = world.outbox.list(None, None, 50).await.unwrap();
    assert_eq!(queued.len(), 1);
    let (mut now, mut before) = (0, 0);
    for answer in answers {
        match answer.unwrap() {
            Enqueued::Now => now += 1,
            answer => {
                assert_eq!(answer, already(queued[0].mail.asked_at));
                before += 1;
            }
        }
    }
    assert_eq!((now, before), (1, 19));
}

/// R-D6: who asks again within two minutes gets no second mail; nor more than three in an hour.
async fn an_account_gets_only_so_many(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let first = world.now();
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    world.pass(119);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, already(first));
    // A mail of the reject phase holds the same link; others are counted for themselves.
    assert_eq!(ask(&world, &account, MailKind::Rejected).await, already(first));
    assert_eq!(ask(&world, &account, MailKind::Welcome).await, Enqueued::Now);
    assert_eq!(ask(&world, &other, MailKind::Reset).await, Enqueued::Now);
    world.pass(1);
    assert_eq!(ask(&world, &account, MailKind::Rejected).await, Enqueued::Now);
    world.pass(600);
    let third = world.now();
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    world.pass(600);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, already(third));
    // An hour after the first there is room for one.
    world.pass(3600 - 1320 - 1);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, already(third));
    world.pass(1);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    world.pass(119);
    assert!(matches!(ask(&world, &account, MailKind::Reset).await, Enqueued::Already { .. }));
}

/// R-D4, R-D6: who corrected the address gets a mail at once, and so does who asks again after one
/// was given up; both count.
async fn another_address_does_not_wait(world: World) {
    let account = world.account("1001@abc.example").await;
    let mistyped = world.mail(&account, MailKind::ConfirmEmail);
    world.outbox.enqueue(mistyped.clone(), LIMIT).await.unwrap();
    world.pass(1);
    let mut right = world.mail(&account, MailKind::ConfirmEmail);
    right.to = "ada@example.org".into();
    assert_eq!(world.outbox.enqueue(right.clone(), LIMIT).await.unwrap(), Enqueued::Now);
    assert_eq!(ask(&world, &account, MailKind::ConfirmEmail).await, already(mistyped.asked_at));
    claim(&world, 10).await;
    world.outbox.give_up(mistyped.id, "550", world.now()).await.unwrap();
    world.pass(1);
    let third = world.now();
    assert_eq!(ask(&world, &account, MailKind::ConfirmEmail).await, Enqueued::Now);
    world.pass(1);
    let mut fourth = world.mail(&account, MailKind::ConfirmEmail);
    fourth.to = "ada@example.net".into();
    assert_eq!(world.outbox.enqueue(fourth, LIMIT).await.unwrap(), already(third));
}

/// R-D6: a dropped mail is not counted, and a mail without a link neither counts nor waits.
async fn what_never_left_is_not_counted(world: World) {
    let account = world.account("1001@abc.example").await;
    let dropped = world.mail(&account, MailKind::Reset);
    world.outbox.enqueue(dropped.clone(), LIMIT).await.unwrap();
    world.outbox.drop_mail(dropped.id, world.now()).await.unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&world, &account, MailKind::PasswordChanged).await, Enqueued::Now);
    }
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    // One that was sent, or given up, is.
    let mails = claim(&world, 50).await;
    let reset = mails.iter().find(|mail| mail.mail.kind == MailKind::Reset).unwrap().mail.id;
    world.outbox.sent(reset, world.now()).await.unwrap();
    assert_eq!(ask(&world, &account, MailKind::Reset).await, already(world.now()));
}

/// A clock that was far ahead and was put right shuts nobody out.
async fn a_clock_put_right_shuts_nobody_out(world: World) {
    let account = world.account("1001@abc.example").await;
    world.pass(1_000_000);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    world.pass(-1_000_000);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
}

/// Mails leave in the order in which they were asked for, each to one worker.
async fn each_mail_is_taken_once_oldest_first(world: World) {
    let account = world.account("1001@abc.example").await;
    assert!(claim(&world, 10).await.is_empty());
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(queue(&world, &account, MailKind::PasswordChanged).await);
        world.pass(1);
    }
    let mails = claim(&world, 3).await;
    let ids: Vec<_> = mails.iter().map(|mail| mail.mail.id).collect();
    assert_eq!(ids, expected[..3]);
    assert!(mails.iter().all(|mail| (mail.state, mail.attempts) == (MailState::Sending, 1)));
    assert_eq!(stored(&world, expected[0]).await, mails[0]);
    let workers = (0..8).map(|_| {
        let (outbox, now) = (world.outbox.clone(), world.now());
        tokio::spawn(async move { outbox.claim(now, LEASE, Portion::of(2)).await.unwrap() })
    });
    let taken = futures::future::join_all(workers).await;
    let mut taken: Vec<_> = taken.into_iter().flat_map(Result::unwrap).collect();
    taken.sort_by_key(|mail| mail.mail.asked_at);
    let ids: Vec<_> = taken.iter().map(|mail| mail.mail.id).collect();
    assert_eq!(ids, expected[3..]);
}

/// One of many mails that were asked for together.
async fn queue_bulk(world: &World, account: &Account) -> NewMail {
    let mail = world.mail(account, MailKind::Welcome);
    let mail = NewMail { urgency: Urgency::Bulk, language: None, ..mail };
    assert_eq!(world.outbox.enqueue(mail.clone(), UNLIMITED).await.unwrap(), Enqueued::Now);
    mail
}

/// R-E1: bulk mails are throttled: those that somebody waits for leave before them, however long
/// the others have been waiting, and only so many bulk mails are taken as there may be.
async fn bulk_mails_leave_last(world: World) {
    let mut bulk = Vec::new();
    for number in 0..6 {
        let account = world.account(&format!("20{number}@abc.example")).await;
        bulk.push(queue_bulk(&world, &account).await.id);
        world.pass(1);
    }
    let portion = |most, bulk| {
        let (outbox, now) = (&world.outbox, world.now());
        async move {
            let mails = outbox.claim(now, LEASE, Portion { most, bulk }).await.unwrap();
            mails.iter().map(|mail| mail.mail.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(portion(5, 0).await, []);
    assert_eq!(portion(5, 1).await, bulk[..1]);
    let account = world.account("1001@abc.example").await;
    let own = queue(&world, &account, MailKind::Reset).await;
    world.pass(1);
    let report = queue(&world, &account, MailKind::PasswordSet).await;
    assert_eq!(portion(1, 1).await, [own]);
    assert_eq!(portion(3, 3).await, [report, bulk[1], bulk[2]]);
    assert_eq!(portion(5, 2).await, bulk[3..5]);
    assert_eq!(portion(5, 5).await, bulk[5..]);
    assert_eq!(stored(&world, own).await.mail.urgency, Urgency::Prompt);
    assert_eq!(stored(&world, bulk[5]).await.mail.urgency, Urgency::Bulk);
}

/// R-E1, R-D6: who asks for what is already in a bulk gets it at once, and once; the bulk holds
/// nobody back, and counts when it has left.
async fn who_asks_does_not_wait_for_the_bulk(world: World) {
    let account = world.account("1001@abc.example").await;
    let mail = queue_bulk(&world, &account).await;
    let other = world.account("1002@abc.example").await;
    let others = queue_bulk(&world, &other).await;
    world.pass(1);
    assert_eq!(ask(&world, &account, MailKind::Welcome).await, Enqueued::Now);
    let hurried = stored(&world, mail.id).await;
    let own = world.mail(&account, MailKind::Welcome);
    let expected = NewMail { id: mail.id, ..own };
    assert_eq!(hurried.mail, expected);
    assert_eq!(world.outbox.list(None, None, 10).await.unwrap().len(), 2, "no second one");
    assert_eq!(stored(&world, others.id).await.mail, others);
    assert_eq!(ask(&world, &account, MailKind::Welcome).await, already(world.now()));

    // To another address, or of another kind, it is another mail.
    let elsewhere =
        NewMail { to: "zoe@example.com".into(), ..world.mail(&other, MailKind::Welcome) };
    assert_eq!(world.outbox.enqueue(elsewhere, LIMIT).await.unwrap(), Enqueued::Now);
    assert_eq!(ask(&world, &other, MailKind::Reset).await, Enqueued::Now);
    assert_eq!(world.outbox.list(None, None, 10).await.unwrap().len(), 4);
    // One that is being handed over is on its way.
    assert_eq!(claim(&world, 10).await.len(), 4);
    assert_eq!(ask(&world, &other, MailKind::Welcome).await, already(others.asked_at));
}

/// R-G3: what a process was handing over when it died is handed over again, and counted.
async fn a_dead_process_leaves_its_mails_to_others(world: World) {
    let account = world.account("1001@abc.example").await;
    let id = queue(&world, &account, MailKind::Reset).await;
    claim(&world, 10).await;
    let world = world.restarted().await;
    world.pass(299);
    assert!(claim(&world, 10).await.is_empty(), "it may be alive");
    world.pass(1);
    let again = claim(&world, 10).await;
    assert_eq!((again.len(), again[0].mail.id, again[0].attempts), (1, id, 2));
    assert!(claim(&world, 10).await.is_empty());
}

/// Faults: a clock that was far ahead and was put right lets no mail wait until then, neither one
/// that was put off nor one that was being handed over.
async fn a_clock_put_right_lets_no_mail_wait(world: World) {
    let account = world.account("1001@abc.example").await;
    world.pass(1_000_000);
    let id = queue(&world, &account, MailKind::Reset).await;
    claim(&world, 10).await;
    let next = world.now() + Duration::from_secs(60);
    world.outbox.retry_later(id, "451 try again later", next, true).await.unwrap();
    world.pass(-1_000_000);
    assert_eq!(claim(&world, 10).await.len(), 1);

    world.pass(1_000_000);
    world.outbox.retry_later(id, "451 try again later", world.now(), true).await.unwrap();
    assert_eq!(claim(&world, 10).await.len(), 1);
    world.pass(-1_000_000);
    assert_eq!(claim(&world, 10).await.len(), 1);
    assert!(claim(&world, 10).await.is_empty());
}

/// A mail of a kind that only a newer version knows waits for that version, and holds up no other.
async fn a_mail_of_an_unknown_kind_waits(world: World) {
    let account = world.account("1001@abc.example").await;
    queue(&world, &account, MailKind::Reset).await;
    world.database.run("UPDATE outbox SET kind = 'of a newer version'").await;
    world.pass(1);
    assert_eq!(ask(&world, &account, MailKind::Reset).await, Enqueued::Now);
    let mails = claim(&world, 10).await;
    assert_eq!(mails.iter().map(|mail| mail.mail.kind).collect::<Vec<_>>(), [MailKind::Reset]);
    assert!(claim(&world, 10).await.is_empty());
}

/// A mail that cannot be handed over now waits for its next attempt.
async fn a_failed_mail_waits(world: World) {
    let account = world.account("1001@abc.example").await;
    let id = queue(&world, &account, MailKind::Reset).await;
    claim(&world, 10).await;
    let next = world.now() + Duration::from_secs(60);
    world.outbox.retry_later(id, "451 try again later", next, true).await.unwrap();
    let waiting = stored(&world, id).await;
    assert_eq!((waiting.state, waiting.attempts), (MailState::Queued, 1));
    assert_eq!((waiting.next_attempt_at, waiting.ended_at), (next, None));
    assert_eq!(waiting.last_error.as_deref(), Some("451 try again later"));
    world.pass(59);
    assert!(claim(&world, 10).await.is_empty());
    world.pass(1);
    assert_eq!(claim(&world, 10).await[0].attempts, 2);
    // A server that could not be asked at all costs no attempt.
    world.outbox.retry_later(id, "no connection", world.now(), false).await.unwrap();
    assert_eq!(stored(&world, id).await.attempts, 1);
    assert_eq!(claim(&world, 10).await[0].attempts, 2);
    world.outbox.sent(id, world.now()).await.unwrap();
    let sent = stored(&world, id).await;
    assert_eq!((sent.state, sent.ended_at), (MailState::Sent, Some(world.now())));
    assert_eq!((sent.attempts, sent.last_error), (2, None));
    world.pass(1_000_000);
    assert!(claim(&world, 10).await.is_empty());
}

/// A mail that has ended stays so, whatever a slow worker says of it; only the mail server's word
/// that it has it counts always.
async fn what_comes_late_revives_nothing(world: World) {
    let account = world.account("1001@abc.example").await;
    let outbox = &world.outbox;
    let (dead, dropped, sent) = (
        queue(&world, &account, MailKind::PasswordSet).await,
        queue(&world, &account, MailKind::Reset).await,
        queue(&world, &account, MailKind::Welcome).await,
    );
    claim(&world, 10).await;
    let ended = world.now();
    outbox.give_up(dead, "550 no such user", ended).await.unwrap();
    outbox.drop_mail(dropped, ended).await.unwrap();
    outbox.sent(sent, ended).await.unwrap();
    let before = [stored(&world, dead).await, stored(&world, dropped).await];
    assert_eq!(before[0].state, MailState::Dead);
    assert_eq!(before[0].last_error.as_deref(), Some("550 no such user"));
    assert_eq!((before[1].state, &before[1].last_error), (MailState::Dropped, &None));
    assert!(before.iter().all(|mail| mail.ended_at == Some(ended)));
    world.pass(600);
    for id in [dead, dropped, sent] {
        outbox.retry_later(id, "late", world.now(), true).await.unwrap();
        outbox.give_up(id, "late", world.now()).await.unwrap();
        outbox.drop_mail(id, world.now()).await.unwrap();
    }
    assert_eq!([stored(&world, dead).await, stored(&world, dropped).await], before);
    assert_eq!(stored(&world, sent).await.state, MailState::Sent);
    assert!(claim(&world, 10).await.is_empty());
    outbox.sent(dropped, world.now()).await.unwrap();
    assert_eq!(stored(&world, dropped).await.state, MailState::Sent);
    // Of a mail that nobody knows, nobody says anything.
    outbox.sent(MailId(fresh_id().0), world.now()).await.unwrap();
    assert_eq!(outbox.list(None, None, 50).await.unwrap().len(), 3);
}

/// Interfaces: an administrator has a dead mail, or one that waits, tried again now, as if it had
/// been asked for now.
async fn a_dead_mail_is_tried_again(world: World) {
    let account = world.account("1001@abc.example").await;
    let (dead, waiting, sent) = (
        queue(&world, &account, MailKind::Reset).await,
        queue_bulk(&world, &account).await.id,
        queue(&world, &account, MailKind::PasswordSet).await,
    );
    claim(&world, 10).await;
    let requeue = async |id| world.outbox.requeue(id, world.now()).await.unwrap();
    assert!(!requeue(sent).await, "it is being handed over");
    world.outbox.give_up(dead, "550", world.now()).await.unwrap();
    let far = world.now() + Duration::from_secs(900);
    world.outbox.retry_later(waiting, "451", far, true).await.unwrap();
    world.outbox.sent(sent, world.now()).await.unwrap();
    world.pass(60);
    let (answer, durable) = world.durably(requeue(dead)).await;
    assert!(answer && durable);
    assert!(requeue(waiting).await);
    assert!(!requeue(sent).await && !requeue(MailId(fresh_id().0)).await);
    for id in [dead, waiting] {
        let mail = stored(&world, id).await;
        assert_eq!((mail.state, mail.attempts, mail.ended_at), (MailState::Queued, 0, None));
        assert_eq!((mail.mail.asked_at, mail.next_attempt_at), (world.now(), world.now()));
        assert_eq!(mail.mail.urgency, Urgency::Prompt, "the administrator waits for it");
    }
    assert_eq!(claim(&world, 10).await.len(), 2);
}

/// Interfaces: mails are listed latest first, page by page, each once; and counted by state.
async fn mails_are_listed_and_counted(world: World) {
    let account = world.account("1001@abc.example").await;
    assert!(world.outbox.counts().await.unwrap().iter().all(|(_, count)| *count == 0));
    let mut expected = Vec::new();
    for index in 0..12 {
        expected.insert(0, queue(&world, &account, MailKind::PasswordChanged).await);
        // Several at one moment.
        world.pass(i64::from(index % 3 == 2));
    }
    for (index, id) in expected.iter().enumerate().take(6) {
        match index % 3 {
            0 => world.outbox.sent(*id, world.now()).await.unwrap(),
            1 => world.outbox.give_up(*id, "550", world.now()).await.unwrap(),
            _ => world.outbox.drop_mail(*id, world.now()).await.unwrap(),
        }
    }
    let mut seen: Vec<StoredMail> = Vec::new();
    loop {
        let cursor = seen.last().map(|mail| mail.mail.id);
        let page = world.outbox.list(None, cursor, 5).await.unwrap();
        assert!(page.len() <= 5);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert!(seen.is_sorted_by_key(|mail| std::cmp::Reverse(mail.mail.asked_at)));
    let mut ids: Vec<_> = seen.iter().map(|mail| mail.mail.id).collect();
    ids.sort();
    let mut all = expected.clone();
    all.sort();
    assert_eq!(ids, all);

    let dead = world.outbox.list(Some(MailState::Dead), None, 50).await.unwrap();
    let ids: Vec<_> = dead.iter().map(|mail| mail.mail.id).collect();
    assert_eq!(
        (ids.len(), ids.contains(&expected[1]), ids.contains(&expected[4])),
        (2, true, true)
    );
    let rest = world.outbox.list(Some(MailState::Dead), Some(ids[0]), 50).await.unwrap();
    assert_eq!(rest, dead[1..]);
    let unknown = Some(MailId(fresh_id().0));
    assert!(world.outbox.list(None, unknown, 50).await.unwrap().is_empty());

    let mut counts = world.outbox.counts().await.unwrap();
    counts.sort_by_key(|(state, _)| state.name());
    let (dead, dropped, sent) = (MailState::Dead, MailState::Dropped, MailState::Sent);
    let (queued, sending) = (MailState::Queued, MailState::Sending);
    assert_eq!(counts, [(dead, 2), (dropped, 2), (queued, 6), (sending, 0), (sent, 2)]);
}

/// Mails that ended are forgotten after a while, all others are kept.
async fn a_purge_forgets_what_ended(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(queue(&world, &account, MailKind::PasswordSet).await);
    }
    claim(&world, 4).await;
    let sending = world.outbox.list(Some(MailState::Sending), None, 50).await.unwrap();
    let [sent, dead, dropped, under_way] = [0, 1, 2, 3].map(|index: usize| sending[index].mail.id);
    let ended = world.now();
    world.outbox.sent(sent, ended).await.unwrap();
    world.outbox.give_up(dead, "550", ended).await.unwrap();
    world.pass(10);
    world.outbox.drop_mail(dropped, world.now()).await.unwrap();
    world.outbox.purge(ended).await.unwrap();
    assert_eq!(world.outbox.list(None, None, 50).await.unwrap().len(), 5);
    world.outbox.purge(world.now()).await.unwrap();
    let left = world.outbox.list(None, None, 50).await.unwrap();
    assert_eq!(left.len(), 3);
    for id in [sent, dead] {
        assert_eq!(world.outbox.by_id(id).await.unwrap(), None);
    }
    assert_eq!(stored(&world, under_way).await.state, MailState::Sending);
}

/// R-E1: a deleted account takes its mails along, and gets none any more.
async fn a_deleted_account_gets_no_mail(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    queue(&world, &account, MailKind::Reset).await;
    let kept = queue(&world, &other, MailKind::Reset).await;
    world.accounts.delete(account.id).await.unwrap();
    let late = world.mail(&account, MailKind::Reset);
    let error = world.outbox.enqueue(late, LIMIT).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("ada@"), "{error}");
    let mails = claim(&world, 10).await;
    assert_eq!((mails.len(), mails[0].mail.id), (1, kept));
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_mail_survives_as_it_was,
        of_concurrent_requests_one_is_queued,
        an_account_gets_only_so_many,
        another_address_does_not_wait,
        what_never_left_is_not_counted,
        a_clock_put_right_shuts_nobody_out,
        each_mail_is_taken_once_oldest_first,
        bulk_mails_leave_last,
        who_asks_does_not_wait_for_the_bulk,
        a_dead_process_leaves_its_mails_to_others,
        a_clock_put_right_lets_no_mail_wait,
        a_mail_of_an_unknown_kind_waits,
        a_failed_mail_waits,
        what_comes_late_revives_nothing,
        a_dead_mail_is_tried_again,
        mails_are_listed_and_counted,
        a_purge_forgets_what_ended,
        a_deleted_account_gets_no_mail,
    );
}
