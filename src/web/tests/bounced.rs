//! An address on file that takes no mail is none to write to; its owner can put that right.

use http::StatusCode;

use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};
use crate::domain::mail::{MailKind, MailState};
use crate::flows::bounces;

const ADDRESS: &str = "alice@corp.example";

impl World {
    /// Alice's address takes no mail.
    async fn bounced(&self) {
        let alice = self.alice().await;
        bounces::mark(&self.services, &alice, None, "5.1.1").await.unwrap().unwrap();
        assert!(self.alice().await.bounced.is_some());
    }
}

/// R-D5: nothing is reported to an address that takes no mail, and what waited for it is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_there() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let mut browser = world.with_password().await;
    world.bounced().await;
    assert!(world.mails().await.is_empty(), "the report waited");
    let new = "Other-Harbour-8-Lamps";
    let fields = [("current_password", PASSWORD), ("password", new), ("confirm", new)];
    browser.fill_in("/account/security", &fields).await.leads_to("/account/security");
    for guess in 0..5 {
        world.browser().sign_in(ALICE, &format!("0000{guess}")).await;
    }
    world.pass_minutes(16);
    let mails = world.services.outbox.list(None, None, 9).await.unwrap();
    assert_eq!((mails.len(), mails[0].mail.kind), (1, MailKind::PasswordSet));
    assert_eq!(mails[0].state, MailState::Dropped);
}

/// R-D5: the owner sees it, and may confirm the same address anew or another one. That the address
/// changed is not told to one that takes no mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_owner_can_put_it_right() {
    for address in [ADDRESS, "jane@home.example"] {
        let world = World::with(EQUIPPED).await;
        world.import_alice(Some(ADDRESS)).await;
        let mut browser = world.with_password().await;
        world.mails().await; // That the password was set.
        world.bounced().await;
        let page = browser.get("/account/security").await;
        assert!(page.text.contains("E-mails to it come back"), "{}", page.text);
        let fields = [("email", address), ("current_password", PASSWORD)];
        let page = browser.get("/account/security").await;
        let csrf = page.field("csrf")["value"].clone();
        let all = [("csrf", csrf.as_str()), fields[0], fields[1]];
        browser.post("/account/security", &all).await.leads_to("/account/security");
        let code = world.link().await;
        let link = format!("/account/confirm-email?code={code}");
        let page = browser.get(&link).await;
        browser.send_form(&page, "/account/confirm-email", &[]).await;
        let alice = world.alice().await;
        assert_eq!((alice.email.as_deref(), alice.bounced), (Some(address), None));
        assert!(world.mails().await.is_empty(), "nobody reads the address before");
        assert!(!browser.get("/account/security").await.text.contains("come back"));
    }
}

/// R-A3: at force, who cannot be written to is asked for an address, like who has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_force_another_address_is_asked_for() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let asks = async || {
        let mut browser = world.browser();
        browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/account/set-password");
        let page = browser.get("/account/set-password").await;
        assert_eq!(page.status, StatusCode::OK);
        (page.text.contains("name=\"email\""), browser)
    };
    world.pass(15);
    assert!(!asks().await.0);
    world.bounced().await;
    let (asked, mut browser) = asks().await;
    assert!(asked);
    let fields = [
        ("pin", "902184"),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
        ("email", "jane@home.example"),
    ];
    browser.fill_in("/account/set-password", &fields).await.leads_to("/portal/home");
    let code = world.link().await;
    let link = format!("/account/confirm-email?code={code}");
    let page = browser.get(&link).await;
    browser.send_form(&page, "/account/confirm-email", &[]).await;
    let alice = world.alice().await;
    assert_eq!((alice.email.as_deref(), alice.bounced), (Some("jane@home.example"), None));
}
