//! What can go wrong, in words that say what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The gateway refused, or something did not work.
    #[error("{0}")]
    Failed(String),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers at the socket.
    #[error(
        "the gateway is not running: is `passgate run` running? its socket {} {why}",
        socket.display()
    )]
    NotRunning {
        /// Where it should be.
        socket: PathBuf,
        /// What is wrong there.
        why: &'static str,
    },
    /// Whoever reads our output has seen enough (`| head`).
    #[error("the output was closed")]
    Closed,
}

impl Failure {
    /// The exit code, as the help promises it.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Closed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotRunning { .. } => 3,
        })
    }

    /// A failure while `doing` something.
    pub(super) fn io(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed(format!("cannot {doing}: {error}"))
    }
}
