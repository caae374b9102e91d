//! TLS of the listeners: certificates by server name, exchangeable while connections run.

mod development;
mod load;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use self::development::{DevelopmentCertificate, development_certificate};

/// A certificate and its key, as files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key of the leaf (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is missing or unreadable.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no private key, or an encrypted one.
    #[error("{path} holds no private key in PEM that can be read (encrypted keys cannot)")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is damaged.
    #[error("{path} is not a certificate: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// The key is of a kind that cannot be used.
    #[error("{path} cannot be used as a key: {source}")]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Certificate and key do not belong together.
    #[error("{key} is not the key of {cert}")]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The development certificate cannot be made or kept.
    #[error("cannot make a development certificate in {path}: {reason}")]
    Development {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A certificate that works but should not be left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateWarning {
    /// It has expired: clients will refuse it.
    Expired {
        /// [`Expiry::name`].
        name: String,
        /// When.
        at: Timestamp,
    },
    /// It is not valid yet.
    NotYetValid {
        /// [`Expiry::name`].
        name: String,
        /// When it will be.
        from: Timestamp,
    },
}

impl fmt::Display for CertificateWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { name, at } => write!(f, "certificate {name} expired at {at}"),
            Self::NotYetValid { name, from } => {
                write!(f, "certificate {name} is not valid before {from}")
            }
        }
    }
}

/// When a certificate ends (metric `certificate_expiry_timestamp_seconds{name}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The first DNS name in the certificate, else its file.
    pub name: String,
    /// Its end.
    pub at: Timestamp,
}

/// The certificates in use. A reload exchanges them all at once; connections that run keep theirs.
#[derive(Debug)]
pub struct CertStore {
    current: ArcSwap<Certificates>,
}

#[derive(Debug, Default)]
struct Certificates {
    /// For clients that name no server, or one we do not know: the first in the configuration.
    fallback: Option<Arc<CertifiedKey>>,
    /// Lower case; `*.example.com` covers one label.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    expiries: Vec<Expiry>,
}

impl CertStore {
    /// Loads certificates; the first is also for clients that name none. Give at least one (a
    /// [`development_certificate`] if there is no other): without any, every handshake fails.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(
        files: &[CertificateFiles],
        now: Timestamp,
    ) -> Result<(Arc<Self>, Vec<CertificateWarning>), Vec<CertificateError>> {
        let (certificates, warnings) = Certificates::load(files, now)?;
        Ok((Arc::new(Self { current: ArcSwap::from_pointee(certificates) }), warnings))
    }

    /// Loads certificates in place of the present ones, which stay if anything is wrong.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(
        &self,
        files: &[CertificateFiles],
        now: Timestamp,
    ) -> Result<Vec<CertificateWarning>, Vec<CertificateError>> {
        let (certificates, warnings) = Certificates::load(files, now)?;
        self.current.store(Arc::new(certificates));
        Ok(warnings)
    }

    /// When each certificate ends.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.current.load().expiries.clone()
    }
}

impl Certificates {
    fn load(
        files: &[CertificateFiles],
        now: Timestamp,
    ) -> Result<(Self, Vec<CertificateWarning>), Vec<CertificateError>> {
        let mut certificates = Self::default();
        let mut warnings = Vec::new();
        let mut errors = Vec::new();
        for files in files {
            match load::load(files) {
                Ok(loaded) => {
                    warnings.extend(loaded.warning(now));
                    certificates.add(loaded);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok((certificates, warnings)) } else { Err(errors) }
    }

    fn add(&mut self, loaded: load::Loaded) {
        let key = Arc::new(loaded.key);
        for name in loaded.names {
            self.by_name.entry(name).or_insert_with(|| Arc::clone(&key));
        }
        self.expiries.push(loaded.expiry);
        self.fallback.get_or_insert(key);
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let by_name = |name: &str| {
            let name = name.to_ascii_lowercase();
            self.by_name.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            })
        };
        name.and_then(by_name).or(self.fallback.as_ref()).cloned()
    }
}

impl ResolvesServerCert for CertStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().find(hello.server_name())
    }
}

/// Makes ring the provider of the whole process. Must run before Pingora starts, whose own choice
/// is then without effect. Harmless if it ran before.
pub fn install_crypto_provider() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS 1.2 and 1.3, h2 before http/1.1, certificates from `certs`.
///
/// # Panics
/// Never: ring supports both protocol versions.
pub fn server_config(certs: Arc<CertStore>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .unwrap_or_else(|_| unreachable!("ring supports TLS 1.2 and 1.3"))
        .with_no_client_auth()
        .with_cert_resolver(certs);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    match rustls::crypto::ring::Ticketer::new() {
        // Sealed tickets cost no memory per client; their key changes every six hours.
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "no TLS session tickets"),
    }
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
