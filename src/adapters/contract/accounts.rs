//! [`AccountStore`].

use std::time::Instant;

use super::{World, fresh_id, login, new_account, run_against};
use crate::domain::account::{AccountState, NewAccount, Role, SealedPin};
use crate::domain::initial_password::StoredInitial;
use crate::domain::mail::{MailId, MailKind};
use crate::domain::session::ObtainedWith;
use crate::ports::{
    AccountChange, AccountQuery, AccountStore, Created, ImportRow, Imported, Outbox, SessionStore,
};

/// What was stored comes back as it was; a login name is given once.
async fn a_login_name_is_given_once(world: World) {
    let new = NewAccount {
        login: login("1001@abc.example"),
        email: Some("Ada@Example.com".into()),
        name: "Ada Löwe".into(),
        role: Role::Manager,
    };
    let id = fresh_id();
    let Created::New(made) = world.accounts.create(id, new.clone(), world.now()).await.unwrap()
    else {
        panic!("it is new")
    };
    assert_eq!((made.id, &made.login, &made.email), (id, &new.login, &new.email));
    assert_eq!((made.epoch, made.created_at, made.role), (0, world.now(), Role::Manager));
    assert_eq!(world.accounts.find(&new.login).await.unwrap().as_ref(), Some(&made));
    assert_eq!(world.accounts.by_id(id).await.unwrap().as_ref(), Some(&made));
    let again = world.accounts.create(fresh_id(), new, world.now()).await.unwrap();
    assert_eq!(again, Created::Exists(made));
    assert_eq!(world.accounts.find(&login("1001@other.example")).await.unwrap(), None);
    assert_eq!(world.accounts.by_id(fresh_id()).await.unwrap(), None);
}

/// R-B2, R-B5, R-B6, R-C8: each change does its own thing; those that end sessions move the epoch.
async fn changes_move_the_epoch_where_they_must(world: World) {
    let id = world.account("1001@abc.example").await.id;
    let change = |change| world.accounts.change(id, change, None);
    let none = change(AccountChange::Rehash { phc: "of no password".into() }).await.unwrap();
    assert_eq!(none.unwrap().password, None);
    let first = world.set_password(id, "one").await;
    world.pass(60);
    let second = world.set_password(id, "two").await;
    world.pass(60);

    let rehashed =
        change(AccountChange::Rehash { phc: "two again".into() }).await.unwrap().unwrap();
    let now = rehashed.password.as_ref().unwrap();
    assert_eq!((now.phc.as_str(), now.set_at), ("two again", second.password.unwrap().set_at));
    assert_eq!((rehashed.epoch, &rehashed.previous_password), (2, &first.password));

    assert!(change(AccountChange::PinRefused).await.unwrap().unwrap().pin_refused);
    let pin = change(AccountChange::Pin(SealedPin(vec![1, 0, 255]))).await.unwrap().unwrap();
    assert_eq!((pin.pin_refused, pin.pin), (false, Some(SealedPin(vec![1, 0, 255]))));

    let seen = change(AccountChange::LoggedIn { at: world.now() }).await.unwrap().unwrap();
    assert_eq!((seen.last_login_at, seen.epoch), (Some(world.now()), 2));

    let disabled = change(AccountChange::Disabled(true)).await.unwrap().unwrap();
    assert_eq!((disabled.epoch, disabled.state()), (3, AccountState::Disabled));
    let again = change(AccountChange::Disabled(true)).await.unwrap().unwrap();
    assert_eq!(again.epoch, 3);
    let enabled = change(AccountChange::Disabled(false)).await.unwrap().unwrap();
    assert_eq!((enabled.epoch, enabled.state()), (3, AccountState::Password));

    let details = AccountChange::Details {
        email: Some(Some("a@b.example".into())),
        name: None,
        role: Some(Role::Manager),
    };
    let detailed = change(details).await.unwrap().unwrap();
    assert_eq!(detailed.email.as_deref(), Some("a@b.example"));
    let removal = AccountChange::Details { email: Some(None), name: Some("N".into()), role: None };
    let removed = change(removal).await.unwrap().unwrap();
    assert_eq!((removed.email, removed.name.as_str()), (None, "N"));
    assert_eq!((removed.role, removed.epoch), (Role::Manager, 3));

    let stored = world.accounts.by_id(id).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.epoch), ("N", 3));
    let unknown = world.accounts.change(fresh_id(), AccountChange::Disabled(true), None).await;
    assert_eq!(unknown.unwrap(), None);
}

