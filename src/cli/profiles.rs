//! `passgate profile …`

use std::process::ExitCode;

use serde_json::json;

use super::args::ProfileCommand;
use super::failure::Failure;
use super::output::Output;
use crate::profile::Profile;

pub(super) fn run(command: ProfileCommand, output: &Output) -> Result<ExitCode, Failure> {
    match command {
        ProfileCommand::List => {
            let names: Vec<&str> = Profile::builtin_names().collect();
            match output.json {
                true => output.value(&json!({ "items": names, "next_cursor": null }))?,
                false => output.line(&names.join("\n"))?,
            }
        }
        ProfileCommand::Show { name } => {
            let Some(text) = Profile::builtin(&name) else {
                let names: Vec<&str> = Profile::builtin_names().collect();
                return Err(Failure::Failed(format!(
                    "there is no built-in profile `{name}`; there are: {}",
                    names.join(", ")
                )));
            };
            match output.json {
                true => output.value(&json!({ "name": name, "text": text }))?,
                false => output.line(text)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
