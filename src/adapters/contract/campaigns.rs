//! [`CampaignStore`].

use std::time::Duration;

use super::{World, fresh_id, login, new_account, run_against};
use crate::domain::account::{Account, AccountId, AccountState, NewAccount};
use crate::domain::campaign::{
    Audience, Campaign, CampaignId, CampaignKind, CampaignState, Fate, Order, Progress,
};
use crate::domain::mail::{
    AddressLimit, MailId, MailKind, MailLimit, MailState, NewMail, Portion, Urgency,
};
use crate::domain::reminders::{Ahead, ReminderPoint};
use crate::ports::{
    AccountStore, CampaignStore, Created, Enqueued, ImportRow, NewCampaign, Ordered, Outbox,
    PlanPart, PlannedMail, Started, Turn,
};

const LEASE: Duration = Duration::from_secs(300);

fn new_campaign(world: &World, audience: Audience) -> NewCampaign {
    let kind = CampaignKind::Welcome;
    NewCampaign { id: CampaignId(fresh_id().0), kind, audience, begun_at: world.now() }
}

fn everybody(world: &World) -> NewCampaign {
    new_campaign(world, Audience::Everybody)
}

fn planned(account: AccountId) -> PlannedMail {
    PlannedMail { account, mail: MailId(fresh_id().0), fate: Fate::Mail }
}

async fn begin(world: &World, new: NewCampaign, plan: Option<Vec<PlannedMail>>) -> Campaign {
    match world.campaigns.begin(new, plan).await.unwrap() {
        Started::New(campaign) => campaign,
        Started::Same(campaign) => panic!("there is {campaign:?}"),
    }
}

/// A campaign for these accounts, its plan complete.
async fn campaign_for(world: &World, accounts: &[Account]) -> CampaignId {
    let plan = accounts.iter().map(|account| planned(account.id)).collect();
    begin(world, everybody(world), Some(plan)).await.id
}

async fn accounts(world: &World, count: usize) -> Vec<Account> {
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        made.push(world.account(&format!("{}@abc.example", 100 + number)).await);
    }
    made
}

fn bulk(world: &World, account: &Account, id: MailId) -> NewMail {
    NewMail { id, urgency: Urgency::Bulk, ..world.mail(account, MailKind::Welcome) }
}

/// Puts up to `most` mails into the outbox; whose they are.
async fn feed(world: &World, id: CampaignId, most: usize) -> Vec<AccountId> {
    let mut turns = Vec::new();
    for (account, mail) in world.campaigns.next(id, most).await.unwrap() {
        let account = world.accounts.by_id(account).await.unwrap();
        let account = account.expect("it is there");
        turns.push(Turn { account: account.id, mail: Some(bulk(world, &account, mail)) });
    }
    let ids = turns.iter().map(|turn| turn.account).collect();
    world.campaigns.queue(id, turns).await.unwrap();
    ids
}

async fn claim(world: &World, most: usize) -> Vec<MailId> {
    let mails = world.outbox.claim(world.now(), LEASE, Portion::of(most)).await.unwrap();
    mails.iter().map(|mail| mail.mail.id).collect()
}

async fn progress(world: &World, id: CampaignId) -> Progress {
    world.campaigns.progress(id).await.unwrap()
}

async fn order(world: &World, id: CampaignId, order: Order) -> Ordered {
    world.campaigns.order(id, order, world.now()).await.unwrap().unwrap()
}

async fn state(world: &World, id: CampaignId) -> CampaignState {
    world.campaigns.by_id(id).await.unwrap().unwrap().state
}

