//! Owns the sealing of what is there for those who are to read it. It must never change a value, nor keep a data key
//! that somebody knows who may not read any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::edit::Edit;
use super::readers::{Directory, LinkNames};
use super::writer::{WriteError, links, recipients};
use crate::identity::Identities;
use crate::readers::ReaderKind;
use crate::sops::{
    Format, KeyGroups, Rekeyed, SealError, SopsError, decrypt_file, encrypt_binary, inspect,
    rekey as rekey_file, rotate,
};
use crate::tree::{EntryKind, Tree, TreeError};

/// The folders that hold a `secret`: all of the vars, and what `clan secrets` keeps in `sops/secrets`.
///
/// # Errors
/// [`TreeError`] where they cannot be read.
pub fn secret_folders(tree: &dyn Tree) -> Result<Vec<SecretFolder>, TreeError> {
    let folders = |path: &str| -> Result<Vec<String>, TreeError> {
        let entries = tree.list(path)?.into_iter();
        Ok(entries
            .filter(|entry| entry.kind == EntryKind::Directory)
            .map(|entry| format!("{path}/{}", entry.name))
            .collect())
    };
    let mut generators = folders("vars/shared")?;
    for machine in folders("vars/per-machine")? {
        generators.extend(folders(&machine)?);
    }
    let mut found = folders("sops/secrets")?;
    for generator in generators {
        found.extend(folders(&generator)?);
    }
    found.sort();
    let mut secrets = Vec::new();
    for path in found {
        if tree.list(&path)?.iter().any(|entry| entry.name == "secret") {
            secrets.push(SecretFolder { path });
        }
    }
    Ok(secrets)
}

/// A folder with a `secret` in it, below the fleet's directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretFolder {
    /// `vars/…/<generator>/<file>` or `sops/secrets/<name>`.
    pub path: String,
}

impl SecretFolder {
    /// The machine whose own it is, if it is one's.
    pub fn machine(&self) -> Option<&str> {
        self.path.strip_prefix("vars/per-machine/")?.split('/').next()
    }
}

/// Who comes and who goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who may not read any more.
    pub removed: BTreeSet<(ReaderKind, String)>,
    /// Who may read besides, by the secret's folder.
    pub added: BTreeMap<String, BTreeSet<(ReaderKind, String)>>,
}

impl Membership {
    /// The links that a folder is to have.
    ///
    /// # Errors
    /// [`WriteError::Readers`] where those that it has cannot be read.
    pub fn wanted(&self, tree: &dyn Tree, folder: &SecretFolder) -> Result<LinkNames, WriteError> {
        let mut links = LinkNames::read(tree, &folder.path).map_err(|source| WriteError::Readers {
            path: folder.path.clone(),
            source,
        })?;
        for (kind, name) in self.added.get(&folder.path).into_iter().flatten() {
            match kind {
                ReaderKind::Machine => links.machines.insert(name.clone()),
                ReaderKind::User => links.users.insert(name.clone()),
            };
        }
        for (kind, name) in &self.removed {
            match kind {
                ReaderKind::Machine => links.machines.remove(name),
                ReaderKind::User => links.users.remove(name),
            };
        }
        Ok(links)
    }
}

/// One secret that is sealed for others than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// Its folder.
    pub path: String,
    /// Recipients that it gets.
    pub added: Vec<String>,
    /// Recipients that it loses: they knew the value, which is to be made anew.
    pub removed: Vec<String>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Rekeying {
    /// The secrets that are sealed anew.
    pub sealings: Vec<Sealing>,
    /// One edit per secret that changes, links included.
    pub edits: Vec<Edit>,
}

/// A secret that cannot be sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The tree or its readers.
    #[error(transparent)]
    Read(#[from] WriteError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Nobody would be left.
    #[error("nobody would be left to read {path}")]
    Nobody {
        /// The secret's folder.
        path: String,
    },
    /// It could not be opened.
    #[error("cannot open {path}/secret: it {source}")]
    Open {
        /// The secret's folder.
        path: String,
        /// Why.
        source: SopsError,
    },
    /// It could not be sealed.
    #[error("cannot encrypt {path}/secret anew")]
    Seal {
        /// The secret's folder.
        path: String,
        /// Why.
        #[source]
        source: SealError,
    },
}

/// Seals every secret for those whom `wanted` names for its folder, in memory: what changes, or everything that is in
/// the way. A secret that is right already is not touched.
///
/// Where a recipient goes, the data key is a new one: the old one is known to it. Where some only come, it stays, as
/// with `sops updatekeys`.
///
/// # Errors
/// Every [`RekeyError`]; nothing was written then.
pub fn rekey_all(
    root: &Path,
    tree: &dyn Tree,
    directory: &Directory<'_>,
    identities: &Identities,
    wanted: &BTreeMap<SecretFolder, LinkNames>,
    now: &str,
) -> Result<Rekeying, Vec<RekeyError>> {
    let mut rekeying = Rekeying::default();
    let mut errors = Vec::new();
    for (folder, names) in wanted {
        match rekey(tree, directory, identities, folder, names, now) {
            Ok((sealing, edit)) => {
                rekeying.sealings.extend(sealing);
                if !edit.is_idle(root) {
                    rekeying.edits.push(edit);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(rekeying)
    } else {
        Err(errors)
    }
}

fn rekey(
    tree: &dyn Tree,
    directory: &Directory<'_>,
    identities: &Identities,
    folder: &SecretFolder,
    names: &LinkNames,
    now: &str,
) -> Result<(Option<Sealing>, Edit), RekeyError> {
    let path = &folder.path;
    let mut edit = Edit::new(path.clone());
    links(tree, &mut edit, path, "", names)?;
    let recipients = recipients(directory, names, path)?;
    if recipients.is_empty() {
        return Err(RekeyError::Nobody { path: path.clone() });
    }
    let open = |source| RekeyError::Open {
        path: path.clone(),
        source,
    };
    let bytes = tree.read(&format!("{path}/secret"))?.unwrap_or_default();
    let sealed = inspect(&bytes).map_err(open)?;
    let found = sealed.age_readers();
    let wanted: BTreeSet<String> = recipients.iter().map(ToString::to_string).collect();
    let sealing = Sealing {
        path: path.clone(),
        added: wanted.difference(&found).cloned().collect(),
        removed: found.difference(&wanted).cloned().collect(),
    };
    let seal = |source| match source {
        SealError::Open(source) => open(source),
        source => RekeyError::Seal {
            path: path.clone(),
            source,
        },
    };
    if sealing.removed.is_empty() && sealing.added.is_empty() {
        return Ok((None, edit));
    }
    let new = if sealed.anonymous.is_some() {
        // An age file does not say whom it is for: one of sops does.
        let value = decrypt_file(&bytes, identities).map_err(open)?;
        let value = value.into_bytes().map_err(open)?;
        encrypt_binary(&value, &recipients, now).map_err(seal)?
    } else {
        let replaced = directory.replaced();
        let readers = KeyGroups::regrouped(&bytes, Format::Json, &recipients, |reader| {
            replaced.get(&reader.to_string()).cloned().unwrap_or_default()
        });
        let readers = readers.map_err(seal)?;
        if sealing.removed.is_empty() {
            match rekey_file(&bytes, Format::Json, identities, &readers).map_err(seal)? {
                Rekeyed::Changed(new) => new,
                Rekeyed::Unchanged => return Ok((None, edit)),
            }
        } else {
            rotate(&bytes, Format::Json, identities, &readers, now).map_err(seal)?
        }
    };
    edit.file("secret", new);
    Ok((Some(sealing), edit))
}
