//! What can be asked of the benchmark, and how much of everything is then done.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// CPU time per request of Passgate, nginx and a bare Pingora, and Passgate's other figures.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct Arguments {
    /// A fast run that checks every answer; its figures mean nothing
    #[arg(long)]
    smoke: bool,
    /// Rounds of the comparison; every proxy runs once in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests per proxy and round (a fifth of it for 50-KB pages)
    #[arg(long, default_value_t = 30_000)]
    requests: usize,
    /// Requests under way at once
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Also count instructions per request (needs valgrind)
    #[arg(long)]
    instructions: bool,
    /// What to measure
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// Given by `cargo bench`; without it (`cargo test`) the run is a smoke run
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub child: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    All,
    /// The proxies beside each other
    Compare,
    /// Passgate's memory, start, logins, import
    Single,
    /// Nothing but the instructions
    Instructions,
}

/// What the benchmark starts itself as.
#[derive(Debug, Subcommand)]
pub enum Child {
    /// A proxy of Pingora without any filter
    #[command(hide = true)]
    BarePingora(BarePingora),
    /// The service that nginx asks for each request (auth_request)
    #[command(hide = true)]
    AuthService,
}

#[derive(Debug, Args)]
pub struct BarePingora {
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long)]
    pub upstream: SocketAddr,
    #[arg(long)]
    pub certificate: PathBuf,
    #[arg(long)]
    pub key: PathBuf,
}

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Plan {
    pub smoke: bool,
    pub compare: bool,
    pub single: bool,
    pub instructions: bool,
    pub rounds: usize,
    pub requests: usize,
    pub concurrency: usize,
    /// Requests of the two runs whose difference is counted.
    pub counted: [usize; 2],
    pub starts: usize,
    pub sessions: usize,
    pub idle_connections: usize,
    pub password_accounts: usize,
    /// Seconds of each measurement over time.
    pub seconds: f64,
    pub imported: usize,
}

impl Arguments {
    pub fn plan(&self) -> Plan {
        let smoke = self.smoke || !self.bench;
        let either = |full, fast| if smoke { fast } else { full };
        let part = |part| self.part == Part::All || self.part == part;
        Plan {
            smoke,
            compare: part(Part::Compare),
            single: part(Part::Single),
            instructions: self.instructions || self.part == Part::Instructions,
            rounds: either(self.rounds, 1),
            requests: either(self.requests, 160),
            concurrency: self.concurrency.max(4),
            counted: if smoke { [16, 48] } else { [400, 2400] },
            starts: either(5, 1),
            sessions: either(10_000, 40),
            idle_connections: either(1_000, 20),
            // Never fewer than log in at once: five tries of one name under way are its limit.
            password_accounts: either(64, 8),
            seconds: if smoke { 0.3 } else { 5.0 },
            imported: either(50_000, 200),
        }
    }
}
