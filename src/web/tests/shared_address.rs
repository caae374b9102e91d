//! An address that many accounts share gets so many mails over all of them (R-D6,
//! `limits.mails_per_address`); nobody is told of a mail that was not sent.

use http::StatusCode;

use super::{ALICE, ALICES_PIN, EQUIPPED, World};
use crate::domain::account::{AccountId, NewAccount, Role};
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailKind;
use crate::flows::mails::{NotSent, UserLink, send};
use crate::flows::post;
use crate::ports::Created;

const SHARED: &str = "desk@corp.example";

/// So many days after the beginning, Alice's address is that of ten others, each of whom had a link
/// sent at 12:00.
async fn after(days: i64) -> World {
    let world = World::with(EQUIPPED).await;
    world.pass(days);
    world.import_alice(Some(SHARED)).await;
    for number in 0..10 {
        let new = NewAccount {
            login: LoginName::parse(&ALICE.replace("1001", &format!("{}", 3000 + number))).unwrap(),
            email: Some(SHARED.to_uppercase()),
            name: String::new(),
            role: Role::User,
        };
        let (id, now) =
            (AccountId(uuid::Uuid::from_u128(3000 + number)), world.services.clock.now());
        let Created::New(other) = world.services.accounts.create(id, new, now).await.unwrap()
        else {
            panic!("it was there before");
        };
        post::request(&world.services, &other, MailKind::Reset, None).await.unwrap();
    }
    assert_eq!(world.mails().await.len(), 10);
    world
}

/// The forms say how long to wait, administrators are told why, and an hour after the first there
/// is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_address_has_to_wait() {
    let world = after(0).await;
    world.pass_minutes(20);
    for (page, fields) in [
        ("/account/forgot-password", ("login", ALICE)),
        ("/account/forgot-login-name", ("email", SHARED)),
        ("/account/new-user", ("email", SHARED)),
    ] {
        let answer = world.browser().fill_in(page, &[fields, ("extension", "1001")]).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{page}: {}", answer.text);
        assert_eq!(answer.header("retry-after"), "2400");
        assert!(!answer.text.contains("We sent"), "{page}: {}", answer.text);
        assert!(world.mails().await.is_empty(), "{page}");
    }
    let alice = world.alice().await;
    let NotSent::AddressFull { until } =
        send(&world.services, &alice, UserLink::Reset).await.unwrap().unwrap_err()
    else {
        panic!("it is full");
    };
    assert_eq!(until.to_string(), "2018-11-05T13:00:00Z");
    world.pass_minutes(40);
    world.mailed(MailKind::Reset).await;
}

/// R-A4: whoever came too late is told when a link can be sent, and not that one was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_reject_nothing_is_promised() {
    let world = after(29).await;
    world.pass_minutes(20);
    let page = world.browser().sign_in(ALICE, ALICES_PIN).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(
        page.said("alert"),
        "Your voicemail PIN no longer opens the portal. So many e-mails were asked for to \
         d•••@c•••.example that no link was sent now. Please try again at 13:00, or contact the \
         Acme help desk, 555-0100."
    );
    assert!(world.mails().await.is_empty());
    world.pass_minutes(40);
    let page = world.browser().sign_in(ALICE, ALICES_PIN).await;
    assert!(page.said("alert").contains("We sent a link"), "{}", page.said("alert"));
    assert_eq!(world.mails().await.len(), 1);
}
