//! Why a part of a machine could not be looked at.

use crate::nix::ClosureError;
use crate::process::{Exit, RunError};
use nix_daemon_client::{ConnectError, Error, StorePathError};
use reconciler_vars::InstallError;

/// A look that told nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no systemctl.
    #[error("there is no systemctl on the PATH")]
    NoSystemctl,
    /// systemctl gave no answer.
    #[error("cannot ask systemd for its units")]
    Systemctl(#[source] RunError),
    /// systemctl failed.
    #[error("systemctl does not show the units ({exit}): {said}")]
    Units {
        /// How it ended.
        exit: Exit,
        /// What it said.
        said: String,
    },
    /// Nothing is known of how the secrets were.
    #[error("no fingerprints were taken of the secrets in force")]
    NoFingerprints,
    /// Nothing to compute fingerprints with.
    #[error("no private key of this machine can be read")]
    NoKey,
    /// The fingerprints were made with another key.
    #[error("the machine has another key since the fingerprints were taken")]
    OtherKey,
    /// The secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] InstallError),
    /// The daemon does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The closure cannot be read.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// The toplevel is no path of this store.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// The daemon failed.
    #[error("cannot read {path} from the store")]
    Read {
        /// The store path.
        path: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// It took too long.
    #[error("{read} of {of} store paths were read within {}", crate::text::duration(*limit))]
    Slow {
        /// How many were.
        read: usize,
        /// Of how many.
        of: usize,
        /// The limit.
        limit: std::time::Duration,
    },
}
