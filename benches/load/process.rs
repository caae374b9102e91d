//! The proxies' processes: their CPU time, their memory, their end.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A child that dies with us. nginx has a worker below it, which is counted too.
pub struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `command`; what it says on standard error goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.as_std().get_program()));
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdout }
    }

    /// The rest of the first line on standard output that begins with `word`; `None` at its end.
    pub async fn says(&mut self, word: &str) -> Option<String> {
        while let Some(line) = self.stdout.next_line().await.unwrap() {
            if let Some(rest) = line.strip_prefix(word) {
                return Some(rest.trim().to_owned());
            }
        }
        None
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for it")
    }

    /// User and system time of the process and its children so far.
    pub fn cpu(&self) -> Duration {
        let own = self.id();
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Stat::read(id).filter(|stat| id == own || stat.parent == own)
        });
        let ticks: u64 = all.map(|stat| stat.ticks).sum();
        Duration::from_millis(ticks * MILLISECONDS_PER_TICK)
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
        kilobytes * 1024
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(mut self) {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        // Not SIGINT: whatever is started in a shell's background ignores that.
        kill_process(id, Signal::TERM).unwrap();
        self.child.wait().await.unwrap();
    }
}

/// `USER_HZ` is 100 on every Linux that Rust supports.
const MILLISECONDS_PER_TICK: u64 = 10;

/// The fields of `/proc/PID/stat` that count (proc(5)).
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may contain anything, but nothing behind it contains a parenthesis.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self { parent: number(1)?.try_into().ok()?, ticks: number(11)? + number(12)? })
    }
}

/// Thousands of connections need as many descriptors, here and in the children.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Less is enough for a smoke run, and a full run that has too few says so by itself.
    let _ = setrlimit(Resource::Nofile, limit);
}
