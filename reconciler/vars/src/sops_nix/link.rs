//! Owns the links at the places where programs look for their secrets. It must never follow a link that
//! somebody else could have put there, nor replace a folder with something in it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use unix::fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat};
use unix::sys::stat::{Mode as Bits, fstatat, mkdirat};
use unix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, geteuid, symlinkat, unlinkat};

use crate::install::{InstallError, Operation, Ownership};

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The path is relative, or has no name.
    #[error("{} is no absolute path with a name", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// On its way is a link that others than root, and the account that runs this, could change.
    #[error("{} is a link in a folder that others can change, and is not followed", path.display())]
    Hostile {
        /// That link.
        path: PathBuf,
    },
    /// Links on its way lead around in circles.
    #[error("too many links on the way to {}", path.display())]
    Circle {
        /// The path.
        path: PathBuf,
    },
    /// A folder with something in it is in its place.
    #[error("{} is a folder that is not empty, and is not replaced", path.display())]
    Folder {
        /// The path.
        path: PathBuf,
    },
    /// The system refused something.
    #[error(transparent)]
    System(#[from] InstallError),
}

impl LinkError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Path { .. } => "name an absolute path",
            Self::Hostile { .. } => "name the folder that the link leads to",
            Self::Circle { .. } => "look at the links on its way",
            Self::Folder { .. } => "move what is in it away",
            Self::System(error) => error.hint(),
        }
    }
}

/// As many links as Linux follows on the way to one file.
const MOST_LINKS: usize = 40;

/// What a folder on the way is opened with. It need not be readable.
#[cfg(target_os = "linux")]
const ENTER: OFlag = OFlag::O_PATH.union(FOLDER);
#[cfg(not(target_os = "linux"))]
const ENTER: OFlag = FOLDER;
const FOLDER: OFlag = OFlag::O_DIRECTORY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Makes `path` a link to `target`, in one step: at every moment it is what it was or that link. Folders on its
/// way are made with mode 0755.
pub(super) fn put(path: &Path, target: &Path, ownership: Option<Ownership>) -> Result<(), LinkError> {
    let invalid = || LinkError::Path {
        path: path.to_owned(),
    };
    let (parent, name) = path
        .parent()
        .zip(path.file_name())
        .filter(|_| path.is_absolute())
        .ok_or_else(invalid)?;
    let folder = enter(parent)?;
    if is_there(&folder, name, target, ownership) {
        return Ok(());
    }
    let (made, temporary) = private_folder(&folder, parent, name)?;
    let outcome = exchange(&folder, &made, path, name, target, ownership);
    // Empty after a success; after a failure the link is still in it.
    let _ = unlinkat(&made, LINK, UnlinkatFlags::NoRemoveDir);
    let _ = unlinkat(&folder, temporary.as_str(), UnlinkatFlags::RemoveDir);
    outcome
}

/// The link's name in the folder that nobody else can enter.
const LINK: &str = "link";

fn exchange(
    folder: &File,
    made: &File,
    path: &Path,
    name: &OsStr,
    target: &Path,
    ownership: Option<Ownership>,
) -> Result<(), LinkError> {
    symlinkat(target, made, LINK).map_err(InstallError::during(Operation::MakeLink, path))?;
    if let Some(Ownership { uid, gid }) = ownership {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        fchownat(made, LINK, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(InstallError::during(Operation::SetOwner, path))?;
    }
    match renameat(made, LINK, folder, name) {
        Err(unix::Error::EISDIR | unix::Error::ENOTEMPTY | unix::Error::EEXIST | unix::Error::ENOTDIR) => {
            // An empty folder is what is left where somebody mounted or meant to; sops-nix replaces it, too.
            unlinkat(folder, name, UnlinkatFlags::RemoveDir).map_err(|_| LinkError::Folder {
                path: path.to_owned(),
            })?;
            renameat(made, LINK, folder, name)
        }
        other => other,
    }
    .map_err(InstallError::during(Operation::Rename, path))?;
    Ok(())
}

/// Whether that very link is there already.
fn is_there(folder: &File, name: &OsStr, target: &Path, ownership: Option<Ownership>) -> bool {
    let points = readlinkat(folder, name).is_ok_and(|found| found == target.as_os_str());
    points
        && ownership.is_none_or(|owner| {
            fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|facts| (facts.st_uid, facts.st_gid) == (owner.uid, owner.gid))
        })
}

