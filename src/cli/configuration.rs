//! `passgate check` and `passgate config …`

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Output;
use super::start::runtime;
use crate::app::{Connection, check_connections, check_dressing};
use crate::config::{Config, Loaded, Place, Problem, Problems, defaults_text};

/// Reads and checks the configuration, with the environment's overrides.
pub(super) fn load(file: &Path) -> Result<Loaded, Failure> {
    let text = read(file)?;
    Config::load(&text, file, std::env::vars()).map_err(|problems| {
        let mut why = format!("{} cannot be used:", file.display());
        for problem in &problems.0 {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = write!(why, "\n{problem}");
        }
        Failure::Failed(why)
    })
}

pub(super) fn check(file: &Path, connect: bool, output: &Output) -> Result<ExitCode, Failure> {
    let text = read(file)?;
    let (config, problems, warnings) = match Config::load(&text, file, std::env::vars()) {
        Ok(loaded) => (Some(loaded.config), Vec::new(), loaded.warnings),
        Err(Problems(problems)) => (None, problems, Vec::new()),
    };
    let dressing = config.as_ref().map(check_dressing).unwrap_or_default();
    let in_file = |message| Problem {
        place: Place::File { file: file.to_owned(), line: None },
        message,
        hint: None,
    };
    let problems: Vec<Problem> =
        problems.into_iter().chain(dressing.into_iter().map(in_file)).collect();
    let connections = match &config {
        Some(config) if connect => {
            let _progress = output.progress("connecting");
            runtime()?.block_on(check_connections(config))
        }
        _ => Vec::new(),
    };
    let good =
        problems.is_empty() && connections.iter().all(|connection| connection.result.is_ok());
    if output.json {
        let shown = |problems: &[Problem]| problems.iter().map(shown).collect::<Vec<_>>();
        output.value(&json!({
            "ok": good,
            "problems": shown(&problems),
            "warnings": shown(&warnings),
            "connections": connections.iter().map(tried).collect::<Vec<_>>(),
        }))?;
    } else {
        for problem in &problems {
            output.line(&problem.to_string())?;
        }
        for warning in &warnings {
            output.line(&format!("warning: {warning}"))?;
        }
        output.line(&match problems.len() {
            0 => format!("{}: no problems", file.display()),
            1 => format!("{}: 1 problem", file.display()),
            count => format!("{}: {count} problems", file.display()),
        })?;
        for Connection { name, result } in &connections {
            output.line(&match result {
                Ok(()) => format!("{name}: works"),
                Err(why) => format!("{name}: {why}"),
            })?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn defaults(output: &Output) -> Result<ExitCode, Failure> {
    match output.json {
        true => output.value(&json!({ "text": defaults_text() }))?,
        false => output.line(defaults_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        Failure::Failed(format!(
            "cannot read the configuration {}: {error}; name it with --config or PASSGATE_CONFIG, \
             begin one with `passgate config defaults`",
            file.display()
        ))
    })
}

fn tried(connection: &Connection) -> Value {
    let Connection { name, result } = connection;
    json!({ "name": name, "ok": result.is_ok(), "error": result.as_ref().err() })
}

fn shown(problem: &Problem) -> Value {
    let (file, line, variable) = match &problem.place {
        Place::File { file, line } => (Some(file.display().to_string()), *line, None),
        Place::Variable(name) => (None, None, Some(name)),
    };
    json!({
        "file": file,
        "line": line,
        "variable": variable,
        "message": problem.message,
        "hint": problem.hint,
    })
}