/// R-E1: an initial password stays over a restart, ends no session, and is void with the next one,
/// with a portal password, and when the account is switched off.
async fn an_initial_password_is_out_until_it_is_void(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut session = world.session_of(&account);
    session.obtained_with = ObtainedWith::InitialPassword;
    world.sessions.open(session.clone()).await.unwrap();
    let initial = |phc: &str| StoredInitial { phc: phc.into(), expires_at: world.now() };
    let issue = async |phc: &str| {
        let change = AccountChange::InitialPassword(initial(phc));
        let (issued, durable) =
            world.durably(world.accounts.change(account.id, change, None)).await;
        assert!(durable);
        let issued = issued.unwrap().unwrap();
        assert_eq!(issued.initial_password, Some(initial(phc)));
        issued
    };
    issue("first").await;
    let second = issue("second").await;
    assert_eq!((second.epoch, second.state()), (account.epoch, AccountState::PinOnly));
    let password = world.set_password(account.id, "one").await;
    assert_eq!(password.initial_password, None);
    assert_eq!(issue("third").await.state(), AccountState::Password);
    let change = |change| world.accounts.change(account.id, change, None);
    let disabled = change(AccountChange::Disabled(true)).await.unwrap().unwrap();
    assert_eq!(disabled.initial_password, None);
    let enabled = change(AccountChange::Disabled(false)).await.unwrap().unwrap();
    assert_eq!(enabled.initial_password, None);
    let fourth = issue("fourth").await;
    let other = world.account("1002@abc.example").await;
    let mut session = world.session_of(&other);
    session.obtained_with = ObtainedWith::InitialPassword;
    world.sessions.open(session.clone()).await.unwrap();

    let world = world.restarted().await;
    assert_eq!(world.accounts.by_id(account.id).await.unwrap(), Some(fourth));
    let kept = world.sessions.find(&session.id).await.unwrap().unwrap();
    assert_eq!(kept.snapshot(), session);
}

/// What was asked for before the credential changed does nothing after it.
async fn a_change_of_an_older_epoch_does_nothing(world: World) {
    let account = world.account("1001@abc.example").await;
    let after = world.set_password(account.id, "one").await;
    let email = || AccountChange::Details {
        email: Some(Some("late@example.com".into())),
        name: None,
        role: None,
    };
    let late = world.accounts.change(account.id, email(), Some(account.epoch)).await.unwrap();
    assert_eq!(late, None);
    assert_eq!(world.accounts.by_id(account.id).await.unwrap().as_ref(), Some(&after));
    let in_time = world.accounts.change(account.id, email(), Some(after.epoch)).await.unwrap();
    assert_eq!(in_time.unwrap().email.as_deref(), Some("late@example.com"));
}

/// R-D5: a confirmed address replaces the one it was asked for beside, once, and the report to that
/// one is queued with it; what comes too late changes nothing and reports nothing.
async fn a_confirmed_address_is_reported_with_the_change(world: World) {
    let account = world.account("1001@abc.example").await;
    let confirmed = |before: Option<&str>, address: &str| AccountChange::ConfirmedEmail {
        before: before.map(str::to_owned),
        address: address.to_owned(),
        report: Some(world.mail(&account, MailKind::EmailChanged)),
    };
    let (before, address) = (account.email.clone(), "new@example.com");
    let changes = (0..20).map(|_| {
        let (accounts, change) = (world.accounts.clone(), confirmed(before.as_deref(), address));
        tokio::spawn(async move { accounts.change(account.id, change, Some(0)).await.unwrap() })
    });
    let outcomes = futures::future::join_all(changes).await;
    let won: Vec<_> = outcomes.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].email.as_deref(), won[0].epoch), (Some(address), 0));
    let late = confirmed(Some("other@example.com"), "late@example.com");
    assert_eq!(world.accounts.change(account.id, late, None).await.unwrap(), None);
    let older = confirmed(Some(address), "older@example.com");
    assert_eq!(world.accounts.change(account.id, older, Some(7)).await.unwrap(), None);
    let stored = world.accounts.by_id(account.id).await.unwrap().unwrap();
    assert_eq!(stored.email.as_deref(), Some(address));
    let mails = world.outbox.list(None, None, 100).await.unwrap();
    assert_eq!(
        mails.iter().map(|mail| mail.mail.kind).collect::<Vec<_>>(),
        [MailKind::EmailChanged]
    );
}

