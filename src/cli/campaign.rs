//! `passgate campaign …`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::args::{CampaignCommand, CampaignListArguments, CampaignState, StartArguments};
use super::client::{Gateway, segment, with_query};
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 10] = [
    ("CAMPAIGN", |campaign| text(campaign, "id")),
    ("KIND", |campaign| text(campaign, "kind")),
    ("FOR", audience),
    ("STATE", |campaign| text(campaign, "state")),
    ("TOTAL", |campaign| text(campaign, "total")),
    ("WAITING", |campaign| {
        let count = |member: &str| campaign[member].as_u64().unwrap_or_default();
        (count("planned") + count("queued")).to_string()
    }),
    ("SENT", |campaign| text(campaign, "sent")),
    ("FAILED", |campaign| text(campaign, "failed")),
    ("DROPPED", |campaign| text(campaign, "dropped")),
    ("BEGUN", |campaign| time(campaign, "begun_at")),
];

const DETAILS: [Column; 12] = [
    COLUMNS[0],
    COLUMNS[1],
    COLUMNS[2],
    COLUMNS[3],
    COLUMNS[4],
    COLUMNS[5],
    COLUMNS[6],
    COLUMNS[7],
    COLUMNS[8],
    ("WITHOUT E-MAIL", |campaign| text(campaign, "without_email")),
    COLUMNS[9],
    ("ENDED", |campaign| time(campaign, "ended_at")),
];

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn run(
    config: &Path,
    command: CampaignCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        CampaignCommand::Start(wanted) => start(&gateway, &wanted, output),
        CampaignCommand::Status { campaign, wait } => {
            let path = match campaign {
                Some(id) => path(&id),
                None => latest(&gateway)?,
            };
            let shown = gateway.get(&path)?;
            follow(&gateway, shown, wait, output)
        }
        CampaignCommand::List(wanted) => list(&gateway, &wanted, output),
        CampaignCommand::Pause { campaign } => tell(&gateway, &campaign, "pause", output),
        CampaignCommand::Resume { campaign } => tell(&gateway, &campaign, "resume", output),
        CampaignCommand::Cancel { campaign } => tell(&gateway, &campaign, "cancel", output),
    }
}

fn start(gateway: &Gateway, wanted: &StartArguments, output: &Output) -> Result<ExitCode, Failure> {
    let mut body = json!({ "kind": wanted.kind.as_str(), "dry_run": wanted.dry_run });
    if let Some(tenant) = &wanted.tenant {
        body["tenant"] = json!(tenant);
    }
    if !wanted.accounts.is_empty() {
        let (ids, logins): (Vec<&String>, Vec<&String>) =
            wanted.accounts.iter().partition(|account| Uuid::parse_str(account).is_ok());
        body["filter"] = json!({ "ids": ids, "logins": logins });
    }
    let begun = {
        let _progress = output.progress("planning");
        gateway.post_json("/campaigns", &body)?
    };
    follow(gateway, begun, wanted.wait && !wanted.dry_run, output)
}

/// Shows a campaign, after its end if that is waited for.
fn follow(
    gateway: &Gateway,
    mut campaign: Value,
    wait: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if wait {
        let path = path(&text(&campaign, "id"));
        let bar = output.bar(campaign["total"].as_u64().unwrap_or_default());
        while campaign["state"] == "running" {
            let done = ["sent", "failed", "dropped"];
            bar.at(done.iter().filter_map(|member| campaign[*member].as_u64()).sum());
            std::thread::sleep(LOOK);
            campaign = gateway.get(&path)?;
        }
    }
    output.item(&campaign, &DETAILS)?;
    if !wait {
        return Ok(ExitCode::SUCCESS);
    }
    match (campaign["state"].as_str(), campaign["failed"].as_u64()) {
        (Some("finished"), Some(0)) => Ok(ExitCode::SUCCESS),
        (Some("finished"), failed) => Err(Failure::Failed(format!(
            "{} mails were given up; see `passgate mail list --state dead`",
            failed.unwrap_or_default()
        ))),
        (state, _) => {
            Err(Failure::Failed(format!("the campaign is {}", state.unwrap_or("not known"))))
        }
    }
}

fn list(
    gateway: &Gateway,
    wanted: &CampaignListArguments,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let parameters = [("state", wanted.state.map(CampaignState::as_str))];
    output.list(&gateway.list("/campaigns", &parameters, Some(wanted.limit))?, &COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(
    gateway: &Gateway,
    campaign: &str,
    order: &str,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let told = gateway.post(&format!("{}/{order}", path(campaign)))?;
    output.item(&told, &DETAILS)?;
    Ok(ExitCode::SUCCESS)
}

/// The campaign that was begun last.
fn latest(gateway: &Gateway) -> Result<String, Failure> {
    let page = gateway.get(&with_query("/campaigns", &[("limit", Some("1"))]))?;
    match page["items"][0]["id"].as_str() {
        Some(id) => Ok(path(id)),
        None => Err(Failure::Failed("there is no campaign yet".into())),
    }
}

fn path(campaign: &str) -> String {
    format!("/campaigns/{}", segment(campaign))
}

fn audience(campaign: &Value) -> String {
    match campaign["audience"].as_str() {
        Some("tenant") => text(campaign, "tenant"),
        Some("date") => {
            format!("before {} on {}", text(campaign, "before"), time(campaign, "date"))
        }
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}
