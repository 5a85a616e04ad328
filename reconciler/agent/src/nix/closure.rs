//! A toplevel's closure as the daemon knows it.

use camino::Utf8Path;
use nix_daemon_client::{Client, Error, PathInfo, StorePath, StorePathError};

/// A closure that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The toplevel is no path of this store.
    #[error("{path} is no path of the store")]
    Path {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: StorePathError,
    },
    /// The daemon did not answer.
    #[error("cannot read the closure of {path}")]
    Daemon {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: Error,
    },
}

/// Everything a toplevel refers to, itself first; none where it is not in the store.
pub async fn closure(
    client: &mut Client,
    store: &Utf8Path,
    toplevel: &str,
) -> Result<Option<Vec<PathInfo>>, ClosureError> {
    let root = StorePath::parse(store.as_str(), toplevel).map_err(|source| ClosureError::Path {
        path: toplevel.to_owned(),
        source,
    })?;
    match client.query_closure(&[root]).await {
        Ok(closure) => Ok(Some(closure)),
        Err(Error::InvalidPath { .. }) => Ok(None),
        Err(source) => Err(ClosureError::Daemon {
            path: toplevel.to_owned(),
            source,
        }),
    }
}
