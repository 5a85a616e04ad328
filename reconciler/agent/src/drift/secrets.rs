//! Installed secrets, held against the fingerprints that were taken when they were put in force.

use super::error::LookError;
use super::item::{Cause, Item, Kind};
use crate::config::Identity;
use reconciler_vars::{Fingerprint, FingerprintKey, SecretsRoot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The fingerprints of one generation of secrets, as the journal keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The number of the generation of secrets.
    pub secrets: u64,
    /// The name of the key they were made with.
    pub key: String,
    /// Each file, by its path below the generation's folder.
    pub files: BTreeMap<String, Fingerprint>,
}

impl Recorded {
    /// Takes the fingerprints of a generation as it lies there; none where no key of the machine can be read.
    #[must_use]
    pub fn take(root: &SecretsRoot, number: u64, identity: &Identity) -> Option<Recorded> {
        let key = key(identity)?;
        Some(Recorded {
            secrets: number,
            key: key.name(),
            files: root.fingerprints(number, &key).ok()?,
        })
    }
}

/// The first private key of the machine that is there, the host key before the others.
fn key(identity: &Identity) -> Option<FingerprintKey> {
    identity
        .ssh_host_keys
        .iter()
        .chain(&identity.age_keys)
        .find_map(|file| std::fs::read(file).ok().map(Zeroizing::new))
        .map(|bytes| FingerprintKey::derive(&bytes))
}

/// Whether other secrets are in force than those of a generation.
#[must_use]
pub fn in_force(root: &SecretsRoot, number: u64) -> Option<Item> {
    let (cause, actual) = match root.current() {
        Some(current) if current == number => return None,
        Some(current) => (Cause::Person, format!("generation {current}")),
        None => (Cause::Displaced, "nothing".to_owned()),
    };
    let item = Item::new(Kind::Secrets, cause, root.link.display().to_string());
    Some(item.expected(format!("generation {number}")).actual(actual))
}

/// What is not as it was put in force; an error says why that cannot be told.
pub(super) fn drift(
    root: &SecretsRoot,
    number: u64,
    recorded: Option<&Recorded>,
    identity: &Identity,
) -> Result<Vec<Item>, LookError> {
    if let Some(item) = in_force(root, number) {
        return Ok(vec![item]);
    }
    let link = root.link.display().to_string();
    let recorded = recorded
        .filter(|recorded| recorded.secrets == number)
        .ok_or(LookError::NoFingerprints)?;
    let key = key(identity).ok_or(LookError::NoKey)?;
    if key.name() != recorded.key {
        return Err(LookError::OtherKey);
    }
    let found = root.fingerprints(number, &key)?;
    let item = |path: &str, cause| Item::new(Kind::Secrets, cause, format!("{link}/{path}"));
    let mut items = Vec::new();
    for (path, before) in &recorded.files {
        match found.get(path) {
            None => items.push(
                item(path, Cause::Displaced)
                    .expected("as installed")
                    .actual("nothing"),
            ),
            Some(now) if now.content != before.content => {
                items.push(
                    item(path, Cause::Person)
                        .expected("as installed")
                        .actual("other content"),
                );
            }
            Some(now) if now.access != before.access => items.push(
                item(path, Cause::Person)
                    .expected(before.access.clone())
                    .actual(now.access.clone()),
            ),
            Some(_) => {}
        }
    }
    for path in found.keys().filter(|path| !recorded.files.contains_key(*path)) {
        items.push(
            item(path, Cause::Person)
                .expected("nothing")
                .actual("a file that nobody declared"),
        );
    }
    Ok(items)
}