/// Security: of twenty concurrent changes that end sessions and expect the same epoch one happens.
async fn of_concurrent_changes_one_wins(world: World) {
    let account = world.account("1001@abc.example").await;
    let changes = (0..20).map(|_| {
        let accounts = world.accounts.clone();
        let change = AccountChange::Disabled(true);
        tokio::spawn(async move { accounts.change(account.id, change, Some(0)).await.unwrap() })
    });
    let outcomes = futures::future::join_all(changes).await;
    assert_eq!(outcomes.into_iter().filter_map(Result::unwrap).count(), 1);
    let stored = world.accounts.by_id(account.id).await.unwrap().unwrap();
    assert_eq!((stored.epoch, stored.disabled), (1, true));
}

/// R-E1: listing goes page by page, by tenant and number, every account once.
async fn a_listing_has_every_account_once_in_order(world: World) {
    let mut expected = Vec::new();
    for tenant in ["abc.example", "def.example"] {
        for number in (1..=12).map(|n| n * 99) {
            expected.push(format!("{number}@{tenant}"));
        }
        expected.push(format!("sales@{tenant}"));
    }
    for name in expected.iter().rev() {
        world.account(name).await;
    }
    let page = async |tenant: Option<&str>, cursor: Option<String>, limit| {
        let tenant = tenant.map(str::to_owned);
        let query = AccountQuery { tenant, cursor, limit, ..AccountQuery::default() };
        world.accounts.list(&query).await.unwrap()
    };
    for (tenant, limit) in [(None, 7), (None, 13), (None, 26), (Some("ABC.example"), 5)] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let next = page(tenant, cursor, limit).await;
            assert!(!next.items.is_empty() && next.items.len() <= limit);
            seen.extend(next.items.iter().map(|account| account.login.to_string()));
            cursor = next.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let all = if tenant.is_some() { &expected[..13] } else { &expected[..] };
        assert_eq!(seen, all, "{tenant:?} {limit}");
    }
    // The store bounds the page; a cursor that was never given out leads nowhere.
    assert_eq!(page(None, None, 0).await.items.len(), 1);
    assert_eq!(page(None, Some("no cursor".into()), 10).await.items.len(), 0);
}

/// R-E1: a search finds parts of login name, name and e-mail, whatever the case; `%` and `_` are
/// characters like any other.
async fn a_search_takes_the_text_literally(world: World) {
    for (name, email, person) in [
        ("1001@abc.example", "ada_l@example.com", "Ada Löwe"),
        ("1002@abc.example", "adaXl@example.com", "Élodie 100%"),
        ("1003@def.example", "", "STRASSE 1000"),
    ] {
        let email = Some(email.to_owned()).filter(|email| !email.is_empty());
        let new = NewAccount { email, name: person.into(), ..new_account(name) };
        assert!(matches!(
            world.accounts.create(fresh_id(), new, world.now()).await.unwrap(),
            Created::New(_)
        ));
    }
    let third = world.accounts.find(&login("1003@def.example")).await.unwrap().unwrap();
    world.accounts.change(third.id, AccountChange::Disabled(true), None).await.unwrap();
    let found = async |query: AccountQuery| {
        let page = world.accounts.list(&AccountQuery { limit: 10, ..query }).await.unwrap();
        page.items.iter().map(|account| account.login.extension().to_owned()).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("ada", &["1001", "1002"][..]),
        ("ADA_L", &["1001"]),
        ("100%", &["1002"]),
        ("%", &["1002"]),
        ("_", &["1001"]),
        ("LÖWE", &["1001"]),
        ("élodie", &["1002"]),
        ("strasse", &["1003"]),
        ("1002@abc", &["1002"]),
        ("' OR 1=1 --", &[]),
        ("", &["1001", "1002", "1003"]),
    ] {
        let query = AccountQuery { text: Some(text.into()), ..AccountQuery::default() };
        assert_eq!(found(query).await, expected, "{text}");
    }
    let state = Some(AccountState::Disabled);
    assert_eq!(found(AccountQuery { state, ..AccountQuery::default() }).await, ["1003"]);
    let state = Some(AccountState::PinOnly);
    assert_eq!(found(AccountQuery { state, ..AccountQuery::default() }).await, ["1001", "1002"]);
    let tenant = Some("def.example".into());
    assert_eq!(found(AccountQuery { tenant, ..AccountQuery::default() }).await, ["1003"]);
    // A detail that changed is found under what it is now.
    let renamed = AccountChange::Details { email: None, name: Some("Gone".into()), role: None };
    world.accounts.change(third.id, renamed, None).await.unwrap();
    let query = AccountQuery { text: Some("strasse".into()), ..AccountQuery::default() };
    assert!(found(query).await.is_empty());
}

