//! Accounts, durable.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{NewCampaign, Unavailable};
use crate::domain::account::{
    Account, AccountId, AccountState, Bounce, NewAccount, Role, SealedPin,
};
use crate::domain::initial_password::StoredInitial;
use crate::domain::login_name::LoginName;
use crate::domain::mail::{MailId, NewMail};

/// Result of making an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New(Account),
    /// The login name was taken: this is who has it.
    Exists(Account),
}

/// One change of an account. Each is atomic; those marked *epoch* advance [`Account::epoch`],
/// which ends the account's sessions. A new portal password is a
/// [`CredentialChange`](super::CredentialChange).
#[derive(Debug, Clone)]
pub enum AccountChange {
    /// The same password under new hash parameters: not a change for the user.
    Rehash {
        /// The new hash, as a PHC string.
        phc: String,
    },
    /// The PIN that the PBX just accepted; also lifts `pin_refused`.
    Pin(SealedPin),
    /// The PBX refused the PIN on file: replay stops.
    PinRefused,
    /// A one-time initial password, in the place of the one before (R-E1).
    InitialPassword(StoredInitial),
    /// A completed login.
    LoggedIn {
        /// When.
        at: Timestamp,
    },
    /// Switched off or on again. *epoch* when switched off; an initial password is void then.
    Disabled(bool),
    /// Details on file; `None` leaves a field as it is, `email: Some(None)` removes the address.
    Details {
        /// Address on file.
        email: Option<Option<String>>,
        /// Name shown to people.
        name: Option<String>,
        /// Administration rights.
        role: Option<Role>,
    },
    /// The address that its owner has confirmed goes on file, if the one on file still is `before`
    /// (else there is no change: `None`); `report` is queued with it, or not at all.
    ConfirmedEmail {
        /// The address on file when the link was made.
        before: Option<String>,
        /// The confirmed one.
        address: String,
        /// Tells the owner of the address before.
        report: Option<NewMail>,
    },
}

/// What to list. Ordered by tenant, then extension (numeric ones by number).
#[derive(Debug, Clone, Default)]
pub struct AccountQuery {
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Part of login name, name or e-mail, case-insensitive.
    pub text: Option<String>,
    /// Only this state.
    pub state: Option<AccountState>,
    /// Continue after this cursor of an earlier page.
    pub cursor: Option<String>,
    /// At most this many (the store bounds it to 1..=1000).
    pub limit: usize,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct AccountPage {
    /// The accounts.
    pub items: Vec<Account>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Accounts, durable. Every method fails only with an outage.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account of a login name.
    async fn find(&self, login: &LoginName) -> Result<Option<Account>, Unavailable>;

    /// The account with this id.
    async fn by_id(&self, id: AccountId) -> Result<Option<Account>, Unavailable>;

    /// The accounts with this address on file, whatever its case, by tenant and extension; at most
    /// a hundred.
    async fn by_email(&self, email: &str) -> Result<Vec<Account>, Unavailable>;

    /// Makes an account with the given id unless the login name is taken.
    async fn create(
        &self,
        id: AccountId,
        account: NewAccount,
        now: Timestamp,
    ) -> Result<Created, Unavailable>;

    /// The same with a first mail, which is queued in the same step, whatever the account's limits.
    async fn create_with_mail(
        &self,
        id: AccountId,
        account: NewAccount,
        mail: NewMail,
        now: Timestamp,
    ) -> Result<Created, Unavailable>;

    /// Applies one change; the account as it is afterwards, `None` if there is none. With
    /// `expected_epoch` the change happens only if the epoch still is that one (else `None`), so
    /// that what was asked for before a new password, or before the account was switched off, does
    /// nothing after it.
    async fn change(
        &self,
        id: AccountId,
        change: AccountChange,
        expected_epoch: Option<u64>,
    ) -> Result<Option<Account>, Unavailable>;

    /// Notes that an address takes no mail, or lifts that, on all accounts that have it on file,
    /// whatever its case; those that changed.
    async fn mark_address(
        &self,
        address: &str,
        bounce: Option<Bounce>,
    ) -> Result<Vec<Account>, Unavailable>;

    /// Lists and searches.
    async fn list(&self, query: &AccountQuery) -> Result<AccountPage, Unavailable>;

    /// Applies a whole import in one transaction: rows are made, or their details changed where
    /// they differ. With `welcome`, that campaign begins in the same step, for the accounts that the
    /// import makes (if it makes any). All or nothing; the outcome per row, in order.
    async fn import(
        &self,
        rows: Vec<ImportRow>,
        welcome: Option<NewCampaign>,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<Imported>, Unavailable>;

    /// Deletes an account for good; `false` if there was none.
    async fn delete(&self, id: AccountId) -> Result<bool, Unavailable>;

    /// How many accounts are in each state, per tenant.
    async fn count(&self) -> Result<Vec<(String, AccountState, u64)>, Unavailable>;

    /// Readiness: the store answers.
    async fn ping(&self) -> Result<(), Unavailable>;
}

/// One row of an import. What it leaves open never changes an account that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// The id to give if the account is new.
    pub id: AccountId,
    /// The identity of its welcome mail, if it is new and gets one.
    pub mail: MailId,
    /// Canonical login name.
    pub login: LoginName,
    /// Address on file; `None` keeps the one that is there.
    pub email: Option<String>,
    /// Name shown to people; empty keeps the one that is there.
    pub name: String,
    /// Administration rights; `None` keeps them (a new account gets [`Role::User`]), so that an
    /// import without roles demotes no manager.
    pub role: Option<Role>,
}

/// What an import did, or would do, with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// A new account.
    Created,
    /// E-mail, name or role differed.
    Updated,
    /// Nothing to do.
    Unchanged,
}