/// R-E1, idempotent: the same campaign runs once at a time, also when many begin it at once, and may
/// be begun again after its end.
async fn the_same_campaign_runs_once(world: World) {
    let starts = (0..20).map(|_| {
        let (campaigns, new) = (world.campaigns.clone(), everybody(&world));
        tokio::spawn(async move { campaigns.begin(new, Some(Vec::new())).await.unwrap() })
    });
    let mut begun = Vec::new();
    let mut same = Vec::new();
    for start in futures::future::join_all(starts).await {
        match start.unwrap() {
            Started::New(campaign) => begun.push(campaign),
            Started::Same(campaign) => same.push(campaign),
        }
    }
    assert_eq!((begun.len(), same.len()), (1, 19));
    assert!(same.iter().all(|other| *other == begun[0]));
    let id = begun[0].id;
    // Another kind or audience is another campaign; a paused one is at work.
    begin(&world, new_campaign(&world, Audience::Tenant("abc".into())), None).await;
    let reminder = NewCampaign { kind: CampaignKind::Reminder, ..everybody(&world) };
    begin(&world, reminder, None).await;
    order(&world, id, Order::Pause).await;
    let again = world.campaigns.begin(everybody(&world), None).await.unwrap();
    assert!(matches!(again, Started::Same(same) if same.id == id));
    order(&world, id, Order::Cancel).await;
    let next = begin(&world, everybody(&world), Some(Vec::new())).await.id;
    assert!(world.campaigns.finish(next, world.now()).await.unwrap());
    begin(&world, everybody(&world), None).await;
}

/// R-A8: exactly one reminder of each date, across restarts; a date that moved makes another.
async fn a_reminder_begins_once(world: World) {
    let date = world.now() + Duration::from_secs(7 * 86_400);
    let point = ReminderPoint { ahead: Ahead::Force, date, before: Duration::from_secs(86_400) };
    let first = begin(&world, new_campaign(&world, Audience::Before(point)), None).await;
    assert_eq!(first.audience, Audience::Before(point));
    order(&world, first.id, Order::Cancel).await;
    let world = world.restarted().await;
    let again = world.campaigns.begin(new_campaign(&world, Audience::Before(point)), None).await;
    assert!(matches!(again.unwrap(), Started::Same(same) if same.id == first.id));
    let moved = ReminderPoint { date: date + Duration::from_secs(1), ..point };
    begin(&world, new_campaign(&world, Audience::Before(moved)), None).await;
}

/// R-E1, resumable: a plan is written part by part; what was written survives, and a part that was
/// written is not written twice, by whomever.
async fn a_plan_is_written_in_parts(world: World) {
    let accounts = accounts(&world, 5).await;
    let campaign = begin(&world, everybody(&world), None).await;
    assert_eq!((campaign.planned, &campaign.planned_to), (false, &None));
    let part = |from: Option<&str>, of: &[Account], next: Option<&str>| PlanPart {
        from: from.map(str::to_owned),
        mails: of.iter().map(|account| planned(account.id)).collect(),
        next: next.map(str::to_owned),
    };
    let write = async |world: &World, part| world.campaigns.plan(campaign.id, part).await.unwrap();
    assert!(write(&world, part(None, &accounts[..2], Some("b"))).await);
    assert!(!write(&world, part(None, &accounts[..2], Some("b"))).await, "somebody was faster");
    assert!(!world.campaigns.finish(campaign.id, world.now()).await.unwrap(), "not planned yet");
    let (_, durable) =
        world.durably(write(&world, part(Some("b"), &accounts[2..4], Some("d")))).await;
    assert!(durable);
    let world = world.restarted().await;
    let left = world.campaigns.running().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].planned, left[0].planned_to.as_deref()), (false, Some("d")));
    // An account that is in the plan already gets no second mail.
    let rest = part(Some("d"), &accounts[3..], None);
    assert!(write(&world, rest.clone()).await);
    assert!(!write(&world, rest).await);
    assert!(world.campaigns.by_id(campaign.id).await.unwrap().unwrap().planned);
    let all = Progress { planned: 5, ..Progress::default() };
    assert_eq!(progress(&world, campaign.id).await, all);
    let next = world.campaigns.next(campaign.id, 10).await.unwrap();
    let ids: Vec<_> = next.iter().map(|(account, _)| *account).collect();
    assert_eq!(ids, accounts.iter().map(|account| account.id).collect::<Vec<_>>(), "in order");

    let over = begin(&world, new_campaign(&world, Audience::Tenant("x".into())), None).await.id;
    order(&world, over, Order::Cancel).await;
    let late = PlanPart { from: None, mails: vec![planned(accounts[0].id)], next: None };
    assert!(!world.campaigns.plan(over, late).await.unwrap());
    assert_eq!(progress(&world, over).await, Progress::default());
}

