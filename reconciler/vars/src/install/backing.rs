//! Owns the rule that secrets lie in memory: the folder behind the link is on a tmpfs, a ramfs or a ramdisk.
//! It must never fall back to a disk.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::{InstallError, InvalidLink};
use super::folder::FOLDER_MODE;
use super::platform;
use super::root::SecretsRoot;

/// A file system in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// Never written to swap.
    Ramfs,
    /// May be written to swap.
    Tmpfs,
    /// tmpfs with `noswap`, which Linux has since 6.4.
    TmpfsNoSwap,
    /// A memory disk of macOS.
    RamDisk,
}

/// What the secrets lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// It was there.
    Found(Filesystem),
    /// It was mounted just now.
    Mounted(Filesystem),
}

impl Backing {
    /// The file system.
    pub fn filesystem(self) -> Filesystem {
        match self {
            Self::Found(filesystem) | Self::Mounted(filesystem) => filesystem,
        }
    }
}

/// Why there is no memory to keep secrets in.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// The link's path cannot be one.
    #[error(transparent)]
    Link(#[from] InvalidLink),
    /// The folder could not be made.
    #[error("could not make the folder {}", path.display())]
    MakeFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder can be changed by others, or could not be looked at.
    #[error(transparent)]
    Folder(#[from] Box<InstallError>),
    /// Its file system could not be told.
    #[error("could not tell the file system of {}", path.display())]
    Inspect {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is on a disk, and only root can change that.
    #[error("{} is not in memory, and only root can mount a tmpfs there", path.display())]
    NotPrivileged {
        /// The folder.
        path: PathBuf,
    },
    /// The mount failed.
    #[error("could not mount a file system in memory at {}", path.display())]
    Mount {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SecretsRoot {
    /// Makes sure that `<link>.d` is in memory. Where it is not, and this is root, a tmpfs is mounted on it with
    /// mode 0751, `nosuid`, `nodev`, `noexec`, and `noswap` where the kernel has it; on macOS, a memory disk.
    ///
    /// # Errors
    /// [`BackingError`]; nothing was written then.
    pub fn ensure_ramfs(&self) -> Result<Backing, BackingError> {
        let folder = self.folder()?;
        make_folders(&folder)?;
        let inspect = |source| BackingError::Inspect {
            path: folder.clone(),
            source,
        };
        if let Some(filesystem) = platform::in_memory(&folder).map_err(inspect)? {
            super::folder::Folder::open_trusted(&folder).map_err(Box::new)?;
            return Ok(Backing::Found(filesystem));
        }
        if !unix::unistd::geteuid().is_root() {
            return Err(BackingError::NotPrivileged { path: folder });
        }
        let mounted = platform::mount(&folder).map_err(|source| BackingError::Mount {
            path: folder.clone(),
            source,
        })?;
        Ok(Backing::Mounted(mounted))
    }
}

fn make_folders(folder: &Path) -> Result<(), BackingError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackingError::MakeFolder { path, source }
    };
    if let Some(parent) = folder.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(failed(parent))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        // The umask may have narrowed the mode; a folder that was there keeps its own.
        Ok(()) => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(FOLDER_MODE);
            std::fs::set_permissions(folder, mode).map_err(failed(folder))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(failed(folder)(source)),
    }
}
