//! Owns the check with keys: what can be opened is, and with the machines' own keys, where those open. It must never
//! keep a plaintext, nor show one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::defect::Defect;
use super::finding::Finding;
use super::keybook::{Holder, KeyBook};
use super::places::{Places, Scope};
use super::public_key::PublicKey;
use super::secret::Known;
use crate::backend::AGE_KEYS;
use crate::identity::Identities;
use crate::readers::ReaderKind;
use crate::sops::{SopsError, decrypt_file};
use crate::tree::{Tree, TreeError};

/// How many secrets were opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Openings {
    /// With the keys that were given, and with the machines' own.
    pub opened: usize,
    /// For none of these keys, so that nothing is known of what is in them.
    pub unopened: usize,
}

/// The keys that secrets are opened with.
pub(super) struct Keys<'a> {
    given: &'a Identities,
    /// The machines' own, as far as the given ones open them.
    machines: BTreeMap<String, Identities>,
}

impl<'a> Keys<'a> {
    /// Opens the private keys of the machines, and compares them with the public ones.
    pub(super) fn read(
        tree: &dyn Tree,
        book: &KeyBook,
        given: &'a Identities,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, TreeError> {
        let mut machines = BTreeMap::new();
        if given.is_empty() {
            return Ok(Self { given, machines });
        }
        let sops = book.machines().map(|machine| {
            let holder = Holder {
                kind: ReaderKind::Machine,
                name: machine.to_owned(),
            };
            let public = book.keys(&holder).to_vec();
            (machine, format!("sops/secrets/{machine}-age.key/secret"), public)
        });
        let age = book.age_store().iter().map(|(machine, key)| {
            let path = format!("{AGE_KEYS}/{machine}/key.age");
            (machine.as_str(), path, vec![key.clone()])
        });
        for (machine, path, public) in sops.chain(age) {
            let bytes = match tree.read(&path) {
                Ok(Some(bytes)) => bytes,
                Ok(None) | Err(TreeError::NotAFile { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Ok(Ok(text)) = decrypt_file(&bytes, given).map(crate::sops::Decrypted::into_bytes) else {
                continue;
            };
            let identities = Identities::of_age_keys(Path::new(&path), &text);
            if identities.is_empty() {
                findings.push(Finding::new(path, [machine], Defect::NoMachineKey));
                continue;
            }
            if !public.iter().any(|key| is_of(key, &identities)) {
                let defect = Defect::MachineKey {
                    machine: machine.to_owned(),
                };
                findings.push(Finding::new(path, [machine], defect));
            }
            machines.insert(machine.to_owned(), identities);
        }
        Ok(Self { given, machines })
    }

    /// Opens the secrets of both stores.
    pub(super) fn open<'k>(
        &self,
        tree: &dyn Tree,
        book: &KeyBook,
        places: &Places,
        sops: impl Iterator<Item = &'k Known>,
        findings: &mut Vec<Finding>,
    ) -> Result<Openings, TreeError> {
        let mut openings = Openings::default();
        if self.given.is_empty() {
            return Ok(openings);
        }
        for known in sops {
            let (Some(bytes), Some(recipients)) = (&known.bytes, &known.recipients) else {
                continue;
            };
            let mut told = BTreeSet::new();
            let mut is_open = false;
            for (who, identities) in self.tried(known, book) {
                let is_named = recipients.iter().any(|key| is_of(key, identities));
                match decrypt_file(bytes, identities) {
                    Ok(_) => {
                        is_open = true;
                        // A plugin's key need not say what it is the key of.
                        if !is_named && !identities.has_plugins() {
                            findings.push(known.finding(&known.secret.path, Defect::OpensUnlisted { who }));
                        }
                    }
                    Err(SopsError::NotEncryptedToThisMachine { .. } | SopsError::NoAgeRecipient { .. }) => {}
                    // The same for every key: it is told once.
                    Err(problem) => {
                        if told.insert(problem.to_string()) {
                            findings.push(
                                known.finding(&known.secret.path, Defect::DoesNotOpen { who, problem }),
                            );
                        }
                    }
                }
            }
            openings.count(is_open);
        }
        for secret in &places.age {
            let bytes = match tree.read(&secret.path) {
                Ok(Some(bytes)) => bytes,
                // Told already.
                Ok(None) | Err(_) => continue,
            };
            let owner = match &secret.scope {
                Scope::Machine(machine) => self.machines.get(machine),
                _ => None,
            };
            let others = self.machines.values().chain([self.given]);
            let mut is_open = false;
            for identities in owner.into_iter().chain(others) {
                match decrypt_file(&bytes, identities) {
                    Ok(_) => is_open = true,
                    Err(SopsError::NotEncryptedToThisMachine { .. }) => continue,
                    Err(problem) => {
                        let who = "those who may read it".to_owned();
                        let machine = match &secret.scope {
                            Scope::Machine(machine) => Some(machine.as_str()),
                            _ => None,
                        };
                        findings.push(Finding::new(
                            secret.path.as_str(),
                            machine,
                            Defect::DoesNotOpen { who, problem },
                        ));
                    }
                }
                break;
            }
            openings.count(is_open);
        }
        Ok(openings)
    }

    /// The keys that a secret is tried with: all that were given at once, and those of each machine that is to read it.
    fn tried<'k>(&'k self, known: &'k Known, book: &'k KeyBook) -> Vec<(String, &'k Identities)> {
        let mut tried = vec![(given_name(self.given, known, book), self.given)];
        for holder in known
            .readers
            .keys()
            .filter(|holder| holder.kind == ReaderKind::Machine)
        {
            if let Some(identities) = self.machines.get(&holder.name) {
                tried.push((holder.to_string(), identities));
            }
        }
        tried
    }
}

impl Openings {
    fn count(&mut self, is_open: bool) {
        let counter = if is_open {
            &mut self.opened
        } else {
            &mut self.unopened
        };
        *counter = counter.saturating_add(1);
    }
}

/// Whose key was given: the fleet's own word for it, or the key itself.
fn given_name(given: &Identities, known: &Known, book: &KeyBook) -> String {
    let named = known.recipients.iter().flatten().find(|key| is_of(key, given));
    let key = named.cloned().or_else(|| {
        given
            .recipients()
            .first()
            .map(|info| PublicKey::age(&info.recipient))
    });
    match key {
        Some(key) => book
            .holders(&key)
            .next()
            .map_or_else(|| key.to_string(), ToString::to_string),
        None => "a plugin".to_owned(),
    }
}

/// Whether a public key is that of one of the identities.
fn is_of(key: &PublicKey, identities: &Identities) -> bool {
    let mut own = identities.recipients().iter();
    own.any(|info| PublicKey::age(&info.recipient) == *key)
}