/// R-E1: progress is what became of the mails in the outbox, at every step of theirs, whoever brings
/// it about; also after they are forgotten there.
async fn progress_is_what_became_of_the_mails(world: World) {
    let accounts = accounts(&world, 7).await;
    let mut plan: Vec<_> = accounts.iter().map(|account| planned(account.id)).collect();
    plan[5].fate = Fate::WithoutEmail;
    plan[6].fate = Fate::NotNeeded;
    let id = begin(&world, everybody(&world), Some(plan)).await.id;
    let is = async |world: &World, [planned, queued, sent, failed, dropped]: [u64; 5]| {
        let expected = Progress { planned, queued, sent, failed, dropped, without_email: 1 };
        assert_eq!(progress(world, id).await, expected);
        assert_eq!(expected.total(), 6);
    };
    is(&world, [5, 0, 0, 0, 1]).await;
    assert_eq!(feed(&world, id, 4).await.len(), 4);
    is(&world, [1, 4, 0, 0, 1]).await;
    let mails = claim(&world, 3).await;
    is(&world, [1, 4, 0, 0, 1]).await;
    let (outbox, now) = (&world.outbox, world.now());
    outbox.sent(mails[0], now).await.unwrap();
    outbox.give_up(mails[1], "550", now).await.unwrap();
    outbox.retry_later(mails[2], "451", now, true).await.unwrap();
    is(&world, [1, 2, 1, 1, 1]).await;
    assert!(!world.campaigns.finish(id, now).await.unwrap());
    let again = claim(&world, 10).await;
    for mail in &again {
        outbox.drop_mail(*mail, now).await.unwrap();
    }
    assert_eq!(again.len(), 2);
    is(&world, [1, 0, 1, 1, 3]).await;
    // A dead one that an administrator has tried again.
    assert!(outbox.requeue(mails[1], now).await.unwrap());
    is(&world, [1, 1, 1, 0, 3]).await;
    feed(&world, id, 10).await;
    assert_eq!(claim(&world, 10).await.len(), 2);
    for mail in world.outbox.list(Some(MailState::Sending), None, 10).await.unwrap() {
        outbox.sent(mail.mail.id, now).await.unwrap();
    }
    is(&world, [0, 0, 3, 0, 3]).await;
    assert!(world.campaigns.finish(id, now).await.unwrap());
    assert!(!world.campaigns.finish(id, now).await.unwrap(), "once");
    let campaign = world.campaigns.by_id(id).await.unwrap().unwrap();
    assert_eq!((campaign.state, campaign.ended_at), (CampaignState::Finished, Some(now)));
    world.pass(10);
    outbox.purge(world.now()).await.unwrap();
    assert!(outbox.list(None, None, 10).await.unwrap().is_empty());
    is(&world, [0, 0, 3, 0, 3]).await;
}

/// R-E1: each account once, whatever happens between two steps, and however many feed at once.
async fn each_mail_is_queued_once(world: World) {
    let accounts = accounts(&world, 40).await;
    let id = campaign_for(&world, &accounts).await;
    let turns: Vec<Turn> = {
        let next = world.campaigns.next(id, 40).await.unwrap();
        let pairs = next.iter().zip(&accounts);
        pairs
            .map(|((_, mail), account)| Turn {
                account: account.id,
                mail: Some(bulk(&world, account, *mail)),
            })
            .collect()
    };
    let feeding = (0..4).map(|number| {
        let (campaigns, turns) = (world.campaigns.clone(), turns[number * 5..].to_vec());
        tokio::spawn(async move { campaigns.queue(id, turns).await.unwrap() })
    });
    for fed in futures::future::join_all(feeding).await {
        fed.unwrap();
    }
    let world = world.restarted().await;
    world.campaigns.queue(id, turns.clone()).await.unwrap();
    let mut queued = claim(&world, 100).await;
    queued.sort();
    let mut all: Vec<_> = turns.iter().map(|turn| turn.mail.as_ref().unwrap().id).collect();
    all.sort();
    assert_eq!(queued, all);
    assert!(world.campaigns.next(id, 1).await.unwrap().is_empty());
}

