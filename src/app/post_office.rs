//! Who writes mails and who takes them.

use std::sync::Arc;

use super::StartError;
use super::dressing::Dressing;
use crate::adapters::observed::ObservedTransport;
use crate::adapters::smtp::{ANSWER_WITHIN, Protection, SmtpSettings, SmtpTransport};
use crate::config::{Config, MailConfig, MailTls};
use crate::flows::MailOffice;
use crate::ports::MailTransport;
use crate::telemetry::Metrics;
use crate::web::letters::{LetterSettings, Letters};

/// The configured mail server, or what takes its place; `None` when e-mail is off.
pub(super) fn open(
    config: &Config,
    instead: Option<Arc<dyn MailTransport>>,
    dressing: &Dressing,
    metrics: &Arc<Metrics>,
) -> Result<Option<MailOffice>, StartError> {
    let transport: Arc<dyn MailTransport> = match (instead, &config.mail) {
        (Some(instead), _) => instead,
        (None, Some(mail)) => Arc::new(mail_server(config, mail)?),
        (None, None) => return Ok(None),
    };
    Ok(Some(MailOffice {
        composer: Arc::new(Letters::new(letters(config, dressing), &dressing.overrides)),
        transport: Arc::new(ObservedTransport::new(transport, Arc::clone(metrics))),
    }))
}

/// The configured mail server.
pub(super) fn mail_server(config: &Config, mail: &MailConfig) -> Result<SmtpTransport, StartError> {
    let wrong = |why: String| StartError { what: "mail.ca", why };
    let ca_pem = match &mail.ca {
        None => None,
        Some(path) => Some(
            std::fs::read(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?,
        ),
    };
    SmtpTransport::new(SmtpSettings {
        host: mail.server.host.clone(),
        port: mail.server.port,
        protection: match mail.server.tls {
            MailTls::None => Protection::None,
            MailTls::StartTls => Protection::StartTls,
            MailTls::Always => Protection::Tls,
        },
        ca_pem,
        login: mail.login.clone(),
        own_host: config.server.public_url.host_str().unwrap_or("localhost").to_owned(),
        answer_within: ANSWER_WITHIN,
        connections: mail.connections,
    })
    .map_err(wrong)
}

pub(super) fn letters(config: &Config, dressing: &Dressing) -> LetterSettings {
    LetterSettings {
        brands: dressing.brands.clone(),
        prefix: config.pages.prefix.clone(),
        time_zone: config.rollout.everyone.time_zone.clone(),
        tenant_time_zones: super::assembly::tenant_time_zones(config),
    }
}
