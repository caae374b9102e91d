//! What goes on with campaigns by itself: the plan is written part by part, and its mails go into
//! the outbox in portions, so that the queue stays short and no step is large. Each step is durable
//! and can be repeated: a process that dies in the middle leaves the rest to the next one.

use uuid::Uuid;

use super::{Policies, Services};
use crate::domain::account::{Account, AccountState};
use crate::domain::campaign::{Audience, Campaign, CampaignId, CampaignKind, Fate, Order};
use crate::domain::mail::{MailId, NewMail, Urgency};
use crate::ports::{
    AccountQuery, NewCampaign, PlanPart, PlannedMail, SecurityEvent, Started, Turn, Unavailable,
};

/// Accounts in one part of a plan.
const PART: usize = 1000;

/// Begins the reminders that are due (R-A8). Called every second: each goes out once, whatever
/// happened to the process meanwhile.
pub async fn remind(services: &Services) -> Result<(), Unavailable> {
    let (policies, now) = (&services.policies, services.clock.now());
    for point in policies.reminders.due(&policies.rollout, now) {
        let new = services.new_campaign(CampaignKind::Reminder, Audience::Before(point));
        let id = new.id;
        if let Started::New(campaign) = services.campaigns.begin(new, None).await? {
            plan(services, campaign).await?;
            let total = services.campaigns.progress(id).await?.total();
            tracing::info!(
                campaign = %id, before = point.ahead.name(), date = %point.date, total,
                "reminders go out",
            );
            record(services, "campaign_started", "schedule");
        }
    }
    Ok(())
}

/// Brings every campaign that runs a step further; none has more than `room` mails in the outbox.
/// Called every second.
pub async fn advance(services: &Services, room: usize) -> Result<(), Unavailable> {
    for campaign in services.campaigns.running().await? {
        if is_overtaken(services, &campaign) {
            let now = services.clock.now();
            services.campaigns.order(campaign.id, Order::Cancel, now).await?;
            tracing::info!(campaign = %campaign.id, "reminders of a date that moved or has come end");
            record(services, "campaign_cancelled", "schedule");
            continue;
        }
        let campaign = match campaign.planned {
            true => campaign,
            false => plan(services, campaign).await?,
        };
        feed(services, &campaign, room).await?;
        end(services, campaign.id).await?;
    }
    Ok(())
}

/// Writes the rest of the plan; the campaign as it is then.
pub(super) async fn plan(
    services: &Services,
    mut campaign: Campaign,
) -> Result<Campaign, Unavailable> {
    while !campaign.planned {
        let from = campaign.planned_to.clone();
        let part = part(services, campaign.kind, &campaign.audience, from).await?;
        let (done, next) = (part.next.is_none(), part.next.clone());
        if services.campaigns.plan(campaign.id, part).await? {
            (campaign.planned, campaign.planned_to) = (done, next);
            continue;
        }
        // Somebody else went on with it, or ended it.
        match services.campaigns.by_id(campaign.id).await? {
            Some(present) if present.state.after(Order::Pause).is_some() => campaign = present,
            Some(present) => return Ok(present),
            None => return Ok(campaign),
        }
    }
    Ok(campaign)
}

/// The next part of the plan for an audience. Whom there is nothing to tell is not in it.
pub(super) async fn part(
    services: &Services,
    kind: CampaignKind,
    audience: &Audience,
    from: Option<String>,
) -> Result<PlanPart, Unavailable> {
    let query = AccountQuery {
        tenant: match audience {
            Audience::Tenant(tenant) => Some(tenant.clone()),
            _ => None,
        },
        state: Some(AccountState::PinOnly),
        cursor: from.clone(),
        limit: PART,
        ..AccountQuery::default()
    };
    let page = services.accounts.list(&query).await?;
    let mails = page.items.iter().filter_map(|account| {
        let fate = services.fate(kind, audience, account);
        (fate != Fate::NotNeeded).then(|| services.planned(account, fate))
    });
    Ok(PlanPart { from, mails: mails.collect(), next: page.next_cursor })
}