/// R-E1: an account that was deleted, before its turn or after, gets none and stops nobody.
async fn deleted_accounts_are_dropped(world: World) {
    let accounts = accounts(&world, 4).await;
    let id = campaign_for(&world, &accounts).await;
    let next = world.campaigns.next(id, 3).await.unwrap();
    let turn = |number: usize| Turn {
        account: accounts[number].id,
        mail: Some(bulk(&world, &accounts[number], next[number].1)),
    };
    let turns = vec![turn(0), turn(1), Turn { mail: None, ..turn(2) }];
    world.accounts.delete(accounts[0].id).await.unwrap();
    world.campaigns.queue(id, turns).await.unwrap();
    let expected = Progress { planned: 1, queued: 1, dropped: 2, ..Progress::default() };
    assert_eq!(progress(&world, id).await, expected);
    world.accounts.delete(accounts[1].id).await.unwrap();
    let expected = Progress { planned: 1, dropped: 3, ..Progress::default() };
    assert_eq!(progress(&world, id).await, expected);
}

/// R-E1: nothing leaves while a campaign is paused; resumed, each account gets its mail, under the
/// identity that it had before. What is being handed over is on its way.
async fn a_pause_takes_back_what_waits(world: World) {
    let accounts = accounts(&world, 6).await;
    let id = campaign_for(&world, &accounts).await;
    feed(&world, id, 4).await;
    let claimed = world.outbox.claim(world.now(), LEASE, Portion::of(1)).await.unwrap();
    let [first] = &claimed[..] else { panic!("one leaves") };
    let under_way = [first.mail.id];
    // One whose mail still waits asked for it.
    let waits = accounts[..4].iter().find(|account| account.id != first.mail.account).unwrap();
    let own = world.mail(waits, MailKind::Welcome);
    let limit = MailLimit { most: 3, per: LEASE, again_after: LEASE, address: AddressLimit::NONE };
    assert_eq!(world.outbox.enqueue(own, limit).await.unwrap(), Enqueued::Now);
    let planned: Vec<_> = world.campaigns.next(id, 10).await.unwrap();
    assert_eq!(planned.len(), 2);
    let Ordered::Done(paused) = order(&world, id, Order::Pause).await else { panic!("it runs") };
    assert_eq!(paused.state, CampaignState::Paused);
    assert_eq!(order(&world, id, Order::Pause).await, Ordered::Done(paused));
    let expected = Progress { planned: 4, queued: 2, ..Progress::default() };
    assert_eq!(progress(&world, id).await, expected);
    assert!(world.campaigns.running().await.unwrap().is_empty());
    assert_eq!(claim(&world, 10).await.len(), 1, "the one that was asked for");
    feed(&world, id, 10).await;
    assert!(claim(&world, 10).await.is_empty(), "nothing is queued while it is paused");
    assert!(!world.campaigns.finish(id, world.now()).await.unwrap());

    let world = world.restarted().await;
    assert_eq!(state(&world, id).await, CampaignState::Paused);
    order(&world, id, Order::Resume).await;
    let again = world.campaigns.next(id, 10).await.unwrap();
    assert_eq!(again.len(), 4);
    assert!(planned.iter().all(|mail| again.contains(mail)));
    assert_eq!(feed(&world, id, 10).await.len(), 4);
    let mut left = claim(&world, 10).await;
    left.extend(under_way);
    left.sort();
    left.dedup();
    assert_eq!(left.len(), 5);
}

