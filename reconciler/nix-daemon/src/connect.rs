//! Opening a connection: what may be chosen, and what can go wrong before the first operation.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{DaemonError, Violation};
use crate::handshake::{GreetingError, ProtocolVersion};
use crate::read::ReadError;
use crate::write::WriteError;

/// How to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The newest minor version of the protocol to announce; moved into 34..=38.
    pub max_minor: u16,
    /// How long connecting and greeting may take together.
    pub connect_timeout: Duration,
    /// How long the daemon may send nothing, or take nothing, before an operation is given up. It does not
    /// apply while the daemon works on something that may take as long as it takes: builds, substitution,
    /// additions to the store, garbage collection and verification.
    pub idle_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            max_minor: ProtocolVersion::NEWEST_MINOR,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no socket: Nix is not installed, or not as multi-user, or its daemon never ran.
    #[error("no nix daemon socket at `{}`", socket.display())]
    Missing {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// There is a socket, and nobody listens.
    #[error("no nix daemon listens at `{}`", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
    },
    /// This user may not open the socket.
    #[error("no permission to open the nix daemon socket `{}`", socket.display())]
    Permission {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket could not be opened for another reason.
    #[error("failed to open the nix daemon socket `{}`", socket.display())]
    Open {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemon hung up before its greeting, which is how it turns away who is not in `allowed-users`.
    #[error("the nix daemon at `{}` denied access: this user is not in its `allowed-users`", socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// What listens is not a Nix daemon.
    #[error("what listens at `{}` is not a nix daemon: it greets with {word:#x}", socket.display())]
    NotADaemon {
        /// The socket.
        socket: PathBuf,
        /// Its first word.
        word: u64,
    },
    /// The daemon speaks no version that this client speaks.
    #[error("the nix daemon at `{}` speaks protocol {version}; 1.34 (nix 2.8) is the oldest supported", socket.display())]
    TooOld {
        /// The socket.
        socket: PathBuf,
        /// The daemon's version.
        version: ProtocolVersion,
    },
    /// The connection that ended was not opened by its socket, so it cannot be opened again.
    #[error("a stream to a nix daemon cannot be opened again")]
    NoSocket,
    /// Connecting or greeting took too long.
    #[error("the nix daemon at `{}` did not greet within {} s", socket.display(), after.as_secs_f64())]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// The daemon reported an error in place of its greeting.
    #[error("the nix daemon at `{}` failed while greeting", socket.display())]
    Daemon {
        /// The socket.
        socket: PathBuf,
        /// What it said.
        #[source]
        error: DaemonError,
    },
    /// The connection was lost within the greeting.
    #[error("lost the connection to the nix daemon at `{}` while greeting", socket.display())]
    Transport {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The greeting is not what the protocol allows.
    #[error("the nix daemon at `{}` broke its protocol at byte {offset} of its greeting", socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// How many bytes had been read.
        offset: u64,
        /// What was wrong.
        #[source]
        violation: Violation,
    },
}

impl ConnectError {
    pub(crate) fn opening(socket: PathBuf, source: io::Error) -> ConnectError {
        match source.kind() {
            io::ErrorKind::NotFound => ConnectError::Missing { socket },
            io::ErrorKind::ConnectionRefused => ConnectError::Refused { socket },
            io::ErrorKind::PermissionDenied => ConnectError::Permission { socket, source },
            _ => ConnectError::Open { socket, source },
        }
    }

    pub(crate) fn greeting(socket: PathBuf, error: GreetingError) -> ConnectError {
        match error {
            GreetingError::Denied => ConnectError::Denied { socket },
            GreetingError::NotADaemon { word } => ConnectError::NotADaemon { socket, word },
            GreetingError::Version(version) => ConnectError::TooOld { socket, version },
            GreetingError::Daemon(error) => ConnectError::Daemon { socket, error },
            GreetingError::Read(ReadError::Io(source) | ReadError::Sink(source))
            | GreetingError::Write(WriteError::Io(source)) => ConnectError::Transport { socket, source },
            GreetingError::Read(ReadError::Silent(after))
            | GreetingError::Write(WriteError::Stalled(after)) => ConnectError::Timeout { socket, after },
            GreetingError::Read(ReadError::Violation { offset, violation }) => ConnectError::Protocol {
                socket,
                offset,
                violation,
            },
        }
    }
}
