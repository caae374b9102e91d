//! What the stores keep no longer than it is of use.

use std::time::Duration;

use uuid::Uuid;

use super::{ALICE, World};
use crate::domain::account::Account;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, MailKind, NewMail};
use crate::domain::one_time_code::{IssuedCode, OneTimeCode, Purpose};
use crate::flows::sweep::sweep;

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
        asked_at: services.clock.now(),
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