/// R-E1: a cancelled campaign sends nothing any more, and cannot be told otherwise.
async fn a_cancelled_campaign_sends_nothing(world: World) {
    let accounts = accounts(&world, 5).await;
    let id = campaign_for(&world, &accounts).await;
    feed(&world, id, 3).await;
    let under_way = claim(&world, 1).await;
    world.pass(1);
    let Ordered::Done(cancelled) = order(&world, id, Order::Cancel).await else {
        panic!("it runs")
    };
    assert_eq!(
        (cancelled.state, cancelled.ended_at),
        (CampaignState::Cancelled, Some(world.now()))
    );
    let expected = Progress { queued: 1, dropped: 4, ..Progress::default() };
    assert_eq!(progress(&world, id).await, expected);
    world.outbox.sent(under_way[0], world.now()).await.unwrap();
    assert_eq!(progress(&world, id).await.sent, 1);
    assert!(claim(&world, 10).await.is_empty());
    feed(&world, id, 10).await;
    assert!(claim(&world, 10).await.is_empty());
    for late in [Order::Pause, Order::Resume] {
        assert_eq!(order(&world, id, late).await, Ordered::TooLate(cancelled.clone()));
    }
    assert_eq!(order(&world, id, Order::Cancel).await, Ordered::Done(cancelled));
    let nobody = CampaignId(fresh_id().0);
    let answer = world.campaigns.order(nobody, Order::Cancel, world.now()).await.unwrap();
    assert_eq!((answer, world.campaigns.by_id(nobody).await.unwrap()), (None, None));
}

/// Every campaign is listed once, latest first, by state; those that ended are forgotten after a
/// while, with their plans.
async fn campaigns_are_listed_and_forgotten(world: World) {
    let mut ids = Vec::new();
    for number in 0..5 {
        let audience = Audience::Tenant(format!("t{number}"));
        let plan = vec![planned(fresh_id())];
        ids.push(begin(&world, new_campaign(&world, audience), Some(plan)).await.id);
        world.pass(1);
    }
    ids.reverse();
    let page = async |state, cursor, limit| {
        let page = world.campaigns.list(state, cursor, limit).await.unwrap();
        page.iter().map(|campaign| campaign.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None, 10).await, ids);
    assert_eq!(page(None, None, 2).await, ids[..2]);
    assert_eq!(page(None, Some(ids[1]), 10).await, ids[2..]);
    order(&world, ids[1], Order::Pause).await;
    order(&world, ids[3], Order::Cancel).await;
    assert_eq!(page(Some(CampaignState::Paused), None, 10).await, [ids[1]]);
    assert_eq!(page(Some(CampaignState::Cancelled), None, 10).await, [ids[3]]);
    let running = world.campaigns.running().await.unwrap();
    let running: Vec<_> = running.iter().map(|campaign| campaign.id).collect();
    assert_eq!(running, [ids[4], ids[2], ids[0]], "oldest first");
    world.campaigns.purge(world.now()).await.unwrap();
    assert_eq!(page(None, None, 10).await.len(), 5);
    world.pass(1);
    world.campaigns.purge(world.now()).await.unwrap();
    assert_eq!(page(None, None, 10).await, [ids[0], ids[1], ids[2], ids[4]]);
    assert_eq!(progress(&world, ids[3]).await, Progress::default());
    assert_eq!(progress(&world, ids[0]).await.planned, 1);
}

fn row(name: &str, email: &str) -> ImportRow {
    ImportRow {
        id: fresh_id(),
        mail: MailId(fresh_id().0),
        login: login(name),
        email: Some(email.to_owned()).filter(|email| !email.is_empty()),
        name: String::new(),
        role: None,
    }
}

/// R-D4: who is imported with a welcome has it planned in the same step, or is not there; nobody
/// who was there before gets one.
async fn an_import_plans_its_welcomes(world: World) {
    world.account("1@abc.example").await;
    let rows = vec![
        row("1@abc.example", "old@corp.example"),
        row("2@abc.example", "new@corp.example"),
        row("3@abc.example", ""),
    ];
    let new = || {
        let id = CampaignId(fresh_id().0);
        NewCampaign { id, ..new_campaign(&world, Audience::Imported(id)) }
    };
    let import = async |rows: Vec<ImportRow>, welcome, dry_run| {
        world.accounts.import(rows, Some(welcome), world.now(), dry_run).await
    };
    let dry = new();
    import(rows.clone(), dry.clone(), true).await.unwrap();
    assert_eq!(world.campaigns.by_id(dry.id).await.unwrap(), None);
    // One of the ids is taken: nothing at all happens.
    let mut broken = rows.clone();
    broken[2].id = world.accounts.find(&login("1@abc.example")).await.unwrap().unwrap().id;
    assert!(import(broken, dry.clone(), false).await.is_err());
    assert_eq!(world.campaigns.by_id(dry.id).await.unwrap(), None);
    assert_eq!(world.accounts.find(&login("2@abc.example")).await.unwrap(), None);

    let real = new();
    import(rows.clone(), real.clone(), false).await.unwrap();
    let campaign = world.campaigns.by_id(real.id).await.unwrap().unwrap();
    assert_eq!((campaign.state, campaign.planned), (CampaignState::Running, true));
    let expected = Progress { planned: 1, without_email: 1, ..Progress::default() };
    assert_eq!(progress(&world, real.id).await, expected);
    let next = world.campaigns.next(real.id, 10).await.unwrap();
    assert_eq!(next, [(rows[1].id, rows[1].mail)]);
    let again = new();
    import(rows, again.clone(), false).await.unwrap();
    assert_eq!(world.campaigns.by_id(again.id).await.unwrap(), None, "nobody is new");
}

