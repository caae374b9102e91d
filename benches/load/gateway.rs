//! Passgate: the real binary, as an operator starts it, with real sessions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Command;

use super::client::{Answer, Browser};
use super::comparison::Setup;
use super::process::Process;
use super::tls::Http;
use super::upstream::{PIN, TOKENS};
use passgate::profile::Profile;

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_passgate");

/// The portal password of those who have one.
const PASSWORD: &str = "Correct-Horse-7-Battery";

/// The rollout in which sessions with a PIN get the notice, and nothing else is put into pages.
pub const WARN: &str = "[rollout]\nwarn = 2020-01-01\nforce = 2190-01-01\nreject = 2190-02-01\n\
                        [pages]\nsecurity_link = false\n[session]\nwarning = \"off\"\n";
/// A rollout that has not begun, and pages that stay as they are.
pub const QUIET: &str = "[pages]\nsecurity_link = false\n[session]\nwarning = \"off\"\n";
/// The same, with access tokens of Passgate's own.
pub const OWN_TOKENS: &str = "[pages]\nsecurity_link = false\n[session]\nwarning = \"off\"\n\
                              [tokens]\nmode = \"jwt\"\n";
/// A rollout that has not begun, and pages with what stands in every one of a session.
pub const AS_IT_COMES: &str = "";

/// A running gateway.
pub struct Gateway {
    pub https: SocketAddr,
    pub process: Process,
    /// From the start of the process to its first answer.
    pub until_first_answer: Duration,
    home: Home,
}

/// What a gateway has on disk; outlives its process, so that it can be started again.
pub struct Home {
    directory: TempDir,
}

impl Home {
    pub fn new(setup: &Setup, rollout: &str) -> Self {
        Self::of_profile(setup, rollout, Profile::builtin("netsapiens").unwrap())
    }

    /// The same with a profile that hides nothing in the API's answers.
    pub fn hiding_nothing(setup: &Setup, rollout: &str) -> Self {
        let text = Profile::builtin("netsapiens").unwrap();
        let at = text.find("[[redact]]").expect("it hides something");
        let rest = &text[at + 1..];
        let behind = rest.find("\n[").map_or("", |end| &rest[end..]);
        Self::of_profile(setup, rollout, &format!("{}{behind}", &text[..at]))
    }

    fn of_profile(setup: &Setup, rollout: &str, profile: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("profile.toml");
        std::fs::write(&file, profile).unwrap();
        let text = format!(
            r#"
data_dir = "{data}"
[server]
https = ["127.0.0.1:0"]
http = []
admin = "127.0.0.1:0"
public_url = "https://localhost"
[[server.certificate]]
cert = "{certificate}"
key = "{key}"
[upstream]
servers = ["http://{upstream}"]
[portal]
profile = "{profile}"
[limits]
connections_per_address = 100000
[log]
level = "error"
access = false
{rollout}
"#,
            data = directory.path().join("data").display(),
            certificate = setup.certificate.certificate.display(),
            key = setup.certificate.key.display(),
            upstream = setup.upstream.address,
            profile = file.display(),
        );
        std::fs::write(directory.path().join("passgate.toml"), text).unwrap();
        Self { directory }
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("passgate.toml")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `passgate run`, to be started directly or under a tool.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        vec!["run".into(), "--config".into(), self.config().into()]
    }
}

impl Gateway {
    /// Starts the binary with that many worker threads; `None` leaves it to the binary.
    pub async fn start(setup: &Setup, home: Home, workers: Option<usize>) -> Self {
        let mut command = Command::new(BINARY);
        command.args(home.arguments());
        Self::run(setup, home, &mut command, workers).await
    }

