//! Linux: the folders that are in memory already.

use super::MemoryError;
use crate::host::Environment;
use std::path::{Path, PathBuf};
use unix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use unix::unistd::{AccessFlags, access};

/// `RAMFS_MAGIC` of linux/magic.h.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// A file system in memory that was there.
#[derive(Debug)]
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    pub(super) async fn close(self) {}
}

/// The person's own folder in memory, or everyone's.
pub(super) async fn disk(environment: &Environment) -> Result<Disk, MemoryError> {
    let own = environment
        .runtime
        .iter()
        .map(|folder| folder.as_std_path().to_owned());
    let tried: Vec<PathBuf> = own.chain(["/dev/shm", "/run"].map(PathBuf::from)).collect();
    match tried.iter().find(|folder| is_memory(folder)) {
        Some(folder) => Ok(Disk(folder.clone())),
        None => Err(MemoryError::None { tried }),
    }
}

fn is_memory(folder: &Path) -> bool {
    let kind = statfs(folder).map(|found| found.filesystem_type());
    let writable = access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    writable && kind.is_ok_and(|kind| kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}
