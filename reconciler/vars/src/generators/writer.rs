//! Owns the laying down of a generator's values: sealed for those who may read them, in clan's layout, and only
//! where they are not so already. It must never run a script.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use zeroize::Zeroizing;

use super::edit::{Edit, EditError};
use super::graph::Node;
use super::id::GeneratorId;
use super::readers::{Directory, LinkNames, link_target};
use crate::identity::Identities;
use crate::readers::{ReaderKind, ReadersError};
use crate::sops::{Format, KeyGroups, Recipient, SealError, SealOptions, decrypt_file, encrypt, inspect};
use crate::tree::{Tree, TreeError};
use crate::validation;

/// The value of a file, overwritten when it is dropped.
pub type Value = Zeroizing<Vec<u8>>;

/// Why values were not laid down: nothing of the generator was changed then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The old ones could not be looked at.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// It cannot be told who is to read one.
    #[error("cannot tell who may read {path}")]
    Readers {
        /// The file's folder.
        path: String,
        /// Why.
        #[source]
        source: ReadersError,
    },
    /// Someone who is to read it has no key that can be encrypted to.
    #[error("cannot encrypt {path} to {kind} {name}, who has no age key")]
    NoKey {
        /// The file's folder.
        path: String,
        /// Machine or person.
        kind: ReaderKind,
        /// The name.
        name: String,
    },
    /// It could not be encrypted.
    #[error("cannot encrypt {path}")]
    Seal {
        /// The file's folder.
        path: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// They could not be written.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// What became of a generator's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Everything was already so, and nothing was touched.
    Unchanged,
    /// Something was written.
    Changed,
}

/// Lays values down.
pub struct Writer<'a> {
    /// The fleet's directory.
    pub root: &'a Path,
    /// The same, to be read.
    pub tree: &'a dyn Tree,
    /// The keys of the fleet.
    pub directory: &'a Directory<'a>,
    /// The people to whom new secrets go.
    pub people: &'a LinkNames,
    /// The keys of whoever does this: they tell whether a value is the one that is there. None need be had.
    pub identities: &'a Identities,
    /// The time, `2024-01-31T12:00:00Z`.
    pub now: &'a str,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("root", &self.root)
            .field("people", &self.people)
            .finish_non_exhaustive()
    }
}

