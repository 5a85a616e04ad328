//! Owns file systems in memory on Linux. It must never unmount anything.

use std::io;
use std::path::Path;

use unix::mount::{MsFlags, mount as mount_at};
use unix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use super::backing::{Filesystem, Wanted};

/// `RAMFS_MAGIC` of linux/magic.h.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// The file system in memory that `folder` is on, if it is on one.
pub(super) fn in_memory(folder: &Path) -> io::Result<Option<Filesystem>> {
    let found = statfs(folder)?.filesystem_type();
    Ok(match found {
        RAMFS_MAGIC => Some(Filesystem::Ramfs),
        TMPFS_MAGIC => Some(Filesystem::Tmpfs),
        _ => None,
    })
}

/// Mounts one on `folder`.
pub(super) fn mount(folder: &Path, wanted: Wanted) -> io::Result<Filesystem> {
    let of_kind = |kind: &str, data: &str| {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount_at(Some(kind), folder, Some(kind), flags, Some(data))
    };
    if wanted == Wanted::Ramfs {
        of_kind("ramfs", "mode=0751")?;
        return Ok(Filesystem::Ramfs);
    }
    let attempt = |data: &str| of_kind("tmpfs", data);
    match attempt("mode=0751,noswap") {
        Ok(()) => Ok(Filesystem::TmpfsNoSwap),
        // A kernel before 6.4, or a user namespace, which may not forbid swapping.
        Err(unix::Error::EINVAL | unix::Error::EPERM) => {
            attempt("mode=0751")?;
            Ok(Filesystem::Tmpfs)
        }
        Err(error) => Err(error.into()),
    }
}
