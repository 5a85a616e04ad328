//! Owns who is to read the values: the links beside a secret, the keys and groups below `sops/`, and the people to
//! whom a new secret goes. It must never write, nor open anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::definition::DefaultReaders;
use crate::identity::Plugins;
use crate::readers::{ReaderKind, ReadersError, key};
use crate::requirements::{InvalidName, NameKind, check_name};
use crate::sops::{InvalidRecipient, Recipient};
use crate::tree::{Tree, TreeError};

/// The names of the links beside a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkNames {
    /// `machines/<m>`
    pub machines: BTreeSet<String>,
    /// `users/<u>`
    pub users: BTreeSet<String>,
    /// `groups/<g>`
    pub groups: BTreeSet<String>,
}

impl LinkNames {
    /// The links in `folder` (`vars/…/<generator>/<file>`).
    ///
    /// # Errors
    /// [`ReadersError`] where the folder cannot be read.
    pub fn read(tree: &dyn Tree, folder: &str) -> Result<Self, ReadersError> {
        Ok(Self {
            machines: names(tree, &format!("{folder}/machines"))?,
            users: names(tree, &format!("{folder}/users"))?,
            groups: names(tree, &format!("{folder}/groups"))?,
        })
    }

    /// The paths of the links below the secret's folder, with the folder below `sops/` and the name of each.
    pub(super) fn paths(&self) -> impl Iterator<Item = (String, &'static str, &str)> {
        let machines = self.machines.iter().map(|name| ("machines", name));
        let users = self.users.iter().map(|name| ("users", name));
        let groups = self.groups.iter().map(|name| ("groups", name));
        machines
            .chain(users)
            .chain(groups)
            .map(|(kind, name)| (format!("{kind}/{name}"), kind, name.as_str()))
    }

    /// Whether no person is among them.
    pub fn has_no_people(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }
}

fn names(tree: &dyn Tree, folder: &str) -> Result<BTreeSet<String>, ReadersError> {
    let mut found = BTreeSet::new();
    for entry in tree.list(folder)? {
        check_name(NameKind::File, &entry.name)?;
        found.insert(entry.name);
    }
    Ok(found)
}

/// Where the link at `<folder>/<kind>/<name>` points to: `sops/<kind>/<name>`, relative, as clan makes it.
pub fn link_target(folder: &str, kind: &str, name: &str) -> String {
    let up = folder.split('/').count().saturating_add(1);
    format!("{}sops/{kind}/{name}", "../".repeat(up))
}

/// Why there is nobody to encrypt a new secret to.
#[derive(Debug, thiserror::Error)]
pub enum NoReader {
    /// The directory could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name would leave its folder.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no person at all.
    #[error("there is nobody in sops/users to encrypt new secrets to")]
    Nobody,
    /// The fleet names one who is not there.
    #[error("the fleet's vars go to {kind} `{name}`, and there is no sops/{kind}s/{name}")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

/// The people to whom new secrets go: those that the fleet names, or everyone in `sops/users`.
///
/// # Errors
/// [`NoReader`] where there is nobody, or one of them is not there.
pub fn default_people(tree: &dyn Tree, declared: &DefaultReaders) -> Result<LinkNames, NoReader> {
    let there = |folder: &str| -> Result<BTreeSet<String>, NoReader> {
        Ok(tree.list(folder)?.into_iter().map(|entry| entry.name).collect())
    };
    let (users, groups) = (there("sops/users")?, there("sops/groups")?);
    let wanted_groups: BTreeSet<String> = declared.groups.iter().cloned().collect();
    let wanted_users = match &declared.users {
        Some(named) => named.iter().cloned().collect(),
        None if wanted_groups.is_empty() => users.clone(),
        None => BTreeSet::new(),
    };
    for (kind, wanted, known) in [
        ("user", &wanted_users, &users),
        ("group", &wanted_groups, &groups),
    ] {
        if let Some(name) = wanted.difference(known).next() {
            return Err(NoReader::Unknown {
                kind,
                name: name.clone(),
            });
        }
        for name in wanted {
            check_name(NameKind::File, name)?;
        }
    }
    if wanted_users.is_empty() && wanted_groups.is_empty() {
        return Err(NoReader::Nobody);
    }
    Ok(LinkNames {
        machines: BTreeSet::new(),
        users: wanted_users,
        groups: wanted_groups,
    })
}

/// Keys and groups of the fleet: what lies below `sops/`, with changes that are not written yet.
pub struct Directory<'a> {
    tree: &'a dyn Tree,
    /// Where the plugins of those are that only a plugin encrypts to.
    plugins: Plugins,
    /// Keys that come, and those that go.
    changed: BTreeMap<(ReaderKind, String), Option<Vec<Recipient>>>,
    /// Members that groups get.
    joined: BTreeSet<(String, ReaderKind, String)>,
}

impl std::fmt::Debug for Directory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("changed", &self.changed)
            .field("joined", &self.joined)
            .finish_non_exhaustive()
    }
}

impl<'a> Directory<'a> {
    /// What lies below `sops/` of the tree.
    pub fn new(tree: &'a dyn Tree) -> Self {
        Self {
            tree,
            plugins: Plugins::default(),
            changed: BTreeMap::new(),
            joined: BTreeSet::new(),
        }
    }

