//! The agent's own binary by a path that others can start it from. `/proc/self/exe` is whoever reads it: what systemd
//! starts would be systemd. Keeps copies, starts nothing.

use super::carrier::chain;
use crate::durable::{self, DurableError};
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// There is no such path.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnBinaryError {
    /// The binary cannot be looked at.
    #[error("cannot look at the running agent's binary")]
    Look(#[source] std::io::Error),
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] DurableError),
}

/// Where it lies; a copy in the agent's own folder, once its file was taken away or replaced. Where none can be made, what
/// only this process and its children can use.
pub(super) fn path(running: &Path, state: &Utf8Path) -> PathBuf {
    let found = utf8(running).and_then(|running| match running.canonicalize_utf8() {
        Ok(path) => Ok(path),
        Err(_) => copy(running, state),
    });
    match found {
        Ok(path) => path.into_std_path_buf(),
        Err(error) => {
            tracing::warn!("{}", chain(&error));
            running.to_owned()
        }
    }
}

/// A copy in the agent's own folder, made once of each binary.
pub(super) fn copy(running: &Utf8Path, state: &Utf8Path) -> Result<Utf8PathBuf, OwnBinaryError> {
    let facts = running.metadata().map_err(OwnBinaryError::Look)?;
    let name = format!(
        "reconcile-{:x}-{:x}-{:x}",
        facts.ino(),
        facts.mtime_nsec() ^ facts.mtime(),
        facts.size()
    );
    let folder = state.join("deadman");
    durable::folder(&folder, 0o700)?;
    let kept = folder.join(&name);
    if !kept.exists() {
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            // One that still waits runs, whatever becomes of its file.
            let _ = std::fs::remove_file(entry.path());
        }
        durable::copy(running, &kept, 0o500)?;
    }
    Ok(kept)
}

pub(super) fn utf8(path: &Path) -> Result<&Utf8Path, OwnBinaryError> {
    Utf8Path::from_path(path).ok_or_else(|| OwnBinaryError::Look(std::io::ErrorKind::InvalidFilename.into()))
}
