//! Owns the check with keys: what can be opened is, and with the machines' own keys, where those open. It must never
//! keep a plaintext, nor show one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::age_store::{Recipients, machine_of};
use super::defect::{Defect, Linked};
use super::finding::Finding;
use super::keybook::{Holder, KeyBook};
use super::places::{Places, Scope, Secret};
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
    /// The machines' own, as far as the given ones open them: those for sops.
    sops: BTreeMap<String, Identities>,
    /// And those of clan's age store, which may be others: a fleet goes from the one to the other.
    age: BTreeMap<String, Identities>,
}

impl<'a> Keys<'a> {
    /// Opens the private keys of the machines, and compares them with the public ones.
    pub(super) fn read(
        tree: &dyn Tree,
        book: &KeyBook,
        given: &'a Identities,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, TreeError> {
        let mut keys = Self {
            given,
            sops: BTreeMap::new(),
            age: BTreeMap::new(),
        };
        if given.is_empty() {
            return Ok(keys);
        }
        let sops = book.machines().map(|machine| {
            let holder = Holder {
                kind: ReaderKind::Machine,
                name: machine.to_owned(),
            };
            let public = book.keys(&holder).to_vec();
            let path = format!("sops/secrets/{machine}-age.key/secret");
            (Store::Sops, machine, path, public)
        });
        let age = book.age_store().iter().map(|(machine, key)| {
            let path = format!("{AGE_KEYS}/{machine}/key.age");
            (Store::Age, machine.as_str(), path, vec![key.clone()])
        });
        for (store, machine, path, public) in sops.chain(age) {
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
            let machines = match store {
                Store::Sops => &mut keys.sops,
                Store::Age => &mut keys.age,
            };
            machines.insert(machine.to_owned(), identities);
        }
        Ok(keys)
    }

    /// Opens the secrets of both stores.
    pub(super) fn open<'k>(
        &self,
        tree: &dyn Tree,
        book: &KeyBook,
        places: &Places,
        (sops, age): (impl Iterator<Item = &'k Known>, &Recipients),
        findings: &mut Vec<Finding>,
    ) -> Result<Openings, TreeError> {
        let mut openings = Openings::default();
        if self.given.is_empty() {
            return Ok(openings);
        }
        for known in sops {
            let is_open = match (&known.bytes, &known.recipients, &known.inspection) {
                (Some(bytes), Some(recipients), _) => {
                    self.open_sops(known, bytes, recipients, book, findings)
                }
                (Some(bytes), None, Some(_)) => self.open_plain(known, bytes, book, findings),
                // Told already.
                _ => continue,
            };
            openings.count(is_open);
        }
        for secret in &places.age {
            let bytes = match tree.read(&secret.path) {
                Ok(Some(bytes)) => bytes,
                // Told already.
                Ok(None) | Err(_) => continue,
            };
            let noted = age.get(&secret.path).and_then(Option::as_ref);
            openings.count(self.open_age(secret, &bytes, noted, book, findings));
        }
        Ok(openings)
    }

