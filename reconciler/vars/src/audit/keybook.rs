//! Owns who the fleet's machines, people and groups are, and what their keys are. It must never look at a secret.

use std::collections::{BTreeMap, BTreeSet};

use super::defect::Defect;
use super::finding::Finding;
use super::public_key::{KeyFileError, PublicKey, parse_key_file};
use super::resolve::{Place, resolve};
use crate::backend::AGE_KEYS;
use crate::readers::ReaderKind;
use crate::tree::{EntryKind, Tree, TreeError};

/// One who may have keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// Machine or person.
    pub kind: ReaderKind,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// All keys and groups of a fleet.
#[derive(Debug, Default)]
pub(super) struct KeyBook {
    /// The keys of each; none where its key file is broken, which is a finding of its own.
    keys: BTreeMap<Holder, Vec<PublicKey>>,
    /// Those who have a key.
    holders: BTreeMap<PublicKey, BTreeSet<Holder>>,
    /// The members of each group.
    groups: BTreeMap<String, BTreeSet<Holder>>,
    /// The keys of machines in clan's age store.
    age_store: BTreeMap<String, PublicKey>,
}

/// What a link stands for.
pub(super) enum Linked {
    /// The one that it names.
    Holder(Holder),
    /// Nobody, and why.
    Defect(Defect),
}

impl KeyBook {
    /// Reads `sops/{machines,users,groups}` and the keys of clan's age store.
    pub(super) fn read(tree: &dyn Tree, findings: &mut Vec<Finding>) -> Result<Self, TreeError> {
        let mut book = Self::default();
        for kind in [ReaderKind::Machine, ReaderKind::User] {
            let folder = format!("sops/{}", kind.folder());
            for entry in tree.list(&folder)? {
                if entry.kind == EntryKind::Directory {
                    book.read_holder(
                        tree,
                        &folder,
                        Holder {
                            kind,
                            name: entry.name,
                        },
                        findings,
                    )?;
                }
            }
        }
        for entry in tree.list("sops/groups")? {
            if entry.kind == EntryKind::Directory {
                book.read_group(tree, entry.name, findings)?;
            }
        }
        for entry in tree.list(AGE_KEYS)? {
            if entry.kind == EntryKind::Directory {
                book.read_age_store(tree, entry.name, findings)?;
            }
        }
        Ok(book)
    }

    fn read_holder(
        &mut self,
        tree: &dyn Tree,
        folder: &str,
        holder: Holder,
        findings: &mut Vec<Finding>,
    ) -> Result<(), TreeError> {
        let path = format!("{folder}/{}/key.json", holder.name);
        let keys = match read(tree, &path)? {
            None => Err(Defect::NoKey {
                holder: holder.clone(),
            }),
            Some(bytes) => parse_key_file(&bytes).map_err(Defect::KeyFile),
        };
        let keys = keys.unwrap_or_else(|defect| {
            findings.push(Finding::of_holder(path, &holder, defect));
            Vec::new()
        });
        for key in &keys {
            self.holders
                .entry(key.clone())
                .or_default()
                .insert(holder.clone());
        }
        self.keys.insert(holder, keys);
        Ok(())
    }

    fn read_group(
        &mut self,
        tree: &dyn Tree,
        name: String,
        findings: &mut Vec<Finding>,
    ) -> Result<(), TreeError> {
        let mut members = BTreeSet::new();
        for kind in [ReaderKind::Machine, ReaderKind::User] {
            let folder = format!("sops/groups/{name}/{}", kind.folder());
            for entry in tree.list(&folder)? {
                let path = format!("{folder}/{}", entry.name);
                match self.linked(tree, &folder, kind, &entry.name, entry.kind)? {
                    Linked::Holder(holder) => {
                        members.insert(holder);
                    }
                    Linked::Defect(defect) => findings.push(Finding::new(path, None, defect)),
                }
            }
        }
        self.groups.insert(name, members);
        Ok(())
    }

