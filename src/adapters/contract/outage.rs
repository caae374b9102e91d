//! Decision 9: an outage of the store is an outage, never "no such account" or "no such session".

use super::write_backs::{OURS, entry_of};
use super::{World, fresh_id, login, new_account, run_against};
use crate::domain::campaign::{Audience, CampaignId, CampaignKind, Order};
use crate::domain::grant::TokenHash;
use crate::domain::lockout::{AttemptOutcome, AttemptSubject, LockoutPolicy};
use crate::domain::mail::{AddressLimit, MailKind, MailLimit, Portion};
use crate::domain::one_time_code::{IssuedCode, OneTimeCode, Purpose};
use crate::ports::{
    AccountChange, AccountQuery, AccountStore, AttemptStore, CampaignStore, CodeStore,
    CredentialChange, CredentialStore, NewCampaign, Outbox, PlanPart, Reserved, Rotation,
    SessionStore, TokenStore,
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
        tell_owner: true,
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
    accounts.import(Vec::new(), None, now, false).await.unwrap_err();
    accounts.import(Vec::new(), None, now, true).await.unwrap_err();
    accounts.delete(id).await.unwrap_err();
    accounts.count().await.unwrap_err();
    accounts.ping().await.unwrap_err();

    let attempts = &world.attempts;
    attempts.reserve(&subject, &policy, now).await.unwrap_err();
    attempts.settle(reservation, AttemptOutcome::Failure, &policy, now).await.unwrap_err();
    attempts.locked_until("x", now).await.unwrap_err();
    attempts.unlock("x").await.unwrap_err();
    attempts.purge(&policy, now).await.unwrap_err();

    let credentials = &world.credentials;
    credentials.commit(CredentialChange::of(id)).await.unwrap_err();
    credentials.begin(entry_of(&world, &account)).await.unwrap_err();
    credentials.abandon(id, OURS).await.unwrap_err();
    credentials.entry(id).await.unwrap_err();
    credentials.claim(id, OURS, now, now).await.unwrap_err();
    credentials.due(OURS, now).await.unwrap_err();
    credentials.postpone(id, OURS, now).await.unwrap_err();
    credentials.open_write_backs().await.unwrap_err();

    let codes = &world.codes;
    let code = OneTimeCode([7; 32]);
    let life = std::time::Duration::from_secs(3600);
    let issued = IssuedCode::new(&code, Purpose::Reset, &account, "a@b.example", life, now);
    codes.issue(issued).await.unwrap_err();
    codes.find(&code.hash()).await.unwrap_err();
    codes.purge(now).await.unwrap_err();

    let outbox = &world.outbox;
    let mail = world.mail(&account, MailKind::Reset);
    let mail_id = mail.id;
    let limit = MailLimit {
        most: 3,
        per: life,
        again_after: life,
        address: AddressLimit { most: 3, per: life },
    };
    outbox.enqueue(mail, limit).await.unwrap_err();
    outbox.claim(now, life, Portion::of(10)).await.unwrap_err();
    outbox.sent(mail_id, now).await.unwrap_err();
    outbox.retry_later(mail_id, "", now, true).await.unwrap_err();
    outbox.give_up(mail_id, "", now).await.unwrap_err();
    outbox.drop_mail(mail_id, now).await.unwrap_err();
    outbox.list(None, None, 10).await.unwrap_err();
    outbox.by_id(mail_id).await.unwrap_err();
    outbox.requeue(mail_id, now).await.unwrap_err();
    outbox.counts().await.unwrap_err();
    outbox.purge(now).await.unwrap_err();

    let campaigns = &world.campaigns;
    let campaign = CampaignId(fresh_id().0);
    let (kind, audience) = (CampaignKind::Welcome, Audience::Everybody);
    let new = NewCampaign { id: campaign, kind, audience, begun_at: now };
    campaigns.begin(new, None).await.unwrap_err();
    let part = PlanPart { from: None, mails: Vec::new(), next: None };
    campaigns.plan(campaign, part).await.unwrap_err();
    campaigns.running().await.unwrap_err();
    campaigns.next(campaign, 1).await.unwrap_err();
    campaigns.queue(campaign, Vec::new()).await.unwrap_err();
    campaigns.finish(campaign, now).await.unwrap_err();
    campaigns.order(campaign, Order::Pause, now).await.unwrap_err();
    campaigns.by_id(campaign).await.unwrap_err();
    campaigns.progress(campaign).await.unwrap_err();
    campaigns.list(None, None, 1).await.unwrap_err();
    campaigns.purge(now).await.unwrap_err();

    let tokens = &world.tokens;
    let hash = TokenHash([7; 32]);
    tokens.find(&hash).await.unwrap_err();
    tokens.note(&[], &[]).await.unwrap_err();
    tokens.begin_chain(&session_id, hash).await.unwrap_err();
    tokens.newest(&session_id).await.unwrap_err();
    let rotation = Rotation {
        family: session_id,
        shown: 0,
        shown_hash: hash,
        successor: hash,
        answer: None,
        repeatable_since: now,
        now,
    };
    tokens.rotate(&rotation).await.unwrap_err();
    tokens.purge(now).await.unwrap_err();

    let sessions = &world.sessions;
    sessions.find(&session_id).await.unwrap_err();
    sessions.open(world.session_of(&account)).await.unwrap_err();
    sessions.save_jar(&session).await.unwrap_err();
    sessions.end(&session_id).await.unwrap_err();
    sessions.end_all(id, None).await.unwrap_err();
    sessions.of_account(id).await.unwrap_err();
    sessions.flush().await.unwrap_err();
    sessions.purge(now, None, now).await.unwrap_err();
    sessions.count().await.unwrap_err();
    sessions.count_families().await.unwrap_err();
    sessions.surplus_families(id, 1).await.unwrap_err();
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
