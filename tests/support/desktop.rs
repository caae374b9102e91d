//! A screen of its own for a browser that is not headless: what a browser asks outside of its pages
//! is answered there, with the keyboard. And what it has saved.

use std::process::Stdio;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::browser::in_path;
use super::{Browser, Gateway};

/// A running X server without a screen that one could see.
pub struct Desktop {
    pub(super) display: String,
    pub(super) trusted_key: String,
    // Ends with the test.
    _server: Child,
}

/// A password that the browser keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Whose it is.
    pub login: String,
    /// The fields that both were typed in.
    pub fields: [String; 2],
    /// The password, encrypted. The same for the same one.
    pub secret: Vec<u8>,
}

impl Desktop {
    /// Starts one, whose browsers trust this gateway's certificate.
    pub async fn start(gateway: &Gateway) -> Self {
        let mut server = Command::new(in_path(&["Xvfb"]))
            .args(["-displayfd", "1", "-screen", "0", "1300x900x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let number = lines.next_line().await.unwrap().expect("the number of its display");
        let trusted_key = gateway.key_hash().to_owned();
        Self { display: format!(":{number}"), trusted_key, _server: server }
    }

    async fn press(&self, keys: &str) {
        let mut command = Command::new(in_path(&["xdotool"]));
        command.args(["key", "--clearmodifiers", keys]).env("DISPLAY", &self.display);
        assert!(command.status().await.unwrap().success(), "{keys}");
    }
}

impl Browser {
    /// The browser asks whether to save a password, or the change of one: yes. `before` is what it
    /// had saved until now.
    pub async fn save_password(&self, desktop: &Desktop, before: &[Saved]) {
        self.until("the question whether to save", async || {
            // Into what was asked, and its first choice.
            desktop.press("alt+shift+a").await;
            desktop.press("Return").await;
            self.saved().await != before
        })
        .await;
    }

    /// The passwords that it keeps.
    pub async fn saved(&self) -> Vec<Saved> {
        // The browser has its file for itself.
        let copy = TempDir::new().unwrap();
        for name in ["Login Data", "Login Data-journal"] {
            let file = self.profile().join("Default").join(name);
            if file.exists() {
                std::fs::copy(file, copy.path().join(name)).unwrap();
            }
        }
        let options = SqliteConnectOptions::new().filename(copy.path().join("Login Data"));
        let Ok(mut database) = options.connect().await else { return Vec::new() };
        let query = "SELECT username_value, username_element, password_element, password_value \
                     FROM logins WHERE blacklisted_by_user = 0 ORDER BY id";
        // Read while it is being written, it is asked again.
        let rows = sqlx::query(query).fetch_all(&mut database).await.unwrap_or_default();
        rows.iter()
            .map(|row| Saved {
                login: row.get(0),
                fields: [row.get(1), row.get(2)],
                secret: row.get(3),
            })
            .collect()
    }

    /// Waits until it has filled in these fields. No script gets to know with what, before the user
    /// does something.
    pub async fn filled_in(&self, fields: &[&str]) {
        for field in fields {
            self.until(field, async || self.has(&format!("{field}:autofill")).await).await;
        }
    }
}
