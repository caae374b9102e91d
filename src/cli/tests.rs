//! Commands as they are typed, against an administration that really runs behind its socket.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::web::admin::testing::gateway;
use crate::web::admin::{AdminListeners, SOCKET_NAME};

/// A gateway's administration in a thread of its own, as the CLI finds it by the configuration.
struct Running {
    directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "data_dir = \"{}\"\n[server]\npublic_url = \"https://portal.example.com\"\n\
             [upstream]\nservers = [\"http://127.0.0.1:9\"]\n[portal]\nprofile = \"generic\"\n",
            directory.path().display()
        );
        std::fs::write(directory.path().join("passgate.toml"), config).unwrap();
        let socket = directory.path().join(SOCKET_NAME);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let gateway = gateway().await;
                let listeners = AdminListeners::bind(None, &socket).await.unwrap();
                ready.send(()).unwrap();
                let stopped = async {
                    // Also ends when the sender is dropped.
                    let _: Result<(), _> = stopped.await;
                };
                listeners.serve(gateway.state.clone(), stopped).await.unwrap();
            });
        });
        is_ready.recv().unwrap();
        Self { directory, stop: Some(stop), thread: Some(thread) }
    }

    /// Runs a command; its exit code and what it printed.
    fn passgate(&self, arguments: &[&str]) -> (ExitCode, String) {
        let config = self.path("passgate.toml").display().to_string();
        passgate(&[arguments, &["--config", &config]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, text) = self.passgate(&[arguments, &["--json"]].concat());
        assert_eq!(code, ExitCode::SUCCESS, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn passgate(arguments: &[&str]) -> (ExitCode, String) {
    let printed = Printed::default();
    let arguments = ["passgate"].iter().chain(arguments).map(Into::into);
    let code = super::run(arguments, Box::new(printed.clone()));
    let text = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    (code, text)
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// R-E2: accounts are managed from the command line, as a table for people and JSON for scripts.
#[test]
fn accounts_from_the_command_line() {
    let running = Running::start();
    let (code, shown) = running.passgate(&[
        "accounts",
        "add",
        "1001@ACME",
        "--email",
        "jane@acme.example",
        "--name",
        "Jane",
    ]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(words(&shown).contains(&vec!["login", "1001@acme"]), "{shown}");
    assert_eq!(running.passgate(&["accounts", "add", "1001@acme"]).0, ExitCode::FAILURE);

    let (_, table) = running.passgate(&["accounts", "list"]);
    let lines = words(&table);
    assert_eq!(lines[0][..3], ["LOGIN", "NAME", "E-MAIL"]);
    assert_eq!(lines[1], ["1001@acme", "Jane", "jane@acme.example", "user", "pin_only"]);
    assert_eq!(running.json(&["accounts", "list", "jane"])["items"][0]["name"], "Jane");
    assert_eq!(
        running.json(&["accounts", "list", "--state", "disabled"])["items"],
        Value::Array(vec![])
    );
    assert_eq!(running.json(&["accounts", "show", "1001@acme"])["state"], "pin_only");

    // One that fails does not stop the others.
    let (code, _) = running.passgate(&["accounts", "disable", "9@nobody", "1001@acme"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert_eq!(running.json(&["accounts", "show", "1001@acme"])["state"], "disabled");
    assert_eq!(running.passgate(&["accounts", "enable", "1001@acme"]).0, ExitCode::SUCCESS);
    assert_eq!(running.passgate(&["accounts", "unlock", "1001@acme"]).0, ExitCode::SUCCESS);
    assert_eq!(running.passgate(&["accounts", "show", "9@nobody"]).0, ExitCode::FAILURE);
}

/// R-E1: links are sent from the command line, and what became of the mails is seen there; one
/// user without an address does not stop the others.
#[test]
fn mails_from_the_command_line() {
    let running = Running::start();
    let add = ["accounts", "add", "1001@acme", "--email", "jane@acme.example", "--welcome"];
    let (code, shown) = running.passgate(&add);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(words(&shown).contains(&vec!["login", "1001@acme"]), "{shown}");
    running.passgate(&["accounts", "add", "1002@acme"]);
    let (code, shown) = running.passgate(&["accounts", "reset", "1002@acme", "1001@acme"]);
    assert_eq!(code, ExitCode::FAILURE);
    let lines = words(&shown);
    assert_eq!(lines[0], ["LOGIN", "MAIL", "TO", "ASKED"]);
    assert_eq!(lines[1][..3], ["1001@acme", "queued", "jane@acme.example"]);
    assert_eq!(lines.len(), 2, "{shown}");
    let again = running.json(&["accounts", "welcome", "1001@acme"]);
    assert_eq!(again["items"][0]["mail"], "already", "{again}");

    let (_, table) = running.passgate(&["mail", "list"]);
    let lines = words(&table);
    assert_eq!(lines[0][..6], ["MAIL", "KIND", "LOGIN", "TO", "STATE", "TRIED"]);
    let listed = running.json(&["mail", "list", "--state", "queued"]);
    let kinds: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|mail| &mail["kind"]).collect();
    assert_eq!(kinds.len(), 2, "{listed}");
    assert!(kinds.contains(&&Value::from("welcome")) && kinds.contains(&&Value::from("reset")));
    let id = listed["items"][0]["id"].as_str().unwrap();
    let few = running.json(&["mail", "list", "--limit", "1"]);
    assert_eq!(few["items"], Value::Array(vec![listed["items"][0].clone()]));
    assert_eq!(running.json(&["mail", "list", "--state", "dead"])["items"], Value::Array(vec![]));
    let (code, table) = running.passgate(&["mail", "retry", "nonsense", id]);
    assert_eq!(code, ExitCode::FAILURE);
    assert_eq!(words(&table)[1][0], id, "{table}");
    assert_eq!(running.passgate(&["mail", "retry", id]).0, ExitCode::SUCCESS);
}

/// R-E1: import with a dry run, all or nothing, partial; export takes every page.
#[test]
fn import_and_export_from_the_command_line() {
    let running = Running::start();
    let mut csv = "login,email,name,role\n".to_owned();
    for extension in 0..1_500 {
        csv += &format!("{extension}@acme,,User {extension},user\n");
    }
    let bad = running.file("bad.csv", &format!("{csv}nobody,,,\n"));
    let (code, text) = running.passgate(&["accounts", "import", &bad, "--dry-run"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(text.starts_with("would be created: 1500, updated: 0, unchanged: 0\n"), "{text}");
    assert_eq!(words(&text)[2][..2], ["1502", "a"], "{text}");
    assert_eq!(running.passgate(&["accounts", "import", &bad]).0, ExitCode::FAILURE);
    assert_eq!(running.json(&["accounts", "list"])["items"].as_array().unwrap().len(), 0);

    let good = running.file("good.csv", &csv);
    let (code, text) = running.passgate(&["accounts", "import", &good]);
    assert_eq!(
        (code, text.as_str()),
        (ExitCode::SUCCESS, "created: 1500, updated: 0, unchanged: 0\n")
    );
    assert_eq!(running.json(&["accounts", "list"])["items"].as_array().unwrap().len(), 1_500);
    let few = running.json(&["accounts", "list", "--limit", "1200"]);
    assert_eq!(few["items"].as_array().unwrap().len(), 1_200);

    let out = running.path("out.csv").display().to_string();
    assert_eq!(running.passgate(&["accounts", "export", &out]).0, ExitCode::SUCCESS);
    let (_, printed) = running.passgate(&["accounts", "export"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), printed);
    assert_eq!(printed.lines().count(), 1_501);
    assert_eq!(running.json(&["accounts", "import", &out])["unchanged"], 1_500);
}

/// Interfaces: `token create` prints the token once, alone on its line.
#[test]
fn tokens_and_keys_from_the_command_line() {
    let running = Running::start();
    let (code, token) = running.passgate(&["token", "create", "--scope", "read", "--name", "x"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(token.starts_with("pgadm_") && token.ends_with('\n'), "{token}");
    assert_eq!(token.lines().count(), 1);
    let listed = running.json(&["token", "list"]);
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(running.passgate(&["token", "revoke", id]).0, ExitCode::SUCCESS);
    assert_eq!(running.passgate(&["token", "revoke", id]).0, ExitCode::FAILURE);

    assert_eq!(running.passgate(&["keys", "rotate"]).0, ExitCode::SUCCESS);
    let (_, keys) = running.passgate(&["keys", "list"]);
    assert_eq!(words(&keys)[1].last(), Some(&"opens"), "{keys}");
    assert_eq!(words(&keys)[2][3..], ["seals", "and", "opens"], "{keys}");

    running.passgate(&["accounts", "add", "1001@acme"]);
    let (code, ended) = running.passgate(&["sessions", "end", "--account", "1001@acme"]);
    assert_eq!((code, ended.as_str()), (ExitCode::SUCCESS, "ended: 0\n"));
    assert_eq!(running.passgate(&["sessions", "end", "abc"]).0, ExitCode::FAILURE);
    let sessions = running.json(&["sessions", "list", "1001@acme"]);
    assert_eq!(sessions["items"], Value::Array(vec![]));
}

/// Exit codes: 3 while the gateway does not run, 1 for a configuration with errors, 2 for usage.
#[test]
fn exit_codes_are_as_promised() {
    let running = Running::start();
    let config = running.path("passgate.toml").display().to_string();
    let (code, text) = running.passgate(&["check"]);
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    assert!(text.ends_with("no problems\n"), "{text}");
    // Nothing listens at port 9.
    let (code, text) = running.passgate(&["check", "--connect"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(text.contains("PBX http://127.0.0.1:9/: "), "{text}");
    let broken = running.file("broken.toml", "nonsense = 1\n");
    let (code, text) = passgate(&["check", "--config", &broken]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(text.contains("broken.toml:1: ") && text.contains("nonsense"), "{text}");
    let (code, text) = passgate(&["check", "--json", "--config", &broken]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["ok"]), (ExitCode::FAILURE, &Value::Bool(false)));
    assert_eq!(passgate(&["accounts", "list", "--config", &broken]).0, ExitCode::FAILURE);
    assert_eq!(passgate(&["accounts", "list", "--config", "/nowhere.toml"]).0, ExitCode::FAILURE);
    assert_eq!(passgate(&["accounts"]).0, ExitCode::from(2));

    let kept = std::fs::read_to_string(&config).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let kept = kept.replace(
        &running.directory.path().display().to_string(),
        &elsewhere.path().display().to_string(),
    );
    let other = running.file("other.toml", &kept);
    assert_eq!(passgate(&["accounts", "list", "--config", &other]).0, ExitCode::from(3));
}

#[test]
fn what_needs_no_gateway() {
    let (code, text) = passgate(&["config", "defaults"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.contains("[server]") && text.contains("public_url"), "{text:.300}");
    let (_, names) = passgate(&["profile", "list"]);
    assert!(names.lines().any(|name| name == "netsapiens"), "{names}");
    let (_, text) = passgate(&["profile", "show", "netsapiens"]);
    crate::profile::Profile::parse(&text, "netsapiens").unwrap();
    assert_eq!(passgate(&["profile", "show", "nonsense"]).0, ExitCode::FAILURE);
    let (code, script) = passgate(&["completions", "bash"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(script.contains("passgate") && script.contains("complete "), "{script:.200}");
}

/// Whoever reads our output may stop reading (`| head`): that is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let arguments = ["passgate", "config", "defaults"].map(Into::into);
    assert_eq!(super::run(arguments, Box::new(Closed)), ExitCode::SUCCESS);
}

/// `mail preview` shows mails with the words of a configuration, without a gateway; what it links to
/// is an example.
#[test]
fn mails_can_be_looked_at_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("passgate.toml");
    let text = "[server]\npublic_url = \"https://voice.acme.example\"\n[upstream]\n\
                servers = [\"http://127.0.0.1:9\"]\n[portal]\nprofile = \"generic\"\n\
                [support]\ncontact = \"the Acme help desk\"\n";
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let run = |arguments: &[&str]| {
        passgate(&[&["mail", "preview", "--config", &config], arguments].concat())
    };
    let (code, shown) = run(&["confirm-email"]);
    assert_eq!(code, ExitCode::SUCCESS, "{shown}");
    assert!(shown.contains("To: jane.doe@example.com\nSubject: "), "{shown}");
    let link = "https://voice.acme.example/account/confirm-email?code=this-link-is-an-example-";
    assert!(shown.contains(link) && shown.contains("the Acme help desk"), "{shown}");
    let (_, html) = run(&["confirm_email", "--html", "--login", "7@acme", "--name", "<Joe>"]);
    assert!(html.starts_with("<!") && html.contains("7@acme"), "{html}");
    assert!(html.contains("&lt;Joe&gt;") && !html.contains("<Joe>"), "{html}");
    let (_, text) = run(&["welcome", "--text"]);
    assert!(!text.contains("Subject:") && text.contains("/account/welcome?code="), "{text}");
    let (_, json) = run(&["reset", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["kind"], &json["to"]), (&"reset".into(), &"jane.doe@example.com".into()));

    let out = folder.path().join("new/mails");
    let (code, files) = run(&["--out", &out.display().to_string()]);
    assert_eq!(code, ExitCode::SUCCESS, "{files}");
    let kinds = crate::domain::mail::MailKind::ALL.len();
    assert_eq!(files.lines().count(), 2 * kinds, "{files}");
    for file in files.lines() {
        assert!(std::fs::read_to_string(file).unwrap().contains("1001@example.com"), "{file}");
    }
    for wrong in
        [&[][..], &["nonsense"], &["reset", "--html", "--text"], &["reset", "--login", "x"]]
    {
        assert_eq!(run(wrong).0, ExitCode::from(2), "{wrong:?}");
    }
}
