//! A folder that a person works in, as one tree: what git tracks there, with what is changed and not committed. Or a
//! commit of its repository. Never writes into the repository, and never looks at what git does not track.

use super::tree::TreeView;
use camino::{Utf8Path, Utf8PathBuf};
use git2::{ErrorCode, Oid, Repository, StatusOptions};
use std::fmt;

/// Before any other store of objects, so that nothing is written to one on a disk.
const FIRST: i32 = 1000;

/// A checkout that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The repository cannot be opened.
    #[error("cannot open the git repository of {folder}")]
    Open {
        /// The folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// It is a repository without a folder to work in.
    #[error("{folder} belongs to a bare repository, which has no files of its own")]
    Bare {
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// What is in the folder cannot be read.
    #[error("cannot read what git tracks in {root}")]
    Index {
        /// The repository's root.
        root: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// There is no such commit.
    #[error("there is no revision {revision:?} in {root}")]
    Revision {
        /// What was asked for.
        revision: String,
        /// The repository's root.
        root: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
}

/// Which tree of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// What lies in the folder now.
    Now,
    /// A commit, by any name that git knows.
    At(&'a str),
}

/// A tree of a repository.
pub struct Checkout {
    repository: Repository,
    root: Utf8PathBuf,
    tree: Oid,
    commit: Option<Oid>,
}

impl fmt::Debug for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkout")
            .field("root", &self.root)
            .field("tree", &self.tree)
            .field("commit", &self.commit)
            .finish_non_exhaustive()
    }
}

impl Checkout {
    /// The repository that `folder`, an absolute path, lies in; `None` where it lies in none.
    ///
    /// # Errors
    /// If the repository cannot be read, or has no such commit.
    pub fn open(folder: &Utf8Path, moment: Moment<'_>) -> Result<Option<Self>, CheckoutError> {
        let repository = match Repository::discover(folder) {
            Ok(repository) => repository,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(source) => {
                let folder = folder.to_owned();
                return Err(CheckoutError::Open { folder, source });
            }
        };
        let root = match (repository.workdir(), moment) {
            (Some(root), _) => Utf8Path::from_path(root).map(Utf8Path::to_owned),
            // A bare one has commits all the same.
            (None, Moment::At(_)) => Utf8Path::from_path(repository.path()).map(Utf8Path::to_owned),
            (None, Moment::Now) => None,
        };
        // libgit2 ends it with a slash.
        let root = root.map(|root| root.components().collect::<Utf8PathBuf>());
        let Some(root) = root else {
            return Err(CheckoutError::Bare {
                folder: folder.to_owned(),
            });
        };
        let (tree, commit) = match moment {
            Moment::Now => {
                let tree = now(&repository).map_err(|source| CheckoutError::Index {
                    root: root.clone(),
                    source,
                })?;
                (tree, None)
            }
            Moment::At(revision) => at(&repository, revision).map_err(|source| CheckoutError::Revision {
                revision: revision.to_owned(),
                root: root.clone(),
                source,
            })?,
        };
        Ok(Some(Self {
            repository,
            root,
            tree,
            commit,
        }))
    }

    /// The root of the repository.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Git's own folder: what a [`Mirror`](super::Mirror) reads.
    #[must_use]
    pub fn repository(&self) -> &Utf8Path {
        Utf8Path::from_path(self.repository.path()).unwrap_or(&self.root)
    }

    /// The commit, where one was asked for.
    #[must_use]
    pub fn commit(&self) -> Option<Oid> {
        self.commit
    }

    /// Its files.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn tree(&self) -> Result<TreeView<'_>, CheckoutError> {
        let tree = self.repository.find_tree(self.tree);
        let tree = tree.map_err(|source| CheckoutError::Index {
            root: self.root.clone(),
            source,
        })?;
        Ok(TreeView::new(&self.repository, tree))
    }

    /// The files below some folders of the repository that git neither tracks nor ignores.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn untracked(&self, folders: &[String]) -> Result<Vec<String>, CheckoutError> {
        if self.commit.is_some() {
            return Ok(Vec::new());
        }
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .include_ignored(false)
            .disable_pathspec_match(true);
        for folder in folders {
            options.pathspec(folder);
        }
        let statuses = self.repository.statuses(Some(&mut options));
        let statuses = statuses.map_err(|source| CheckoutError::Index {
            root: self.root.clone(),
            source,
        })?;
        let untracked = statuses.iter().filter(|entry| entry.status().is_wt_new());
        let mut paths: Vec<String> = untracked
            .map(|entry| String::from_utf8_lossy(entry.path_bytes()).into_owned())
            .collect();
        paths.sort();
        Ok(paths)
    }
}

/// The tree of what is tracked, as it lies there: made in memory.
fn now(repository: &Repository) -> Result<Oid, git2::Error> {
    let objects = repository.odb()?;
    objects.add_new_mempack_backend(FIRST)?;
    let mut index = repository.index()?;
    index.update_all(["*"], None)?;
    // The index itself is not written.
    index.write_tree_to(repository)
}

fn at(repository: &Repository, revision: &str) -> Result<(Oid, Option<Oid>), git2::Error> {
    let commit = repository.revparse_single(revision)?.peel_to_commit()?;
    Ok((commit.tree_id(), Some(commit.id())))
}