fn row(name: &str, email: &str, person: &str, role: Option<Role>) -> ImportRow {
    ImportRow {
        id: fresh_id(),
        mail: MailId(fresh_id().0),
        login: login(name),
        email: Some(email.to_owned()).filter(|email| !email.is_empty()),
        name: person.to_owned(),
        role,
    }
}

/// R-D2, R-D3: people are found by their address, whatever its case, by tenant and extension; never
/// by a part of it, and never those without one.
async fn people_are_found_by_their_address(world: World) {
    let on_file = [
        ("20@west.example", Some("Desk@Corp.example")),
        ("3@west.example", Some("desk@corp.example")),
        ("100@east.example", Some("DESK@CORP.EXAMPLE")),
        ("101@east.example", Some("front-desk@corp.example")),
        ("102@east.example", Some("%@corp.example")),
        ("103@east.example", None),
        ("104@east.example", Some("gone@corp.example")),
    ];
    for (name, email) in on_file {
        let new = NewAccount { email: email.map(str::to_owned), ..new_account(name) };
        world.accounts.create(fresh_id(), new, world.now()).await.unwrap();
    }
    let found = async |email: &str| {
        let accounts = world.accounts.by_email(email).await.unwrap();
        accounts.iter().map(|account| account.login.to_string()).collect::<Vec<_>>()
    };
    let desk = ["100@east.example", "3@west.example", "20@west.example"];
    for email in ["desk@corp.example", " DESK@corp.EXAMPLE\t"] {
        assert_eq!(found(email).await, desk, "{email}");
    }
    assert_eq!(found("%@corp.example").await, ["102@east.example"]);
    for nobody in ["", " ", "corp.example", "esk@corp.example", "_esk@corp.example", "'"] {
        assert_eq!(found(nobody).await, [""; 0], "{nobody}");
    }
    let gone = login("104@east.example");
    let id = world.accounts.find(&gone).await.unwrap().unwrap().id;
    let details = AccountChange::Details { email: Some(None), name: None, role: None };
    world.accounts.change(id, details, None).await.unwrap();
    assert_eq!(found("gone@corp.example").await, [""; 0], "it is no longer on file");
}

/// R-E1: an import makes, changes and leaves; a row that leaves something open erases nothing, and
/// a dry run tells the same and writes nothing.
async fn an_import_makes_and_changes(world: World) {
    let kept = world.account("1001@abc.example").await;
    let details = AccountChange::Details {
        email: Some(Some("old@example.com".into())),
        name: Some("Old".into()),
        role: Some(Role::Manager),
    };
    world.accounts.change(kept.id, details, None).await.unwrap();
    let rows = vec![
        row("1001@abc.example", "", "", None),
        row("1001@abc.example", "new@example.com", "", None),
        row("1002@abc.example", "b@example.com", "Bea", Some(Role::Manager)),
        row("1002@abc.example", "", "Bea", None),
        row("1002@abc.example", "", "Beatrix", Some(Role::User)),
    ];
    let expected = [
        Imported::Unchanged,
        Imported::Updated,
        Imported::Created,
        Imported::Unchanged,
        Imported::Updated,
    ];
    let dry = world.accounts.import(rows.clone(), None, world.now(), true).await.unwrap();
    assert_eq!(dry, expected);
    assert_eq!(world.accounts.find(&login("1002@abc.example")).await.unwrap(), None);
    let real = world.accounts.import(rows.clone(), None, world.now(), false).await.unwrap();
    assert_eq!(real, expected);
    let first = world.accounts.by_id(kept.id).await.unwrap().unwrap();
    assert_eq!(first.email.as_deref(), Some("new@example.com"));
    assert_eq!((first.name.as_str(), first.role), ("Old", Role::Manager));
    let second = world.accounts.find(&login("1002@abc.example")).await.unwrap().unwrap();
    assert_eq!((second.id, second.name.as_str()), (rows[2].id, "Beatrix"));
    assert_eq!((second.email.as_deref(), second.role), (Some("b@example.com"), Role::User));
}

