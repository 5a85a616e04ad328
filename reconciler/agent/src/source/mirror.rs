//! The bare mirror of the fleet: what was fetched, and what must not be collected.
//!
//! `refs/remotes/fleet/<branch>` is where the branch was last seen; `refs/reconciler/generations/<n>` keeps
//! what is deployed. Never fetches and never judges.

use std::{fmt, fs, io};

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, RepositoryInitOptions, Sort};

use super::{commit::CommitInfo, tree::TreeView, trust::Relation};

/// The folder of the fleet's branches in the mirror.
pub(super) const TRACKING: &str = "refs/remotes/fleet/";
const GENERATIONS: &str = "refs/reconciler/generations/";
/// Of `Repository::reference`: a generation that was made again points to its new commit.
const OVERWRITE: bool = true;
/// Fewer digits are no abbreviation to git.
const SHORTEST: usize = 4;

/// What went wrong with the mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is something at the mirror's place that is no whole repository; [`Mirror::recreate`] repairs it.
    #[error("the mirror {path} is damaged")]
    Corrupt {
        /// Where.
        path: Utf8PathBuf,
        /// How it showed.
        #[source]
        source: git2::Error,
    },
    /// The mirror cannot be made.
    #[error("cannot create the mirror {path}")]
    Create {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// The damaged mirror cannot be removed.
    #[error("cannot remove the damaged mirror {path}")]
    Remove {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The commit is not in the mirror, or is not whole.
    #[error("cannot read commit {oid}")]
    Commit {
        /// Which.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// No commit goes by this name.
    #[error("there is no commit {name:?} in the mirror")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Several commits start with these digits.
    #[error("{name:?} is ambiguous: it may be {}", .candidates.iter().map(Oid::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The digits.
        name: String,
        /// The commits.
        candidates: Vec<Oid>,
    },
    /// A name cannot be looked up.
    #[error("cannot look up {name:?} in the mirror")]
    Lookup {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// The history cannot be walked.
    #[error("cannot walk the history of {oid}")]
    History {
        /// From where.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A generation's ref cannot be written or removed.
    #[error("cannot keep the commit of generation {generation}")]
    Pin {
        /// Which generation.
        generation: u64,
        /// Why.
        #[source]
        source: git2::Error,
    },
}

/// An open mirror. Cheap to open; not shared between threads.
pub struct Mirror {
    repository: Repository,
    path: Utf8PathBuf,
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
        let empty = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
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

    /// What was fetched last can be read: the least that makes the next fetch right, for it builds on it.
    fn check(&self) -> Result<(), git2::Error> {
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

    fn find(&self, oid: Oid) -> Result<Commit<'_>, MirrorError> {
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

    /// How many commits `oid` and its ancestors are: Nix's `revCount`. Walks the whole history.
    ///
    /// # Errors
    /// If a commit is missing.
    pub fn rev_count(&self, oid: Oid) -> Result<usize, MirrorError> {
        self.commits_since(oid, None).map(|commits| commits.len())
    }

    /// The commits that `head` has and `base` has not, ancestors last.
    ///
    /// # Errors
    /// If a commit is missing.
    pub fn commits_since(&self, head: Oid, base: Option<Oid>) -> Result<Vec<Oid>, MirrorError> {
        let walk = || {
            let mut walk = self.repository.revwalk()?;
            walk.set_sorting(Sort::TOPOLOGICAL)?;
            walk.push(head)?;
            if let Some(base) = base {
                walk.hide(base)?;
            }
            walk.collect::<Result<Vec<Oid>, git2::Error>>()
        };
        walk().map_err(|source| MirrorError::History { oid: head, source })
    }

    /// The armored signature of a commit and the bytes it signs; `None` if it is not signed.
    ///
    /// # Errors
    /// If the commit is not here.
    pub fn signature(&self, oid: Oid) -> Result<Option<(Vec<u8>, Vec<u8>)>, MirrorError> {
        match self.repository.extract_signature(&oid, None) {
            Ok((signature, signed)) => Ok(Some((signature.to_vec(), signed.to_vec()))),
            Err(_) if self.contains(oid) => Ok(None),
            Err(source) => Err(MirrorError::Commit { oid, source }),
        }
    }

    /// How `commit` stands to `other`. A commit that is not here is related to nothing.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn relation(&self, commit: Oid, other: Oid) -> Result<Relation, MirrorError> {
        if commit == other {
            return Ok(Relation::Same);
        }
        if !self.contains(commit) || !self.contains(other) {
            return Ok(Relation::Diverged);
        }
        let descends = |commit, ancestor| {
            self.repository
                .graph_descendant_of(commit, ancestor)
                .map_err(|source| MirrorError::History { oid: commit, source })
        };
        Ok(if descends(commit, other)? {
            Relation::Descendant
        } else if descends(other, commit)? {
            Relation::Ancestor
        } else {
            Relation::Diverged
        })
    }

    /// Finds the commit that a person named: an id or its first digits, the branch, or git's `~` and `^`.
    ///
    /// # Errors
    /// [`MirrorError::Ambiguous`] if the digits fit several commits, [`MirrorError::Unknown`] if nothing fits.
    pub fn resolve(&self, name: &str) -> Result<Oid, MirrorError> {
        let lookup = |source| MirrorError::Lookup {
            name: name.to_owned(),
            source,
        };
        let tracking = format!("fleet/{name}");
        for candidate in [name, tracking.as_str()] {
            match self
                .repository
                .revparse_single(candidate)
                .and_then(|object| object.peel_to_commit())
            {
                Ok(commit) => return Ok(commit.id()),
                Err(error) if error.code() == ErrorCode::Ambiguous => return self.resolve_digits(name),
                Err(error) if is_no_such_commit(&error) => {}
                Err(error) => return Err(lookup(error)),
            }
        }
        Err(MirrorError::Unknown {
            name: name.to_owned(),
        })
    }

    /// Several objects fit; git takes the only commit among them.
    fn resolve_digits(&self, name: &str) -> Result<Oid, MirrorError> {
        let lookup = |source| MirrorError::Lookup {
            name: name.to_owned(),
            source,
        };
        let digits: String = name.chars().take_while(char::is_ascii_hexdigit).collect();
        let suffix = name.get(digits.len()..).unwrap_or_default();
        let digits = digits.to_ascii_lowercase();
        let odb = self.repository.odb().map_err(lookup)?;
        let mut fitting = Vec::new();
        odb.foreach(|oid| {
            if digits.len() >= SHORTEST && oid.to_string().starts_with(&digits) {
                fitting.push(*oid);
            }
            true
        })
        .map_err(lookup)?;
        fitting.retain(|oid| {
            odb.read_header(*oid)
                .is_ok_and(|(_, kind)| kind == ObjectType::Commit)
        });
        fitting.sort();
        fitting.dedup();
        match fitting.as_slice() {
            [] => Err(MirrorError::Unknown {
                name: name.to_owned(),
            }),
            [only] => {
                let found = self.repository.revparse_single(&format!("{only}{suffix}"));
                found
                    .and_then(|object| object.peel_to_commit())
                    .map(|commit| commit.id())
                    .map_err(lookup)
            }
            _ => Err(MirrorError::Ambiguous {
                name: name.to_owned(),
                candidates: fitting,
            }),
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

    /// Keeps the commit of a generation, wherever the branch goes.
    ///
    /// # Errors
    /// If the commit is not here or the ref cannot be written.
    pub fn pin(&self, generation: u64, commit: Oid) -> Result<(), MirrorError> {
        self.find(commit)?;
        self.repository
            .reference(
                &format!("{GENERATIONS}{generation}"),
                commit,
                OVERWRITE,
                "keep a generation",
            )
            .map(|_| ())
            .map_err(|source| MirrorError::Pin { generation, source })
    }

    /// Lets the commit of a generation go. One that is not kept is no error.
    ///
    /// # Errors
    /// If the ref cannot be removed.
    pub fn unpin(&self, generation: u64) -> Result<(), MirrorError> {
        let removed = self
            .repository
            .find_reference(&format!("{GENERATIONS}{generation}"))
            .and_then(|mut reference| reference.delete());
        match removed {
            Err(error) if error.code() != ErrorCode::NotFound => Err(MirrorError::Pin {
                generation,
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The generations that are kept, and their commits.
    ///
    /// # Errors
    /// If the refs cannot be listed.
    pub fn pins(&self) -> Result<Vec<(u64, Oid)>, MirrorError> {
        let corrupt = |source| MirrorError::Corrupt {
            path: self.path.clone(),
            source,
        };
        let mut pins = Vec::new();
        for reference in self
            .repository
            .references_glob(&format!("{GENERATIONS}*"))
            .map_err(corrupt)?
        {
            let reference = reference.map_err(corrupt)?;
            let generation = reference
                .name()
                .ok()
                .and_then(|name| name.strip_prefix(GENERATIONS)?.parse().ok());
            pins.extend(generation.zip(reference.target()));
        }
        pins.sort();
        Ok(pins)
    }
}

fn is_no_such_commit(error: &git2::Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::Peel
    )
}
