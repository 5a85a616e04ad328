//! Owns the comparison of what the machines declare with what lies there. It must never open a secret.

use std::collections::{BTreeMap, BTreeSet};

use super::check::MachineEntry;
use super::defect::{Defect, Linked};
use super::finding::Finding;
use super::keybook::{Holder, KeyBook};
use super::places::{Places, Scope};
use super::secret::Known;
use crate::backend::Backend;
use crate::declared::{Declared, DeclaredGenerator};
use crate::readers::ReaderKind;
use crate::requirements::{Requirement, Requirements};
use crate::tree::{Tree, TreeError};
use crate::validation;

/// Everything that the comparison looks at.
pub(super) struct Comparison<'a> {
    pub(super) tree: &'a dyn Tree,
    pub(super) book: &'a KeyBook,
    pub(super) places: &'a Places,
    /// The secrets of the sops store by their paths.
    pub(super) sops: &'a BTreeMap<String, Known>,
    /// The recipients that clan's age store noted, by the paths of its secrets.
    pub(super) age: &'a BTreeMap<String, Option<BTreeSet<super::PublicKey>>>,
}

impl Comparison<'_> {
    /// One machine.
    pub(super) fn machine(
        &self,
        entry: &MachineEntry,
        declared: &Declared,
        findings: &mut Vec<Finding>,
    ) -> Result<(), TreeError> {
        let machine = entry.name.as_str();
        let requirements = match Requirements::declared(declared, machine, "root") {
            Ok(requirements) => requirements,
            Err(error) => {
                let folder = format!("vars/per-machine/{machine}");
                findings.push(Finding::new(folder, [machine], Defect::Declaration(error)));
                return Ok(());
            }
        };
        if let Backend::Elsewhere { name } = &entry.backend
            && requirements.files().iter().any(|file| file.secret && file.deploy)
        {
            let folder = format!("vars/per-machine/{machine}");
            let store = name.clone();
            findings.push(Finding::new(folder, [machine], Defect::NotPullable { store }));
        }
        let mut by_generator: BTreeMap<&str, Vec<&Requirement>> = BTreeMap::new();
        for file in requirements.files() {
            by_generator.entry(&file.generator).or_default().push(file);
        }
        for (name, files) in by_generator {
            if let Some(generator) = declared.generators.get(name) {
                self.generator(entry, name, generator, &files, findings)?;
            }
        }
        Ok(())
    }

    fn generator(
        &self,
        entry: &MachineEntry,
        name: &str,
        generator: &DeclaredGenerator,
        files: &[&Requirement],
        findings: &mut Vec<Finding>,
    ) -> Result<(), TreeError> {
        let machine = entry.name.as_str();
        let folder = validation::folder(machine, generator.share, name);
        // What a store elsewhere keeps cannot be looked for.
        let is_here =
            |file: &&&Requirement| !file.secret || !matches!(entry.backend, Backend::Elsewhere { .. });
        let looked_for: Vec<_> = files.iter().filter(is_here).copied().collect();
        let is_missing = |file: &&Requirement| !self.places.has(&entry.backend.path(file, machine));
        let missing: Vec<_> = looked_for.iter().copied().filter(is_missing).collect();
        if missing.len() == looked_for.len() && missing.len() > 1 {
            let defect = Defect::NeverGenerated {
                generator: name.to_owned(),
            };
            findings.push(Finding::new(folder, [machine], defect).of_values(machine, name));
            return Ok(());
        }
        for file in missing {
            let path = entry.backend.path(file, machine);
            let value = file.install_path(machine);
            let finding = if file.secret && self.places.values.contains(&value) {
                Finding::new(format!("{value}/value"), [machine], Defect::PublishedSecret)
            } else {
                Finding::new(path, [machine], Defect::Missing)
            };
            findings.push(finding.of_values(machine, name));
        }
        if let Some(stale) = validation::compare(self.tree, &folder, generator.validation_hash.as_deref())?
            && looked_for.iter().any(|file| !is_missing(file))
        {
            let defect = Defect::StaleHash {
                declared: generator.validation_hash.clone(),
                stored: stale.stored,
            };
            let path = format!("{folder}/{}", validation::FILE);
            findings.push(Finding::new(path, [machine], defect).of_values(machine, name));
        }
        for file in looked_for.iter().filter(|file| file.secret) {
            self.access(entry, file, findings);
        }
        Ok(())
    }

    /// Whether the machine can read what it declares, and no more than that.
    fn access(&self, entry: &MachineEntry, file: &Requirement, findings: &mut Vec<Finding>) {
        let machine = entry.name.as_str();
        let path = entry.backend.path(file, machine);
        let holder = Holder {
            kind: ReaderKind::Machine,
            name: machine.to_owned(),
        };
        let mut found = |defect| {
            findings.push(Finding::new(path.as_str(), [machine], defect).of_values(machine, &file.generator));
        };
        let (recipients, keys, linked) = match entry.backend {
            Backend::Age => {
                let noted = self.age.get(&path).and_then(Option::as_ref);
                let key = self.book.age_store().get(machine).into_iter().collect::<Vec<_>>();
                (noted, key, Linked::ByStore)
            }
            _ => {
                let Some(known) = self.sops.get(&path) else { return };
                if file.deploy && known.readers.contains_key(&holder) {
                    // Told already, where something is wrong with it.
                    return;
                }
                let keys = self.book.keys(&holder).iter().collect();
                (known.recipients.as_ref(), keys, Linked::ByDeclaration)
            }
        };
        if let Some(shares) = self
            .sops
            .get(&path)
            .and_then(|known| known.held_alone(&holder, self.book))
        {
            if file.deploy {
                found(Defect::Shared { holder, shares });
            }
            return;
        }
        let Some(recipients) = recipients else { return };
        let can_read = keys.iter().any(|key| recipients.contains(*key));
        match (file.deploy, can_read) {
            (true, false) => found(Defect::NotEncrypted {
                key: keys.first().map(|key| (*key).clone()),
                linked,
                holder,
            }),
            (false, true) => found(Defect::NotDeployed { machine: holder }),
            (true, true) | (false, false) => {}
        }
    }
}

