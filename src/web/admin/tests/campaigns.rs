//! Campaigns step by step, as the background task takes them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::campaign::{Audience, CampaignId, CampaignKind, CampaignState, Progress};
use crate::domain::mail::{Portion, Urgency};
use crate::domain::reminders::{ReminderPlan, Reminders};
use crate::domain::rollout::{Rollout, Schedule};
use crate::flows::bulk;
use crate::ports::{NewCampaign, Started};
use crate::web::admin::testing::{Gateway, START, gateway};

const DAY: Duration = Duration::from_secs(86_400);

/// So many people in the tenant `acme`, from this number on.
async fn people(gateway: &Gateway, from: usize, count: usize) {
    let rows: String = (from..from + count).map(|n| format!("{n}@acme,p{n}@a.example\n")).collect();
    let (status, report) = gateway.import("", format!("login,email\n{rows}")).await;
    assert_eq!(status, StatusCode::OK, "{report}");
}

async fn progress(gateway: &Gateway, id: CampaignId) -> Progress {
    gateway.state.services.campaigns.progress(id).await.unwrap()
}

/// The mail server takes everything that waits; how many mails that was.
async fn hand_over(gateway: &Gateway) -> usize {
    let services = &gateway.state.services;
    let now = services.clock.now();
    let mails = services.outbox.claim(now, DAY, Portion::of(10_000)).await.unwrap();
    for mail in &mails {
        assert_eq!(mail.mail.urgency, Urgency::Bulk);
        services.outbox.sent(mail.mail.id, now).await.unwrap();
    }
    mails.len()
}

/// A campaign of which nothing is planned: its process died.
async fn begun(gateway: &Gateway, audience: Audience) -> CampaignId {
    let services = &gateway.state.services;
    let id = CampaignId(uuid::Uuid::from_bytes(services.random.bytes()));
    let (kind, begun_at) = (CampaignKind::Welcome, services.clock.now());
    let new = NewCampaign { id, kind, audience, begun_at };
    assert!(matches!(services.campaigns.begin(new, None).await.unwrap(), Started::New(_)));
    id
}

/// R-E1: the plan of a large tenant is written part by part, also when the process dies between two
/// parts; its mails go into the outbox in portions, so that the queue stays short.
#[tokio::test]
async fn a_large_bulk_goes_on_by_itself() {
    let gateway = gateway().await;
    people(&gateway, 0, 2_300).await;
    let id = begun(&gateway, Audience::Tenant("acme".into())).await;
    let services = &gateway.state.services;
    bulk::advance(services, 200).await.unwrap();
    let expected = Progress { planned: 2_100, queued: 200, ..Progress::default() };
    assert_eq!(progress(&gateway, id).await, expected);
    bulk::advance(services, 200).await.unwrap();
    assert_eq!(progress(&gateway, id).await, expected, "no more than there is room for");
    // Who comes later is not part of it.
    people(&gateway, 5_000, 10).await;
    let mut handed_over = 0;
    for _ in 0..12 {
        handed_over += hand_over(&gateway).await;
        bulk::advance(services, 200).await.unwrap();
    }
    assert_eq!(handed_over, 2_300);
    let expected = Progress { sent: 2_300, ..Progress::default() };
    assert_eq!(progress(&gateway, id).await, expected);
    let campaign = services.campaigns.by_id(id).await.unwrap().unwrap();
    assert_eq!(campaign.state, CampaignState::Finished);
}

