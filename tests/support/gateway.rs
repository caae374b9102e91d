//! The real binary, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use reqwest::header::{ACCEPT_LANGUAGE, HeaderValue};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::admin::{self, Content};
use super::certificates::{self, Certificates};
use super::client::Client;
use super::pbx::{PHASES, PORTAL_ADMIN, Pbx};
use super::raw::Raw;
use super::smtp::Smtp;

/// How a gateway is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the clock stands at the start.
    pub now: String,
    /// The `[rollout]` of the configuration.
    pub rollout: String,
    /// Further sections of the configuration.
    pub more: String,
    /// Further keys of `[server]`.
    pub server: String,
    /// Further keys of `[lockout]`.
    pub lockout: String,
    /// Further keys of `[upstream]`.
    pub upstream: String,
    /// The text of the portal's profile, if it is not the built-in one.
    pub profile: Option<String>,
    /// Where the PBX is, if not where `Pbx` listens.
    pub pbx: Option<SocketAddr>,
}

/// Nothing is put into pages that say nothing.
pub const NOTHING_ADDED: &str = "[pages]\nsecurity_link = false\n[session]\nwarning = \"off\"\n";

impl Default for Settings {
    fn default() -> Self {
        Self {
            now: super::at("warn").into(),
            rollout: PHASES.into(),
            more: String::new(),
            server: String::new(),
            lockout: String::new(),
            upstream: String::new(),
            profile: None,
            pbx: None,
        }
    }
}

impl Settings {
    /// The defaults, in another phase.
    pub fn in_phase(phase: &str) -> Self {
        Self { now: super::at(phase).into(), ..Self::default() }
    }

    /// The same, with e-mail on and an access of Passgate's own to the PBX's records.
    pub fn with_mail(phase: &str, smtp: &Smtp) -> Self {
        let more = format!("{PORTAL_ADMIN}{}", smtp.config());
        Self { more, ..Self::in_phase(phase) }
    }
}

/// A running gateway.
pub struct Gateway {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    certificates: Certificates,
    directory: TempDir,
    child: Child,
}

impl Gateway {
    /// Starts one in front of `pbx`, in the warn phase.
    pub async fn start(pbx: &Pbx) -> Self {
        Self::with(pbx, Settings::default()).await
    }

    /// Starts one with settings of its own.
    pub async fn with(pbx: &Pbx, settings: Settings) -> Self {
        // For clients that are made without our help; whoever is first wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().unwrap();
        let certificates = certificates::fresh();
        let file =
            |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        file("portal.pem", &certificates.certificate_pem);
        file("portal.key", &certificates.key_pem);
        if let Some(profile) = &settings.profile {
            file("profile.toml", profile);
        }
        file("passgate.toml", &configuration(directory.path(), pbx.0.addr(), &settings));
        let (child, addresses) = run(directory.path(), Some(&settings.now)).await;
        let [https, http, admin] = addresses;
        Self { https, http, admin, certificates, directory, child }
    }

    /// A client with cookies of its own, like a browser.
    pub fn client(&self) -> Client {
        Client::new(self.https, &self.certificates.authority_pem)
    }

    /// A browser that speaks HTTP/1.1 only.
    pub fn http1(&self) -> Client {
        let pem = &self.certificates.authority_pem;
        Client::with(self.https, pem, reqwest::ClientBuilder::http1_only)
    }

    /// A browser at another host name of the gateway, whose user reads these languages
    /// (`Accept-Language`).
    pub fn reader(&self, host: &str, languages: &'static str) -> Client {
        let headers = [(ACCEPT_LANGUAGE, HeaderValue::from_static(languages))];
        let mut client = Client::with(self.https, &self.certificates.authority_pem, |builder| {
            builder.resolve(host, self.https).default_headers(headers.into_iter().collect())
        });
        client.base = format!("https://{host}:{}", self.https.port());
        client
    }

    /// A connection to write bytes on, over TLS and HTTP/1.1.
    pub async fn raw(&self) -> Raw {
        Raw::tls(self.https, self.authority_pem(), "localhost").await
    }

    /// Two browsers: one that speaks HTTP/1.1 only, and one that speaks HTTP/2 only.
    pub fn both_protocols(&self) -> [(&'static str, Client); 2] {
        let pem = &self.certificates.authority_pem;
        [
            ("HTTP/1.1", Client::with(self.https, pem, reqwest::ClientBuilder::http1_only)),
            (
                "HTTP/2",
                Client::with(self.https, pem, reqwest::ClientBuilder::http2_prior_knowledge),
            ),
        ]
    }

    /// Runs another command of the binary with this gateway's configuration.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        passgate(&self.config(), arguments).await
    }

    /// The process's memory in KiB: now, and at its highest (`VmRSS`, `VmHWM`; proc(5)).
    pub fn memory(&self) -> (u64, u64) {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        (kib("VmRSS"), kib("VmHWM"))
    }

    /// The authority that signed the gateway's certificate.
    pub fn authority_pem(&self) -> &str {
        &self.certificates.authority_pem
    }

    /// What tells the gateway's own key from others: SHA-256 of the public one, in base64.
    pub fn key_hash(&self) -> &str {
        &self.certificates.key_hash
    }

