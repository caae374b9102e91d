//! What can be typed.

mod campaigns;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;

pub(super) use campaigns::{CampaignCommand, CampaignListArguments, CampaignState, StartArguments};

use crate::domain::email_address::email;
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailKind;

/// An authenticating reverse proxy that gives the users of a PBX portal real passwords.
#[derive(Debug, Parser)]
#[command(
    name = "passgate",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, refused or not found, 2 wrong usage, \
                  3 the gateway is not running."
)]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(
        long,
        global = true,
        env = "PASSGATE_CONFIG",
        default_value = "/etc/passgate/passgate.toml",
        value_name = "FILE"
    )]
    pub config: PathBuf,
    /// Answer in JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    Run(RunArguments),
    /// Show everything on this machine: an example portal, people, a clock to move
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
    /// Check the configuration and say everything that is wrong with it
    Check(CheckArguments),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Users: list, add, import, send a link, unlock, switch off
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Who is signed in
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// E-mails: what became of them, another try
    #[command(subcommand)]
    Mail(MailCommand),
    /// The same e-mail to many users: welcome, reminder
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// The key ring that seals PINs and cookies
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Tokens of the admin listener
    #[command(subcommand)]
    Token(TokenCommand),
    /// Portal profiles: what Passgate knows about a kind of portal
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Print the completions of a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Begin at this moment instead of now, and let the admin API move the clock: for
    /// demonstrations and tests only, whoever moves the clock moves the phases
    #[arg(long, hide = true, value_name = "MOMENT")]
    pub clock: Option<Timestamp>,
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Port of the start page; 8080, or any free one. 0: any free port for everything
    #[arg(long)]
    pub port: Option<u16>,
    /// Where the demo keeps its data
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug
    #[arg(long, default_value = "error", value_name = "LEVEL")]
    pub log: String,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Also try the connections: the PBX, the store, the certificates
    #[arg(long)]
    pub connect: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the commented file with every key and its default
    Defaults,
}

