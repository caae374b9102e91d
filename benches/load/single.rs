//! Figures of Passgate alone: start, memory, logins, import.

mod logins;
mod memory;

use std::time::Instant;

use tokio::process::Command;

use super::arguments::Plan;
use super::comparison::Setup;
use super::gateway::{BINARY, Gateway, Home, QUIET, login};
use super::statistics::Series;
use super::table;

/// One line of the table.
pub struct Single {
    pub name: String,
    pub measured: String,
    pub goal: &'static str,
    /// `None` where there is no goal.
    pub reached: Option<bool>,
}

impl Single {
    fn new(name: &str, measured: String, goal: &'static str, reached: bool) -> Self {
        Self { name: name.into(), measured, goal, reached: Some(reached) }
    }
}

/// Measures and prints.
pub async fn run(plan: &Plan, setup: &Setup) {
    let mut all = vec![binary_size(), start(plan, setup).await];
    all.extend(memory::measure(plan, setup).await);
    all.extend(logins::measure(plan, setup).await);
    all.push(import(plan, setup).await);
    if plan.smoke {
        all.iter_mut().for_each(|figure| figure.reached = None);
    }
    table::single(&all);
}

fn binary_size() -> Single {
    let bytes = std::fs::metadata(BINARY).unwrap().len();
    let size = mebibytes(bytes);
    Single::new("binary", format!("{size:.1} MiB"), "≤ 25 MiB", size <= 25.0)
}

/// From the start of the process to its first answer, on a database that is there.
async fn start(plan: &Plan, setup: &Setup) -> Single {
    let mut home = Gateway::start(setup, Home::new(setup, QUIET), None).await.stop().await;
    let mut times = Series::default();
    for _ in 0..plan.starts {
        eprintln!("start to first answer");
        let gateway = Gateway::start(setup, home, None).await;
        times.push(gateway.until_first_answer.as_secs_f64() * 1e3);
        home = gateway.stop().await;
    }
    let measured = format!("{} ms", times.shown(0));
    Single::new("start to first answer", measured, "≤ 150 ms", times.median() <= 150.0)
}

/// The command that an operator types, with the gateway running.
async fn import(plan: &Plan, setup: &Setup) -> Single {
    eprintln!("import of {} accounts", plan.imported);
    let gateway = Gateway::start(setup, Home::new(setup, QUIET), None).await;
    let file = gateway.home().path().join("accounts.csv");
    let mut csv = String::from("login,email,name,role\n");
    for number in 0..plan.imported {
        let login = login(100_000 + number);
        csv.push_str(&format!("{login},user{number}@mail.example,User {number},user\n"));
    }
    std::fs::write(&file, csv).unwrap();
    let begun = Instant::now();
    let output = Command::new(BINARY)
        .args(["accounts", "import"])
        .arg(&file)
        .arg("--config")
        .arg(gateway.home().config())
        .output()
        .await
        .unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(
        output.status.success(),
        "the import failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    gateway.stop().await;
    let name = format!("import of {} accounts", plan.imported);
    Single::new(&name, format!("{seconds:.1} s"), "< 30 s", seconds < 30.0)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