impl Writer<'_> {
    /// Lays down values of a generator with the hash that they were made for.
    ///
    /// # Errors
    /// [`WriteError`]; the old ones are in force then.
    pub fn write(
        &self,
        id: &GeneratorId,
        node: &Node,
        values: &BTreeMap<String, Value>,
        hash: Option<&str>,
    ) -> Result<Written, WriteError> {
        let mut edit = Edit::new(id.folder());
        for (name, value) in values {
            let secret = node.definition.files.get(name).is_none_or(|file| file.secret);
            if secret {
                self.secret(&mut edit, id, node, name, value)?;
            } else {
                edit.file(format!("{name}/value"), value.to_vec());
                for gone in ["secret", "machines", "users", "groups"] {
                    edit.remove(format!("{name}/{gone}"));
                }
            }
        }
        match hash {
            Some(hash) => edit.file(validation::FILE, hash.as_bytes().to_vec()),
            None => edit.remove(validation::FILE),
        }
        Ok(if edit.commit(self.root)? {
            Written::Changed
        } else {
            Written::Unchanged
        })
    }

    /// Who is to read a file: the machines that declare so, and the people who may already, or else everyone who
    /// may by default.
    ///
    /// # Errors
    /// [`WriteError::Readers`] where it cannot be told.
    pub fn wanted(&self, id: &GeneratorId, node: &Node, file: &str) -> Result<LinkNames, WriteError> {
        let path = format!("{}/{file}", id.folder());
        let found = LinkNames::read(self.tree, &path).map_err(|source| WriteError::Readers {
            path: path.clone(),
            source,
        })?;
        let people = if found.has_no_people() {
            self.people
        } else {
            &found
        };
        Ok(LinkNames {
            machines: node.deploy.get(file).cloned().unwrap_or_default(),
            users: people.users.clone(),
            groups: people.groups.clone(),
        })
    }

    fn secret(
        &self,
        edit: &mut Edit,
        id: &GeneratorId,
        node: &Node,
        name: &str,
        value: &Value,
    ) -> Result<(), WriteError> {
        let path = format!("{}/{name}", id.folder());
        let wanted = self.wanted(id, node, name)?;
        let recipients = recipients(self.directory, &wanted, &path)?;
        let old = self.tree.read(&format!("{path}/secret"))?;
        if !old
            .as_deref()
            .is_some_and(|old| self.holds(old, value, &recipients))
        {
            let sealed = self.seal(old.as_deref(), value, &recipients);
            let sealed = sealed.map_err(|source| WriteError::Seal {
                path: path.clone(),
                source,
            })?;
            edit.file(format!("{name}/secret"), sealed);
        }
        edit.remove(format!("{name}/value"));
        links(self.tree, edit, &path, name, &wanted)
    }

    /// A new file in the place of the old one, whose key groups it keeps.
    fn seal(
        &self,
        old: Option<&[u8]>,
        value: &Value,
        recipients: &[Recipient],
    ) -> Result<Vec<u8>, SealError> {
        let replaced = self.directory.replaced();
        let kept = old.filter(|old| has_groups(old)).map(|old| {
            KeyGroups::regrouped(old, Format::Json, recipients, |reader| {
                replaced.get(&reader.to_string()).cloned().unwrap_or_default()
            })
        });
        let readers = kept.unwrap_or_else(|| KeyGroups::any_of(recipients))?;
        encrypt(value, Format::Binary, &SealOptions::new(readers), self.now)
    }

    /// Whether the file is sealed for just these and holds the value: a new sealing would only be noise.
    fn holds(&self, file: &[u8], value: &Value, recipients: &[Recipient]) -> bool {
        let Ok(sealed) = inspect(file) else {
            return false;
        };
        let wanted: BTreeSet<String> = recipients.iter().map(ToString::to_string).collect();
        if sealed.age_readers() != wanted || !sealed.pgp.is_empty() || sealed.others > 0 {
            return false;
        }
        decrypt_file(file, self.identities).is_ok_and(|opened| {
            opened.format() == Format::Binary && opened.into_bytes().is_ok_and(|found| found == *value)
        })
    }
}

/// Whether shares of several groups open a file.
fn has_groups(file: &[u8]) -> bool {
    inspect(file).is_ok_and(|sealed| sealed.groups.len() > 1)
}

/// The keys of everyone whom links name, each once.
pub(super) fn recipients(
    directory: &Directory<'_>,
    links: &LinkNames,
    path: &str,
) -> Result<Vec<Recipient>, WriteError> {
    let unreadable = |source| WriteError::Readers {
        path: path.to_owned(),
        source,
    };
    let mut recipients: Vec<Recipient> = Vec::new();
    for (kind, name) in directory.named(links).map_err(unreadable)? {
        let keys = directory.keys(kind, &name).map_err(unreadable)?;
        if keys.is_empty() {
            return Err(WriteError::NoKey {
                path: path.to_owned(),
                kind,
                name,
            });
        }
        for key in keys {
            if !recipients.contains(&key) {
                recipients.push(key);
            }
        }
    }
    Ok(recipients)
}

/// Makes the links of a file just these. `path` is the file's folder, `name` the same below the edit's.
pub(super) fn links(
    tree: &dyn Tree,
    edit: &mut Edit,
    path: &str,
    name: &str,
    wanted: &LinkNames,
) -> Result<(), WriteError> {
    let below = |inner: &str| {
        if name.is_empty() {
            inner.to_owned()
        } else {
            format!("{name}/{inner}")
        }
    };
    for (kind, names) in [
        ("machines", &wanted.machines),
        ("users", &wanted.users),
        ("groups", &wanted.groups),
    ] {
        for entry in tree.list(&format!("{path}/{kind}"))? {
            if !names.contains(&entry.name) {
                edit.remove(below(&format!("{kind}/{}", entry.name)));
            }
        }
    }
    for (link, kind, who) in wanted.paths() {
        edit.link(below(&link), link_target(path, kind, who));
    }
    Ok(())
}
