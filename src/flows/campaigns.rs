//! Administration of campaigns (R-E1): the same mail to many accounts, with its progress; a pause, an
//! end. What goes on by itself is in [`super::bulk`].

use super::{Services, bulk};
use crate::domain::account::{Account, AccountId};
use crate::domain::campaign::{
    Audience, Campaign, CampaignId, CampaignKind, CampaignState, Fate, Order, Progress,
};
use crate::domain::login_name::{LoginName, fold};
use crate::ports::{AccountQuery, Ordered, PlannedMail, Started, Unavailable};

/// What an administrator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the mails are about.
    pub kind: CampaignKind,
    /// Only for accounts of this tenant.
    pub tenant: Option<String>,
    /// Only for these accounts; `None`: for all without a portal password.
    pub selection: Option<Selection>,
}

/// Accounts that were picked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// By id …
    pub ids: Vec<AccountId>,
    /// … and by login name.
    pub logins: Vec<LoginName>,
}

/// A campaign with its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignView {
    /// The campaign.
    pub campaign: Campaign,
    /// How far it is.
    pub progress: Progress,
}

/// Why a campaign does not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStarted {
    /// E-mail is off.
    Off,
    /// The same one is at work.
    AtWork(Campaign),
    /// There are no such accounts.
    Unknown(Vec<String>),
    /// These accounts are of another tenant.
    OfAnotherTenant(Vec<LoginName>),
    /// There is no account of this tenant.
    NoTenant(String),
    /// No date is ahead that could be reminded of.
    NothingAhead,
}

/// Who gets a mail.
enum Recipients {
    /// All of them, found part by part.
    All(Audience),
    /// These.
    Picked(Vec<Account>),
}

/// Begins a campaign. The plan is complete when this returns; the mails leave in the background.
pub async fn start(
    services: &Services,
    wanted: Wanted,
) -> Result<Result<CampaignView, NotStarted>, Unavailable> {
    let kind = wanted.kind;
    let recipients = match recipients(services, wanted).await? {
        Ok(recipients) => recipients,
        Err(why) => return Ok(Err(why)),
    };
    let (audience, plan) = match recipients {
        Recipients::All(audience) => (audience, None),
        Recipients::Picked(accounts) => {
            let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
            let audience = Audience::selected(&ids);
            let plan = accounts
                .iter()
                .map(|account| services.planned(account, services.fate(kind, &audience, account)));
            let plan: Vec<PlannedMail> = plan.collect();
            (audience, Some(plan))
        }
    };
    let new = services.new_campaign(kind, audience);
    let begun = match services.campaigns.begin(new, plan).await? {
        Started::New(campaign) => bulk::plan(services, campaign).await?,
        Started::Same(campaign) => return Ok(Err(NotStarted::AtWork(campaign))),
    };
    let progress = services.campaigns.progress(begun.id).await?;
    tracing::info!(
        campaign = %begun.id, kind = kind.name(), audience = begun.audience.text(),
        total = progress.total(), without_email = progress.without_email,
        "a campaign was started",
    );
    bulk::record(services, "campaign_started", "admin");
    // One that is for nobody is over.
    bulk::end(services, begun.id).await?;
    let campaign = services.campaigns.by_id(begun.id).await?.unwrap_or(begun);
    Ok(Ok(CampaignView { campaign, progress }))
}

/// Only says what a campaign would come to.
pub async fn dry_run(
    services: &Services,
    wanted: Wanted,
) -> Result<Result<Progress, NotStarted>, Unavailable> {
    let kind = wanted.kind;
    let audience = match recipients(services, wanted).await? {
        Ok(Recipients::All(audience)) => audience,
        Ok(Recipients::Picked(accounts)) => {
            let fates =
                accounts.iter().map(|account| services.fate(kind, &Audience::Everybody, account));
            return Ok(Ok(count(fates)));
        }
        Err(why) => return Ok(Err(why)),
    };
    let mut fates = Vec::new();
    let mut from = None;
    loop {
        let part = bulk::part(services, kind, &audience, from).await?;
        fates.extend(part.mails.iter().map(|planned| planned.fate));
        match part.next {
            None => return Ok(Ok(count(fates))),
            next => from = next,
        }
    }
}

fn count(fates: impl IntoIterator<Item = Fate>) -> Progress {
    let mut progress = Progress::default();
    for fate in fates {
        match fate {
            Fate::Mail => progress.planned += 1,
            Fate::NotNeeded => progress.dropped += 1,
            Fate::WithoutEmail => progress.without_email += 1,
        }
    }
    progress
}