    fn read_age_store(
        &mut self,
        tree: &dyn Tree,
        machine: String,
        findings: &mut Vec<Finding>,
    ) -> Result<(), TreeError> {
        let path = format!("{AGE_KEYS}/{machine}/pub");
        let holder = Holder {
            kind: ReaderKind::Machine,
            name: machine.clone(),
        };
        let text = read(tree, &path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match text.as_deref().map(PublicKey::age) {
            Some(key) if key.text().starts_with("age1") => {
                self.holders.entry(key.clone()).or_default().insert(holder);
                self.age_store.insert(machine, key);
            }
            Some(_) => {
                let defect = Defect::KeyFile(KeyFileError::Key { kind: "age" });
                findings.push(Finding::of_holder(path, &holder, defect));
            }
            None => {
                let defect = Defect::NoKey {
                    holder: holder.clone(),
                };
                findings.push(Finding::of_holder(path, &holder, defect));
            }
        }
        Ok(())
    }

    /// What the entry `name` of a folder `machines` or `users` stands for. clan takes the key that the link leads
    /// to, whatever its name: so a link is followed.
    pub(super) fn linked(
        &self,
        tree: &dyn Tree,
        folder: &str,
        kind: ReaderKind,
        name: &str,
        entry: EntryKind,
    ) -> Result<Linked, TreeError> {
        let named = Holder {
            kind,
            name: name.to_owned(),
        };
        if entry != EntryKind::Symlink {
            // clan passes over what is no link.
            return Ok(Linked::Defect(Defect::NotALink {
                name: named.to_string(),
            }));
        }
        let target = tree.link(&format!("{folder}/{name}"))?.unwrap_or_default();
        let wanted = format!("sops/{}/{name}", kind.folder());
        Ok(match resolve(tree, folder, &target)? {
            Place::There(path) if path == wanted && self.keys.contains_key(&named) => Linked::Holder(named),
            Place::There(_) | Place::Outside => Linked::Defect(Defect::Misdirected {
                name: named.to_string(),
                target,
            }),
            Place::Nowhere(_) => Linked::Defect(Defect::Dangling {
                name: named.to_string(),
                target,
            }),
            Place::Endless => Linked::Defect(Defect::Endless {
                name: named.to_string(),
            }),
        })
    }

    /// The members of the group that the entry `name` of a folder `groups` stands for.
    pub(super) fn group(
        &self,
        tree: &dyn Tree,
        folder: &str,
        name: &str,
    ) -> Result<Result<&BTreeSet<Holder>, Defect>, TreeError> {
        let target = tree.link(&format!("{folder}/{name}"))?;
        let title = format!("group {name}");
        let Some(target) = target else {
            return Ok(Err(Defect::NotALink { name: title }));
        };
        Ok(match resolve(tree, folder, &target)? {
            Place::There(path) => match self.groups.get(name) {
                Some(members) if path == format!("sops/groups/{name}") => Ok(members),
                _ => Err(Defect::Misdirected { name: title, target }),
            },
            Place::Outside => Err(Defect::Misdirected { name: title, target }),
            Place::Nowhere(_) => Err(Defect::Dangling { name: title, target }),
            Place::Endless => Err(Defect::Endless { name: title }),
        })
    }

    /// The keys of one who is known.
    pub(super) fn keys(&self, holder: &Holder) -> &[PublicKey] {
        self.keys.get(holder).map_or(&[], Vec::as_slice)
    }

    /// Those who have a key.
    pub(super) fn holders(&self, key: &PublicKey) -> impl Iterator<Item = &Holder> {
        self.holders.get(key).into_iter().flatten()
    }

    /// The machines that have a key for sops.
    pub(super) fn machines(&self) -> impl Iterator<Item = &str> {
        let machines = self
            .keys
            .keys()
            .filter(|holder| holder.kind == ReaderKind::Machine);
        machines.map(|holder| holder.name.as_str())
    }

    /// The machines that have a key in clan's age store, with it.
    pub(super) fn age_store(&self) -> &BTreeMap<String, PublicKey> {
        &self.age_store
    }
}

/// A key file; what is no file is no key.
fn read(tree: &dyn Tree, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
    match tree.read(path) {
        Err(TreeError::NotAFile { .. }) => Ok(None),
        outcome => outcome,
    }
}
