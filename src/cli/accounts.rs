//! `passgate accounts …`

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::args::{
    AccountsCommand, AddArguments, BounceArguments, ExportArguments, ImportArguments,
    ListArguments, State, Which,
};
use super::client::{Gateway, segment, with_query};
use super::failure::Failure;
use super::output::{Column, Output, text, time};

const COLUMNS: [Column; 7] = [
    ("LOGIN", |account| text(account, "login")),
    ("NAME", |account| text(account, "name")),
    ("E-MAIL", |account| match account["bounced"].is_object() {
        true => format!("{} (takes no mail)", text(account, "email")),
        false => text(account, "email"),
    }),
    ("ROLE", |account| text(account, "role")),
    ("STATE", |account| text(account, "state")),
    ("LOCKED UNTIL", |account| time(account, "locked_until")),
    ("LAST LOGIN", |account| time(account, "last_login_at")),
];

const DETAILS: [Column; 13] = [
    ("ID", |account| text(account, "id")),
    COLUMNS[0],
    COLUMNS[1],
    COLUMNS[2],
    ("E-MAIL COMES BACK", |account| match account["bounced"].is_object() {
        true => {
            format!("{}  {}", time(&account["bounced"], "at"), text(&account["bounced"], "reason"))
        }
        false => String::new(),
    }),
    COLUMNS[3],
    COLUMNS[4],
    COLUMNS[5],
    ("PASSWORD SET", |account| time(account, "password_set_at")),
    ("INITIAL PASSWORD UNTIL", |account| time(account, "initial_password_expires_at")),
    ("PIN WRITE-BACK", |account| text(account, "pin_write_back")),
    COLUMNS[6],
    ("CREATED", |account| time(account, "created_at")),
];

const ASKED: [Column; 4] = [
    ("LOGIN", |asked| text(asked, "login")),
    ("MAIL", |asked| text(asked, "mail")),
    ("TO", |asked| text(asked, "to")),
    ("ASKED", |asked| time(asked, "asked_at")),
];

pub(super) fn run(
    config: &Path,
    command: AccountsCommand,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let gateway = Gateway::of(config)?;
    match command {
        AccountsCommand::List(wanted) => list(&gateway, &wanted, output),
        AccountsCommand::Show { account } => {
            let shown = gateway.get(&format!("/accounts/{}", segment(&account)))?;
            output.item(&shown, &DETAILS)?;
            Ok(ExitCode::SUCCESS)
        }
        AccountsCommand::Add(new) => add(&gateway, &new, output),
        AccountsCommand::Import(import_file) => import(&gateway, &import_file, output),
        AccountsCommand::Export(wanted) => export(&gateway, &wanted, output),
        AccountsCommand::Reset(which) => each(&gateway, &which, "reset", None, &ASKED, output),
        AccountsCommand::Welcome(which) => each(&gateway, &which, "welcome", None, &ASKED, output),
        AccountsCommand::InitialPassword { account } => {
            initial_password(&gateway, &account, output)
        }
        AccountsCommand::Bounce(BounceArguments { which, reason }) => {
            let body = json!({ "reason": reason });
            each(&gateway, &which, "bounce", Some(&body), &COLUMNS, output)
        }
        AccountsCommand::Unbounce(which) => {
            each(&gateway, &which, "unbounce", None, &COLUMNS, output)
        }
        AccountsCommand::Unlock(which) => each(&gateway, &which, "unlock", None, &COLUMNS, output),
        AccountsCommand::Disable(which) => {
            each(&gateway, &which, "disable", None, &COLUMNS, output)
        }
        AccountsCommand::Enable(which) => each(&gateway, &which, "enable", None, &COLUMNS, output),
    }
}

fn list(gateway: &Gateway, wanted: &ListArguments, output: &Output) -> Result<ExitCode, Failure> {
    let parameters = [
        ("tenant", wanted.tenant.as_deref()),
        ("state", wanted.state.map(State::as_str)),
        ("q", wanted.query.as_deref()),
    ];
    output.list(&gateway.list("/accounts", &parameters, wanted.limit)?, &COLUMNS)?;
    Ok(ExitCode::SUCCESS)
}