    /// The data directory and the configuration's.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("passgate.toml")
    }

    /// Moves the clock on: `"15m"`, `"4h"`, `"30d"`.
    pub async fn advance(&self, by: &str) {
        let (status, answer) = self.api("POST", "/api/v1/clock", json!({ "advance": by })).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Sets the clock to a moment.
    pub async fn set_clock(&self, to: &str) {
        let (status, answer) = self.api("POST", "/api/v1/clock", json!({ "set": to })).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// A call of the admin API.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let content = if body.is_null() { Content::None } else { Content::Json(body) };
        admin::call(&self.socket(), method, path, content).await
    }

    /// An import through the admin API.
    pub async fn import(&self, query: &str, csv: &str) -> (u16, Value) {
        let path = format!("/api/v1/accounts/import{query}");
        admin::call(&self.socket(), "POST", &path, Content::Csv(csv)).await
    }

    /// What `/metrics` shows, on the admin listener.
    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap();
        answer.text().await.unwrap()
    }

    /// The one account with this login name.
    pub async fn account(&self, login: &str) -> Value {
        let (status, list) =
            self.api("GET", &format!("/api/v1/accounts?q={login}"), Value::Null).await;
        assert_eq!(status, 200, "{list}");
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["login"] == login)
            .cloned()
            .unwrap_or_default()
    }

    /// Puts an e-mail address on file; makes the account, if there is none.
    pub async fn put_on_file(&self, login: &str, email: &str) {
        let csv = format!("login,email,name,role\n{login},{email},,\n");
        let (status, report) = self.import("", &csv).await;
        assert_eq!(status, 200, "{report}");
    }

    /// A call of the admin API on one account: `"reset"`, `"welcome"`, `"disable"` …
    pub async fn ask(&self, login: &str, what: &str) -> Value {
        let path = format!("/api/v1/accounts/{login}/{what}");
        let (status, answer) = self.api("POST", &path, Value::Null).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// The mails in the outbox, latest first.
    pub async fn outbox(&self) -> Vec<Value> {
        let (status, list) = self.api("GET", "/api/v1/outbox?limit=1000", Value::Null).await;
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().unwrap().clone()
    }

    /// Ends the process in an orderly way and starts it anew on the same data and the same clock.
    pub async fn restart(&mut self) {
        let (_, clock) = self.api("GET", "/api/v1/clock", Value::Null).await;
        let now = clock["now"].as_str().unwrap().to_owned();
        self.stop().await;
        self.run_again(&now).await;
    }

    /// Kills the process (SIGKILL) and starts it anew on the same data and the same clock.
    pub async fn kill_and_run_again(&mut self) {
        let (_, clock) = self.api("GET", "/api/v1/clock", Value::Null).await;
        let now = clock["now"].as_str().unwrap().to_owned();
        self.kill().await;
        self.run_again(&now).await;
    }

    /// Kills the process (SIGKILL).
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts the process anew on the same data.
    pub async fn run_again(&mut self, now: &str) {
        let (child, [https, http, admin]) = run(self.directory.path(), Some(now)).await;
        (self.child, self.https, self.http, self.admin) = (child, https, http, admin);
    }

    /// Asks the process to stop and waits for its end; whether it ended well.
    pub async fn stop(&mut self) -> bool {
        self.ask_to_stop().await;
        self.stopped().await
    }

    /// Asks the process to stop (SIGTERM).
    pub async fn ask_to_stop(&self) {
        let id = self.child.id().expect("it runs");
        Command::new("kill").arg(id.to_string()).status().await.unwrap();
    }

    /// Waits for the process's end; whether it ended well.
    pub async fn stopped(&mut self) -> bool {
        self.child.wait().await.unwrap().success()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log.txt")).unwrap_or_default()
    }

    /// The same, as soon as it holds these words: lines are written by a thread of their own.
    pub async fn logs(&self, words: &str) -> String {
        super::until(async || self.log().contains(words)).await;
        self.log()
    }

    /// Everything that it has written: its log, and each file of its data directory.
    pub fn written(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("the log".to_owned(), self.log().into_bytes())];
        let mut folders = vec![self.directory.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
                }
            }
        }
        files
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("data/admin.sock")
    }
}

fn configuration(directory: &Path, pbx: SocketAddr, settings: &Settings) -> String {
    let Settings { rollout, more, server, lockout, upstream, .. } = settings;
    let pbx = settings.pbx.unwrap_or(pbx);
    let profile = settings.profile.as_ref().map_or("netsapiens", |_| "profile.toml");
    let data = directory.join("data");
    format!(
        r#"
data_dir = "{}"
[server]
https = ["127.0.0.1:0"]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
public_url = "https://localhost"
{server}
[[server.certificate]]
cert = "portal.pem"
key = "portal.key"
[upstream]
servers = ["http://{pbx}"]
{upstream}
[portal]
profile = "{profile}"
[lockout]
refusal_floor = "20ms"
{lockout}
{rollout}
{more}
"#,
        data.display()
    )
}

/// Runs a command of the binary to its end.
pub async fn passgate(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passgate"));
    command.args(arguments).arg("--config").arg(config).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap()
}

/// Starts the binary and waits for its word that it is ready.
async fn run(directory: &Path, now: Option<&str>) -> (Child, [SocketAddr; 3]) {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("log.txt"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_passgate"));
    command.arg("run").arg("--config").arg(directory.join("passgate.toml"));
    if let Some(now) = now {
        command.arg("--clock").arg(now);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(addresses) = line.strip_prefix("ready ") {
            let address = |name: &str| -> SocketAddr {
                let name = format!("{name}=");
                let found = addresses.split(' ').find_map(|part| part.strip_prefix(&name));
                found.unwrap().parse().unwrap()
            };
            return (child, [address("https"), address("http"), address("admin")]);
        }
    }
    let log = std::fs::read_to_string(directory.join("log.txt")).unwrap_or_default();
    panic!("the gateway did not start:\n{log}");
}
