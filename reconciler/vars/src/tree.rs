//! Owns the read-only view of a fleet's directory and its implementation over a folder. It must never
//! follow a symbolic link or leave the directory.

use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use unix::fcntl::OFlag;

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; it is never followed.
    Symlink,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The last component of the path.
    pub name: String,
    /// What the name stands for.
    pub kind: EntryKind,
}

/// Why a path of the fleet's directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The path is absolute, empty, or has a component that is empty, `.` or `..`.
    #[error("path {path:?} is not a plain relative path")]
    Path {
        /// The path as it was asked for.
        path: String,
    },
    /// Something other than a regular file is there.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path below the fleet's directory.
        path: String,
    },
    /// The file is larger than any secret may be.
    #[error("{path} has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// The path below the fleet's directory.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A folder's file or directory could not be read.
    #[error("could not read {path}")]
    Read {
        /// The path below the fleet's directory.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Whatever holds the tree (a git object store) could not read it.
    #[error("could not read {path} from the tree")]
    Store {
        /// The path below the fleet's directory.
        path: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A read-only view of the fleet's directory at one revision.
///
/// Paths are relative to it and separated by `/`.
pub trait Tree {
    /// The bytes of the regular file at `path`, or `None` where nothing is.
    ///
    /// # Errors
    /// [`TreeError`] when something other than a regular file is there, or it cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError>;

    /// The entries of the directory at `path`, in any order; empty where no directory is.
    /// The empty path is the directory of the fleet itself.
    ///
    /// # Errors
    /// [`TreeError`] when the directory is there and cannot be read.
    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError>;

    /// Where the symbolic link at `path` points to, as it is written; `None` where no link is. A target that is not
    /// UTF-8 is given with replacement characters.
    ///
    /// # Errors
    /// [`TreeError`] when the link is there and cannot be read.
    fn link(&self, path: &str) -> Result<Option<String>, TreeError>;
}

/// The largest file that [`DirectoryTree`] reads, in bytes.
const LARGEST_FILE: u64 = crate::sops::LARGEST_FILE as u64;

/// A fleet's directory that lies on the disk.
#[derive(Debug, Clone)]
pub struct DirectoryTree {
    root: PathBuf,
}

impl DirectoryTree {
    /// The view of the folder at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The path on the disk, or `None` where a component is missing or a symbolic link.
    fn locate(&self, path: &str) -> Result<Option<PathBuf>, TreeError> {
        let mut found = self.root.clone();
        let mut components = path.split('/').peekable();
        while let Some(component) = components.next() {
            if component.is_empty() || component == "." || component == ".." || component.contains('\0') {
                return Err(TreeError::Path {
                    path: path.to_owned(),
                });
            }
            found.push(component);
            if components.peek().is_none() {
                break;
            }
            match found.symlink_metadata() {
                Ok(facts) if facts.is_dir() => {}
                Ok(_) => return Ok(None),
                Err(source) if is_absence(&source) => return Ok(None),
                Err(source) => {
                    return Err(TreeError::Read {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        Ok(Some(found))
    }
}

impl Tree for DirectoryTree {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let Some(place) = self.locate(path)? else {
            return Ok(None);
        };
        match place.symlink_metadata() {
            Ok(facts) if !facts.is_file() => {
                return Err(TreeError::NotAFile {
                    path: path.to_owned(),
                });
            }
            Ok(facts) if facts.len() > LARGEST_FILE => {
                return Err(TreeError::TooLarge {
                    path: path.to_owned(),
                    size: facts.len(),
                    limit: LARGEST_FILE,
                });
            }
            Ok(_) => {}
            Err(source) if is_absence(&source) => return Ok(None),
            Err(source) => {
                return Err(TreeError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        read_file(&place).map(Some).map_err(|source| TreeError::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let failed = |source| TreeError::Read {
            path: path.to_owned(),
            source,
        };
        let place = match path {
            "" => Some(self.root.clone()),
            path => self.locate(path)?,
        };
        let Some(place) = place else {
            return Ok(Vec::new());
        };
        match place.symlink_metadata() {
            Ok(facts) if facts.is_dir() => {}
            Ok(_) => return Ok(Vec::new()),
            Err(source) if is_absence(&source) => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        }
        let mut entries = Vec::new();
        for entry in place.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            // A name that is not UTF-8 cannot be asked for, and sockets and the like are no part of a fleet.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = match kind {
                kind if kind.is_dir() => EntryKind::Directory,
                kind if kind.is_symlink() => EntryKind::Symlink,
                kind if kind.is_file() => EntryKind::File,
                _ => continue,
            };
            entries.push(TreeEntry { name, kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn link(&self, path: &str) -> Result<Option<String>, TreeError> {
        let Some(place) = self.locate(path)? else {
            return Ok(None);
        };
        match place.read_link() {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            // EINVAL: something else is there.
            Err(source) if is_absence(&source) || source.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(source) => Err(TreeError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO put there between the check and the open must not stop the reader.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
