//! Campaigns and their plans, durable.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Unavailable;
use crate::domain::account::AccountId;
use crate::domain::campaign::{
    Audience, Campaign, CampaignId, CampaignKind, CampaignState, Fate, Order, Progress,
};
use crate::domain::mail::{MailId, NewMail};

/// A campaign to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign {
    /// Its identity.
    pub id: CampaignId,
    /// What its mails are about.
    pub kind: CampaignKind,
    /// For whom it is.
    pub audience: Audience,
    /// Now.
    pub begun_at: Timestamp,
}

/// Answer to beginning one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs.
    New(Campaign),
    /// The same one is at work (running or paused), or was, where there is never a second one.
    Same(Campaign),
}

/// One account of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedMail {
    /// Whom it is for.
    pub account: AccountId,
    /// The identity that its mail will have.
    pub mail: MailId,
    /// Whether it gets one.
    pub fate: Fate,
}

/// A part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanPart {
    /// Where it begins ([`Campaign::planned_to`]).
    pub from: Option<String>,
    /// Its accounts; those that are in the plan already are passed over.
    pub mails: Vec<PlannedMail>,
    /// Where the next part begins; `None`: the plan is complete.
    pub next: Option<String>,
}

/// Whose turn it is, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The account.
    pub account: AccountId,
    /// Its mail; `None`: it is not needed any more.
    pub mail: Option<NewMail>,
}

/// Answer to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// It stands so now.
    Done(Campaign),
    /// It cannot be told this any more.
    TooLate(Campaign),
}

/// Campaigns. What becomes of a mail in the outbox is counted here in the same step, also when its
/// account is deleted.
#[async_trait]
pub trait CampaignStore: Send + Sync {
    /// Begins a campaign, unless the same one is at work: of parallel calls one begins it. With a
    /// `plan` that is all of it, written in the same step.
    async fn begin(
        &self,
        new: NewCampaign,
        plan: Option<Vec<PlannedMail>>,
    ) -> Result<Started, Unavailable>;

    /// Writes a part of the plan of a campaign that has not ended, and moves on to the next one.
    /// `false`, and nothing is written, if somebody else was faster.
    async fn plan(&self, id: CampaignId, part: PlanPart) -> Result<bool, Unavailable>;

    /// Those that run, oldest first.
    async fn running(&self) -> Result<Vec<Campaign>, Unavailable>;

    /// The next `most` accounts of a plan whose turn it is, in the order of the plan, with the
    /// identity of their mails.
    async fn next(
        &self,
        id: CampaignId,
        most: usize,
    ) -> Result<Vec<(AccountId, MailId)>, Unavailable>;

    /// Puts mails into the outbox, each at most once, all of them or none. Those of accounts that are
    /// gone are dropped. Nothing happens if the campaign does not run (any more).
    async fn queue(&self, id: CampaignId, turns: Vec<Turn>) -> Result<(), Unavailable>;

    /// Notes that a running campaign with a complete plan came to its end, if it did: nothing is
    /// planned or queued. `false` if it did not.
    async fn finish(&self, id: CampaignId, now: Timestamp) -> Result<bool, Unavailable>;

    /// Gives an order; `None` if there is no such campaign. Mails that are in the outbox, but that
    /// nobody is handing over, are taken back when it is paused, and dropped when it is cancelled;
    /// not those that their recipients have asked for themselves meanwhile.
    async fn order(
        &self,
        id: CampaignId,
        order: Order,
        now: Timestamp,
    ) -> Result<Option<Ordered>, Unavailable>;

    /// One campaign.
    async fn by_id(&self, id: CampaignId) -> Result<Option<Campaign>, Unavailable>;

    /// How far it is.
    async fn progress(&self, id: CampaignId) -> Result<Progress, Unavailable>;

    /// Campaigns in `state` (all, if `None`), latest first, at most `limit`, that come after
    /// `cursor`.
    async fn list(
        &self,
        state: Option<CampaignState>,
        cursor: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<Campaign>, Unavailable>;

    /// Forgets campaigns that ended before `ended_before`, with their plans.
    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable>;
}
