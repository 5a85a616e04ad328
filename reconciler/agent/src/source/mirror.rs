//! The bare mirror of the fleet: what was fetched, and what must not be collected.
//!
//! `refs/remotes/fleet/<branch>` is where the branch was last seen; `refs/reconciler/generations/<n>` keeps
//! what is deployed. Never fetches and never judges.

use std::{
    fmt,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
};

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Commit, Oid, Repository, RepositoryInitOptions};

use super::{
    commit::{CommitInfo, CommitSignature},
    mirror_error::MirrorError,
    tree::TreeView,
};

/// The folder of the fleet's branches in the mirror.
pub(super) const TRACKING: &str = "refs/remotes/fleet/";
/// The fleet may be a private repository.
const PRIVATE: u32 = 0o700;

/// An open mirror. Cheap to open; not shared between threads.
pub struct Mirror {
    pub(super) repository: Repository,
    pub(super) path: Utf8PathBuf,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Mirror {
    /// Opens the mirror, or makes an empty one where nothing is.
    ///
    /// # Errors
    /// [`MirrorError::Corrupt`] where something is that cannot be read, or whose fetched commits are missing.
    pub fn open_or_create(path: &Utf8Path) -> Result<Self, MirrorError> {
        let empty = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if empty {
            Self::create(path)
        } else {
            Self::open(path)
        }
    }

    /// Removes whatever is at the mirror's place and makes an empty one. Everything of the fleet's branch can be
    /// fetched again; commits that are no longer on it cannot.
    ///
    /// # Errors
    /// If the place cannot be cleared or written.
    pub fn recreate(path: &Utf8Path) -> Result<Self, MirrorError> {
        let remove = |source| MirrorError::Remove {
            path: path.to_owned(),
            source,
        };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(remove(error)),
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).map_err(remove)?,
            Ok(_) => fs::remove_file(path).map_err(remove)?,
        }
        Self::create(path)
    }

    fn create(path: &Utf8Path) -> Result<Self, MirrorError> {
        let create = |source| MirrorError::Create {
            path: path.to_owned(),
            source,
        };
        let mut options = RepositoryInitOptions::new();
        options
            .bare(true)
            .mkpath(true)
            .external_template(false)
            .initial_head("fleet");
        let repository = Repository::init_opts(path, &options).map_err(create)?;
        fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(|source| {
            MirrorError::Protect {
                path: path.to_owned(),
                source,
            }
        })?;
        let mut config = repository.config().map_err(create)?;
        // A power cut must not leave a ref that points to nothing.
        config.set_bool("core.fsyncObjectFiles", true).map_err(create)?;
        Ok(Self {
            repository,
            path: path.to_owned(),
        })
    }

    fn open(path: &Utf8Path) -> Result<Self, MirrorError> {
        let corrupt = |source| MirrorError::Corrupt {
            path: path.to_owned(),
            source,
        };
        let repository = Repository::open_bare(path).map_err(corrupt)?;
        let mirror = Self {
            repository,
            path: path.to_owned(),
        };
        mirror.check().map_err(corrupt)?;
        Ok(mirror)
    }

    /// Opens any repository to be read, a checkout included.
    ///
    /// # Errors
    /// [`MirrorError::Corrupt`] where there is none.
    pub fn of(path: &Utf8Path) -> Result<Self, MirrorError> {
        let repository = Repository::open(path).map_err(|source| MirrorError::Corrupt {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            repository,
            path: path.to_owned(),
        })
    }

    /// What was fetched last can be read: the least that makes the next fetch right, for it builds on it.
    fn check(&self) -> Result<(), git2::Error> {
        // It names a branch that need not exist; an empty one is what a power cut leaves, and no fetch takes it.
        self.repository.find_reference("HEAD")?;
        for reference in self.repository.references_glob(&format!("{TRACKING}*"))? {
            reference?.peel_to_commit()?.tree()?;
        }
        Ok(())
    }

    /// Where the mirror is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Where the branch was when it was last fetched.
    pub fn head(&self, branch: &str) -> Option<Oid> {
        self.repository.refname_to_id(&format!("{TRACKING}{branch}")).ok()
    }

    /// Whether the commit is here.
    pub fn contains(&self, oid: Oid) -> bool {
        self.repository.find_commit(oid).is_ok()
    }

    pub(super) fn find(&self, oid: Oid) -> Result<Commit<'_>, MirrorError> {
        self.repository
            .find_commit(oid)
            .map_err(|source| MirrorError::Commit { oid, source })
    }

    /// Reads a commit.
    ///
    /// # Errors
    /// If it is not here.
    pub fn commit(&self, oid: Oid) -> Result<CommitInfo, MirrorError> {
        self.find(oid).map(|commit| CommitInfo::of(&commit))
    }

    /// A commit's signature; `None` if it is not signed.
    ///
    /// # Errors
    /// If the commit is not here.
    pub fn signature(&self, oid: Oid) -> Result<Option<CommitSignature>, MirrorError> {
        match self.repository.extract_signature(&oid, None) {
            Ok((armored, signed)) => Ok(Some(CommitSignature {
                armored: armored.to_vec(),
                signed: signed.to_vec(),
            })),
            Err(_) if self.contains(oid) => Ok(None),
            Err(source) => Err(MirrorError::Commit { oid, source }),
        }
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// If the commit or its tree is not here.
    pub fn tree(&self, commit: Oid) -> Result<TreeView<'_>, MirrorError> {
        let tree = self
            .find(commit)?
            .tree()
            .map_err(|source| MirrorError::Commit { oid: commit, source })?;
        Ok(TreeView::new(&self.repository, tree))
    }
}
