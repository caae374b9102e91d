//! The proxies beside each other: in each round every one of them gets every workload, one after
//! the other, so that whatever else the machine does hits all of them alike.

use std::path::PathBuf;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::process::Command;

use super::arguments::Plan;
use super::client::{Load, Work, browser_request, fetch};
use super::gateway::{AS_IT_COMES, Gateway, Home, OWN_TOKENS, QUIET, WARN};
use super::peers::{accepts, auth_service, bare_pingora, free_address, nginx};
use super::process::Process;
use super::statistics::Series;
use super::table;
use super::tls::{Certificate, Http};
use super::upstream::{API_CALL, PAGE, SMALL, STANDING_BEARER, STANDING_SESSION, Upstream};

/// What everything stands on.
pub struct Setup {
    pub upstream: Upstream,
    pub nginx: Option<PathBuf>,
    pub directory: TempDir,
    pub certificate: Certificate,
}

impl Setup {
    pub fn new(upstream: Upstream, nginx: Option<PathBuf>) -> Self {
        let directory = TempDir::new().unwrap();
        let certificate = Certificate::make(directory.path());
        Self { upstream, nginx, directory, certificate }
    }
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nginx,
    NginxWithAuth,
    Pingora,
    Passgate,
    PassgateWithLink,
    PassgateWithNotice,
    PassgateWithToken,
    PassgateHidingNothing,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxWithAuth => "nginx, auth_request and its service",
            Self::Pingora => "bare Pingora",
            Self::Passgate => "**Passgate**, live session",
            Self::PassgateWithLink => "**Passgate**, live session, link and warning put in",
            Self::PassgateWithNotice => "**Passgate**, live session, notice put in",
            Self::PassgateWithToken => "**Passgate**, access token of its own, PINs hidden",
            Self::PassgateHidingNothing => "**Passgate**, access token of its own",
        }
    }
}

/// What they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    pub name: &'static str,
    path: &'static str,
    pub http: Http,
    /// Larger answers are asked for less often.
    share: usize,
}

/// Asked for by applications, with a bearer token.
pub const API: Workload =
    Workload { name: "45 B, API, HTTP/1.1", path: API_CALL, http: Http::One, share: 1 };

pub const WORKLOADS: [Workload; 3] = [
    Workload { name: "45 B, HTTP/1.1", path: SMALL, http: Http::One, share: 1 },
    Workload { name: "45 B, HTTP/2", path: SMALL, http: Http::Two, share: 1 },
    Workload { name: "50 KB, HTTP/1.1", path: PAGE, http: Http::One, share: 5 },
];

impl Workload {
    pub fn path(self) -> &'static str {
        self.path
    }
}

/// A proxy that runs.
struct Contestant {
    who: Who,
    address: std::net::SocketAddr,
    /// What a session, or an application, shows.
    shown: (&'static str, String),
    processes: Vec<Process>,
    /// What Passgate has on disk.
    _home: Option<Home>,
}

impl Contestant {
    async fn start(who: Who, setup: &Setup) -> Self {
        let log = setup.directory.path().join("peers.log");
        match who {
            Who::Passgate
            | Who::PassgateWithLink
            | Who::PassgateWithNotice
            | Who::PassgateWithToken
            | Who::PassgateHidingNothing => {
                let more = match who {
                    Who::PassgateWithLink => AS_IT_COMES,
                    Who::PassgateWithNotice => WARN,
                    Who::PassgateWithToken | Who::PassgateHidingNothing => OWN_TOKENS,
                    _ => QUIET,
                };
                let home = match who {
                    Who::PassgateHidingNothing => Home::hiding_nothing(setup, more),
                    _ => Home::new(setup, more),
                };
                let gateway = Gateway::start(setup, home, Some(1)).await;
                let shown = match who {
                    Who::PassgateWithToken | Who::PassgateHidingNothing => {
                        ("authorization", gateway.bearer(setup).await)
                    }
                    _ => ("cookie", gateway.session(setup).await),
                };
                let address = gateway.https;
                let (process, home) = gateway.into_parts();
                Self { who, address, shown, processes: vec![process], _home: Some(home) }
            }
            Who::Nginx | Who::NginxWithAuth | Who::Pingora => {
                let address = free_address().await;
                let mut processes = Vec::new();
                let (program, arguments) = match who {
                    Who::Pingora => bare_pingora::command(setup, address),
                    Who::NginxWithAuth => {
                        let (service, asked) = auth_service::start(&log).await;
                        processes.push(service);
                        nginx::command(setup, address, Some(&asked), false)
                    }
                    _ => nginx::command(setup, address, None, false),
                };
                processes.push(Process::start(Command::new(program).args(arguments), &log));
                accepts(address).await;
                let shown = ("cookie", STANDING_SESSION.to_owned());
                Self { who, address, shown, processes, _home: None }
            }
        }
    }

    fn cpu(&self) -> std::time::Duration {
        self.processes.iter().map(Process::cpu).sum()
    }

