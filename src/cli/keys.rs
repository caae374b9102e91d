//! `passgate keys …`: the ring of the running gateway, so that a new key seals at once.

use std::path::Path;
use std::process::ExitCode;

use super::args::KeysCommand;
use super::client::Gateway;
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 3] = [
    ("KEY", |key| text(key, "id")),
    ("CREATED", |key| time(key, "created_at")),
    ("USE", |key| if key["active"] == true { "seals and opens" } else { "opens" }.to_owned()),
];

pub(super) fn run(
    config: &Path,
    command: KeysCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        KeysCommand::List => {
            let mut page = gateway.get("/keys")?;
            let items = page["items"].take();
            output.list(items.as_array().map_or(&[], Vec::as_slice), &COLUMNS)?;
        }
        KeysCommand::Rotate => {
            output.item(&gateway.post("/keys/rotate")?, &COLUMNS)?;
            output
                .note("Back the key ring up now: without it nobody can be signed in to the PBX.")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
