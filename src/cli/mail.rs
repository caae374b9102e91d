//! `passgate mail …`

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{MailCommand, MailListArguments, MailState, PreviewArguments};
use super::client::{Gateway, segment};
use super::configuration;
use super::failure::Failure;
use super::output::{Column, Output, text, time};
use crate::adapters::clock::SystemClock;
use crate::app::{Example, Previews};
use crate::domain::mail::MailKind;
use crate::ports::{Clock as _, Mail};

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
    match command {
        MailCommand::List(wanted) => list(&Gateway::of(config)?, &wanted, output),
        MailCommand::Retry { mails } => retry(&Gateway::of(config)?, &mails, output),
        MailCommand::Preview(wanted) => preview(config, &wanted, output),
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

/// Shows mails without a gateway: the configuration is enough.
fn preview(config: &Path, wanted: &PreviewArguments, output: &Output) -> Result<ExitCode, Failure> {
    let config = configuration::load(config)?.config;
    let example =
        Example { login: wanted.login.clone(), name: wanted.name.clone(), to: wanted.to.clone() };
    let previews = Previews::of(&config).map_err(|error| Failure::Failed(error.to_string()))?;
    let compose = |kind| previews.mail(kind, &example, SystemClock.now());
    let kinds = wanted.kind.map_or_else(|| MailKind::ALL.to_vec(), |kind| vec![kind]);
    if let Some(folder) = &wanted.out {
        std::fs::create_dir_all(folder)
            .map_err(Failure::io(format!("make {}", folder.display())))?;
        for kind in kinds {
            let mail = compose(kind);
            for (part, ending) in [(headed(&mail), "txt"), (mail.html, "html")] {
                let file = folder.join(format!("{}.{ending}", spelled(kind)));
                std::fs::write(&file, part)
                    .map_err(Failure::io(format!("write {}", file.display())))?;
                output.line(&file.display().to_string())?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    for kind in kinds {
        let mail = compose(kind);
        match (output.json, wanted.html, wanted.text) {
            (true, ..) => output.value(&json!({
                "kind": mail.kind.name(),
                "from": mail.from,
                "to": mail.to,
                "subject": mail.subject,
                "text": mail.text,
                "html": mail.html,
            }))?,
            (_, true, _) => output.line(&mail.html)?,
            (_, _, true) => output.line(mail.text.trim_end())?,
            _ => output.line(headed(&mail).trim_end())?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The text part, with the headers that people see.
fn headed(mail: &Mail) -> String {
    let Mail { from, to, subject, text, .. } = mail;
    format!("From: {from}\nTo: {to}\nSubject: {subject}\n\n{text}")
}

fn spelled(kind: MailKind) -> String {
    kind.name().replace('_', "-")
}