    /// As [`Self::start`], by a command of the caller's.
    pub async fn run(
        setup: &Setup,
        home: Home,
        command: &mut Command,
        workers: Option<usize>,
    ) -> Self {
        if let Some(workers) = workers {
            command.env("TOKIO_WORKER_THREADS", workers.to_string());
        }
        let log = home.path().join("log.txt");
        let begun = Instant::now();
        let mut process = Process::start(command, &log);
        let Some(ready) = process.says("ready ").await else {
            panic!("the gateway did not start:\n{}", std::fs::read_to_string(log).unwrap());
        };
        let https = ready.split(' ').find_map(|part| part.strip_prefix("https=")).unwrap();
        let https = https.split(',').next().unwrap().parse().unwrap();
        let mut browser = Browser::open(https, &setup.certificate.client(Http::One)).await;
        let page = browser.get("/portal/login").await;
        assert_eq!(page.status, 200, "{}", page.text());
        Self { https, process, until_first_answer: begun.elapsed(), home }
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn into_parts(self) -> (Process, Home) {
        (self.process, self.home)
    }

    /// Ends the process and returns what it leaves on disk.
    pub async fn stop(self) -> Home {
        self.process.stop().await;
        self.home
    }

    pub async fn browser(&self, setup: &Setup) -> Browser {
        Browser::open(self.https, &setup.certificate.client(Http::One)).await
    }

    /// Signs somebody in with the PIN; the cookie of the session.
    pub async fn session(&self, setup: &Setup) -> String {
        let mut browser = self.browser(setup).await;
        sign_in(&mut browser, &login(1001), PIN).await;
        browser.session()
    }

    /// Somebody's access token, as it is shown with a request.
    pub async fn bearer(&self, setup: &Setup) -> String {
        let mut browser = self.browser(setup).await;
        let answer = ask_for_token(&mut browser, &login(1001), PIN).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    }

    /// Gives accounts 2000, 2001, … a portal password.
    pub async fn make_password_accounts(&self, setup: &Setup, count: usize) {
        let mut browser = self.browser(setup).await;
        for number in 0..count {
            browser.forget_cookies();
            sign_in(&mut browser, &login(2000 + number), PIN).await;
            let page = browser.get("/account/security").await.text();
            let csrf = input(&page, "csrf");
            let form = [
                ("csrf", csrf.as_str()),
                ("current_password", PIN),
                ("password", PASSWORD),
                ("confirm", PASSWORD),
            ];
            let answer = browser.post("/account/security", &form).await;
            assert_eq!(answer.status, 303, "the password was not set: {}", answer.text());
        }
    }
}

/// Somebody's login name.
pub fn login(number: usize) -> String {
    format!("{number}@benchmark.example")
}

/// Signs in at the portal's form; it must succeed.
pub async fn sign_in(browser: &mut Browser, login: &str, secret: &str) {
    let answer = try_to_sign_in(browser, login, secret).await;
    assert!(
        answer.status == 303 && answer.location() == "/portal/home",
        "signing in failed: {} {}\n{}",
        answer.status,
        answer.location(),
        answer.text()
    );
}

/// Signs in with the password; `false` when the gateway has too much to do.
pub async fn sign_in_with_password(browser: &mut Browser, number: usize) -> bool {
    browser.forget_cookies();
    let answer = try_to_sign_in(browser, &login(2000 + number), PASSWORD).await;
    match answer.status.as_u16() {
        303 if answer.location() == "/portal/home" => true,
        503 => false,
        status => panic!("signing in failed: {status} {}", answer.location()),
    }
}

/// Fetches a token with the password; `false` when the gateway has too much to do.
pub async fn fetch_token_with_password(browser: &mut Browser, number: usize) -> bool {
    let answer = ask_for_token(browser, &login(2000 + number), PASSWORD).await;
    match answer.status.as_u16() {
        200 => true,
        503 => false,
        status => panic!("no token: {status} {}", answer.text()),
    }
}

async fn ask_for_token(browser: &mut Browser, login: &str, secret: &str) -> Answer {
    let form = [
        ("grant_type", "password"),
        ("client_id", "softphone"),
        ("client_secret", "s3cret"),
        ("username", login),
        ("password", secret),
    ];
    browser.post(TOKENS, &form).await
}

async fn try_to_sign_in(browser: &mut Browser, login: &str, secret: &str) -> Answer {
    let form =
        [("_method", "POST"), ("data[Login][username]", login), ("data[Login][password]", secret)];
    browser.post("/portal/login", &form).await
}

/// The value of an input of a page.
fn input(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    let tag = &page[page[..at].rfind('<').unwrap()..];
    let tag = &tag[..tag.find('>').unwrap()];
    tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
