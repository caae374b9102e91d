//! [`KeptForms`].

use super::{World, fresh_token, run_against};
use crate::domain::account::Account;
use crate::domain::kept_form::{KeptFormToken, MOST, MOST_OF_ACCOUNT, SealedForm};
use crate::ports::{AccountStore, KeptForms};

fn form_of(world: &World, account: &Account) -> SealedForm {
    SealedForm {
        id: KeptFormToken(fresh_token().0).id(),
        account: account.id,
        sealed: b"sealed \0 form".to_vec(),
        kept_at: world.now(),
    }
}

async fn keep(world: &World, account: &Account) -> SealedForm {
    let form = form_of(world, account);
    world.kept_forms.keep(form.clone()).await.unwrap();
    world.pass(1);
    form
}

/// R-C4: a form comes back as it was kept, after a restart, too; one of several who take it gets it.
async fn a_form_is_taken_once(world: World) {
    let account = world.account("1001@abc.example").await;
    let (form, other) = (keep(&world, &account).await, keep(&world, &account).await);
    let world = world.restarted().await;
    for _ in 0..2 {
        assert_eq!(world.kept_forms.find(&form.id).await.unwrap(), Some(form.clone()));
    }
    let mut takers = Vec::new();
    for _ in 0..8 {
        let forms = world.kept_forms.clone();
        takers.push(tokio::spawn(async move { forms.take(&form.id).await.unwrap() }));
    }
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken, std::slice::from_ref(&form));
    assert_eq!(world.kept_forms.find(&form.id).await.unwrap(), None);
    assert_eq!(world.kept_forms.find(&other.id).await.unwrap(), Some(other));
}

/// R-C4: bounded for each account and in all; the latest stay.
async fn the_oldest_go_first(world: World) {
    let account = world.account("1001@abc.example").await;
    let mut forms = Vec::new();
    for _ in 0..=MOST_OF_ACCOUNT {
        forms.push(keep(&world, &account).await);
    }
    for (number, form) in forms.iter().enumerate() {
        let found = world.kept_forms.find(&form.id).await.unwrap();
        assert_eq!(found.is_some(), number > 0, "{number}");
    }
    for number in 0..MOST - MOST_OF_ACCOUNT {
        let other = world.account(&format!("{}@abc.example", 2000 + number)).await;
        keep(&world, &other).await;
    }
    assert!(world.kept_forms.find(&forms[1].id).await.unwrap().is_some());
    let last = world.account("9000@abc.example").await;
    let last = keep(&world, &last).await;
    assert!(world.kept_forms.find(&forms[1].id).await.unwrap().is_none());
    assert!(world.kept_forms.find(&forms[2].id).await.unwrap().is_some());
    assert!(world.kept_forms.find(&last.id).await.unwrap().is_some());
}

/// R-C4: what is too old is forgotten, and what belongs to nobody any more.
async fn forms_are_forgotten(world: World) {
    let account = world.account("1001@abc.example").await;
    let gone = world.account("1002@abc.example").await;
    let (old, new) = (keep(&world, &account).await, keep(&world, &account).await);
    let of_gone = keep(&world, &gone).await;
    world.kept_forms.purge(new.kept_at).await.unwrap();
    world.accounts.delete(gone.id).await.unwrap();
    for (form, stays) in [(old, false), (new, true), (of_gone, false)] {
        assert_eq!(world.kept_forms.find(&form.id).await.unwrap().is_some(), stays);
    }
    assert!(world.kept_forms.keep(form_of(&world, &gone)).await.is_err(), "of nobody");
}

mod sqlite {
    use super::*;

    run_against!(World::sqlite: a_form_is_taken_once, the_oldest_go_first, forms_are_forgotten);
}
