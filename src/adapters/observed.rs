//! Ports with a meter: what passes through is counted, nothing is changed.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use crate::domain::jar::Jar;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{
    AuditLog, Mail, MailTransport, OwnSession, PinWriting, PinWritten, Portal, PortalAnswer,
    PortalLogin, SecurityEvent, SendError, Subscribers, Unavailable,
};
use crate::telemetry::Metrics;

/// Measures logins at the PBX (`upstream_login_seconds`).
pub struct ObservedPortal {
    inner: Arc<dyn Portal>,
    metrics: Arc<Metrics>,
}

impl ObservedPortal {
    /// Puts the meter around `inner`.
    pub fn new(inner: Arc<dyn Portal>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl Portal for ObservedPortal {
    async fn log_in(&self, login: PortalLogin<'_>) -> Result<PortalAnswer, Unavailable> {
        let begun = Instant::now();
        let answer = self.inner.log_in(login).await;
        let result = match &answer {
            Ok(PortalAnswer::Accepted(_)) => "accepted",
            Ok(PortalAnswer::Refused) => "refused",
            Ok(PortalAnswer::Challenge(_)) => "challenge",
            Ok(PortalAnswer::Unknown { .. }) => "unknown",
            Err(_) => "unavailable",
        };
        self.metrics.upstream_login(result, begun.elapsed());
        answer
    }

    async fn sign_out(
        &self,
        jar: &Jar,
        server: usize,
        user_agent: &str,
        host: &str,
    ) -> Result<(), Unavailable> {
        self.inner.sign_out(jar, server, user_agent, host).await
    }

    fn looks_like_pin(&self, secret: &Secret) -> bool {
        self.inner.looks_like_pin(secret)
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.inner.ping().await
    }
}

/// Counts mails by what they are about and what became of them (`mails_total`).
pub struct ObservedTransport {
    inner: Arc<dyn MailTransport>,
    metrics: Arc<Metrics>,
}

impl ObservedTransport {
    /// Puts the meter in front of `inner`.
    pub fn new(inner: Arc<dyn MailTransport>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl MailTransport for ObservedTransport {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let answer = self.inner.send(mail).await;
        let result = match &answer {
            Ok(()) => "sent",
            Err(SendError::Outage(_)) => "unavailable",
            Err(SendError::Later(_)) => "later",
            Err(SendError::Never(_) | SendError::NoSuchAddress(_)) => "refused",
        };
        self.metrics.mail(mail.kind.name(), result);
        answer
    }

    async fn ping(&self) -> Result<(), SendError> {
        self.inner.ping().await
    }
}

/// Counts PINs that were to be written (`pin_writebacks_total`).
pub struct ObservedSubscribers {
    inner: Arc<dyn Subscribers>,
    metrics: Arc<Metrics>,
}

impl ObservedSubscribers {
    /// Puts the meter around `inner`.
    pub fn new(inner: Arc<dyn Subscribers>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl Subscribers for ObservedSubscribers {
    fn writing(&self) -> PinWriting {
        self.inner.writing()
    }

    fn reading(&self) -> bool {
        self.inner.reading()
    }

    async fn write_pin(
        &self,
        login: &LoginName,
        pin: &Secret,
        own: Option<OwnSession<'_>>,
    ) -> PinWritten {
        let written = self.inner.write_pin(login, pin, own).await;
        self.metrics.pin_written_back(match &written {
            PinWritten::Done => "done",
            PinWritten::Later => "later",
            PinWritten::Refused { .. } => "refused",
            PinWritten::NotAsked(_) => "not_asked",
            PinWritten::Unclear(_) => "unclear",
        });
        written
    }

    async fn read_pin(&self, login: &LoginName) -> Result<Option<Secret>, Unavailable> {
        self.inner.read_pin(login).await
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.inner.ping().await
    }
}

/// Counts logins, locks, tokens and PINs that drifted, and passes the events on.
pub struct ObservedAudit {
    inner: Arc<dyn AuditLog>,
    metrics: Arc<Metrics>,
}

impl ObservedAudit {
    /// Puts the meter in front of `inner`.
    pub fn new(inner: Arc<dyn AuditLog>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl AuditLog for ObservedAudit {
    fn record(&self, event: SecurityEvent) {
        match event.event {
            "login" => self.metrics.login(event.channel, event.result),
            "lockout" => self.metrics.lockout(event.result.trim_start_matches("locked_")),
            "pin_drift" => self.metrics.pin_drifted(),
            "token_issued" => self.metrics.token_issued(event.result),
            "legacy_token" => self.metrics.legacy_token(event.result),
            _ => {}
        }
        self.inner.record(event);
    }
}
