//! Owns the audit of a whole fleet: what each part is asked, in which order. It must never write anything.

use std::collections::{BTreeMap, BTreeSet};

use super::defect::Defect;
use super::finding::Finding;
use super::keybook::KeyBook;
use super::opening::Keys;
use super::places::Places;
use super::report::{Counts, MachineSummary, Report};
use super::secret::{self, Known};
use super::{age_store, declared};
use crate::backend::{AGE_SECRETS, Backend};
use crate::declared::Declared;
use crate::fleet_kind::FleetKind;
use crate::identity::Identities;
use crate::tree::{Tree, TreeError};

/// What one machine of the fleet declares.
#[derive(Debug, Clone)]
pub struct MachineEntry {
    /// Its name.
    pub name: String,
    /// What it declares; `None` where it declares no vars at all; an error's text where it could not be evaluated.
    pub declared: Result<Option<Declared>, String>,
    /// Where its secrets are.
    pub backend: Backend,
}

/// What is checked.
pub struct Audit<'a> {
    /// The fleet's directory: where `vars/` and `sops/` lie.
    pub tree: &'a dyn Tree,
    /// Whose commands mend it.
    pub kind: FleetKind,
    /// What the machines declare, all of them; none where nothing was evaluated, so that only what lies there is
    /// looked at.
    pub entries: Option<&'a [MachineEntry]>,
    /// Keys to open secrets with; there may be none.
    pub identities: &'a Identities,
}

impl std::fmt::Debug for Audit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit")
            .field("kind", &self.kind)
            .field("entries", &self.entries)
            .field("identities", &self.identities)
            .finish_non_exhaustive()
    }
}

/// Checks every secret of every machine.
///
/// # Errors
/// [`TreeError`] where the tree itself cannot be read. What is wrong with a file is a finding.
pub fn audit(audit: &Audit<'_>) -> Result<Report, TreeError> {
    let Audit {
        tree,
        kind,
        entries,
        identities,
    } = *audit;
    let mut findings = Vec::new();
    let book = KeyBook::read(tree, &mut findings)?;
    let mut places = Places::read(tree)?;
    findings.extend(set_superseded_aside(&mut places, entries));
    let mut sops = BTreeMap::new();
    for place in &places.sops {
        let known = secret::check(tree, &book, place, &mut findings)?;
        sops.insert(place.path.clone(), known);
    }
    let age = age_store::check(tree, &book, &places, &mut findings)?;
    if let Some(entries) = entries {
        compare(tree, &book, &places, (&sops, &age), entries, &mut findings)?;
    }
    let keys = Keys::read(tree, &book, identities, &mut findings)?;
    let openings = keys.open(tree, &book, &places, (sops.values(), &age), &mut findings)?;
    let names: BTreeSet<&str> = match entries {
        Some(entries) => entries.iter().map(|entry| entry.name.as_str()).collect(),
        None => {
            let there = places.machines.iter().map(String::as_str).chain(book.machines());
            there.chain(book.age_store().keys().map(String::as_str)).collect()
        }
    };
    let machines = names
        .into_iter()
        .map(|name| summary(name, &sops, &places))
        .collect();
    let counts = Counts::of(&places, openings);
    Ok(Report::new(kind, machines, counts, findings))
}

fn compare(
    tree: &dyn Tree,
    book: &KeyBook,
    places: &Places,
    (sops, age): (&BTreeMap<String, Known>, &age_store::Recipients),
    entries: &[MachineEntry],
    findings: &mut Vec<Finding>,
) -> Result<(), TreeError> {
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    // A machine that is gone is told as such, once for each secret that it can still open.
    for finding in findings.iter_mut() {
        if let Defect::NotLinked { holder, .. } = &finding.defect
            && holder.kind == crate::readers::ReaderKind::Machine
            && !names.contains(holder.name.as_str())
        {
            finding.defect = Defect::RemovedMachine {
                machine: holder.clone(),
            };
        }
    }
    for known in sops.values() {
        let Some(recipients) = &known.recipients else {
            continue;
        };
        let gone = known.readers.keys().filter(|holder| {
            let is_machine = holder.kind == crate::readers::ReaderKind::Machine;
            let is_own = known.machines().len() <= 1 && known.machines().contains(holder.name.as_str());
            is_machine && !is_own && !names.contains(holder.name.as_str())
        });
        for holder in gone {
            if book.keys(holder).iter().any(|key| recipients.contains(key)) {
                let defect = Defect::RemovedMachine {
                    machine: holder.clone(),
                };
                findings.push(Finding::new(
                    known.secret.path.as_str(),
                    [holder.name.as_str()],
                    defect,
                ));
            }
        }
    }
    let comparison = declared::Comparison {
        tree,
        book,
        places,
        sops,
        age,
    };
    for entry in entries {
        match &entry.declared {
            Ok(Some(theirs)) => comparison.machine(entry, theirs, findings)?,
            Ok(None) => {}
            Err(why) => {
                let defect = Defect::NotEvaluated { why: why.clone() };
                findings.push(Finding::new("flake.nix", [entry.name.as_str()], defect));
            }
        }
    }
    declared::conflicts(entries, findings);
    declared::leftovers(entries, places, book, findings);
    Ok(())
}

/// A fleet that moved from clan's sops store to its age store may keep what the first had. Nobody reads that any
/// more, so it is told once and not looked at.
fn set_superseded_aside(places: &mut Places, entries: Option<&[MachineEntry]>) -> Option<Finding> {
    let is_age = |entry: &MachineEntry| entry.declared.is_err() || entry.backend == Backend::Age;
    if places.age.is_empty() || !entries.is_none_or(|entries| entries.iter().all(is_age)) {
        return None;
    }
    let moved: BTreeSet<String> = places
        .age
        .iter()
        .filter_map(|secret| secret.folder.strip_prefix(AGE_SECRETS))
        .map(|place| format!("vars{place}"))
        .collect();
    let before = places.sops.len();
    places.sops.retain(|secret| !moved.contains(&secret.folder));
    let count = before.saturating_sub(places.sops.len());
    (count > 0).then(|| Finding::new("vars", [], Defect::Superseded { count }))
}

fn summary(name: &str, sops: &BTreeMap<String, Known>, places: &Places) -> MachineSummary {
    use super::places::Scope;
    let linked = sops.values().filter(|known| {
        let by_link = known
            .readers
            .keys()
            .any(|holder| holder.kind == crate::readers::ReaderKind::Machine && holder.name == name);
        by_link || known.secret.scope == Scope::Machine(name.to_owned())
    });
    let age = places
        .age
        .iter()
        .filter(|secret| secret.scope == Scope::Machine(name.to_owned()));
    MachineSummary {
        name: name.to_owned(),
        secrets: linked.count().saturating_add(age.count()),
    }
}
