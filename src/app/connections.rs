//! `passgate check --connect`: tries what the gateway will need, and changes nothing. The
//! database is left alone: a gateway may be running on it.

use std::sync::Arc;

use super::{assembly, post_office};
use crate::adapters::clock::SystemClock;
use crate::adapters::key_ring::KeyRing;
use crate::adapters::random::OsRandom;
use crate::config::{AdminAccess, Config, MailConfig};
use crate::gateway::tls::{CertStore, CertificateFiles, install_crypto_provider};
use crate::portal::LoginDriver;
use crate::ports::{Clock as _, MailTransport as _, Portal as _, Subscribers as _};

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// What.
    pub name: String,
    /// Whether it works, or why not.
    pub result: Result<(), String>,
}

/// Tries the certificates, the key ring (if there is one yet), each PBX server, our own access
/// there, and the mail server.
pub async fn check_connections(config: &Config) -> Vec<Connection> {
    install_crypto_provider();
    let mut tried = Vec::new();
    for files in &config.server.certificates {
        let files = CertificateFiles { cert: files.cert.clone(), key: files.key.clone() };
        let name = format!("certificate {}", files.cert.display());
        let result = CertStore::load(&[files], SystemClock.now()).map(drop).map_err(|errors| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        });
        tried.push(Connection { name, result });
    }
    if config.keys.file.exists() {
        let ring =
            KeyRing::open_or_create(&config.keys.file, Arc::new(SystemClock), Arc::new(OsRandom));
        tried.push(Connection {
            name: format!("key ring {}", config.keys.file.display()),
            result: ring.map(drop).map_err(|error| error.to_string()),
        });
    }
    tried.extend(pbx(config).await);
    if !matches!(config.portal.admin, AdminAccess::None) {
        let result = match assembly::subscribers(config, Arc::new(SystemClock)) {
            Ok(subscribers) => subscribers.ping().await.map_err(|outage| outage.detail),
            Err(error) => Err(error.to_string()),
        };
        tried.push(Connection { name: "access of [portal.admin]".into(), result });
    }
    if let Some(mail) = &config.mail {
        tried.push(mail_server(config, mail).await);
    }
    tried
}

/// As far as the login there: no mail is sent.
async fn mail_server(config: &Config, mail: &MailConfig) -> Connection {
    let result = match post_office::mail_server(config, mail) {
        Ok(server) => server.ping().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Connection { name: format!("mail server {}:{}", mail.server.host, mail.server.port), result }
}

/// Asks each server alone: one that answers must not hide one that does not.
async fn pbx(config: &Config) -> Vec<Connection> {
    let profile = Arc::clone(&config.portal.checked_profile);
    let settings = match assembly::driver_settings(config) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Connection { name: "PBX".into(), result: Err(error.to_string()) }];
        }
    };
    let mut tried = Vec::new();
    for server in &settings.servers {
        let name = format!("PBX {server}");
        let mut alone = settings.clone();
        alone.servers = vec![server.clone()];
        let result = match LoginDriver::new(Arc::clone(&profile), alone) {
            Ok(driver) => driver.ping().await.map_err(|outage| outage.detail),
            Err(error) => Err(error.to_string()),
        };
        tried.push(Connection { name, result });
    }
    tried
}
