//! [`AccountStore`]: addresses that take no mail.

use super::{World, fresh_id, login, run_against};
use crate::domain::account::{Account, AccountId, Bounce};
use crate::domain::mail::MailId;
use crate::ports::{AccountChange, AccountStore, ImportRow};

const ADDRESS: &str = "desk@example.com";

/// An account with this address on file.
async fn with(world: &World, name: &str, address: &str) -> AccountId {
    let id = world.account(name).await.id;
    put(world, id, Some(address)).await;
    id
}

async fn put(world: &World, id: AccountId, address: Option<&str>) -> Account {
    let email = Some(address.map(str::to_owned));
    change(world, id, AccountChange::Details { email, name: None, role: None }).await
}

async fn change(world: &World, id: AccountId, change: AccountChange) -> Account {
    world.accounts.change(id, change, None).await.unwrap().unwrap()
}

async fn bounce(world: &World, address: &str, reason: &str) -> Vec<AccountId> {
    let bounce = Bounce { at: world.now(), reason: reason.into() };
    let marked = world.accounts.mark_address(address, Some(bounce)).await.unwrap();
    marked.into_iter().map(|account| account.id).collect()
}

async fn reason(world: &World, id: AccountId) -> Option<String> {
    let account = world.accounts.by_id(id).await.unwrap().unwrap();
    let has_address = account.email.is_some();
    assert_eq!(account.reachable_at().is_some(), has_address && account.bounced.is_none());
    account.bounced.map(|bounce| bounce.reason)
}

/// Everybody who shares an address has it marked, whatever its case; nobody else has. It survives a
/// power cut, and what was found out first stays.
async fn an_address_is_marked_everywhere(world: World) {
    let first = with(&world, "1001@abc.example", ADDRESS).await;
    let second = with(&world, "1002@xyz.example", "Desk@Example.COM").await;
    let other = with(&world, "1003@abc.example", "other@example.com").await;
    let without = world.account("1004@abc.example").await.id;
    let found_at = world.now();
    let (mut marked, durable) = world.durably(bounce(&world, "desk@EXAMPLE.com", "5.1.1")).await;
    marked.sort();
    let mut both = vec![first, second];
    both.sort();
    assert_eq!((marked, durable), (both, true));
    world.pass(60);
    assert!(bounce(&world, ADDRESS, "again").await.is_empty());
    let world = world.restarted().await;
    let shown = world.accounts.by_id(first).await.unwrap().unwrap();
    assert_eq!(shown.bounced, Some(Bounce { at: found_at, reason: "5.1.1".into() }));
    assert_eq!(shown.email.as_deref(), Some(ADDRESS), "it stays on file");
    assert_eq!(reason(&world, second).await.as_deref(), Some("5.1.1"));
    assert_eq!((reason(&world, other).await, reason(&world, without).await), (None, None));
    let by_email = world.accounts.by_email(ADDRESS).await.unwrap();
    assert!(by_email.iter().all(|account| account.bounced.is_some()));

    assert_eq!(world.accounts.mark_address(ADDRESS, None).await.unwrap().len(), 2);
    assert!(world.accounts.mark_address(ADDRESS, None).await.unwrap().is_empty());
    assert_eq!((reason(&world, first).await, reason(&world, second).await), (None, None));
}

/// Another address on file clears the mark, however it came there; the same one does not, unless
/// its owner confirmed it.
async fn another_address_clears_the_mark(world: World) {
    let id = with(&world, "1001@abc.example", ADDRESS).await;
    let mark = async || assert_eq!(bounce(&world, ADDRESS, "5.1.1").await, [id]);
    mark().await;
    let name = Some("Jane".to_owned());
    change(&world, id, AccountChange::Details { email: None, name, role: None }).await;
    put(&world, id, Some(ADDRESS)).await;
    assert!(reason(&world, id).await.is_some(), "nothing was learned about it");
    put(&world, id, Some("new@example.com")).await;
    assert_eq!(reason(&world, id).await, None);
    put(&world, id, Some(ADDRESS)).await;
    assert_eq!(reason(&world, id).await, None, "what comes back is found out anew");

    mark().await;
    put(&world, id, None).await;
    assert_eq!(reason(&world, id).await, None);
    put(&world, id, Some(ADDRESS)).await;
    mark().await;
    let confirmed = AccountChange::ConfirmedEmail {
        before: Some(ADDRESS.into()),
        address: ADDRESS.into(),
        report: None,
    };
    change(&world, id, confirmed).await;
    assert_eq!(reason(&world, id).await, None, "its owner read a mail that went there");
}

/// R-E1: an import with another address clears the mark; one with the same address, or without,
/// does not.
async fn an_import_clears_the_mark_of_another_address(world: World) {
    let id = with(&world, "1001@abc.example", ADDRESS).await;
    bounce(&world, ADDRESS, "5.1.1").await;
    for (email, name, marked) in [
        (None, "Jane", true),
        (Some(ADDRESS), "Jane Doe", true),
        (Some("new@example.com"), "Jane Doe", false),
    ] {
        let row = ImportRow {
            id: fresh_id(),
            mail: MailId(fresh_id().0),
            login: login("1001@abc.example"),
            email: email.map(str::to_owned),
            name: name.into(),
            role: None,
        };
        world.accounts.import(vec![row], None, world.now(), false).await.unwrap();
        assert_eq!(reason(&world, id).await.is_some(), marked, "{email:?}");
    }
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        an_address_is_marked_everywhere,
        another_address_clears_the_mark,
        an_import_clears_the_mark_of_another_address,
    );
}
