//! User-space instructions per request, counted by callgrind: the difference of two runs that
//! differ in nothing but the number of requests. Slow, but hardly any noise.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use super::arguments::Plan;
use super::client::{Load, Work, browser_request};
use super::comparison::{Setup, WORKLOADS, Who, Workload};
use super::gateway::{BINARY, Gateway, Home, QUIET};
use super::peers::{accepts, bare_pingora, free_address, nginx};
use super::process::Process;
use super::table;
use super::upstream::STANDING_SESSION;

/// Instructions per request of one proxy for one workload.
pub struct Count {
    pub who: Who,
    pub workload: Workload,
    pub instructions: f64,
}

/// Measures and prints. Only the proxy's own process is counted: for auth_request that would be
/// half of the truth, so it is left out.
pub async fn run(plan: &Plan, setup: &Setup) -> Result<(), String> {
    let installed = Command::new("valgrind").arg("--version").output().await;
    if !installed.is_ok_and(|output| output.status.success()) {
        return Err("--instructions needs valgrind (apt-get install valgrind)".into());
    }
    let mut wanted = vec![Who::Pingora, Who::Passgate];
    if setup.nginx.is_some() {
        wanted.insert(0, Who::Nginx);
    }
    let mut counts = Vec::new();
    for workload in WORKLOADS {
        for &who in &wanted {
            eprintln!("instructions: {}, {}", workload.name, who.name());
            let [few, many] = plan.counted;
            let fewer = one_run(setup, who, workload, few).await;
            let more = one_run(setup, who, workload, many).await;
            let instructions = (more - fewer) / (many - few) as f64;
            counts.push(Count { who, workload, instructions });
        }
    }
    table::instructions(&counts);
    Ok(())
}

/// Instructions of a whole life with that many requests.
async fn one_run(setup: &Setup, who: Who, workload: Workload, requests: usize) -> f64 {
    let out = setup.directory.path().join("callgrind.out");
    let log = setup.directory.path().join("valgrind.log");
    if who == Who::Passgate {
        let home = Home::new(setup, QUIET);
        let mut command = under_valgrind(&out, BINARY.into(), home.arguments());
        let gateway = Gateway::run(setup, home, &mut command, Some(1)).await;
        let cookie = gateway.session(setup).await;
        load(setup, workload, gateway.https, &cookie, requests).await;
        gateway.stop().await;
    } else {
        let address = free_address().await;
        let (program, arguments) = match who {
            Who::Pingora => bare_pingora::command(setup, address),
            _ => nginx::command(setup, address, None, true),
        };
        let process = Process::start(&mut under_valgrind(&out, program, arguments), &log);
        accepts(address).await;
        load(setup, workload, address, STANDING_SESSION, requests).await;
        process.stop().await;
    }
    let text = std::fs::read_to_string(&out).expect("callgrind wrote its file");
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total.expect("callgrind writes a total").trim().parse().unwrap()
}

async fn load(
    setup: &Setup,
    workload: Workload,
    address: SocketAddr,
    cookie: &str,
    requests: usize,
) {
    let page = workload.path() == super::upstream::PAGE;
    let expected = if page { setup.upstream.page() } else { setup.upstream.small() };
    let work = Work {
        address,
        tls: setup.certificate.client(workload.http),
        http: workload.http,
        request: browser_request(
            workload.http,
            address.port(),
            workload.path(),
            ("cookie", cookie),
        ),
        expected,
    };
    Load::open(&work, 4).await.run(requests).await;
}

fn under_valgrind(out: &Path, program: OsString, arguments: Vec<OsString>) -> Command {
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(out);
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(file).arg(program).args(arguments);
    command
}