fn add(gateway: &Gateway, new: &AddArguments, output: &Output) -> Result<ExitCode, Failure> {
    let mut body = json!({ "login": new.login, "role": new.role.as_str() });
    if let Some(email) = &new.email {
        body["email"] = json!(email);
    }
    if let Some(name) = &new.name {
        body["name"] = json!(name);
    }
    if new.welcome {
        body["send_welcome"] = json!(true);
    }
    let made = gateway.post_json("/accounts", &body)?;
    output.item(&made, &DETAILS)?;
    if made["welcome_mail"].is_string() {
        output.note("The welcome mail is queued.")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The initial password alone on its line; what else is to be known is a note.
fn initial_password(
    gateway: &Gateway,
    account: &str,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let issued = gateway.post(&format!("/accounts/{}/initial-password", segment(account)))?;
    match output.json {
        true => output.value(&issued)?,
        false => output.line(&text(&issued, "initial_password"))?,
    }
    output.note(&format!(
        "This is shown once. It works until {} for {}, and leads only to the page where a portal \
         password is chosen.",
        time(&issued, "expires_at"),
        text(&issued, "login"),
    ))?;
    if !issued["locked_until"].is_null() {
        output.note(&format!(
            "After failed logins the login name is locked until {}; `passgate accounts unlock` \
             lifts that.",
            time(&issued, "locked_until"),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The same for several accounts: one that fails does not stop the others.
fn each(
    gateway: &Gateway,
    which: &Which,
    action: &str,
    body: Option<&Value>,
    columns: &[Column],
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut done = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for account in &which.accounts {
        let path = format!("/accounts/{}/{action}", segment(account));
        let answer = match body {
            Some(body) => gateway.post_json(&path, body),
            None => gateway.post(&path),
        };
        match answer {
            Ok(changed) => done.push(changed),
            Err(Failure::Failed(why)) => {
                eprintln!("passgate: {account}: {why}");
                code = ExitCode::FAILURE;
            }
            Err(other) => return Err(other),
        }
    }
    output.list(&done, columns)?;
    Ok(code)
}

fn import(
    gateway: &Gateway,
    import: &ImportArguments,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut csv = Vec::new();
    let reading = format!("read {}", import.file.display());
    match import.file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut csv),
        false => File::open(&import.file).and_then(|mut file| file.read_to_end(&mut csv)),
    }
    .map_err(Failure::io(reading))?;
    let yes = |set: bool| set.then_some("true");
    let path = with_query(
        "/accounts/import",
        &[
            ("dry_run", yes(import.dry_run)),
            ("partial", yes(import.partial)),
            ("send_welcome", yes(import.welcome)),
        ],
    );
    let answer = {
        let _progress = output.progress("importing");
        gateway.call(Method::POST, &path, Some(("text/csv", csv)))?
    };
    match answer {
        Ok(report) => {
            if output.json {
                output.value(&report)?;
            } else {
                let would = if import.dry_run { "would be " } else { "" };
                output.line(&format!(
                    "{would}created: {}, updated: {}, unchanged: {}",
                    report["created"], report["updated"], report["unchanged"]
                ))?;
                let welcome = &report["welcome"];
                if welcome.is_object() {
                    output.line(&format!(
                        "welcome mails: {}, new accounts without an e-mail address: {}",
                        welcome["total"], welcome["without_email"]
                    ))?;
                }
                if let Some(campaign) = welcome["campaign"].as_str() {
                    output
                        .note(&format!("How far they are: passgate campaign status {campaign}"))?;
                }
            }
            failed_lines(&report, output)
        }
        // All or nothing: the problem holds the report.
        Err(refused) if refused.problem["failed"].is_array() => {
            if output.json {
                output.value(&refused.problem)?;
            }
            failed_lines(&refused.problem, output)?;
            Err(refused.into())
        }
        Err(refused) => Err(refused.into()),
    }
}

fn failed_lines(report: &Value, output: &Output) -> Result<ExitCode, Failure> {
    const LINES: [Column; 2] =
        [("LINE", |failed| text(failed, "line")), ("REASON", |failed| text(failed, "reason"))];
    match report["failed"].as_array() {
        Some(failed) if !failed.is_empty() => {
            if !output.json {
                output.list(failed, &LINES)?;
            }
            Ok(ExitCode::FAILURE)
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn export(
    gateway: &Gateway,
    wanted: &ExportArguments,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let path = with_query(
        "/accounts/export",
        &[("tenant", wanted.tenant.as_deref()), ("state", wanted.state.map(State::as_str))],
    );
    let Some(name) = &wanted.file else {
        gateway.download(&path, |bytes| output.bytes(bytes))?;
        return Ok(ExitCode::SUCCESS);
    };
    let writing = || Failure::io(format!("write {}", name.display()));
    let mut file = File::create(name).map_err(writing())?;
    let progress = output.progress("exporting");
    let mut written = 0;
    gateway.download(&path, |bytes| {
        written += bytes.len();
        progress.say(format!("exporting: {} KiB", written / 1024));
        file.write_all(bytes).map_err(writing())
    })?;
    file.sync_all().map_err(writing())?;
    drop(progress);
    output.note(&format!("{}: {written} bytes", name.display()))?;
    Ok(ExitCode::SUCCESS)
}
