//! The PBX's administration desk and a mailbox, both in memory: what they are reached by (an API,
//! SMTP) is tested elsewhere. The desk works on the example portal's own records.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{ALICE, World};
use crate::demo::portal::LegacyPortal;
use crate::domain::account::{Account, AccountId, NewAccount, Role};
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::flows::courier::Courier;
use crate::flows::post;
use crate::ports::{
    AccountChange, Mail, MailTransport, OwnSession, PinWriting, PinWritten, SendError, Subscribers,
    Unavailable,
};

/// How the desk answers to a new PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It writes it.
    Writes,
    /// It says no.
    Refuses,
    /// Its answer is lost, and nothing was written.
    Loses,
}

/// An access of our own to the PBX's records.
pub(super) struct Desk {
    portal: Arc<LegacyPortal>,
    writes: bool,
    manner: Mutex<Manner>,
}

impl Desk {
    pub fn new(portal: Arc<LegacyPortal>, writes: bool) -> Self {
        Self { portal, writes, manner: Mutex::new(Manner::Writes) }
    }

    pub fn set(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }
}

#[async_trait]
impl Subscribers for Desk {
    fn writing(&self) -> PinWriting {
        if self.writes { PinWriting::Admin } else { PinWriting::Impossible }
    }

    fn reading(&self) -> bool {
        false
    }

    async fn write_pin(
        &self,
        login: &LoginName,
        pin: &Secret,
        _own: Option<OwnSession<'_>>,
    ) -> PinWritten {
        match *self.manner.lock() {
            Manner::Writes => {
                assert!(self.portal.set_pin(&login.to_string(), pin.expose()));
                PinWritten::Done
            }
            Manner::Refuses => PinWritten::Refused { detail: "not this one".into() },
            Manner::Loses => PinWritten::Unclear(Unavailable::new("pbx", "the answer was lost")),
        }
    }

    async fn read_pin(&self, _login: &LoginName) -> Result<Option<Secret>, Unavailable> {
        Err(Unavailable::new("pbx", "not here"))
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}

/// A mail that arrived: to whom, about what, the code of its link, and its words.
#[derive(Clone)]
pub(super) struct Arrived {
    pub to: String,
    pub kind: MailKind,
    pub code: String,
    pub text: String,
}

/// Keeps what is sent.
#[derive(Default)]
pub(super) struct Mailbox(Mutex<Vec<Arrived>>);

#[async_trait]
impl MailTransport for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let code = mail.text.split_once("?code=").map_or("", |(_, rest)| rest);
        let code = code.split_whitespace().next().unwrap_or_default();
        let arrived = Arrived {
            to: mail.to.clone(),
            kind: mail.kind,
            code: code.to_owned(),
            text: mail.text.clone(),
        };
        self.0.lock().push(arrived);
        Ok(())
    }

    async fn ping(&self) -> Result<(), SendError> {
        Ok(())
    }
}

impl World {
    /// Hands over what is due, and shows what arrived since the last look.
    pub async fn mails(&self) -> Vec<Arrived> {
        // One after the other: in the order in which they were asked for.
        Courier::new(Arc::clone(&self.services), 1).run_dry().await.unwrap();
        std::mem::take(&mut *self.mailbox.0.lock())
    }

    /// The code of the only link that arrived since the last look.
    pub async fn link(&self) -> String {
        let mails = self.mails().await;
        let links: Vec<_> = mails.iter().filter(|mail| !mail.code.is_empty()).collect();
        assert_eq!(
            links.len(),
            1,
            "mails: {:?}",
            mails.iter().map(|m| &m.kind).collect::<Vec<_>>()
        );
        links[0].code.clone()
    }

    /// Alice's account.
    pub async fn alice(&self) -> Account {
        self.services.accounts.find(&alice()).await.unwrap().unwrap()
    }

    /// Alice's account as an import made it: with this address, and nothing known of her PIN.
    pub async fn import_alice(&self, address: Option<&str>) -> Account {
        let new = NewAccount {
            login: alice(),
            email: address.map(str::to_owned),
            name: "Alice Adams".into(),
            role: Role::User,
        };
        let id = AccountId(uuid::Uuid::from_u128(1001));
        let now = self.services.clock.now();
        self.services.accounts.create(id, new, now).await.unwrap();
        self.alice().await
    }

    /// Puts an address on Alice's file.
    pub async fn address(&self, address: &str) {
        let account = self.alice().await;
        let change = AccountChange::Details {
            email: Some(Some(address.to_owned())),
            name: None,
            role: None,
        };
        self.services.accounts.change(account.id, change, None).await.unwrap();
    }

    /// The code of a link of this kind that was mailed to Alice's address on file.
    pub async fn mailed(&self, kind: MailKind) -> String {
        let account = self.alice().await;
        post::request(&self.services, &account, kind, None).await.unwrap();
        self.link().await
    }
}

fn alice() -> LoginName {
    let (extension, tenant) = ALICE.split_once('@').unwrap();
    LoginName::new(extension, tenant).unwrap()
}