    /// Tries a file of sops; whether any key opens it.
    fn open_sops(
        &self,
        known: &Known,
        bytes: &[u8],
        recipients: &BTreeSet<PublicKey>,
        book: &KeyBook,
        findings: &mut Vec<Finding>,
    ) -> bool {
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
                // Who is in too few of the groups is told without any key.
                Err(SopsError::KeyGroups { .. }) if !has_enough(known, identities) => {}
                // The same for every key: it is told once.
                Err(problem) => {
                    if told.insert(problem.to_string()) {
                        let defect = Defect::DoesNotOpen { who, problem };
                        findings.push(known.finding(&known.secret.path, defect));
                    }
                }
            }
        }
        is_open
    }

    /// Tries an age file that lies where sops keeps its own: only a key tells who may read it.
    fn open_plain(&self, known: &Known, bytes: &[u8], book: &KeyBook, findings: &mut Vec<Finding>) -> bool {
        let mut is_open = decrypt_file(bytes, self.given).is_ok();
        for (holder, linked) in &known.readers {
            let keys = book.keys(holder);
            let machine = (holder.kind == ReaderKind::Machine)
                .then(|| self.machine(&self.sops, &holder.name, keys))
                .flatten();
            let Some(identities) = machine else { continue };
            match decrypt_file(bytes, identities) {
                Ok(_) => is_open = true,
                Err(SopsError::NotEncryptedToThisMachine { .. }) => {
                    let defect = Defect::NotEncrypted {
                        holder: holder.clone(),
                        key: keys.first().cloned(),
                        linked: *linked,
                    };
                    findings.push(known.finding_of(&known.secret.path, holder, defect));
                }
                Err(problem) => {
                    let who = holder.to_string();
                    let defect = Defect::DoesNotOpen { who, problem };
                    findings.push(known.finding_of(&known.secret.path, holder, defect));
                }
            }
        }
        is_open
    }

    /// Tries a file of clan's age store with the key of every machine that can be had, and with those that were given.
    fn open_age(
        &self,
        secret: &Secret,
        bytes: &[u8],
        noted: Option<&BTreeSet<PublicKey>>,
        book: &KeyBook,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let mut found = |machine: Option<&str>, defect| {
            let finding = Finding::new(secret.path.as_str(), machine, defect);
            findings.push(match machine {
                Some(machine) => finding.of_values(machine, &secret.generator),
                None => finding,
            });
        };
        let mut is_open = false;
        match decrypt_file(bytes, self.given) {
            Ok(_) => is_open = true,
            Err(SopsError::NotEncryptedToThisMachine { .. }) => {
                let mut noted = noted.into_iter().flatten();
                let own = noted.find(|key| is_of(key, self.given));
                let key = own.filter(|key| !book.age_store().values().any(|machine| machine == *key));
                if let Some(key) = key {
                    found(None, Defect::NotSealed { key: key.clone() });
                }
            }
            // Whose plugin fails says nothing of the file.
            Err(SopsError::Plugin { .. }) => {}
            // The same for every key: it is told once.
            Err(problem) => {
                let who = "those who may read it".to_owned();
                let machine = match &secret.scope {
                    Scope::Machine(machine) => Some(machine.as_str()),
                    _ => None,
                };
                found(machine, Defect::DoesNotOpen { who, problem });
                return false;
            }
        }
        for (machine, key) in book.age_store() {
            let Some(identities) = self.machine(&self.age, machine, std::slice::from_ref(key)) else {
                continue;
            };
            let reads = match (noted, &secret.scope) {
                (Some(noted), _) => noted.contains(key),
                (None, Scope::Machine(owner)) => owner == machine,
                // Nobody says.
                (None, _) => continue,
            };
            match (decrypt_file(bytes, identities), reads) {
                (Ok(_), true) => is_open = true,
                (Ok(_), false) => {
                    is_open = true;
                    // Of several keys that were given it may be another one that opens it.
                    if self.age.contains_key(machine) {
                        let who = machine_of(machine).to_string();
                        found(Some(machine), Defect::OpensUnlisted { who });
                    }
                }
                (Err(SopsError::NotEncryptedToThisMachine { .. }), true) => {
                    let defect = Defect::NotEncrypted {
                        holder: machine_of(machine),
                        key: Some(key.clone()),
                        linked: Linked::ByStore,
                    };
                    found(Some(machine), defect);
                }
                (Err(SopsError::NotEncryptedToThisMachine { .. }), false)
                | (Err(SopsError::Plugin { .. }), _) => {}
                (Err(problem), _) => {
                    let who = machine_of(machine).to_string();
                    found(Some(machine), Defect::DoesNotOpen { who, problem });
                    break;
                }
            }
        }
        is_open
    }

    /// The private key of a machine: the one that the fleet keeps, or a given one that is that machine's.
    fn machine<'k>(
        &'k self,
        kept: &'k BTreeMap<String, Identities>,
        name: &str,
        public: &[PublicKey],
    ) -> Option<&'k Identities> {
        let is_given = || public.iter().any(|key| is_of(key, self.given));
        kept.get(name).or_else(|| is_given().then_some(self.given))
    }

    /// The keys that a secret is tried with: all that were given at once, and those of each machine that is to read it.
    fn tried<'k>(&'k self, known: &'k Known, book: &'k KeyBook) -> Vec<(String, &'k Identities)> {
        let mut tried = vec![(given_name(self.given, known, book), self.given)];
        for holder in known
            .readers
            .keys()
            .filter(|holder| holder.kind == ReaderKind::Machine)
        {
            if let Some(identities) = self.sops.get(&holder.name) {
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

/// Which of clan's stores a machine's key is for.
enum Store {
    Sops,
    Age,
}

/// Whether these are named in as many key groups as open a file.
fn has_enough(known: &Known, identities: &Identities) -> bool {
    let own = identities.recipients().iter().map(|info| info.recipient.as_str());
    let shares = known
        .inspection
        .as_ref()
        .and_then(|inspection| inspection.shares(own));
    shares.is_some_and(crate::sops::Shares::open)
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
