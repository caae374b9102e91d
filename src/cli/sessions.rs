//! `passgate sessions …`

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::args::{EndArguments, SessionsCommand};
use super::client::{Gateway, segment, with_query};
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 7] = [
    ("SESSION", |session| text(session, "id")),
    ("KIND", kind),
    ("WITH", |session| text(session, "obtained_with")),
    ("CLIENT", |session| text(session, "client")),
    ("SINCE", |session| time(session, "created_at")),
    ("LAST SEEN", |session| time(session, "last_seen_at")),
    ("BROWSER", |session| text(session, "user_agent").chars().take(60).collect()),
];

/// A browser's session, or what an application holds, with its name.
fn kind(session: &Value) -> String {
    match (text(session, "kind"), text(session, "client_id")) {
        (kind, client) if client.is_empty() => kind,
        (kind, client) => format!("{kind} ({client})"),
    }
}

pub(super) fn run(
    config: &Path,
    command: SessionsCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        SessionsCommand::List { account } => {
            let mut page = gateway.get(&with_query("/sessions", &[("account", Some(&account))]))?;
            let items = page["items"].take();
            output.list(items.as_array().map_or(&[], Vec::as_slice), &COLUMNS)?;
            Ok(ExitCode::SUCCESS)
        }
        SessionsCommand::End(which) => end(&gateway, &which, output),
    }
}

fn end(gateway: &Gateway, which: &EndArguments, output: &Output) -> Result<ExitCode, Failure> {
    let mut ended = 0;
    let mut code = ExitCode::SUCCESS;
    if let Some(account) = &which.account {
        let answer = gateway.post(&format!("/accounts/{}/sign-out", segment(account)))?;
        ended = answer["ended"].as_u64().unwrap_or(0);
    }
    for session in &which.sessions {
        match gateway.delete(&format!("/sessions/{}", segment(session))) {
            Ok(_) => ended += 1,
            Err(Failure::Failed(why)) => {
                eprintln!("passgate: {session}: {why}");
                code = ExitCode::FAILURE;
            }
            Err(other) => return Err(other),
        }
    }
    match output.json {
        true => output.value(&serde_json::json!({ "ended": ended }))?,
        false => output.line(&format!("ended: {ended}"))?,
    }
    Ok(code)
}