    /// Whether it has anything to do with `workload`.
    fn takes(&self, workload: Workload) -> bool {
        match (self.who, workload) {
            (Who::PassgateWithToken | Who::PassgateHidingNothing, _) => workload == API,
            (Who::Passgate, _) => workload != API,
            (Who::PassgateWithLink | Who::PassgateWithNotice, _) => workload.path == PAGE,
            (Who::NginxWithAuth, _) => workload != API,
            (Who::Nginx | Who::Pingora, _) => true,
        }
    }

    fn shown(&self, workload: Workload) -> (&str, &str) {
        let (name, value) = &self.shown;
        match (*name, workload == API) {
            ("cookie", true) => ("authorization", STANDING_BEARER),
            _ => (name, value),
        }
    }

    async fn work(&self, workload: Workload, setup: &Setup) -> Work {
        let tls = setup.certificate.client(workload.http);
        let request = browser_request(
            workload.http,
            self.address.port(),
            workload.path,
            self.shown(workload),
        );
        let expected = match (workload.path, self.who) {
            (PAGE, Who::PassgateWithNotice) => page_with_notice(self, setup).await,
            (PAGE, Who::PassgateWithLink) => page_with_link(self, setup).await,
            (PAGE, _) => setup.upstream.page(),
            _ => setup.upstream.small(),
        };
        Work { address: self.address, tls, http: workload.http, request, expected }
    }
}

/// The page as it comes with the notice: nothing else of it may have changed.
async fn page_with_notice(contestant: &Contestant, setup: &Setup) -> Bytes {
    let (page, body) = (setup.upstream.page(), page_of(contestant, setup).await);
    let tag = b"<body class=\"calls\">";
    let at = page.windows(tag.len()).position(|window| window == tag).unwrap() + tag.len();
    let (before, behind) = page.split_at(at);
    let notice = body.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
    let notice = notice.expect("the page is the PBX's, but for the notice");
    assert!(notice.starts_with(b"<div id=\"passgate-notice\""), "no notice in the page");
    body
}

/// The page as it comes with the script at the end of its head, and the link in its menu.
async fn page_with_link(contestant: &Contestant, setup: &Setup) -> Bytes {
    let (page, body) = (setup.upstream.page(), page_of(contestant, setup).await);
    let tag = b"</head>";
    let head = page.windows(tag.len()).position(|window| window == tag).unwrap();
    let rest = body.strip_prefix(&page[..head]).expect("the head is the PBX's");
    assert!(rest.starts_with(b"<script src=\"/account/static/"), "no script in the page");
    assert!(body.ends_with(&page[page.len() / 2..]), "the rest is the PBX's");
    body
}

async fn page_of(contestant: &Contestant, setup: &Setup) -> Bytes {
    let (name, value) = &contestant.shown;
    let request = browser_request(Http::One, contestant.address.port(), PAGE, (name, value));
    fetch(contestant.address, &setup.certificate.client(Http::One), request).await
}

/// What one proxy needed for one workload, round by round.
pub struct Figures {
    pub who: Who,
    pub workload: Workload,
    /// CPU microseconds per request.
    pub cpu: Vec<f64>,
    pub rate: Series,
    /// Milliseconds.
    pub p99: Series,
}

/// Measures and prints.
pub async fn run(plan: &Plan, setup: &Setup) {
    let mut wanted = vec![
        Who::Pingora,
        Who::Passgate,
        Who::PassgateWithLink,
        Who::PassgateWithNotice,
        Who::PassgateHidingNothing,
        Who::PassgateWithToken,
    ];
    if setup.nginx.is_some() {
        wanted.splice(0..0, [Who::Nginx, Who::NginxWithAuth]);
    }
    let mut contestants = Vec::new();
    for who in wanted {
        contestants.push(Contestant::start(who, setup).await);
    }
    let mut all: Vec<Figures> = Vec::new();
    for round in 1..=plan.rounds {
        for workload in WORKLOADS.into_iter().chain([API]) {
            for contestant in contestants.iter().filter(|one| one.takes(workload)) {
                eprintln!("round {round}: {}, {}", workload.name, contestant.who.name());
                measure(plan, setup, contestant, workload, &mut all).await;
            }
        }
    }
    table::comparison(&all);
    if !plan.smoke {
        table::goals(&all);
    }
    for contestant in contestants {
        for process in contestant.processes {
            process.stop().await;
        }
    }
}

async fn measure(
    plan: &Plan,
    setup: &Setup,
    contestant: &Contestant,
    workload: Workload,
    all: &mut Vec<Figures>,
) {
    let (who, requests) = (contestant.who, plan.requests / workload.share);
    let work = contestant.work(workload, setup).await;
    let load = Load::open(&work, plan.concurrency).await;
    let before = contestant.cpu();
    let mut outcome = load.run(requests).await;
    let cpu = (contestant.cpu() - before).as_secs_f64() * 1e6 / requests as f64;
    let (rate, p99) = (outcome.rate(), outcome.p99());
    let index = all.iter().position(|f| f.who == who && f.workload == workload);
    let index = index.unwrap_or_else(|| {
        let (rate, p99) = (Series::default(), Series::default());
        all.push(Figures { who, workload, cpu: Vec::new(), rate, p99 });
        all.len() - 1
    });
    let figures = &mut all[index];
    figures.cpu.push(cpu);
    figures.rate.push(rate);
    figures.p99.push(p99);
}