#[derive(Debug, Subcommand)]
pub(super) enum AccountsCommand {
    /// List and search
    List(ListArguments),
    /// Show one account
    Show {
        /// Login name or id
        account: String,
    },
    /// Make an account
    Add(AddArguments),
    /// Import a CSV file with the header login,email,name,role
    Import(ImportArguments),
    /// Write all accounts as CSV
    Export(ExportArguments),
    /// E-mail a link that sets a portal password
    Reset(Which),
    /// E-mail a new user a link that sets portal password and voicemail PIN
    Welcome(Which),
    /// Issue a one-time initial password, to be read out to its user; shown once
    InitialPassword {
        /// Login name or id
        #[arg(value_name = "LOGIN")]
        account: String,
    },
    /// Lift the lock that failed logins brought about
    Unlock(Which),
    /// Switch off; ends all sessions at once
    Disable(Which),
    /// Switch on again
    Enable(Which),
    /// Note that the address on file takes no mail: nothing is sent there until there is another
    Bounce(BounceArguments),
    /// Lift that: the address takes mail again
    Unbounce(Which),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only this tenant
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Part of login name, name or e-mail
    #[arg(value_name = "TEXT")]
    pub query: Option<String>,
    /// At most this many
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum State {
    /// No portal password yet
    PinOnly,
    /// Has a portal password
    Password,
    /// Switched off
    Disabled,
}

impl State {
    /// As the API spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PinOnly => "pin_only",
            Self::Password => "password",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// Login name: extension@tenant
    pub login: String,
    /// Address on file
    #[arg(long)]
    pub email: Option<String>,
    /// Name shown to people
    #[arg(long)]
    pub name: Option<String>,
    /// Rights in Passgate's administration
    #[arg(long, value_enum, default_value = "user")]
    pub role: Role,
    /// Also e-mail them the link that sets the account up
    #[arg(long, requires = "email")]
    pub welcome: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Role {
    /// Only their own account
    User,
    /// The users of their tenant
    Manager,
}

impl Role {
    /// As the API spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Manager => "manager",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The file; - reads standard input
    pub file: PathBuf,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// Import the good lines although others have errors
    #[arg(long)]
    pub partial: bool,
    /// Also e-mail the new users the link that sets them up
    #[arg(long)]
    pub welcome: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The file to write; standard output without it
    pub file: Option<PathBuf>,
    /// Only this tenant
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
}

#[derive(Debug, Args)]
pub(super) struct BounceArguments {
    #[command(flatten)]
    pub which: Which,
    /// Why, for operators
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Login names or ids
    #[arg(required = true, value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// The sessions of an account
    List {
        /// Login name or id
        account: String,
    },
    /// End sessions
    End(EndArguments),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct EndArguments {
    /// Ids, as `sessions list` shows them
    #[arg(value_name = "SESSION")]
    pub sessions: Vec<String>,
    /// All sessions of this account
    #[arg(long)]
    pub account: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// The mails, latest first; never their links
    List(MailListArguments),
    /// Try dead or waiting mails again now
    Retry {
        /// Ids, as `mail list` shows them
        #[arg(required = true, value_name = "MAIL")]
        mails: Vec<String>,
    },
    /// Show what a mail looks like with this configuration; nothing is sent
    Preview(PreviewArguments),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct PreviewArguments {
    /// The kind of mail: reset, welcome …; with --out, all kinds without it
    #[arg(group = "what", value_parser = mail_kind)]
    pub kind: Option<MailKind>,
    /// Only the HTML part, for a browser
    #[arg(long, conflicts_with_all = ["text", "out"])]
    pub html: bool,
    /// Only the text part, without the headers
    #[arg(long, conflicts_with = "out")]
    pub text: bool,
    /// Write KIND.txt and KIND.html into this folder, which is made
    #[arg(long, group = "what", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The example's login name
    #[arg(long, default_value = "1001@example.com", value_parser = login_name)]
    pub login: LoginName,
    /// The example's name; empty for none
    #[arg(long, default_value = "Jane Doe")]
    pub name: String,
    /// The example's address
    #[arg(long, default_value = "jane.doe@example.com", value_parser = email)]
    pub to: String,
}

fn mail_kind(text: &str) -> Result<MailKind, String> {
    MailKind::named(&text.replace('-', "_")).ok_or_else(|| {
        let names: Vec<String> =
            MailKind::ALL.iter().map(|kind| kind.name().replace('_', "-")).collect();
        format!("there are: {}", names.join(", "))
    })
}

fn login_name(text: &str) -> Result<LoginName, String> {
    LoginName::parse(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(super) struct MailListArguments {
    /// Only this state
    #[arg(long, value_enum)]
    pub state: Option<MailState>,
    /// At most this many
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum MailState {
    /// Waiting for its (next) try, or being handed over
    Queued,
    /// The mail server has it
    Sent,
    /// Given up: refused for good, or too old
    Dead,
    /// Not needed any more when its turn came
    Dropped,
}

impl MailState {
    /// As the API spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// The keys, oldest first; never their bytes
    List,
    /// Add a key that seals from now on; the others still open what they sealed
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once
    Create {
        /// What it allows
        #[arg(long, value_enum)]
        scope: Scope,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
    },
    /// The tokens, oldest first
    List,
    /// End tokens at once
    Revoke {
        /// Ids, as `token list` shows them
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Scope {
    /// Look, change nothing
    Read,
    /// Everything but the making of tokens
    Write,
}

impl Scope {
    /// As the API spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// The built-in profiles
    List,
    /// Print a built-in profile, to start one's own from
    Show {
        /// Its name
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Interfaces: every subcommand takes `--config` and `--json`.
    #[test]
    fn every_subcommand_takes_config_and_json() {
        for line in [
            "run",
            "check",
            "check --connect",
            "config defaults",
            "accounts list",
            "accounts show 1001@acme",
            "accounts add 1001@acme --email a@b.example --welcome",
            "accounts import users.csv --dry-run --partial --welcome",
            "accounts export",
            "accounts reset 1001@acme 1002@acme",
            "accounts welcome 1001@acme",
            "accounts unlock 1001@acme 1002@acme",
            "accounts disable x",
            "accounts enable x",
            "sessions list 1001@acme",
            "sessions end abc",
            "sessions end --account 1001@acme",
            "mail list --state dead",
            "mail retry abc def",
            "campaign start welcome --tenant acme --dry-run",
            "campaign start reminder 1001@acme 1002@acme --wait",
            "campaign status --wait",
            "campaign status abc",
            "campaign list --state running",
            "campaign pause abc",
            "campaign resume abc",
            "campaign cancel abc",
            "keys list",
            "keys rotate",
            "token create --scope read",
            "token list",
            "token revoke abc",
            "profile list",
            "profile show netsapiens",
            "completions bash",
        ] {
            let line = format!("passgate {line} --json --config other.toml");
            let arguments = parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(arguments.json);
            assert_eq!(arguments.config, PathBuf::from("other.toml"));
        }
    }

    #[test]
    fn the_clock_can_be_set_for_a_test() {
        let clock = |line: &str| match parse(line).map(|arguments| arguments.command) {
            Ok(Command::Run(options)) => Ok(options.clock),
            other => Err(format!("{other:?}")),
        };
        assert_eq!(clock("passgate run"), Ok(None));
        let moment = "2018-11-05T05:00:00Z".parse().unwrap();
        assert_eq!(clock("passgate run --clock 2018-11-05T05:00:00Z"), Ok(Some(moment)));
        assert!(clock("passgate run --clock soon").is_err());
    }

    /// Exit code 2 is wrong usage.
    #[test]
    fn wrong_usage_is_two() {
        for line in [
            "passgate",
            "passgate nonsense",
            "passgate accounts unlock",
            "passgate accounts reset",
            "passgate accounts add 1001@acme --welcome",
            "passgate mail list --state sending",
            "passgate mail retry",
            "passgate campaign start",
            "passgate campaign start reset",
            "passgate campaign pause",
            "passgate sessions end",
            "passgate sessions end abc --account x",
            "passgate token create",
            "passgate token create --scope root",
            "passgate accounts list --limit 0",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("passgate --help").unwrap_err().exit_code(), 0);
    }
}
