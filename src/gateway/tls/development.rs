//! A certificate of our own making, for trying Passgate out. Browsers warn about it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{CertificateError, CertificateFiles, load};

/// Browsers refuse certificates that are valid for longer than 398 days.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 397);
/// A new one is made when the old one has less than this left.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Where the development certificate is, and whether it was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevelopmentCertificate {
    /// To be loaded like any other. The caller warns loudly that it is in use.
    pub files: CertificateFiles,
    /// Made just now; browsers that trusted the old one will ask again.
    pub fresh: bool,
}

/// A self-signed certificate in `data_dir` for `public_host`, `localhost` and the loopback
/// addresses. The one of the last start is used again as long as it fits.
///
/// # Errors
/// The files cannot be written.
pub fn development_certificate(
    data_dir: &Path,
    public_host: &str,
    now: Timestamp,
) -> Result<DevelopmentCertificate, CertificateError> {
    let files = CertificateFiles {
        cert: data_dir.join("development-cert.pem"),
        key: data_dir.join("development-key.pem"),
    };
    let host = public_host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if fits(&files, &host, now) {
        return Ok(DevelopmentCertificate { files, fresh: false });
    }
    let failed = |reason: String| CertificateError::Development { path: data_dir.into(), reason };
    let (cert, key) = make(&host, now).map_err(|error| failed(error.to_string()))?;
    // The key first: a crash in between leaves a pair that does not match and is made anew.
    write(&files.key, key.as_bytes(), 0o600).map_err(|error| failed(error.to_string()))?;
    write(&files.cert, cert.as_bytes(), 0o644).map_err(|error| failed(error.to_string()))?;
    Ok(DevelopmentCertificate { files, fresh: true })
}

fn fits(files: &CertificateFiles, host: &str, now: Timestamp) -> bool {
    let Ok(loaded) = load::load(files) else { return false };
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    (is_address || loaded.names.iter().any(|name| name == host))
        && loaded.warning(now).is_none()
        && loaded.expiry.at.duration_since(now) > RENEW
}

fn make(host: &str, now: Timestamp) -> Result<(String, zeroize::Zeroizing<String>), rcgen::Error> {
    let mut names: Vec<String> = vec![host.into()];
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    names.dedup();
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Passgate development");
    // A day early, for clocks that disagree a little.
    (params.not_before, params.not_after) = {
        let day = |moment: Timestamp| {
            let date = moment.to_zoned(TimeZone::UTC).date();
            let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
            rcgen::date_time_ymd(date.year().into(), month, day)
        };
        let yesterday = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(now);
        (day(yesterday), day(now.saturating_add(LIFE).unwrap_or(now)))
    };
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem().into()))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    // A file left over from a crash keeps its mode: set it whatever was there.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::tls::CertStore;

    /// The development certificate is reused at the next start, its key is 0600, and it names the
    /// public host.
    #[test]
    fn made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let make = |host, now| development_certificate(folder.path(), host, now).unwrap();
        let first = make("portal.example.com", now);
        assert!(first.fresh);
        let mode = fs::metadata(&first.files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!make("Portal.example.com", now).fresh);
        assert!(make("other.example.com", now).fresh, "another host needs another certificate");
        let later = now + SignedDuration::from_hours(24 * 380);
        let renewed = make("other.example.com", later);
        assert!(renewed.fresh, "renewed before it ends");
        let (store, warnings) = CertStore::load(&[renewed.files], later).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(store.expiries()[0].name, "other.example.com");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = development_certificate(&missing, "a", Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