/// R-E1: a small campaign does not wait for the end of a large one.
#[tokio::test]
async fn campaigns_go_on_side_by_side() {
    let gateway = gateway().await;
    people(&gateway, 0, 300).await;
    let large = begun(&gateway, Audience::Tenant("acme".into())).await;
    let body = json!({ "kind": "welcome", "filter": { "logins": ["1@acme", "2@acme"] } });
    let (status, small) = gateway.call("POST", "/campaigns", body).await;
    assert_eq!((status, &small["total"]), (StatusCode::CREATED, &json!(2)), "{small}");
    bulk::advance(&gateway.state.services, 100).await.unwrap();
    assert_eq!(progress(&gateway, large).await.queued, 100);
    let path = format!("/campaigns/{}", small["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await.1["queued"], 2);
}

/// R-E4: who starts, pauses, resumes or cancels a bulk is recorded, once.
#[tokio::test]
async fn campaigns_are_recorded() {
    let gateway = gateway().await;
    people(&gateway, 0, 3).await;
    gateway.heard.0.lock().clear();
    let body = json!({ "kind": "welcome", "tenant": "acme" });
    let (status, campaign) = gateway.call("POST", "/campaigns", body.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(gateway.call("POST", "/campaigns", body).await.0, StatusCode::CONFLICT);
    let path = format!("/campaigns/{}", campaign["id"].as_str().unwrap());
    for order in ["pause", "pause", "resume", "cancel", "cancel"] {
        assert_eq!(gateway.post(&format!("{path}/{order}")).await.0, StatusCode::OK, "{order}");
    }
    assert_eq!(gateway.post(&format!("{path}/resume")).await.0, StatusCode::CONFLICT);
    let heard = gateway.heard.0.lock().clone();
    let events: Vec<_> = heard.iter().map(|heard| (heard.event, heard.channel)).collect();
    let expected =
        ["campaign_started", "campaign_paused", "campaign_resumed", "campaign_cancelled"];
    assert_eq!(events, expected.map(|event| (event, "admin")));
}

/// A campaign that is for nobody is over at once; a page of the list has its cursor.
#[tokio::test]
async fn empty_campaigns_and_pages() {
    let gateway = gateway().await;
    people(&gateway, 0, 1).await;
    gateway.post("/accounts/0@acme/disable").await;
    for _ in 0..3 {
        let body = json!({ "kind": "welcome", "tenant": "acme" });
        let (status, campaign) = gateway.call("POST", "/campaigns", body).await;
        assert_eq!((status, &campaign["state"]), (StatusCode::CREATED, &json!("finished")));
        assert_eq!((&campaign["total"], &campaign["ended_at"]), (&json!(0), &json!(START)));
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/campaigns?limit=2&cursor={cursor}")).await.1;
        seen.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        match &page["next_cursor"] {
            Value::String(next) => cursor.clone_from(next),
            _ => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    for bad in ["?limit=0", "?cursor=nonsense", "?state=over"] {
        let (status, _) = gateway.get(&format!("/campaigns{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

/// R-A8: exactly one reminder for each date, whoever looks and how often; when the date is moved
/// under way, the rest does not go out.
#[tokio::test]
async fn reminders_follow_the_dates() {
    let mut gateway = gateway().await;
    people(&gateway, 0, 300).await;
    let now: Timestamp = START.parse().unwrap();
    let dates = |reject: Timestamp| {
        let everyone = Schedule { reject: Some(reject), ..Schedule::default() };
        Rollout { everyone, ..Rollout::default() }
    };
    let everyone = Reminders { before_reject: vec![7 * DAY, DAY], ..Reminders::default() };
    let services = Arc::make_mut(&mut gateway.state.services);
    services.policies.rollout = dates(now + 7 * DAY);
    services.policies.reminders = ReminderPlan { everyone, ..ReminderPlan::default() };
    for _ in 0..3 {
        bulk::remind(&gateway.state.services).await.unwrap();
        bulk::advance(&gateway.state.services, 100).await.unwrap();
    }
    let list = gateway.get("/campaigns").await.1;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let item = &list["items"][0];
    assert_eq!((&item["total"], &item["queued"]), (&json!(300), &json!(100)), "{item}");
    assert_eq!(hand_over(&gateway).await, 100);
    bulk::advance(&gateway.state.services, 100).await.unwrap();

    let services = Arc::make_mut(&mut gateway.state.services);
    services.policies.rollout = dates(now + 30 * DAY);
    for _ in 0..2 {
        bulk::remind(&gateway.state.services).await.unwrap();
        bulk::advance(&gateway.state.services, 100).await.unwrap();
    }
    assert_eq!(hand_over(&gateway).await, 0);
    let list = gateway.get("/campaigns").await.1;
    let item = &list["items"][0];
    assert_eq!((&item["state"], &item["sent"]), (&json!("cancelled"), &json!(100)), "{item}");
    assert_eq!((&item["dropped"], list["items"].as_array().unwrap().len()), (&json!(200), 1));

    gateway.call("POST", "/clock", json!({ "advance": "23d" })).await;
    bulk::remind(&gateway.state.services).await.unwrap();
    let list = gateway.get("/campaigns?state=running").await.1;
    assert_eq!(list["items"][0]["total"], 300, "the new date has reminders of its own: {list}");
    let heard = gateway.heard.0.lock().clone();
    let by_date = heard.iter().filter(|heard| heard.channel == "schedule");
    let events: Vec<_> = by_date.map(|heard| heard.event).collect();
    assert_eq!(events, ["campaign_started", "campaign_cancelled", "campaign_started"]);
}
