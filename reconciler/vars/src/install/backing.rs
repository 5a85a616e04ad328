//! Owns the rule that secrets lie in memory: the folder behind the link is on a tmpfs, a ramfs or a ramdisk.
//! It must never fall back to a disk.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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

/// What to mount where there is no file system in memory yet. macOS has its memory disk for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// ramfs: never swapped, and without a bound of its own.
    Ramfs,
    /// tmpfs, without swapping where the kernel can.
    Tmpfs,
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
        mount(&folder, Wanted::Tmpfs)
    }

    /// Makes sure that the folder of all generations has a file system in memory of its own, as sops-nix mounts
    /// one even where `/run` is in memory. One that is there stays, be it of the other kind.
    pub(crate) fn ensure_own_mount(&self, wanted: Wanted) -> Result<Backing, BackingError> {
        let folder = self.folder()?;
        make_folders(&folder)?;
        let inspect = |source| BackingError::Inspect {
            path: folder.clone(),
            source,
        };
        let own = folder.symlink_metadata().map_err(inspect)?.dev();
        let above = folder
            .parent()
            .unwrap_or(&folder)
            .metadata()
            .map_err(inspect)?
            .dev();
        match platform::in_memory(&folder).map_err(inspect)? {
            Some(filesystem) if own != above => Ok(Backing::Found(filesystem)),
            _ => mount(&folder, wanted),
        }
    }

    /// Makes the folder of all generations without a mount of its own, as for an account that cannot mount and
    /// whose folder is below a runtime directory.
    pub(crate) fn ensure_folder(&self) -> Result<(), BackingError> {
        make_folders(&self.folder()?)
    }
}

fn mount(folder: &Path, wanted: Wanted) -> Result<Backing, BackingError> {
    let path = folder.to_owned();
    if cfg!(target_os = "linux") && !unix::unistd::geteuid().is_root() {
        return Err(BackingError::NotPrivileged { path });
    }
    platform::mount(folder, wanted)
        .map(Backing::Mounted)
        .map_err(|source| BackingError::Mount { path, source })
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
