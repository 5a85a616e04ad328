//! The files of one commit, below one directory, without a checkout.
//!
//! Links are told, never followed; submodules are told, never fetched.

use std::fmt;

use git2::{Oid, Repository, Tree};

/// git's mode of an executable file (`gitformat-index(5)`).
const EXECUTABLE: i32 = 0o100_755;
const REGULAR: i32 = 0o100_644;
/// Written by very old versions of git; read as 0644 by all.
const REGULAR_GROUP: i32 = 0o100_664;
const SYMLINK: i32 = 0o120_000;
const DIRECTORY: i32 = 0o040_000;
const GITLINK: i32 = 0o160_000;

/// What went wrong in a tree. Paths are relative to the directory the view is of.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nothing is there.
    #[error("there is no {path:?}")]
    NotFound {
        /// The path.
        path: String,
    },
    /// Something else is there.
    #[error("{path:?} is a {found}")]
    Kind {
        /// The path.
        path: String,
        /// What it is.
        found: EntryKind,
    },
    /// A name that no file system or archive should see.
    #[error("the tree {tree} has an entry with the name {name:?}")]
    Name {
        /// The tree.
        tree: Oid,
        /// The name.
        name: String,
    },
    /// A mode that git does not write.
    #[error("the tree {tree} has an entry {name:?} of mode {mode:o}")]
    Mode {
        /// The tree.
        tree: Oid,
        /// The name.
        name: String,
        /// The mode.
        mode: i32,
    },
    /// An object is missing or damaged.
    #[error("cannot read the object {oid}")]
    Object {
        /// Which.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    Regular,
    /// A file that may be run.
    Executable,
    /// A symbolic link; its content is the target.
    Symlink,
    /// A submodule's commit, which the mirror does not have.
    Gitlink,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Regular => "file",
            Self::Executable => "executable file",
            Self::Symlink => "symbolic link",
            Self::Gitlink => "submodule",
        })
    }
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name: not empty, no `/`, no NUL, not `.`, `..` or `.git`.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The object.
    pub oid: Oid,
}

/// A directory of a commit.
pub struct TreeView<'mirror> {
    repository: &'mirror Repository,
    pub(super) tree: Tree<'mirror>,
}

impl fmt::Debug for TreeView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TreeView").field(&self.tree.id()).finish()
    }
}

impl<'mirror> TreeView<'mirror> {
    pub(super) fn new(repository: &'mirror Repository, tree: Tree<'mirror>) -> Self {
        Self { repository, tree }
    }

    /// The tree's own id: equal ids are equal content.
    pub fn oid(&self) -> Oid {
        self.tree.id()
    }

    /// The entry at `path`, whose parts are separated by `/`; `None` if nothing is there. The empty path has no
    /// entry.
    ///
    /// # Errors
    /// If an object on the way is missing or damaged.
    pub fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let mut tree = self.tree.clone();
        while let Some(part) = parts.next() {
            let Some(entry) = tree
                .get_name(part)
                .map(|entry| read_entry(tree.id(), &entry))
                .transpose()?
            else {
                return Ok(None);
            };
            if parts.peek().is_none() {
                return Ok(Some(entry));
            }
            if entry.kind != EntryKind::Directory {
                return Ok(None);
            }
            tree = self.find_tree(entry.oid)?;
        }
        Ok(None)
    }

    /// The directory at `path`; the empty path is this one.
    ///
    /// # Errors
    /// [`TreeError::NotFound`] or [`TreeError::Kind`] if there is no directory.
    pub fn directory(&self, path: &str) -> Result<Self, TreeError> {
        if path.split('/').all(str::is_empty) {
            return Ok(Self {
                repository: self.repository,
                tree: self.tree.clone(),
            });
        }
        match self.entry(path)? {
            None => Err(TreeError::NotFound {
                path: path.to_owned(),
            }),
            Some(Entry {
                kind: EntryKind::Directory,
                oid,
                ..
            }) => self.at(oid),
            Some(Entry { kind, .. }) => Err(TreeError::Kind {
                path: path.to_owned(),
                found: kind,
            }),
        }
    }

    /// The directory of an entry's object.
    pub(super) fn at(&self, oid: Oid) -> Result<Self, TreeError> {
        Ok(Self {
            repository: self.repository,
            tree: self.find_tree(oid)?,
        })
    }

    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// [`TreeError::NotFound`] or [`TreeError::Kind`] if there is no file; a link is not followed.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        match self.entry(path)? {
            None => Err(TreeError::NotFound {
                path: path.to_owned(),
            }),
            Some(Entry {
                kind: EntryKind::Regular | EntryKind::Executable,
                oid,
                ..
            }) => self.blob(oid),
            Some(Entry { kind, .. }) => Err(TreeError::Kind {
                path: path.to_owned(),
                found: kind,
            }),
        }
    }

    /// The bytes of an entry's object: a file's content or a link's target.
    ///
    /// # Errors
    /// If it is not here or is no blob.
    pub fn blob(&self, oid: Oid) -> Result<Vec<u8>, TreeError> {
        self.with_blob(oid, <[u8]>::to_vec)
    }

    /// Lends the bytes of an entry's object, without a copy.
    ///
    /// # Errors
    /// If it is not here or is no blob.
    pub fn with_blob<T>(&self, oid: Oid, read: impl FnOnce(&[u8]) -> T) -> Result<T, TreeError> {
        let blob = self
            .repository
            .find_blob(oid)
            .map_err(|source| TreeError::Object { oid, source })?;
        Ok(read(blob.content()))
    }

    /// The entries, sorted by the bytes of their names as the NAR format wants them. git itself sorts
    /// directories as if their names ended in `/`.
    ///
    /// # Errors
    /// [`TreeError::Name`] or [`TreeError::Mode`] for entries that git does not write.
    pub fn entries(&self) -> Result<Vec<Entry>, TreeError> {
        let tree = self.tree.id();
        let mut entries = self
            .tree
            .iter()
            .map(|entry| read_entry(tree, &entry))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let duplicate = entries.windows(2).find_map(|pair| match pair {
            [a, b] if a.name == b.name => Some(shown(&a.name)),
            _ => None,
        });
        match duplicate {
            Some(name) => Err(TreeError::Name { tree, name }),
            None => Ok(entries),
        }
    }

    fn find_tree(&self, oid: Oid) -> Result<Tree<'mirror>, TreeError> {
        self.repository
            .find_tree(oid)
            .map_err(|source| TreeError::Object { oid, source })
    }
}

fn read_entry(tree: Oid, entry: &git2::TreeEntry<'_>) -> Result<Entry, TreeError> {
    let name = entry.name_bytes();
    let forbidden = name.is_empty()
        || name == b"."
        || name == b".."
        || name.eq_ignore_ascii_case(b".git")
        || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if forbidden {
        return Err(TreeError::Name {
            tree,
            name: shown(name),
        });
    }
    let kind = match entry.filemode_raw() {
        REGULAR | REGULAR_GROUP => EntryKind::Regular,
        EXECUTABLE => EntryKind::Executable,
        SYMLINK => EntryKind::Symlink,
        DIRECTORY => EntryKind::Directory,
        GITLINK => EntryKind::Gitlink,
        mode => {
            return Err(TreeError::Mode {
                tree,
                name: shown(name),
                mode,
            });
        }
    };
    Ok(Entry {
        name: name.to_owned(),
        kind,
        oid: entry.id(),
    })
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