/// Shared generators that machines declare differently, as clan refuses them.
pub(super) fn conflicts(entries: &[MachineEntry], findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<&str, (&str, &DeclaredGenerator)> = BTreeMap::new();
    for entry in entries {
        let Ok(Some(declared)) = &entry.declared else {
            continue;
        };
        for (name, generator) in declared
            .generators
            .iter()
            .filter(|(_, generator)| generator.share)
        {
            let (other, theirs) = *first.entry(name).or_insert((&entry.name, generator));
            if shape(theirs) != shape(generator) {
                let defect = Defect::Conflicting {
                    machine: entry.name.clone(),
                    other: other.to_owned(),
                };
                let machines = [entry.name.as_str(), other];
                findings.push(Finding::new(
                    validation::folder(other, true, name),
                    machines,
                    defect,
                ));
            }
        }
    }
}

/// What has to be the same on all machines: owners, groups, modes and who it is deployed to may differ.
fn shape(generator: &DeclaredGenerator) -> (Option<&str>, BTreeMap<&str, bool>) {
    let files = generator
        .files
        .iter()
        .map(|(name, file)| (name.as_str(), file.secret));
    (generator.validation_hash.as_deref(), files.collect())
}

/// What lies there and is declared by nobody, where it is known what everybody declares.
pub(super) fn leftovers(
    entries: &[MachineEntry],
    places: &Places,
    book: &KeyBook,
    findings: &mut Vec<Finding>,
) {
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let keyed = book.machines().chain(book.age_store().keys().map(String::as_str));
    let keyed: BTreeSet<&str> = keyed.collect();
    let there = places
        .machines
        .iter()
        .map(String::as_str)
        .chain(keyed.iter().copied());
    for name in there.collect::<BTreeSet<_>>().difference(&names) {
        let path = if places.machines.contains(*name) {
            format!("vars/per-machine/{name}")
        } else {
            format!("sops/machines/{name}")
        };
        let defect = Defect::UnknownMachine {
            name: (*name).to_owned(),
        };
        findings.push(Finding::new(path, [*name], defect));
    }
    let mut declared: BTreeSet<String> = BTreeSet::new();
    // Machines that could not be evaluated, or declare nothing and take what is there, may need anything.
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for entry in entries {
        match &entry.declared {
            Ok(Some(theirs)) => {
                if let Ok(requirements) = Requirements::declared(theirs, &entry.name, "root") {
                    declared.extend(
                        requirements
                            .files()
                            .iter()
                            .map(|file| file.install_path(&entry.name)),
                    );
                }
            }
            Ok(None) | Err(_) => {
                open.insert(&entry.name);
            }
        }
    }
    let secrets = places.sops.iter().filter_map(|secret| match &secret.scope {
        Scope::Machine(_) | Scope::Shared => Some(&secret.folder),
        Scope::Export(_) | Scope::Legacy => None,
    });
    let folders: BTreeSet<&String> = secrets.chain(&places.values).collect();
    for folder in folders {
        let machine = folder
            .strip_prefix("vars/per-machine/")
            .and_then(|rest| rest.split('/').next());
        let may_be_needed = match machine {
            Some(machine) => open.contains(machine) || !names.contains(machine),
            None => !open.is_empty() || !folder.starts_with("vars/shared/"),
        };
        if !may_be_needed && !declared.contains(folder) {
            findings.push(Finding::new(folder.as_str(), machine, Defect::Undeclared));
        }
    }
}
