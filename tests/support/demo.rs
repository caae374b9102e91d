//! `passgate demo` as a process: the example portal, its people, a gateway, and the start page.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running demo.
pub struct Demo {
    /// The start page.
    pub start: String,
    /// The portal, through Passgate.
    pub portal: String,
    _process: Child,
    _folder: TempDir,
}

impl Demo {
    /// Starts one on free ports.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_passgate"))
            .args(["demo", "--json", "--port", "0", "--data-dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the demo says where to click");
        let places: Value = serde_json::from_str(&line).unwrap();
        let place = |name: &str| places[name].as_str().unwrap().to_owned();
        Self { start: place("start"), portal: place("portal"), _process: process, _folder: folder }
    }
}
