//! A real mail server as a process of its own (`smtp_server.py`): it wants TLS and a login, takes
//! mails, and fails where it is told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use passgate::adapters::smtp::{ANSWER_WITHIN, Protection, SmtpSettings};
use passgate::domain::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::certificates::{self, Certificates};
use super::until;

/// The login that the server takes.
const USER: &str = "portal";
const PASSWORD: &str = "canary-smtp-Password-1";

/// How the server protects its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    StartTls,
    Implicit,
    None,
}

/// A mail as it arrived.
#[derive(Debug, Clone, Deserialize)]
pub struct Received {
    /// Sender of the envelope.
    pub sender: String,
    /// Recipients of the envelope.
    pub recipients: Vec<String>,
    /// Header fields, their names in lower case, decoded.
    pub headers: BTreeMap<String, String>,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Everything, as it was sent.
    pub raw: String,
}

impl Received {
    pub fn subject(&self) -> &str {
        &self.headers["subject"]
    }

    /// The addresses that stand alone on a line of the text.
    pub fn links(&self) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with("https://")).collect()
    }

    /// The one link.
    pub fn link(&self) -> &str {
        let links = self.links();
        assert_eq!(links.len(), 1, "{}", self.text);
        links[0]
    }

    /// The one link, as a path.
    pub fn path(&self) -> &str {
        self.link().strip_prefix("https://localhost").expect("it begins with the public URL")
    }

    /// The code of the one link.
    pub fn code(&self) -> &str {
        self.link().split_once("?code=").expect("it has a code").1
    }

    /// The same at every attempt to send this mail.
    pub fn id(&self) -> &str {
        &self.headers["message-id"]
    }
}

/// A running mail server.
pub struct Smtp {
    port: u16,
    tls: MailTls,
    certificates: Certificates,
    directory: TempDir,
    state: Arc<Mutex<State>>,
    input: tokio::sync::Mutex<ChildStdin>,
    // Ends with the test.
    _child: Child,
}

#[derive(Default)]
struct State {
    mails: Vec<Received>,
    /// Which of them `mail_to` has given out.
    read: Vec<bool>,
    logins: Vec<String>,
    set: usize,
}

impl Smtp {
    /// Starts one that wants STARTTLS.
    pub async fn start() -> Self {
        Self::with(MailTls::StartTls).await
    }

    /// Starts one.
    pub async fn with(tls: MailTls) -> Self {
        Self::run(tls, certificates::fresh()).await
    }

    /// Starts one whose certificate is for another name than the one it is reached by.
    pub async fn misnamed(tls: MailTls) -> Self {
        Self::run(tls, certificates::fresh_for(&["mail.example"])).await
    }

    async fn run(tls: MailTls, certificates: Certificates) -> Self {
        let directory = TempDir::new().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        file("ca.pem", &certificates.authority_pem);
        file("password", &format!("{PASSWORD}\n"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mode = match tls {
            MailTls::StartTls => "starttls",
            MailTls::Implicit => "implicit",
            MailTls::None => "none",
        };
        // Debian's interpreter: the library is its package.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args([mode, USER, PASSWORD])
            .arg(file("mail.pem", &certificates.certificate_pem))
            .arg(file("mail.key", &certificates.key_pem))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = tokio::sync::Mutex::new(child.stdin.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(first) = lines.next_line().await.unwrap() else {
            panic!("the mail server did not start; scripts/install-tools.sh test installs it");
        };
        let first: Value = serde_json::from_str(&first).unwrap();
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let state = Arc::<Mutex<State>>::default();
        let kept = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().note(&line);
            }
        });
        Self { port, tls, certificates, directory, state, input, _child: child }
    }

    /// The `[mail]` section that leads here.
    pub fn config(&self) -> String {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let port = self.port;
        let (url, ca) = match self.tls {
            MailTls::StartTls => (format!("smtp://localhost:{port}"), file("ca.pem")),
            MailTls::Implicit => (format!("smtps://localhost:{port}"), file("ca.pem")),
            MailTls::None => (format!("smtp://localhost:{port}?tls=none"), String::new()),
        };
        format!(
            "[mail]\nurl = \"{url}\"\nca = \"{ca}\"\nuser = \"{USER}\"\npassword_file = \"{}\"\n\
             from = \"Acme Voice <no-reply@acme.example>\"\n",
            file("password")
        )
    }

    /// What leads here, for the adapter alone.
    pub fn settings(&self) -> SmtpSettings {
        SmtpSettings {
            host: "localhost".into(),
            port: self.port,
            protection: match self.tls {
                MailTls::StartTls => Protection::StartTls,
                MailTls::Implicit => Protection::Tls,
                MailTls::None => Protection::None,
            },
            ca_pem: Some(self.certificates.authority_pem.clone().into_bytes()),
            login: Some((USER.into(), Secret::new(PASSWORD))),
            own_host: "portal.example".into(),
            answer_within: ANSWER_WITHIN,
            connections: 4,
        }
    }

    /// All mails so far.
    pub async fn mails(&self) -> Vec<Received> {
        self.tell(&json!("sync")).await;
        self.state.lock().unwrap().mails.clone()
    }

    /// How many mails have arrived so far, as far as it was heard.
    pub fn count(&self) -> usize {
        self.state.lock().unwrap().mails.len()
    }

    /// The next mail to `address`: each is given out once, in the order of their arrival. Waits for
    /// it.
    pub async fn mail_to(&self, address: &str) -> Received {
        let next = || {
            let state = self.state.lock().unwrap();
            let mut unread = state.mails.iter().zip(&state.read).enumerate();
            unread.find(|(_, (mail, read))| !**read && mail.recipients == [address]).map(|(n, _)| n)
        };
        until(|| async { next().is_some() }).await;
        let number = next().unwrap();
        let mut state = self.state.lock().unwrap();
        state.read[number] = true;
        state.mails[number].clone()
    }

    /// The logins that were tried: `"tls"` or `"plain"`, after how they were protected.
    pub async fn logins(&self) -> Vec<String> {
        self.tell(&json!("sync")).await;
        self.state.lock().unwrap().logins.clone()
    }

    /// From now on it fails so, and in no other way; `smtp_server.py` says which faults there are.
    pub async fn fail_with(&self, faults: Value) {
        self.tell(&faults).await;
    }

    /// From now on it works.
    pub async fn work_again(&self) {
        self.tell(&json!({})).await;
    }

    /// Returns when it holds; then everything that happened before is noted, too.
    async fn tell(&self, line: &Value) {
        let mut input = self.input.lock().await;
        let set = self.state.lock().unwrap().set + 1;
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        until(|| async { self.state.lock().unwrap().set == set }).await;
    }
}

impl State {
    fn note(&mut self, line: &str) {
        let mut said: Value = serde_json::from_str(line).unwrap();
        if let Some(set) = said["set"].as_u64() {
            self.set = usize::try_from(set).unwrap();
        } else if let Some(login) = said["auth"].as_str() {
            self.logins.push(login.to_owned());
        } else {
            self.mails.push(serde_json::from_value(said["mail"].take()).unwrap());
            self.read.push(false);
        }
    }
}
