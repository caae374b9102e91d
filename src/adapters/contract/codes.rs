//! [`CodeStore`].

use std::time::Duration;

use super::{World, fresh_token, run_against};
use crate::domain::account::Account;
use crate::domain::one_time_code::{CodeProblem, IssuedCode, OneTimeCode, Purpose};
use crate::ports::{AccountChange, AccountStore, CodeStore};

const HOUR: Duration = Duration::from_secs(3600);

fn code_for(world: &World, account: &Account, purpose: Purpose) -> IssuedCode {
    let code = OneTimeCode(fresh_token().0);
    IssuedCode::new(&code, purpose, account, "ada@example.com", HOUR, world.now())
}

async fn issue(world: &World, account: &Account) -> IssuedCode {
    let code = code_for(world, account, Purpose::Reset);
    world.codes.issue(code.clone()).await.unwrap();
    code
}

/// R-D1, R-D4: every code comes back as it was issued, by its hash, also after a restart.
async fn a_code_survives_as_it_was(world: World) {
    let account = world.account("1001@abc.example").await;
    let details = AccountChange::Details {
        email: Some(Some("on-file@example.com".into())),
        name: None,
        role: None,
    };
    let addressed = world.accounts.change(account.id, details, None).await.unwrap().unwrap();
    let mut codes = Vec::new();
    for purpose in [Purpose::Reset, Purpose::Welcome, Purpose::ConfirmEmail] {
        for account in [&account, &addressed] {
            let code = code_for(&world, account, purpose);
            let (issued, durable) = world.durably(world.codes.issue(code.clone())).await;
            issued.unwrap();
            assert!(durable);
            codes.push(code);
        }
    }
    let world = world.restarted().await;
    for code in codes {
        assert_eq!(world.codes.find(&code.hash).await.unwrap(), Some(code));
    }
    let never_issued = code_for(&world, &account, Purpose::Reset);
    assert_eq!(world.codes.find(&never_issued.hash).await.unwrap(), None);
}

/// R-D1: a code that ran out is still found, so that its holder is told why it does not work; a
/// week later it is forgotten.
async fn a_code_is_kept_beyond_its_end(world: World) {
    let account = world.account("1001@abc.example").await;
    let first = issue(&world, &account).await;
    world.pass(60);
    let second = issue(&world, &account).await;
    world.pass(3600);
    let found = world.codes.find(&first.hash).await.unwrap().unwrap();
    let verdict = found.check(Purpose::Reset, &account, world.now());
    assert_eq!(verdict, Err(CodeProblem::Expired));
    world.codes.purge(first.expires_at).await.unwrap();
    assert!(world.codes.find(&first.hash).await.unwrap().is_some(), "it ended at this moment");
    world.codes.purge(second.expires_at).await.unwrap();
    assert_eq!(world.codes.find(&first.hash).await.unwrap(), None);
    assert_eq!(world.codes.find(&second.hash).await.unwrap(), Some(second));
}

/// R-D1, R-C8: after a new password no earlier code fits: of those of any number of mails one works.
async fn a_new_password_spends_all_codes(world: World) {
    let account = world.account("1001@abc.example").await;
    let codes = [issue(&world, &account).await, issue(&world, &account).await];
    let after = world.set_password(account.id, "one").await;
    for code in codes {
        let found = world.codes.find(&code.hash).await.unwrap().unwrap();
        let verdict = found.check(Purpose::Reset, &after, world.now());
        assert_eq!(verdict, Err(CodeProblem::Spent));
    }
    let next = issue(&world, &after).await;
    let found = world.codes.find(&next.hash).await.unwrap().unwrap();
    assert_eq!(found.check(Purpose::Reset, &after, world.now()), Ok(()));
}

/// R-E1: a deleted account takes its codes along, and gets none any more.
async fn a_deleted_account_has_no_codes(world: World) {
    let account = world.account("1001@abc.example").await;
    let other = world.account("1002@abc.example").await;
    let (gone, kept) = (issue(&world, &account).await, issue(&world, &other).await);
    world.accounts.delete(account.id).await.unwrap();
    assert_eq!(world.codes.find(&gone.hash).await.unwrap(), None);
    assert_eq!(world.codes.find(&kept.hash).await.unwrap(), Some(kept));
    let late = code_for(&world, &account, Purpose::Reset);
    let error = world.codes.issue(late.clone()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("ada@"), "{error}");
    assert_eq!(world.codes.find(&late.hash).await.unwrap(), None);
}

/// Security: who reads the files finds no code.
async fn the_files_hold_no_code(world: World) {
    let account = world.account("1001@abc.example").await;
    let code = OneTimeCode(fresh_token().0);
    let issued =
        IssuedCode::new(&code, Purpose::Reset, &account, "ada@example.com", HOUR, world.now());
    world.codes.issue(issued.clone()).await.unwrap();
    let world = world.restarted().await;
    let mut files = Vec::new();
    for name in ["passgate.db", "passgate.db-wal"] {
        files.extend(std::fs::read(world.file(name)).unwrap_or_default());
    }
    let holds = |needle: &[u8]| files.windows(needle.len()).any(|window| window == needle);
    assert!(holds(&issued.hash.0), "the hash is looked up by");
    assert!(!holds(&code.0) && !holds(code.text().as_bytes()));
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite:
        a_code_survives_as_it_was,
        a_code_is_kept_beyond_its_end,
        a_new_password_spends_all_codes,
        a_deleted_account_has_no_codes,
        the_files_hold_no_code,
    );
}