/// Puts as many mails into the outbox as there is room for.
async fn feed(services: &Services, campaign: &Campaign, room: usize) -> Result<(), Unavailable> {
    let waiting = services.campaigns.progress(campaign.id).await?.queued;
    let room = room.saturating_sub(usize::try_from(waiting).unwrap_or(usize::MAX));
    if room == 0 {
        return Ok(());
    }
    let mut turns = Vec::new();
    for (id, mail) in services.campaigns.next(campaign.id, room).await? {
        let account = services.accounts.by_id(id).await.unwrap_or_else(|error| {
            // It holds up nobody else. If it is the whole store, queueing fails as well.
            tracing::error!(%error, account = %id, "a bulk mail is dropped");
            None
        });
        let mail = account.and_then(|account| services.bulk_mail(campaign, &account, mail));
        turns.push(Turn { account: id, mail });
    }
    match turns.is_empty() {
        true => Ok(()),
        false => services.campaigns.queue(campaign.id, turns).await,
    }
}

/// Notes the end of a campaign, if it came to it.
pub(super) async fn end(services: &Services, id: CampaignId) -> Result<bool, Unavailable> {
    let ended = services.campaigns.finish(id, services.clock.now()).await?;
    if ended {
        let progress = services.campaigns.progress(id).await?;
        tracing::info!(
            campaign = %id, sent = progress.sent, failed = progress.failed,
            dropped = progress.dropped, without_email = progress.without_email,
            "a campaign came to its end",
        );
    }
    Ok(ended)
}

/// Whether it reminds of what nobody is to be reminded of any more: its date was moved, or has come.
fn is_overtaken(services: &Services, campaign: &Campaign) -> bool {
    let Audience::Before(point) = &campaign.audience else { return false };
    let policies = &services.policies;
    point.date <= services.clock.now() || !policies.reminders.all(&policies.rollout).contains(point)
}

pub(super) fn record(services: &Services, event: &'static str, channel: &'static str) {
    services.audit.record(SecurityEvent {
        event,
        channel,
        login: String::new(),
        client: None,
        result: "ok",
    });
}

impl Services {
    /// A campaign that begins now.
    pub(super) fn new_campaign(&self, kind: CampaignKind, audience: Audience) -> NewCampaign {
        NewCampaign { id: self.campaign_id(), kind, audience, begun_at: self.clock.now() }
    }

    /// A new identity.
    pub(super) fn campaign_id(&self) -> CampaignId {
        CampaignId(Uuid::from_bytes(self.random.bytes()))
    }

    /// One account of a plan.
    pub(super) fn planned(&self, account: &Account, fate: Fate) -> PlannedMail {
        let mail = MailId(Uuid::from_bytes(self.random.bytes()));
        PlannedMail { account: account.id, mail, fate }
    }

    /// What an account gets from a campaign of this kind for this audience, now.
    pub(super) fn fate(&self, kind: CampaignKind, audience: &Audience, account: &Account) -> Fate {
        let Policies { rollout, reminders, .. } = &self.policies;
        let tenant = account.login.tenant();
        match audience {
            Audience::Before(point) if !reminders.concerns(rollout, tenant, point) => {
                Fate::NotNeeded
            }
            _ => kind.fate(account, rollout.schedule(tenant), self.clock.now()),
        }
    }

    /// The mail of an account whose turn it is, if it still gets one.
    fn bulk_mail(&self, campaign: &Campaign, account: &Account, id: MailId) -> Option<NewMail> {
        let fate = self.fate(campaign.kind, &campaign.audience, account);
        let to = account.reachable_at().filter(|_| fate == Fate::Mail)?;
        let mail = self.new_mail(campaign.kind.mail(), account, to, None);
        Some(NewMail { id, urgency: Urgency::Bulk, ..mail })
    }
}