/// R-E1: all or nothing.
async fn an_import_that_fails_leaves_nothing(world: World) {
    let present = world.account("1000@abc.example").await;
    let mut rows: Vec<_> =
        (0..5_000).map(|n| row(&format!("{n}@new.example"), "", "", None)).collect();
    rows[4_999].id = present.id;
    assert!(world.accounts.import(rows, None, world.now(), false).await.is_err());
    let query = AccountQuery { limit: 10, ..AccountQuery::default() };
    assert_eq!(world.accounts.list(&query).await.unwrap().items, [present]);
}

/// Performance: an import of 50,000 accounts takes less than 30 seconds, its repetition too.
async fn fifty_thousand_rows_are_imported_quickly(world: World) {
    let rows: Vec<_> = (0..50_000)
        .map(|n| row(&format!("{n}@abc.example"), &format!("u{n}@example.com"), "Somebody", None))
        .collect();
    for expected in [Imported::Created, Imported::Unchanged] {
        let begun = Instant::now();
        let outcome = world.accounts.import(rows.clone(), None, world.now(), false).await.unwrap();
        let took = begun.elapsed();
        assert!(outcome.len() == 50_000 && outcome.iter().all(|one| *one == expected));
        assert!(took.as_secs() < 30, "{expected:?}: {took:?}");
    }
    let counts = world.accounts.count().await.unwrap();
    assert_eq!(counts, [("abc.example".to_owned(), AccountState::PinOnly, 50_000)]);
}

/// R-E1: a deleted account is gone with its sessions.
async fn a_deleted_account_takes_its_sessions_along(world: World) {
    let account = world.account("1001@abc.example").await;
    let session = world.sessions.open(world.session_of(&account)).await.unwrap();
    assert!(world.accounts.delete(account.id).await.unwrap());
    assert!(!world.accounts.delete(account.id).await.unwrap());
    assert_eq!(world.accounts.by_id(account.id).await.unwrap(), None);
    assert!(world.sessions.find(&session.record().id).await.unwrap().is_none());
    assert!(session.has_ended());
}

/// R-A8: accounts are counted by tenant and state.
async fn accounts_are_counted_by_state(world: World) {
    for name in ["1@a.example", "2@a.example", "3@a.example", "1@b.example"] {
        world.account(name).await;
    }
    for name in ["1@a.example", "2@a.example"] {
        let id = world.accounts.find(&login(name)).await.unwrap().unwrap().id;
        world.set_password(id, "p").await;
    }
    let second = world.accounts.find(&login("2@a.example")).await.unwrap().unwrap();
    world.accounts.change(second.id, AccountChange::Disabled(true), None).await.unwrap();
    let mut counts = world.accounts.count().await.unwrap();
    counts.sort_by_key(|(tenant, state, _)| (tenant.clone(), format!("{state:?}")));
    let of = |tenant: &str, state, count| (tenant.to_owned(), state, count);
    assert_eq!(
        counts,
        [
            of("a.example", AccountState::Disabled, 1),
            of("a.example", AccountState::Password, 1),
            of("a.example", AccountState::PinOnly, 1),
            of("b.example", AccountState::PinOnly, 1),
        ]
    );
    world.accounts.ping().await.unwrap();
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_login_name_is_given_once,
        changes_move_the_epoch_where_they_must,
        an_initial_password_is_out_until_it_is_void,
        a_change_of_an_older_epoch_does_nothing,
        of_concurrent_changes_one_wins,
        a_confirmed_address_is_reported_with_the_change,
        a_listing_has_every_account_once_in_order,
        a_search_takes_the_text_literally,
        people_are_found_by_their_address,
        an_import_makes_and_changes,
        an_import_that_fails_leaves_nothing,
        fifty_thousand_rows_are_imported_quickly,
        a_deleted_account_takes_its_sessions_along,
        accounts_are_counted_by_state,
    );
}
