//! The published map: what was evaluated elsewhere, for machines that do not evaluate.
//!
//! For each system a file of the fleet, or a git note on the commit. It is bound to the tree that it was made of,
//! without itself: so a commit can hold the map of its own content, and a commit that changes nothing of it needs no
//! new one.

use super::entry::{Derivation, Entry, Metadata};
use super::evaluate::read_answer;
use super::evaluate_error::{EvaluateError, UnusableEntry};
use super::scope::{OWN_FOLDER, Scope};
use crate::source::{Revision, TreeError, TreeView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format's version. A map of a newer one is refused.
pub const VERSION: u64 = 1;

/// The file of a system's map, below the flake's folder.
#[must_use]
pub fn file(system: &str) -> String {
    format!("{OWN_FOLDER}/published/{system}.json")
}

/// The ref of a system's maps as git notes. One for each system, so that no two build servers write the same.
#[must_use]
pub fn notes(system: &str) -> String {
    format!("refs/notes/reconciler/{system}")
}

/// A map of one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// [`VERSION`].
    pub version: u64,
    /// The system, as Nix names it.
    pub system: String,
    /// The ids of what was evaluated, by [`Scope`]: the flake's folder and the repository, both without the
    /// agent's own folder.
    pub trees: BTreeMap<Scope, String>,
    /// The machines of that system.
    pub machines: BTreeMap<String, PublishedMachine>,
}

/// What is published of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedMachine {
    /// How much of the repository it depends on.
    pub scope: Scope,
    /// Everything but the toplevel, as `entry.nix` answers it.
    pub metadata: serde_json::Value,
    /// The toplevel's derivation and output, as `entry.nix` answers it.
    pub toplevel: serde_json::Value,
}

/// A map that says nothing of a machine at a commit.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// There is none.
    #[error("there is no {path} in the fleet")]
    Missing {
        /// The file.
        path: String,
    },
    /// There is no note on the commit, and no file that is of its tree.
    #[error("the commit has no note in {notes}, and the fleet no map of its tree")]
    NoNote {
        /// The ref of the notes.
        notes: String,
    },
    /// It was made of another tree.
    #[error("{path} was made of another tree than this commit's")]
    Stale {
        /// The file.
        path: String,
    },
    /// The machine is not in it.
    #[error(transparent)]
    NoMachine(UnusableEntry),
    /// It cannot be had.
    #[error("cannot read {path}")]
    Tree {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// It is none.
    #[error("{path} is no map of this version")]
    Format {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// What it says of the machine is nothing that this version evaluates.
    #[error("cannot read what {path} says of {machine}")]
    Answer {
        /// The file.
        path: String,
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<EvaluateError>,
    },
    /// A newer agent wrote it.
    #[error("{path} has version {found}, and versions up to {VERSION} are known")]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
}

impl PublishedError {
    /// Whether somebody has yet to publish, so that there is nothing wrong but the time.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(
            self,
            PublishedError::Missing { .. } | PublishedError::Stale { .. } | PublishedError::NoNote { .. }
        )
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PublishedError::NoNote { .. } => {
                "run `reconcile publish --note --push` in a checkout of this commit, where the fleet is built"
            }
            PublishedError::Missing { .. } | PublishedError::Stale { .. } | PublishedError::NoMachine(_) => {
                "run `reconcile publish` in a checkout of this commit, where the fleet is built, and push what it writes"
            }
            PublishedError::Format { .. } | PublishedError::Answer { .. } => {
                "publish it anew with this machine's version of reconcile"
            }
            PublishedError::Newer { .. } => "upgrade reconcile on this machine",
            PublishedError::Tree { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// A map as it was found.
#[derive(Debug)]
pub struct Found {
    /// Where: a file of the fleet, or a ref of notes.
    pub path: String,
    /// It, unread.
    pub bytes: Vec<u8>,
}

/// The fleet's file for a system.
pub fn in_file(view: &TreeView<'_>, directory: &str, system: &str) -> Result<Found, PublishedError> {
    let path = match directory {
        "" => file(system),
        _ => format!("{directory}/{}", file(system)),
    };
    match view.read(&path) {
        Ok(bytes) => Ok(Found { path, bytes }),
        Err(TreeError::NotFound { .. }) => Err(PublishedError::Missing { path }),
        Err(source) => Err(PublishedError::Tree { path, source }),
    }
}

/// Reads what a map says of `machine` at `revision`, whose tree is `view`.
pub fn read(
    found: &Found,
    view: &TreeView<'_>,
    directory: &str,
    machine: &str,
    revision: Revision,
) -> Result<(Entry, Derivation), PublishedError> {
    let (path, bytes) = (found.path.clone(), &found.bytes);
    let format = |source| PublishedError::Format {
        path: path.clone(),
        source,
    };
    let Version { version } = serde_json::from_slice(bytes).map_err(format)?;
    if version > VERSION {
        return Err(PublishedError::Newer { path, found: version });
    }
    let map: Published = serde_json::from_slice(bytes).map_err(format)?;
    let Some(found) = map.machines.get(machine) else {
        // An older map may not have it yet.
        if !map.fits(view, directory, Scope::Repository, &path)? {
            return Err(PublishedError::Stale { path });
        }
        let machines: Vec<String> = map.machines.into_keys().collect();
        return Err(PublishedError::NoMachine(UnusableEntry::no_machine(
            machine.to_owned(),
            &machines,
        )));
    };
    if !map.fits(view, directory, found.scope, &path)? {
        return Err(PublishedError::Stale { path });
    }
    let answer = |source| PublishedError::Answer {
        path: path.clone(),
        machine: machine.to_owned(),
        source: Box::new(source),
    };
    let metadata = found.metadata.to_string();
    let metadata: Metadata = read_answer(&metadata, directory, machine).map_err(answer)?;
    let toplevel = found.toplevel.to_string();
    let toplevel: Derivation = read_answer(&toplevel, directory, machine).map_err(answer)?;
    Ok((Entry::of(revision, metadata), toplevel))
}

#[derive(Debug, Deserialize)]
struct Version {
    version: u64,
}

impl Published {
    /// Reads one that was written here or elsewhere; what cannot be read is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Published> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether it was made of these trees, as far as its machines depend on them.
    #[must_use]
    pub fn is_of(&self, trees: &BTreeMap<Scope, String>) -> bool {
        let same = |scope: &Scope| self.trees.get(scope) == trees.get(scope);
        // A map without a machine says nothing of how far it depends on anything.
        self.version == VERSION
            && match self.machines.is_empty() {
                true => self.trees == *trees,
                false => self.machines.values().all(|machine| same(&machine.scope)),
            }
    }

    /// Whether it was made of what `view` holds, as far as `scope` goes.
    fn fits(
        &self,
        view: &TreeView<'_>,
        directory: &str,
        scope: Scope,
        path: &str,
    ) -> Result<bool, PublishedError> {
        let tree = scope
            .tree(view, directory)
            .map_err(|source| PublishedError::Tree {
                path: path.to_owned(),
                source,
            })?;
        Ok(self.trees.get(&scope) == Some(&tree.to_string()))
    }
}
