//! The command line. Commands about a running gateway talk to its admin API over the Unix socket
//! in the data directory; none opens the database beside it.
//!
//! Exit codes: 0 done · 1 failed, refused or not found · 2 wrong usage · 3 the gateway is not
//! running.

mod accounts;
mod args;
mod campaign;
mod client;
mod configuration;
mod failure;
mod keys;
mod mail;
mod output;
mod profiles;
mod sessions;
mod start;
#[cfg(test)]
mod tests;
mod tokens;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Arguments, Command, ConfigCommand};
use failure::Failure;
use output::Output;

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    run(std::env::args_os(), Box::new(std::io::stdout()))
}

fn run(arguments: impl IntoIterator<Item = OsString>, out: Box<dyn Write>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no error; a closed pipe is nobody's.
            let _: std::io::Result<()> = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output { json: arguments.json, out: RefCell::new(out) };
    match dispatch(arguments, &output) {
        Ok(code) => code,
        Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("passgate: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments, output: &Output) -> Result<ExitCode, Failure> {
    let config = arguments.config;
    match arguments.command {
        Command::Run(options) => start::run(&config, &options),
        #[cfg(feature = "demo")]
        Command::Demo(options) => start::demo(&options, output.json),
        Command::Check(options) => configuration::check(&config, options.connect, output),
        Command::Config(ConfigCommand::Defaults) => configuration::defaults(output),
        Command::Accounts(command) => accounts::run(&config, command, output),
        Command::Sessions(command) => sessions::run(&config, command, output),
        Command::Mail(command) => mail::run(&config, command, output),
        Command::Campaign(command) => campaign::run(&config, command, output),
        Command::Keys(command) => keys::run(&config, command, output),
        Command::Token(command) => tokens::run(&config, command, output),
        Command::Profile(command) => profiles::run(command, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "passgate", &mut script);
            output.bytes(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
