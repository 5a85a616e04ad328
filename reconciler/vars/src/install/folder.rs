//! Owns the making of folders and files by descriptor, with exact modes under any umask. It must never
//! follow a symbolic link or overwrite anything.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use unix::fcntl::{OFlag, open, openat};
use unix::sys::stat::{Mode as Bits, mkdirat};
use unix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};

use super::error::{InstallError, Operation};
use crate::mode::Mode;

/// Mode of every folder of a generation: entered by all, listed by root and the group alone.
pub(crate) const FOLDER_MODE: u32 = 0o751;

/// An open folder, its path for messages, and whose the folders made in it are to be.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: File,
    path: PathBuf,
    folders: Option<Ownership>,
}

/// Owner and group; `None` leaves a file with the account that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

const FLAGS: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens a folder that nobody else can change.
    pub(crate) fn open_trusted(path: &Path) -> Result<Self, InstallError> {
        let fd =
            open(path, FLAGS, Bits::empty()).map_err(InstallError::during(Operation::OpenFolder, path))?;
        let folder = Self {
            fd: fd.into(),
            path: path.to_owned(),
            folders: None,
        };
        folder.trusted()
    }

    /// The folder, if nobody else can change it.
    fn trusted(self) -> Result<Self, InstallError> {
        let facts = self
            .fd
            .metadata()
            .map_err(InstallError::during(Operation::Inspect, &self.path))?;
        let (uid, mode) = (facts.uid(), facts.mode() & 0o7777);
        let ours = uid == 0 || uid == geteuid().as_raw();
        if !ours || mode & 0o022 != 0 {
            let path = self.path;
            return Err(InstallError::Insecure { path, uid, mode });
        }
        Ok(self)
    }

    /// Opens a folder below this one that nobody else can change, making it where it is not there.
    pub(super) fn reach(&self, name: &str) -> Result<Self, InstallError> {
        match self.enter(name) {
            Err(InstallError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.make(name)
            }
            entered => entered?.trusted(),
        }
    }

    /// Where it is, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written to it, and to its list of names, last.
    pub(super) fn sync(&self) -> Result<(), InstallError> {
        self.fd
            .sync_all()
            .map_err(InstallError::during(Operation::Write, &self.path))
    }

    /// The same folder, with another owner and group for those that are made in it.
    pub(crate) fn with_folders_of(self, folders: Option<Ownership>) -> Self {
        Self { folders, ..self }
    }

    pub(crate) fn fd(&self) -> &File {
        &self.fd
    }

    /// Makes a folder that must not be there yet.
    pub(crate) fn make(&self, name: &str) -> Result<Self, InstallError> {
        let path = self.path.join(name);
        mkdirat(&self.fd, name, Bits::S_IRWXU).map_err(InstallError::during(Operation::MakeFolder, &path))?;
        let made = self.enter(name)?;
        if let Some(Ownership { uid, gid }) = self.folders {
            fchown(&made.fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(InstallError::during(Operation::SetOwner, &path))?;
        }
        made.fd
            .set_permissions(Permissions::from_mode(FOLDER_MODE))
            .map_err(InstallError::during(Operation::SetMode, &path))?;
        Ok(made)
    }

    /// Opens a folder below this one.
    pub(super) fn enter(&self, name: &str) -> Result<Self, InstallError> {
        let path = self.path.join(name);
        let fd = openat(&self.fd, name, FLAGS, Bits::empty());
        fd.map(|fd| Self {
            fd: fd.into(),
            path: path.clone(),
            folders: self.folders,
        })
        .map_err(InstallError::during(Operation::OpenFolder, &path))
    }

    /// Makes a file below this folder, and the folders on its way.
    pub(crate) fn write_below(
        &self,
        path: &str,
        bytes: &[u8],
        ownership: Option<Ownership>,
        mode: Mode,
    ) -> Result<(), InstallError> {
        match path.split_once('/') {
            None => self.write(path, bytes, ownership, mode).map(drop),
            Some((first, rest)) => {
                let exists = self.path.join(first).symlink_metadata().is_ok();
                let folder = if exists {
                    self.enter(first)?
                } else {
                    self.make(first)?
                };
                folder.write_below(rest, bytes, ownership, mode)
            }
        }
    }

    /// Makes a file in this folder that must not be there yet.
    pub(super) fn write(
        &self,
        name: &str,
        bytes: &[u8],
        ownership: Option<Ownership>,
        mode: Mode,
    ) -> Result<File, InstallError> {
        let path = self.path.join(name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Bits::S_IRUSR | Bits::S_IWUSR)
            .map_err(InstallError::during(Operation::MakeFile, &path))?;
        let mut file = File::from(fd);
        let written = file
            .write_all(bytes)
            .map_err(InstallError::during::<io::Error>(Operation::Write, &path))
            .and_then(|()| own(&file, &path, ownership, mode));
        if written.is_err() {
            // Half a secret is none; the first failure is the one to tell.
            let _ = unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir);
        }
        written.map(|()| file)
    }
}

/// Gives an open file its owner, then its mode: in this order nobody reads it who may not, and chown would
/// drop set-user-id bits.
pub(crate) fn own(
    file: &File,
    path: &Path,
    ownership: Option<Ownership>,
    mode: Mode,
) -> Result<(), InstallError> {
    if let Some(Ownership { uid, gid }) = ownership {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(InstallError::during(Operation::SetOwner, path))?;
    }
    file.set_permissions(Permissions::from_mode(mode.bits()))
        .map_err(InstallError::during(Operation::SetMode, path))
}
