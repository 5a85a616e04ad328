//! Owns what a machine's entry says of its vars besides what it requires: where they lie, what they were made for, and
//! whose commands mend them. It must never read one.

use super::check::PreflightError;
use crate::backend::Backend;
use crate::declared::Declared;
use crate::fleet_kind::FleetKind;
use crate::requirements::Requirement;
use crate::tree::{EntryKind, Tree};
use crate::validation;

/// What is expected of a fleet's directory.
#[derive(Debug, Clone)]
pub struct Expected {
    pub(super) kind: FleetKind,
    pub(super) backend: Option<Backend>,
    declared: Declared,
}

impl Expected {
    /// By an entry: whose commands mend its fleet, where its secrets are, what it declares.
    #[must_use]
    pub fn of_entry(kind: FleetKind, backend: Backend, declared: Option<&Declared>) -> Self {
        Self {
            kind,
            backend: Some(backend),
            declared: declared.cloned().unwrap_or_default(),
        }
    }

    /// Without an entry: what can be told by what lies there.
    pub(super) fn of_tree(tree: &dyn Tree) -> Result<Self, PreflightError> {
        Ok(Self {
            kind: FleetKind::detect(tree).map_err(PreflightError::Tree)?,
            backend: None,
            declared: Declared::default(),
        })
    }

    /// Where a file lies. Without an entry's word, a secret is in the age store where it is there and in no other.
    pub(super) fn path(&self, tree: &dyn Tree, file: &Requirement, machine: &str) -> String {
        if let Some(backend) = &self.backend {
            return backend.path(file, machine);
        }
        let paths = [Backend::Sops, Backend::Age].map(|backend| backend.path(file, machine));
        let [sops, age] = paths;
        if !is_leaf(tree, &sops) && is_leaf(tree, &age) {
            age
        } else {
            sops
        }
    }

    /// The folder, name and declared hash of each generator.
    pub(super) fn validations(&self, machine: &str) -> impl Iterator<Item = (String, &str, Option<&str>)> {
        self.declared.generators.iter().map(move |(name, generator)| {
            let folder = validation::folder(machine, generator.share, name);
            (folder, name.as_str(), generator.validation_hash.as_deref())
        })
    }
}

fn is_leaf(tree: &dyn Tree, path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let entries = tree.list(folder).unwrap_or_default();
    entries
        .iter()
        .any(|entry| entry.name == name && entry.kind != EntryKind::Directory)
}
