//! One certificate from its files.

use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CertificateError, CertificateFiles, CertificateWarning, Expiry, provider};

/// A certificate that fits its key, and what it says about itself.
pub(super) struct Loaded {
    pub(super) key: CertifiedKey,
    /// DNS names, lower case.
    pub(super) names: Vec<String>,
    pub(super) expiry: Expiry,
    not_before: Timestamp,
}

impl Loaded {
    pub(super) fn warning(&self, now: Timestamp) -> Option<CertificateWarning> {
        let Expiry { name, at } = &self.expiry;
        if *at <= now {
            Some(CertificateWarning::Expired { name: name.clone(), at: *at })
        } else if self.not_before > now {
            Some(CertificateWarning::NotYetValid { name: name.clone(), from: self.not_before })
        } else {
            None
        }
    }
}

pub(super) fn load(files: &CertificateFiles) -> Result<Loaded, CertificateError> {
    let chain = chain(&files.cert)?;
    let about = about(&files.cert, &chain[0])?;
    let key = private_key(&files.key)?;
    let signing = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|source| CertificateError::UnusableKey { path: files.key.clone(), source })?;
    let key = CertifiedKey::new(chain, signing);
    key.keys_match().map_err(|_| CertificateError::Mismatch {
        cert: files.cert.clone(),
        key: files.key.clone(),
    })?;
    let name = about.names.first().cloned().unwrap_or_else(|| files.cert.display().to_string());
    let expiry = Expiry { name, at: about.not_after };
    Ok(Loaded { key, names: about.names, expiry, not_before: about.not_before })
}

/// The chain, never empty.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let pem = read(path)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| {
            CertificateError::Malformed { path: path.into(), reason: error.to_string() }
        })?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { path: path.into() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let pem = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| CertificateError::NoKey { path: path.into() })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Unreadable { path: path.into(), source })
}

struct About {
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

fn about(path: &Path, leaf: &CertificateDer<'_>) -> Result<About, CertificateError> {
    let malformed = |reason: String| CertificateError::Malformed { path: path.into(), reason };
    let (_, leaf) =
        X509Certificate::from_der(leaf).map_err(|error| malformed(error.to_string()))?;
    let names = leaf
        .subject_alternative_name()
        .map_err(|error| malformed(error.to_string()))?
        .map(|names| {
            let dns = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            };
            names.value.general_names.iter().filter_map(dns).collect()
        })
        .unwrap_or_default();
    let second =
        |second: i64| Timestamp::from_second(second).map_err(|error| malformed(error.to_string()));
    Ok(About {
        names,
        not_before: second(leaf.validity().not_before.timestamp())?,
        not_after: second(leaf.validity().not_after.timestamp())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::tls::CertStore;

    /// Writes a certificate for `names`, valid in the given years, and its key.
    fn make(folder: &Path, file: &str, names: &[&str], years: (i32, i32)) -> CertificateFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let files = CertificateFiles {
            cert: folder.join(format!("{file}.pem")),
            key: folder.join(format!("{file}.key")),
        };
        std::fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn the_error(files: &CertificateFiles) -> String {
        let errors = CertStore::load(std::slice::from_ref(files), now()).unwrap_err();
        assert_eq!(errors.len(), 1);
        errors[0].to_string()
    }

    /// R-G1: several certificates by SNI; a reload exchanges them, a bad one keeps the old.
    #[test]
    fn certificates_are_found_by_name_and_reloaded() {
        let folder = tempfile::tempdir().unwrap();
        let one = make(folder.path(), "one", &["portal.example.com"], (2020, 2030));
        let two = make(folder.path(), "two", &["*.acme.example"], (2020, 2031));
        let (store, warnings) = CertStore::load(&[one.clone(), two.clone()], now()).unwrap();
        assert_eq!(warnings, []);
        let certificates = store.current.load_full();
        let fallback = certificates.fallback.clone().unwrap();
        let found = |name| certificates.find(name).unwrap();
        assert!(std::sync::Arc::ptr_eq(&found(None), &fallback));
        assert!(std::sync::Arc::ptr_eq(&found(Some("PORTAL.example.com")), &fallback));
        assert!(std::sync::Arc::ptr_eq(&found(Some("unknown.example")), &fallback));
        assert!(!std::sync::Arc::ptr_eq(&found(Some("voice.acme.example")), &fallback));
        assert!(std::sync::Arc::ptr_eq(&found(Some("a.voice.acme.example")), &fallback));

        let bad = CertificateFiles { key: two.key.clone(), ..one.clone() };
        assert!(store.reload(&[bad], now()).is_err());
        assert_eq!(store.expiries().len(), 2);
        store.reload(&[two], now()).unwrap();
        let expiries = store.expiries();
        assert_eq!(expiries.len(), 1);
        assert_eq!(expiries[0].name, "*.acme.example");
        assert_eq!(expiries[0].at.to_string(), "2031-01-01T00:00:00Z");
    }

    /// Unreadable certificate → clear error at start.
    #[test]
    fn errors_name_the_file_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let good = make(folder.path(), "good", &["a.example"], (2020, 2030));
        let other = make(folder.path(), "other", &["b.example"], (2020, 2030));
        let missing = CertificateFiles { cert: folder.path().join("none.pem"), ..good.clone() };
        assert!(the_error(&missing).contains("none.pem: No such file"));
        let swapped = CertificateFiles { cert: good.key.clone(), key: good.cert.clone() };
        assert!(the_error(&swapped).contains("good.key holds no certificate"));
        let no_key = CertificateFiles { key: good.cert.clone(), ..good.clone() };
        assert!(the_error(&no_key).contains("good.pem holds no private key"));
        let mismatch = CertificateFiles { key: other.key.clone(), ..good.clone() };
        assert!(the_error(&mismatch).contains("other.key is not the key of"));
        let damaged = folder.path().join("damaged.pem");
        std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        let damaged = CertificateFiles { cert: damaged, ..good.clone() };
        assert!(the_error(&damaged).contains("damaged.pem is not a certificate"));
        // All problems are reported together.
        assert_eq!(CertStore::load(&[missing, mismatch], now()).unwrap_err().len(), 2);
    }

    #[test]
    fn expired_certificates_are_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let old = make(folder.path(), "old", &["a.example"], (2020, 2025));
        let future = make(folder.path(), "future", &["b.example"], (2027, 2030));
        let (_, warnings) = CertStore::load(&[old, future], now()).unwrap();
        let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said[0], "certificate a.example expired at 2025-01-01T00:00:00Z");
        assert_eq!(said[1], "certificate b.example is not valid before 2027-01-01T00:00:00Z");
    }
}
