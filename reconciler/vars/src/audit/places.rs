//! Owns where values lie in a fleet's directory: every secret and every public value, by its place. It must never
//! read one.

use std::collections::BTreeSet;

use crate::backend::AGE_SECRETS;
use crate::tree::{EntryKind, Tree, TreeError};

/// For whom a value is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// One machine: `vars/per-machine/<m>`.
    Machine(String),
    /// All machines: `vars/shared`.
    Shared,
    /// One of clan's exports: `vars/per-export/<scope>`.
    Export(String),
    /// `sops/secrets`, clan's layout before vars, which also has the private keys of machines.
    Legacy,
}

/// One secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Secret {
    /// The folder that has the file and the links.
    pub(super) folder: String,
    /// The encrypted file.
    pub(super) path: String,
    pub(super) scope: Scope,
    /// The generator, or the secret's name where it has none.
    pub(super) generator: String,
}

/// Everything that lies there.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Secrets of the sops store.
    pub(super) sops: Vec<Secret>,
    /// Secrets of clan's age store, whose links are none.
    pub(super) age: Vec<Secret>,
    /// The folders `vars/…/<generator>/<file>` that have a public value.
    pub(super) values: BTreeSet<String>,
    /// The machines that have a folder of values.
    pub(super) machines: BTreeSet<String>,
}

impl Places {
    pub(super) fn read(tree: &dyn Tree) -> Result<Self, TreeError> {
        let mut places = Self::default();
        for machine in folders(tree, "vars/per-machine")? {
            let folder = format!("vars/per-machine/{machine}");
            places.machines.insert(machine.clone());
            places.read_generators(tree, &folder, &Scope::Machine(machine))?;
        }
        places.read_generators(tree, "vars/shared", &Scope::Shared)?;
        for scope in folders(tree, "vars/per-export")? {
            places.read_generators(
                tree,
                &format!("vars/per-export/{scope}"),
                &Scope::Export(scope.clone()),
            )?;
        }
        for name in folders(tree, "sops/secrets")? {
            let folder = format!("sops/secrets/{name}");
            let has_secret = tree
                .list(&folder)?
                .iter()
                .any(|entry| is_leaf(entry.kind) && entry.name == "secret");
            if has_secret {
                places.sops.push(Secret {
                    path: format!("{folder}/secret"),
                    folder,
                    scope: Scope::Legacy,
                    generator: name,
                });
            }
        }
        for machine in folders(tree, &format!("{AGE_SECRETS}/per-machine"))? {
            let folder = format!("{AGE_SECRETS}/per-machine/{machine}");
            places.machines.insert(machine.clone());
            places.read_age(tree, &folder, &Scope::Machine(machine))?;
        }
        places.read_age(tree, &format!("{AGE_SECRETS}/shared"), &Scope::Shared)?;
        Ok(places)
    }

    fn read_generators(&mut self, tree: &dyn Tree, folder: &str, scope: &Scope) -> Result<(), TreeError> {
        for generator in folders(tree, folder)? {
            for file in folders(tree, &format!("{folder}/{generator}"))? {
                let folder = format!("{folder}/{generator}/{file}");
                for leaf in tree.list(&folder)? {
                    if !is_leaf(leaf.kind) {
                        continue;
                    }
                    match leaf.name.as_str() {
                        "value" => {
                            self.values.insert(folder.clone());
                        }
                        "secret" => self.sops.push(Secret {
                            path: format!("{folder}/secret"),
                            folder: folder.clone(),
                            scope: scope.clone(),
                            generator: generator.clone(),
                        }),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn read_age(&mut self, tree: &dyn Tree, folder: &str, scope: &Scope) -> Result<(), TreeError> {
        for generator in folders(tree, folder)? {
            for file in folders(tree, &format!("{folder}/{generator}"))? {
                let folder = format!("{folder}/{generator}/{file}");
                let name = format!("{file}.age");
                if tree
                    .list(&folder)?
                    .iter()
                    .any(|leaf| is_leaf(leaf.kind) && leaf.name == name)
                {
                    self.age.push(Secret {
                        path: format!("{folder}/{name}"),
                        folder,
                        scope: scope.clone(),
                        generator: generator.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether anything lies at a path that a machine declares.
    pub(super) fn has(&self, path: &str) -> bool {
        let is_value = path
            .strip_suffix("/value")
            .is_some_and(|folder| self.values.contains(folder));
        is_value
            || self
                .sops
                .iter()
                .chain(&self.age)
                .any(|secret| secret.path == path)
    }
}

fn is_leaf(kind: EntryKind) -> bool {
    kind != EntryKind::Directory
}

fn folders(tree: &dyn Tree, path: &str) -> Result<Vec<String>, TreeError> {
    let entries = tree.list(path)?.into_iter();
    let folders = entries.filter(|entry| entry.kind == EntryKind::Directory);
    let mut names: Vec<_> = folders.map(|entry| entry.name).collect();
    names.sort();
    Ok(names)
}
