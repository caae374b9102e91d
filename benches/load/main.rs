//! The load benchmark: the real binary beside nginx and a bare Pingora, in the same run.
//!
//! `cargo bench --bench load -- --help`; `make load` runs it in full. The primary figure is the
//! CPU time of the proxy's processes per request, because it is what a machine runs out of and
//! because it suffers least from whatever else runs there. See docs/performance.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that goes wrong ends loudly, and its result is what it prints"
)]
#![allow(missing_docs, reason = "nothing here is an interface")]

mod arguments;
mod client;
mod comparison;
mod gateway;
mod instructions;
mod peers;
mod process;
mod single;
mod statistics;
mod table;
mod tls;
mod upstream;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Child};
use comparison::Setup;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    passgate::gateway::tls::install_crypto_provider();
    match &arguments.child {
        Some(Child::BarePingora(options)) => peers::bare_pingora::run(options),
        Some(Child::AuthService) => peers::auth_service::run(),
        None => {}
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let plan = arguments.plan();
    let nginx = peers::nginx::find();
    if nginx.is_none() && !plan.smoke {
        return Err("nginx is not installed. Install it with: scripts/install-tools.sh load".into());
    }
    process::raise_open_files();
    // One thread makes the load and another answers it: both are cheaper than the proxies, and
    // neither is counted.
    let upstream = upstream::Upstream::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let setup = Setup::new(upstream, nginx);
        table::conditions(&plan, &setup);
        if plan.compare {
            comparison::run(&plan, &setup).await;
        }
        if plan.instructions {
            instructions::run(&plan, &setup).await?;
        }
        if plan.single {
            single::run(&plan, &setup).await;
        }
        if plan.smoke {
            println!("\nSmoke run: every answer was right; the figures mean nothing.");
        }
        Ok(())
    })
}
