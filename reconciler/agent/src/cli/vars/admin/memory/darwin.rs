//! macOS: a memory disk of the command's own, which any person may make.

use super::MemoryError;
use crate::host::Environment;
use crate::process::{Command, RunError};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// 256 MiB in the 512-byte sectors that hdiutil counts.
const SIZE: &str = "ram://524288";

/// A memory disk and the folder that it is mounted on.
#[derive(Debug)]
pub(super) struct Disk {
    device: String,
    folder: PathBuf,
}

impl Disk {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) async fn close(self) {
        let detach = Command::new("/usr/bin/hdiutil", LIMIT).args(["detach", "-force", &self.device]);
        let _ = detach.run(&mut |_| {}).await;
        let _ = std::fs::remove_dir(&self.folder);
    }
}

pub(super) async fn disk(_: &Environment) -> Result<Disk, MemoryError> {
    let made = |source| MemoryError::Make {
        folder: std::env::temp_dir(),
        source,
    };
    let folder = tempfile::Builder::new()
        .prefix("reconcile-disk.")
        .tempdir()
        .map_err(made)?
        .keep();
    // The real path: sandbox-exec goes by it.
    let folder = folder.canonicalize().map_err(made)?;
    let attached = run(Command::new("/usr/bin/hdiutil", LIMIT).args(["attach", "-nomount", SIZE])).await?;
    let device = attached.trim().to_owned();
    let disk = Disk { device, folder };
    let mounted = mount(&disk).await;
    if let Err(error) = mounted {
        disk.close().await;
        return Err(error);
    }
    Ok(disk)
}

async fn mount(disk: &Disk) -> Result<(), MemoryError> {
    run(Command::new("/sbin/newfs_hfs", LIMIT).arg(&disk.device)).await?;
    run(Command::new("/sbin/mount", LIMIT)
        .args(["-t", "hfs", "-o", "nobrowse,nodev,nosuid"])
        .arg(&disk.device)
        .arg(&disk.folder))
    .await?;
    Ok(())
}

async fn run(command: Command) -> Result<String, MemoryError> {
    let program = command.name();
    let finished = command.run(&mut |_| {}).await.map_err(MemoryError::Disk)?;
    match finished.exit {
        crate::process::Exit::Code(0) => Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
        exit => Err(MemoryError::Disk(RunError::Talk {
            program,
            source: std::io::Error::other(format!("{exit}: {}", finished.stderr.trim())),
        })),
    }
}
