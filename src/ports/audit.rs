//! The record of security events.

use std::net::IpAddr;

use crate::domain::login_name::LoginName;

/// Something that an operator, or a program that reads the log, must be able to see afterwards.
/// Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// What happened, in a stable spelling: `login`, `lockout`, `password_set`, `sign_out` …
    pub event: &'static str,
    /// The door: `portal`, `page`, `token`, `admin` …
    pub channel: &'static str,
    /// Login name as it was understood, or as it was typed when it names nobody.
    pub login: String,
    /// Client address, where there is one.
    pub client: Option<IpAddr>,
    /// How it ended: `ok`, or the reason: `bad_password`, `locked`, `former_secret` …
    pub result: &'static str,
}

impl SecurityEvent {
    /// An event of a known account.
    pub fn of(event: &'static str, channel: &'static str, login: &LoginName) -> Self {
        Self { event, channel, login: login.to_string(), client: None, result: "ok" }
    }

    /// The same event, from `client`.
    #[must_use]
    pub fn from_client(self, client: IpAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The same event with another result.
    #[must_use]
    pub fn with_result(self, result: &'static str) -> Self {
        Self { result, ..self }
    }
}

/// Takes security events.
pub trait AuditLog: Send + Sync {
    /// Records one event; never blocks and never fails the request.
    fn record(&self, event: SecurityEvent);
}
