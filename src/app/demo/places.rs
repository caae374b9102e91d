//! Where the demo keeps its data and where it listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixStream};

use super::DemoOptions;
use crate::app::StartError;

/// What is ready before anything runs.
pub(super) struct Prepared {
    pub folder: PathBuf,
    pub start: TcpListener,
    pub portal: TcpListener,
    pub https: SocketAddr,
}

const START: u16 = 8080;
const PORTAL: u16 = 9080;
const HTTPS: u16 = 8443;

pub(super) async fn prepare(options: &DemoOptions) -> Result<Prepared, StartError> {
    let wrong = |error: std::io::Error| StartError::of("demo")(&error);
    let folder =
        options.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("passgate-demo"));
    std::fs::create_dir_all(&folder).map_err(wrong)?;
    if UnixStream::connect(folder.join("data/admin.sock")).await.is_ok() {
        let what = format!(
            "a demo is already running with its data in {}; end it first, or choose another \
             folder with --data-dir",
            folder.display()
        );
        return Err(StartError::of("demo")(&what));
    }
    forget_accounts(&folder.join("data")).map_err(wrong)?;
    let start = match options.port {
        Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(wrong)?,
        None => near(START).await.map_err(wrong)?,
    };
    let [portal, https] = match options.port {
        Some(0) => [0, 0],
        _ => [PORTAL, HTTPS],
    };
    let portal = near(portal).await.map_err(wrong)?;
    // The gateway binds its address itself; this only finds out whether it can.
    let https = near(https).await.and_then(|free| free.local_addr()).map_err(wrong)?;
    Ok(Prepared { folder, start, portal, https })
}

/// The port that a listener got.
pub(super) fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

/// SHA-256 of the self-made certificate, as browsers show it.
pub(super) fn fingerprint(data_dir: &Path) -> Option<String> {
    let certificate = CertificateDer::from_pem_file(data_dir.join("development-cert.pem")).ok()?;
    let digest = Sha256::digest(&certificate);
    Some(digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// The usual port, or any other if it is taken.
async fn near(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

/// Each demo begins with the same people; only the certificate is kept, so that a browser that
/// accepted it once does not ask again.
fn forget_accounts(data: &Path) -> std::io::Result<()> {
    for name in ["passgate.db", "passgate.db-wal", "passgate.db-shm", "keyring.json"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
