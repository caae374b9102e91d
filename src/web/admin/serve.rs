//! The two doors: a TCP listener and the Unix socket in the data directory.

use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::{Access, AdminState, admin};

/// File name of the socket in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";

/// The doors, open but not yet answered at: binding fails at start, where somebody reads it.
pub struct AdminListeners {
    tcp: Option<TcpListener>,
    unix: UnixListener,
    socket: PathBuf,
}

impl AdminListeners {
    /// Opens both. A socket that a dead gateway left behind is replaced; one that somebody answers
    /// at is an error: two gateways must not share a data directory.
    pub async fn bind(address: Option<SocketAddr>, socket: &Path) -> io::Result<Self> {
        let explain = |what: String| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        clear_away(socket).map_err(explain(format!("admin socket {}", socket.display())))?;
        let unix = UnixListener::bind(socket)
            .map_err(explain(format!("admin socket {}", socket.display())))?;
        // The data directory is 0700 already; this holds should it ever be opened.
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        let tcp = match address {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(explain(format!("server.admin = \"{address}\"")))?,
            ),
            None => None,
        };
        Ok(Self { tcp, unix, socket: socket.to_owned() })
    }

    /// Where the TCP listener listens (its port, if 0 was asked for).
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Answers until `shutdown`, then ends what is begun and removes the socket.
    pub async fn serve(
        self,
        state: AdminState,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let stop = CancellationToken::new();
        let unix = axum::serve(self.unix, admin(state.clone(), Access::Socket))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let tcp = self.tcp.map(|listener| {
            axum::serve(listener, admin(state, Access::Token))
                .with_graceful_shutdown(stop.clone().cancelled_owned())
        });
        let tcp = async {
            match tcp {
                Some(tcp) => tcp.await,
                None => Ok(()),
            }
        };
        let stopping = async {
            shutdown.await;
            stop.cancel();
            Ok(())
        };
        let ended = tokio::try_join!(async { unix.await }, tcp, stopping);
        // Gone already if somebody tidied up; nobody is left who could be told otherwise.
        let _: io::Result<()> = fs::remove_file(&self.socket);
        ended.map(drop)
    }
}

/// Opens both doors and answers until `shutdown`.
pub async fn serve_admin(
    address: Option<SocketAddr>,
    socket: &Path,
    state: AdminState,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    AdminListeners::bind(address, socket).await?.serve(state, shutdown).await
}

fn clear_away(socket: &Path) -> io::Result<()> {
    match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is in the way"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(socket) {
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another gateway runs on this data directory",
            )),
            Err(_) => fs::remove_file(socket),
        },
    }
}