    /// The same, with age plugins looked for elsewhere than in their usual folders.
    #[must_use]
    pub fn with_plugins(self, plugins: Plugins) -> Self {
        Self { plugins, ..self }
    }

    /// The same with a key that is there or not.
    pub fn set(&mut self, kind: ReaderKind, name: &str, keys: Option<Vec<Recipient>>) {
        self.changed.insert((kind, name.to_owned()), keys);
    }

    /// The same with one more member of a group.
    pub fn join(&mut self, group: &str, kind: ReaderKind, name: &str) {
        self.joined.insert((group.to_owned(), kind, name.to_owned()));
    }

    /// The keys of one machine or person.
    ///
    /// # Errors
    /// [`ReadersError`] where there is none.
    pub fn keys(&self, kind: ReaderKind, name: &str) -> Result<Vec<Recipient>, ReadersError> {
        let keys = match self.changed.get(&(kind, name.to_owned())) {
            Some(Some(keys)) => keys.clone(),
            Some(None) => {
                return Err(ReadersError::NoKey {
                    kind,
                    name: name.to_owned(),
                    path: kind.key_file(name),
                });
            }
            None => key(self.tree, kind, name.to_owned())?.recipients,
        };
        let found = keys.into_iter().map(|key| key.with_plugins(&self.plugins));
        Ok(found.collect())
    }

    /// The keys that changed hands, each with those that its holder had before and has no more.
    pub(super) fn replaced(&self) -> BTreeMap<String, Vec<String>> {
        let mut replaced = BTreeMap::new();
        for ((kind, name), keys) in &self.changed {
            let Some(keys) = keys else { continue };
            // Who has no key yet replaces none.
            let old = key(self.tree, *kind, name.clone()).map(|reader| reader.recipients);
            let old: Vec<String> = old
                .unwrap_or_default()
                .iter()
                .filter(|old| !keys.contains(old))
                .map(ToString::to_string)
                .collect();
            replaced.extend(keys.iter().map(|key| (key.to_string(), old.clone())));
        }
        replaced
    }

    /// Whom links name: machines and people, those of groups as well, each once.
    ///
    /// # Errors
    /// [`ReadersError`] where a group cannot be read.
    pub fn named(&self, links: &LinkNames) -> Result<BTreeSet<(ReaderKind, String)>, ReadersError> {
        let of = |kind, names: &BTreeSet<String>| -> Vec<(ReaderKind, String)> {
            names.iter().map(|name| (kind, name.clone())).collect()
        };
        let mut named: BTreeSet<_> = of(ReaderKind::Machine, &links.machines).into_iter().collect();
        named.extend(of(ReaderKind::User, &links.users));
        for group in &links.groups {
            for kind in [ReaderKind::Machine, ReaderKind::User] {
                let members = names(self.tree, &format!("sops/groups/{group}/{}", kind.folder()))?;
                // Who goes is no member any more.
                named.extend(
                    of(kind, &members)
                        .into_iter()
                        .filter(|member| self.changed.get(member) != Some(&None)),
                );
            }
            let joined = self.joined.iter().filter(|(name, _, _)| name == group);
            named.extend(joined.map(|(_, kind, name)| (*kind, name.clone())));
        }
        Ok(named)
    }

    /// Everyone who has a key, by recipient: for telling whose a recipient is. Keys that cannot be read are left out.
    ///
    /// # Errors
    /// [`TreeError`] where the directory cannot be read.
    pub fn owners(&self) -> Result<BTreeMap<String, String>, TreeError> {
        let mut owners = BTreeMap::new();
        for kind in [ReaderKind::Machine, ReaderKind::User] {
            for entry in self.tree.list(&format!("sops/{}", kind.folder()))? {
                // As it lies there, also for those that go: they are who is named.
                let Ok(reader) = key(self.tree, kind, entry.name.clone()) else {
                    continue;
                };
                for recipient in reader.recipients {
                    owners.insert(recipient.to_string(), format!("{kind} {}", entry.name));
                }
            }
        }
        Ok(owners)
    }
}

/// A `key.json` as clan writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFile {
    publickey: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The recipient that a key given by a person stands for, and its `key.json`.
///
/// An SSH host key becomes the age recipient of ssh-to-age, as a machine opens it with either form and sops-nix with
/// this one alone; a person's SSH key stays one, as sops opens it with that form alone.
///
/// # Errors
/// [`InvalidRecipient`] where it is no key that can be encrypted to.
pub fn key_file(kind: ReaderKind, text: &str) -> Result<(Recipient, Vec<u8>), InvalidRecipient> {
    let converted = match kind {
        ReaderKind::Machine => crate::identity::ssh_public_key_to_recipient(text).ok(),
        ReaderKind::User => None,
    };
    let recipient: Recipient = converted.as_deref().unwrap_or(text).parse()?;
    let file = KeyFile {
        publickey: recipient.to_string(),
        kind: "age",
    };
    let mut bytes = serde_json::to_vec_pretty(&file).map_err(|_| InvalidRecipient::Other(text.to_owned()))?;
    bytes.push(b'\n');
    Ok((recipient, bytes))
}
