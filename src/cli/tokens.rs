//! `passgate token …`

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::TokenCommand;
use super::client::{Gateway, segment};
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 4] = [
    ("TOKEN", |token| text(token, "id")),
    ("SCOPE", |token| text(token, "scope")),
    ("NAME", |token| text(token, "name")),
    ("CREATED", |token| time(token, "created_at")),
];

pub(super) fn run(
    config: &Path,
    command: TokenCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        TokenCommand::Create { scope, name } => {
            let body = json!({ "scope": scope.as_str(), "name": name });
            let made = gateway.post_json("/tokens", &body)?;
            match output.json {
                true => output.value(&made)?,
                // Alone on its line, for `TOKEN=$(passgate token create …)`.
                false => output.line(&text(&made, "token"))?,
            }
            output.note("This is shown once. Passgate keeps only its hash.")?;
            Ok(ExitCode::SUCCESS)
        }
        TokenCommand::List => {
            let mut page = gateway.get("/tokens")?;
            let items = page["items"].take();
            output.list(items.as_array().map_or(&[], Vec::as_slice), &COLUMNS)?;
            Ok(ExitCode::SUCCESS)
        }
        TokenCommand::Revoke { ids } => revoke(&gateway, &ids, output),
    }
}

fn revoke(gateway: &Gateway, ids: &[String], output: &Output) -> Result<ExitCode, Failure> {
    let mut revoked = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        match gateway.delete(&format!("/tokens/{}", segment(id))) {
            Ok(_) => revoked.push(id),
            Err(Failure::Failed(why)) => {
                eprintln!("passgate: {why}");
                code = ExitCode::FAILURE;
            }
            Err(other) => return Err(other),
        }
    }
    match output.json {
        true => output.value(&json!({ "revoked": revoked }))?,
        false => output.line(&format!("revoked: {}", revoked.len()))?,
    }
    Ok(code)
}
