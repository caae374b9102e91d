//! Security events as log lines.

use crate::ports::{AuditLog, SecurityEvent};
use crate::telemetry::{SecurityKind, escape, record_security};

/// Writes each event as one line of the log. Refused credentials and locks are the stable lines
/// that other programs read (fail2ban).
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAudit;

impl AuditLog for TracingAudit {
    fn record(&self, event: SecurityEvent) {
        if let Some(kind) = kind(&event) {
            let SecurityEvent { channel, login, client, result, .. } = &event;
            return record_security(kind, channel, login, *client, result);
        }
        tracing::info!(
            target: "passgate",
            event = event.event,
            channel = event.channel,
            login = %escape::login(&event.login),
            client = event.client.map(|client| tracing::field::display(client.to_canonical())),
            result = event.result,
            "security event;",
        );
    }
}

/// Which stable line the event is, if it is one. Wrong credentials count wherever they were given.
fn kind(event: &SecurityEvent) -> Option<SecurityKind> {
    match (event.event, event.result) {
        ("lockout", _) => Some(SecurityKind::Lockout),
        // The PBX's second question is no refusal: whoever is asked it did nothing wrong (yet).
        ("login", "challenge" | "ok_challenge" | "ok_initial") => None,
        // Nor did an application whose user has something to do first: many share an address.
        ("login", "pin_too_late" | "pin_unknown" | "initial_password" | "rejected") => None,
        ("login" | "password_set", result) if result != "ok" => Some(SecurityKind::Failure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &'static str, result: &'static str) -> SecurityEvent {
        SecurityEvent { event, channel: "portal", login: "1001@abc".into(), client: None, result }
    }

    /// R-G5: refused credentials and locks are the lines that fail2ban reads; nothing else is.
    #[test]
    fn only_refusals_and_locks_are_stable_lines() {
        for (what, result, expected) in [
            ("login", "bad_password", Some(SecurityKind::Failure)),
            ("login", "locked_name", Some(SecurityKind::Failure)),
            ("password_set", "bad_password", Some(SecurityKind::Failure)),
            ("lockout", "locked_name", Some(SecurityKind::Lockout)),
            ("login", "ok", None),
            ("login", "challenge", None),
            ("login", "ok_challenge", None),
            ("login", "ok_initial", None),
            ("login", "pin_too_late", None),
            ("login", "bad_client", Some(SecurityKind::Failure)),
            ("sign_out", "ok", None),
            ("pin_drift", "pin_refused", None),
        ] {
            assert_eq!(kind(&event(what, result)), expected, "{what} {result}");
        }
    }
}
