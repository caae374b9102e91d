//! The results as Markdown.

use super::arguments::Plan;
use super::comparison::{API, Figures, Setup, WORKLOADS, Who};
use super::instructions::Count;
use super::single::Single;
use super::statistics::Series;

/// What the figures were measured with.
pub fn conditions(plan: &Plan, setup: &Setup) {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches(['\t', ':', ' ']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { "a debug build: no figures" } else { "release build" };
    println!(
        "{model}, {cores} cores; {build}; {} rounds of {} requests, {} at once; TLS 1.3, \
         ECDSA P-256, one worker each, keep-alive on both sides, no access log.",
        plan.rounds, plan.requests, plan.concurrency
    );
    if setup.nginx.is_none() {
        println!("**nginx is not installed: not compared with it.**");
    }
}

/// The proxies beside each other.
pub fn comparison(all: &[Figures]) {
    println!("\n| workload | proxy | CPU µs/request | × bare Pingora | requests/s | p99 ms |");
    println!("|---|---|---|---|---|---|");
    for workload in WORKLOADS.into_iter().chain([API]) {
        for figures in all.iter().filter(|figures| figures.workload == workload) {
            let cpu: Series = figures.cpu.iter().copied().collect();
            let ratio = match find(all, Who::Pingora, workload.name) {
                Some(_) if figures.who == Who::Pingora => "1".into(),
                Some(pingora) => ratios(figures, pingora).shown(2),
                None => "–".into(),
            };
            println!(
                "| {} | {} | {} | {ratio} | {:.0} | {:.2} |",
                workload.name,
                figures.who.name(),
                cpu.shown(1),
                figures.rate.median(),
                figures.p99.median(),
            );
        }
    }
}

/// The figures to reach, as far as the comparison shows them.
pub fn goals(all: &[Figures]) {
    println!("\n| goal | measured, median (range) | reached |\n|---|---|---|");
    for (who, peer, most, name) in [
        (Who::Passgate, Who::Pingora, 1.10, "≤ 1.10 × bare Pingora"),
        (Who::Passgate, Who::NginxWithAuth, 0.85, "≤ 0.85 × nginx with auth_request"),
    ] {
        for workload in WORKLOADS.into_iter().filter(|w| w.path() != super::upstream::PAGE) {
            ratio_goal(
                all,
                (who, peer),
                most,
                &format!("{}: {name}", workload.name),
                workload.name,
            );
        }
    }
    for (who, hides) in
        [(Who::PassgateHidingNothing, ""), (Who::PassgateWithToken, ", PINs hidden")]
    {
        if let (Some(api), Some(session)) =
            (find(all, who, API.name), find(all, Who::Passgate, WORKLOADS[0].name))
        {
            let name = format!("API request with an access token{hides}: ≤ 1.05 × with a session");
            goal(&name, &ratios(api, session), 1.05, 2);
        }
    }
    let page = WORKLOADS[2].name;
    ratio_goal(all, (Who::Passgate, Who::Nginx), 1.0, "50-KB page: ≤ 1.0 × plain nginx", page);
    if let (Some(with), Some(without)) =
        (find(all, Who::PassgateWithNotice, page), find(all, Who::Passgate, page))
    {
        let more: Series = pairs(with, without).map(|(with, without)| with - without).collect();
        goal("50-KB page with notice: ≤ 15 µs more", &more, 15.0, 1);
    }
}

fn ratio_goal(all: &[Figures], (who, peer): (Who, Who), most: f64, name: &str, workload: &str) {
    if let (Some(ours), Some(theirs)) = (find(all, who, workload), find(all, peer, workload)) {
        goal(name, &ratios(ours, theirs), most, 2);
    }
}

fn goal(name: &str, measured: &Series, most: f64, digits: usize) {
    let reached = if measured.median() <= most { "yes" } else { "**no**" };
    println!("| {name} | {} | {reached} |", measured.shown(digits));
}

fn find<'a>(all: &'a [Figures], who: Who, workload: &str) -> Option<&'a Figures> {
    all.iter().find(|figures| figures.who == who && figures.workload.name == workload)
}

/// The figures of the same round.
fn pairs(ours: &Figures, theirs: &Figures) -> impl Iterator<Item = (f64, f64)> {
    ours.cpu.iter().copied().zip(theirs.cpu.iter().copied())
}

fn ratios(ours: &Figures, theirs: &Figures) -> Series {
    pairs(ours, theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// Instructions per request.
pub fn instructions(counts: &[Count]) {
    println!("\n| workload | proxy | instructions/request | × bare Pingora |\n|---|---|---|---|");
    for count in counts {
        let pingora = counts
            .iter()
            .find(|other| other.who == Who::Pingora && other.workload == count.workload)
            .map_or(f64::NAN, |pingora| pingora.instructions);
        println!(
            "| {} | {} | {:.0} | {:.2} |",
            count.workload.name,
            count.who.name(),
            count.instructions,
            count.instructions / pingora
        );
    }
}

/// Passgate's figures that need no peer.
pub fn single(all: &[Single]) {
    println!("\n| figure | measured | goal | reached |\n|---|---|---|---|");
    for Single { name, measured, goal, reached } in all {
        let reached = match reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        println!("| {name} | {measured} | {goal} | {reached} |");
    }
}
