//! How much of the repository an evaluation is given.
//!
//! Where the flake lies in a folder, it is given that folder alone, at its place, so that a commit elsewhere
//! changes nothing for it. A flake that reaches out of its folder is given the whole repository, as Nix does.

use super::reach;
use crate::source::{EntryKind, Oid, Step, TreeError, TreeView, WalkError};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The folder beside `flake.nix` that is the agent's: no evaluation is given it.
pub(super) const OWN_FOLDER: &str = ".reconciler";

/// How much of the repository is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The flake's folder, and nothing beside it.
    Directory,
    /// All of it.
    Repository,
}

impl Scope {
    /// Its name in keys and maps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Directory => "directory",
            Scope::Repository => "repository",
        }
    }

    /// Those in which a flake in `directory` may be evaluated, the narrower first.
    #[must_use]
    pub fn of(directory: &str) -> &'static [Scope] {
        match directory {
            "" => &[Scope::Repository],
            _ => &[Scope::Directory, Scope::Repository],
        }
    }

    /// The id of what is given: the same id is the same content, at whatever commit.
    pub fn tree(self, view: &TreeView<'_>, directory: &str) -> Result<Oid, TreeError> {
        match self {
            Scope::Directory => view.directory(directory)?.oid_without(OWN_FOLDER),
            Scope::Repository => view.oid_without(&below(directory, OWN_FOLDER)),
        }
    }

    /// Whether `path`, of the repository, is given.
    #[must_use]
    pub fn holds(self, path: &[u8], directory: &str) -> bool {
        let own = below(directory, OWN_FOLDER);
        if within(path, own.as_bytes()) {
            return false;
        }
        match self {
            Scope::Repository => true,
            // On the way to the folder, or in it.
            Scope::Directory => within(directory.as_bytes(), path) || within(path, directory.as_bytes()),
        }
    }
}

/// Whether the flake in `directory` plainly names something outside of it: in a path of its Nix files, in a
/// link, in its lock.
pub fn reaches_out(view: &TreeView<'_>, directory: &str) -> Result<bool, TreeError> {
    let view = view.directory(directory)?;
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut out = false;
    let walked = view.walk(|step| -> Result<(), WalkError<Infallible>> {
        match step {
            Step::Enter(entry) => path.push(entry.name.clone()),
            Step::Leave => {
                path.pop();
            }
            Step::Leaf(_) if out => {}
            Step::Leaf(entry) => {
                let name = String::from_utf8_lossy(&entry.name);
                out = match entry.kind {
                    EntryKind::Symlink => reach::link(path.len(), &view.blob(entry.oid)?),
                    EntryKind::Regular | EntryKind::Executable if name.ends_with(".nix") => {
                        view.with_blob(entry.oid, |text| reach::nix(path.len(), text))?
                    }
                    EntryKind::Regular if path.is_empty() && name == "flake.lock" => {
                        view.with_blob(entry.oid, reach::lock)?
                    }
                    _ => false,
                };
            }
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(out),
        Err(WalkError::Tree(error) | WalkError::Visitor(WalkError::Tree(error))) => Err(error),
        Err(WalkError::Visitor(WalkError::Visitor(never))) => match never {},
    }
}

fn below(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

/// Whether `path` is `folder` or lies below it.
fn within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given() {
        let table = [
            (Scope::Repository, "", "flake.nix", true),
            (Scope::Repository, "", ".reconciler", false),
            (Scope::Repository, "", ".reconciler/published/x.json", false),
            (Scope::Repository, "", ".reconcilers", true),
            (Scope::Repository, "a/b", "a/b/.reconciler", false),
            (Scope::Repository, "a/b", ".reconciler", true),
            (Scope::Directory, "a/b", "a", true),
            (Scope::Directory, "a/b", "a/b", true),
            (Scope::Directory, "a/b", "a/b/flake.nix", true),
            (Scope::Directory, "a/b", "a/b/.reconciler", false),
            (Scope::Directory, "a/b", "a/c", false),
            (Scope::Directory, "a/b", "a/bc", false),
            (Scope::Directory, "a/b", "README.md", false),
        ];
        for (scope, directory, path, given) in table {
            assert_eq!(
                scope.holds(path.as_bytes(), directory),
                given,
                "{scope:?} of {directory:?}: {path}"
            );
        }
    }
}
