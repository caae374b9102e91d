//! `passgate campaign …`

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CampaignCommand {
    /// E-mail all users without a portal password, those of a tenant, or those that are named
    Start(StartArguments),
    /// How far a campaign is
    Status {
        /// Its id; the latest one without it
        campaign: Option<String>,
        /// Wait for its end and show the progress
        #[arg(long)]
        wait: bool,
    },
    /// The campaigns, latest first; also reminders before a date and welcomes of imports
    List(CampaignListArguments),
    /// Let no further mail leave until it is resumed
    Pause {
        /// Its id
        campaign: String,
    },
    /// Go on
    Resume {
        /// Its id
        campaign: String,
    },
    /// Let no further mail leave, ever
    Cancel {
        /// Its id
        campaign: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StartArguments {
    /// What the mails are about
    #[arg(value_enum)]
    pub kind: CampaignKind,
    /// Only these users: login names or ids
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Only users of this tenant
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only say how many mails it would be
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for its end and show the progress
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum CampaignKind {
    /// The link that sets portal password and voicemail PIN
    Welcome,
    /// What changes when, and how to set a portal password
    Reminder,
}

impl CampaignKind {
    /// As the API spells it.
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::Reminder => "reminder",
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CampaignListArguments {
    /// Only this state
    #[arg(long, value_enum)]
    pub state: Option<CampaignState>,
    /// At most this many
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum CampaignState {
    /// Its mails leave
    Running,
    /// None leaves until it is resumed
    Paused,
    /// Ended before all were sent
    Cancelled,
    /// Every mail came to its end
    Finished,
}

impl CampaignState {
    /// As the API spells it.
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }
}
