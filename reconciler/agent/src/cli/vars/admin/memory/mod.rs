//! The folder in memory that scripts run in. It is never on a disk, nobody else may enter it, and it goes when the
//! command ends; what a killed command left goes with the next one.

#[cfg(target_os = "macos")]
mod darwin;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "macos")]
use darwin::{Disk, disk};
#[cfg(target_os = "linux")]
use linux::{Disk, disk};

use crate::host::Environment;
use crate::process::RunError;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use unix::sys::signal::kill;
use unix::unistd::Pid;

/// What every such folder's name begins with; the process's id comes next.
const PREFIX: &str = "reconcile-vars.";

/// There is no memory to work in.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum MemoryError {
    #[error("there is no folder in memory to make secrets in: {} are none, or cannot be written", tried.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "))]
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "macOS makes its own"))]
    None { tried: Vec<PathBuf> },
    #[error("cannot make a folder in {}", folder.display())]
    Make {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a memory disk")]
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "Linux has one"))]
    Disk(#[source] RunError),
}

/// A folder in memory.
#[derive(Debug)]
pub(super) struct Memory {
    folder: TempDir,
    disk: Disk,
}

impl Memory {
    /// Makes one, mode 0700.
    pub(super) async fn new(environment: &Environment) -> Result<Memory, MemoryError> {
        let disk = disk(environment).await?;
        sweep(disk.folder());
        let made = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}.", std::process::id()))
            .tempdir_in(disk.folder());
        let folder = made.map_err(|source| MemoryError::Make {
            folder: disk.folder().to_owned(),
            source,
        })?;
        Ok(Memory { folder, disk })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes it away.
    pub(super) async fn close(self) {
        // What cannot be deleted goes with the next command.
        let _ = self.folder.close();
        self.disk.close().await;
    }
}

/// Deletes what killed commands left.
fn sweep(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        if process.is_some_and(|id| kill(Pid::from_raw(id), None) == Err(unix::Error::ESRCH)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
