//! `passgate mail …`

use std::path::Path;
use std::process::ExitCode;

use super::args::{MailCommand, MailListArguments, MailState};
use super::client::{Gateway, segment};
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 9] = [
    ("MAIL", |mail| text(mail, "id")),
    ("KIND", |mail| text(mail, "kind")),
    ("LOGIN", |mail| text(mail, "login")),
    ("TO", |mail| text(mail, "to")),
    ("STATE", |mail| text(mail, "state")),
    ("TRIED", |mail| text(mail, "attempts")),
    ("ASKED", |mail| time(mail, "asked_at")),
    ("NEXT TRY", |mail| time(mail, "next_attempt_at")),
    ("LAST ERROR", |mail| text(mail, "last_error").chars().take(80).collect()),
];

pub(super) fn run(
    config: &Path,
    command: MailCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        MailCommand::List(wanted) => list(&gateway, &wanted, output),
        MailCommand::Retry { mails } => retry(&gateway, &mails, output),
    }
}

fn list(
    gateway: &Gateway,
    wanted: &MailListArguments,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let parameters = [("state", wanted.state.map(MailState::as_str))];
    output.list(&gateway.list("/outbox", &parameters, Some(wanted.limit))?, &COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}

/// One that cannot be tried again does not stop the others.
fn retry(gateway: &Gateway, mails: &[String], output: &Output) -> Result<ExitCode, Failure> {
    let mut queued = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for mail in mails {
        match gateway.post(&format!("/outbox/{}/retry", segment(mail))) {
            Ok(mail) => queued.push(mail),
            Err(Failure::Failed(why)) => {
                eprintln!("passgate: {mail}: {why}");
                code = ExitCode::FAILURE;
            }
            Err(other) => return Err(other),
        }
    }
    output.list(&queued, &COLUMNS)?;
    Ok(code)
}