/// R-D4: an account that is made with its welcome has it queued in the same step.
async fn an_account_is_made_with_its_mail(world: World) {
    let id = fresh_id();
    let new = NewAccount { email: Some("ada@example.com".into()), ..new_account("1@abc.example") };
    let other = world.account("2@abc.example").await;
    let mail = NewMail {
        account: id,
        epoch: Some(0),
        on_file: new.email.clone(),
        ..world.mail(&other, MailKind::Welcome)
    };
    let make =
        async |id, mail| world.accounts.create_with_mail(id, new.clone(), mail, world.now()).await;
    // A mail that cannot be queued: there is no account either.
    let broken = NewMail { account: fresh_id(), ..mail.clone() };
    assert!(make(id, broken).await.is_err());
    assert_eq!(world.accounts.by_id(id).await.unwrap(), None);
    let (made, durable) = world.durably(make(id, mail.clone())).await;
    assert!(matches!(made.unwrap(), Created::New(account) if account.id == id) && durable);
    let queued = world.outbox.list(None, None, 10).await.unwrap();
    assert_eq!(queued.iter().map(|mail| &mail.mail).collect::<Vec<_>>(), [&mail]);
    let again = NewMail { id: MailId(fresh_id().0), ..mail };
    assert!(matches!(make(fresh_id(), again).await.unwrap(), Created::Exists(_)));
    assert_eq!(world.outbox.list(None, None, 10).await.unwrap().len(), 1);
}

/// Performance: 50,000 accounts are imported with their welcomes, and the mails of one portion
/// queued, without one long step.
async fn fifty_thousand_are_planned_quickly(world: World) {
    let rows: Vec<_> =
        (0..50_000).map(|n| row(&format!("{n}@abc.example"), &format!("u{n}@a.example"))).collect();
    let id = CampaignId(fresh_id().0);
    let new = NewCampaign { id, ..new_campaign(&world, Audience::Imported(id)) };
    let begun = std::time::Instant::now();
    world.accounts.import(rows, Some(new), world.now(), false).await.unwrap();
    let took = begun.elapsed();
    assert!(took.as_secs() < 30, "{took:?}");
    let counts = world.accounts.count().await.unwrap();
    assert_eq!(counts, [("abc.example".to_owned(), AccountState::PinOnly, 50_000)]);
    let begun = std::time::Instant::now();
    assert_eq!(feed(&world, id, 200).await.len(), 200);
    assert_eq!(progress(&world, id).await.planned, 49_800);
    assert!(!world.campaigns.finish(id, world.now()).await.unwrap());
    let took = begun.elapsed();
    assert!(took.as_millis() < 5_000, "{took:?}");
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        the_same_campaign_runs_once,
        a_reminder_begins_once,
        a_plan_is_written_in_parts,
        progress_is_what_became_of_the_mails,
        each_mail_is_queued_once,
        deleted_accounts_are_dropped,
        a_pause_takes_back_what_waits,
        a_cancelled_campaign_sends_nothing,
        campaigns_are_listed_and_forgotten,
        an_import_plans_its_welcomes,
        an_account_is_made_with_its_mail,
        fifty_thousand_are_planned_quickly,
    );
}