/// A new folder that only this account enters: who owns `folder` could exchange what is made in it directly.
fn private_folder(folder: &File, parent: &Path, name: &OsStr) -> Result<(File, String), LinkError> {
    let process = std::process::id();
    for attempt in 0..64_u32 {
        let temporary = format!(".{}.{process}.{attempt}", name.to_string_lossy());
        let path = parent.join(&temporary);
        match mkdirat(folder, temporary.as_str(), Bits::S_IRWXU) {
            Err(unix::Error::EEXIST) => continue,
            made => made.map_err(InstallError::during(Operation::MakeFolder, &path))?,
        }
        let made = openat(
            folder,
            temporary.as_str(),
            OFlag::O_RDONLY | FOLDER,
            Bits::empty(),
        )
        .map_err(InstallError::during(Operation::OpenFolder, &path))?;
        let made = File::from(made);
        let facts = made
            .metadata()
            .map_err(InstallError::during(Operation::Inspect, &path))?;
        if facts.uid() != geteuid().as_raw() || facts.mode() & 0o077 != 0 {
            return Err(LinkError::Hostile { path });
        }
        return Ok((made, temporary));
    }
    let full = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    Err(InstallError::during(Operation::MakeFolder, parent)(full).into())
}

/// Opens a folder component by component and makes what is missing.
fn enter(path: &Path) -> Result<File, LinkError> {
    let root = || -> Result<Vec<(File, PathBuf)>, LinkError> {
        let fd = open("/", ENTER, Bits::empty())
            .map_err(InstallError::during(Operation::OpenFolder, Path::new("/")))?;
        Ok(vec![(File::from(fd), PathBuf::from("/"))])
    };
    let mut folders = root()?;
    let mut pending: VecDeque<OsString> = components(path);
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        if part == ".." {
            if folders.len() > 1 {
                folders.pop();
            }
            continue;
        }
        let Some((folder, above)) = folders.last() else {
            break;
        };
        let here = above.join(&part);
        match openat(folder, part.as_os_str(), ENTER, Bits::empty()) {
            Ok(fd) => folders.push((File::from(fd), here)),
            Err(unix::Error::ENOENT) => {
                let made = make(folder, &part, &here)?;
                folders.push((made, here));
            }
            Err(error) => {
                let Ok(target) = readlinkat(folder, part.as_os_str()) else {
                    return Err(InstallError::during(Operation::OpenFolder, &here)(error).into());
                };
                if !is_ours(folder, above)? {
                    return Err(LinkError::Hostile { path: here });
                }
                links += 1;
                if links > MOST_LINKS {
                    return Err(LinkError::Circle {
                        path: path.to_owned(),
                    });
                }
                let target = PathBuf::from(target);
                if target.is_absolute() {
                    folders = root()?;
                }
                for part in components(&target).into_iter().rev() {
                    pending.push_front(part);
                }
            }
        }
    }
    folders
        .pop()
        .map(|(folder, _)| folder)
        .ok_or_else(|| LinkError::Path {
            path: path.to_owned(),
        })
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Whether nobody but root, and the account that runs this, puts anything into a folder.
fn is_ours(folder: &File, path: &Path) -> Result<bool, LinkError> {
    let facts = folder
        .metadata()
        .map_err(InstallError::during(Operation::Inspect, path))?;
    let ours = facts.uid() == 0 || facts.uid() == geteuid().as_raw();
    Ok(ours && facts.mode() & 0o022 == 0)
}

fn make(folder: &File, name: &OsStr, path: &Path) -> Result<File, LinkError> {
    match mkdirat(folder, name, Bits::S_IRWXU) {
        // Somebody was faster; it is opened like one that was there.
        Err(unix::Error::EEXIST) => {
            let fd = openat(folder, name, ENTER, Bits::empty())
                .map_err(InstallError::during(Operation::OpenFolder, path))?;
            return Ok(fd.into());
        }
        made => made.map_err(InstallError::during(Operation::MakeFolder, path))?,
    }
    let fd = openat(folder, name, OFlag::O_RDONLY | FOLDER, Bits::empty())
        .map_err(InstallError::during(Operation::OpenFolder, path))?;
    let made = File::from(fd);
    let facts = made
        .metadata()
        .map_err(InstallError::during(Operation::Inspect, path))?;
    if facts.uid() == geteuid().as_raw() {
        made.set_permissions(Permissions::from_mode(0o755))
            .map_err(InstallError::during(Operation::SetMode, path))?;
    }
    Ok(made)
}