async fn recipients(
    services: &Services,
    wanted: Wanted,
) -> Result<Result<Recipients, NotStarted>, Unavailable> {
    if services.mail.is_none() {
        return Ok(Err(NotStarted::Off));
    }
    let tenant = wanted.tenant.as_deref().map(fold);
    if let Some(tenant) = &tenant {
        let query =
            AccountQuery { tenant: Some(tenant.clone()), limit: 1, ..AccountQuery::default() };
        if services.accounts.list(&query).await?.items.is_empty() {
            return Ok(Err(NotStarted::NoTenant(tenant.clone())));
        }
    }
    let (rollout, now) = (&services.policies.rollout, services.clock.now());
    let is_ahead = |tenant: &str| rollout.schedule(tenant).days_left(now).is_some();
    let (recipients, anything_ahead) = match (wanted.selection, tenant) {
        (Some(selection), tenant) => {
            let accounts = match picked(services, selection).await? {
                Ok(accounts) => accounts,
                Err(unknown) => return Ok(Err(NotStarted::Unknown(unknown))),
            };
            let elsewhere = accounts.iter().filter(|account| {
                tenant.as_deref().is_some_and(|tenant| account.login.tenant() != tenant)
            });
            let elsewhere: Vec<_> = elsewhere.map(|account| account.login.clone()).collect();
            if !elsewhere.is_empty() {
                return Ok(Err(NotStarted::OfAnotherTenant(elsewhere)));
            }
            let ahead = accounts.iter().any(|account| is_ahead(account.login.tenant()));
            (Recipients::Picked(accounts), ahead)
        }
        (None, Some(tenant)) => {
            let ahead = is_ahead(&tenant);
            (Recipients::All(Audience::Tenant(tenant)), ahead)
        }
        (None, None) => {
            let general = rollout.everyone.days_left(now).is_some();
            let ahead = general || rollout.tenants.keys().any(|tenant| is_ahead(tenant));
            (Recipients::All(Audience::Everybody), ahead)
        }
    };
    Ok(match wanted.kind {
        CampaignKind::Reminder if !anything_ahead => Err(NotStarted::NothingAhead),
        _ => Ok(recipients),
    })
}

/// The accounts of a selection, each once; or what names nobody.
async fn picked(
    services: &Services,
    selection: Selection,
) -> Result<Result<Vec<Account>, Vec<String>>, Unavailable> {
    let (mut accounts, mut unknown): (Vec<Account>, _) = (Vec::new(), Vec::new());
    for id in selection.ids {
        match services.accounts.by_id(id).await? {
            Some(account) => accounts.push(account),
            None => unknown.push(id.to_string()),
        }
    }
    for login in selection.logins {
        match services.accounts.find(&login).await? {
            Some(account) => accounts.push(account),
            None => unknown.push(login.to_string()),
        }
    }
    if !unknown.is_empty() {
        return Ok(Err(unknown));
    }
    let mut seen = std::collections::HashSet::new();
    accounts.retain(|account| seen.insert(account.id));
    Ok(Ok(accounts))
}

/// One campaign.
pub async fn by_id(
    services: &Services,
    id: CampaignId,
) -> Result<Option<CampaignView>, Unavailable> {
    match services.campaigns.by_id(id).await? {
        Some(campaign) => view(services, campaign).await.map(Some),
        None => Ok(None),
    }
}

/// Campaigns, latest first; with the last one of this page, if there may be more.
pub async fn list(
    services: &Services,
    state: Option<CampaignState>,
    cursor: Option<CampaignId>,
    limit: usize,
) -> Result<(Vec<CampaignView>, Option<CampaignId>), Unavailable> {
    let campaigns = services.campaigns.list(state, cursor, limit).await?;
    let next = campaigns.last().filter(|_| campaigns.len() == limit).map(|last| last.id);
    let mut views = Vec::with_capacity(campaigns.len());
    for campaign in campaigns {
        views.push(view(services, campaign).await?);
    }
    Ok((views, next))
}

/// Gives a campaign an order; the state in which it cannot be given any more, if so, and `None` if
/// there is no such campaign.
pub async fn order(
    services: &Services,
    id: CampaignId,
    order: Order,
) -> Result<Option<Result<CampaignView, CampaignState>>, Unavailable> {
    let before = services.campaigns.by_id(id).await?.map(|campaign| campaign.state);
    let campaign = match services.campaigns.order(id, order, services.clock.now()).await? {
        None => return Ok(None),
        Some(Ordered::TooLate(campaign)) => return Ok(Some(Err(campaign.state))),
        Some(Ordered::Done(campaign)) => campaign,
    };
    if before != Some(campaign.state) {
        let event = match order {
            Order::Pause => "campaign_paused",
            Order::Resume => "campaign_resumed",
            Order::Cancel => "campaign_cancelled",
        };
        tracing::info!(campaign = %id, state = campaign.state.name(), "a campaign was told");
        bulk::record(services, event, "admin");
    }
    view(services, campaign).await.map(|view| Some(Ok(view)))
}

async fn view(services: &Services, campaign: Campaign) -> Result<CampaignView, Unavailable> {
    let progress = services.campaigns.progress(campaign.id).await?;
    Ok(CampaignView { campaign, progress })
}
