//! Owns the check of one secret of the sops store without any key: who is linked against whom it is encrypted to.
//! It must never open one.

use std::collections::{BTreeMap, BTreeSet};

use super::defect::{Defect, Linked};
use super::finding::Finding;
use super::keybook::{self, Holder, KeyBook};
use super::places::{Scope, Secret};
use super::public_key::PublicKey;
use crate::readers::ReaderKind;
use crate::sops::{self, Inspection, Shares};
use crate::tree::{Tree, TreeError};

/// What is known of one secret.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) secret: Secret,
    /// Its bytes, where it could be read.
    pub(super) bytes: Option<Vec<u8>>,
    /// The recipients that it names; none where it could not be inspected, or is a plain age file.
    pub(super) recipients: Option<BTreeSet<PublicKey>>,
    /// Whom it says it is encrypted to, where it could be inspected.
    pub(super) inspection: Option<Inspection>,
    /// Those who are linked, by themselves or by a group.
    pub(super) readers: BTreeMap<Holder, Linked>,
}

impl Known {
    /// The machines that it is about.
    pub(super) fn machines(&self) -> BTreeSet<&str> {
        match &self.secret.scope {
            Scope::Machine(machine) => BTreeSet::from([machine.as_str()]),
            Scope::Shared | Scope::Export(_) => self.linked_machines().collect(),
            Scope::Legacy => match self.secret.generator.strip_suffix("-age.key") {
                Some(machine) => BTreeSet::from([machine]),
                None => self.linked_machines().collect(),
            },
        }
    }

    /// The shares of a machine that has some and cannot open the file with them: it has nobody who would help it. People
    /// may be meant to open a file only together.
    pub(super) fn held_alone(&self, holder: &Holder, book: &KeyBook) -> Option<Shares> {
        let keys = book.keys(holder).iter().map(PublicKey::text);
        let shares = self.inspection.as_ref()?.shares(keys)?;
        let is_helpless = holder.kind == ReaderKind::Machine && shares.held > 0 && !shares.open();
        is_helpless.then_some(shares)
    }

    fn linked_machines(&self) -> impl Iterator<Item = &str> {
        let machines = self
            .readers
            .keys()
            .filter(|holder| holder.kind == ReaderKind::Machine);
        machines.map(|holder| holder.name.as_str())
    }

    /// A finding about it and a reader: where that is a machine, it is told of that one alone.
    pub(super) fn finding_of(&self, path: &str, holder: &Holder, defect: Defect) -> Finding {
        let mut finding = self.finding(path, defect);
        if holder.kind == ReaderKind::Machine {
            finding.machines = BTreeSet::from([holder.name.clone()]);
        }
        finding
    }

    /// A finding about it, with the machine and generator whose values it is.
    pub(super) fn finding(&self, path: &str, defect: Defect) -> Finding {
        let machines = self.machines();
        let finding = Finding::new(path, machines.iter().copied(), defect);
        match (&self.secret.scope, machines.first()) {
            (Scope::Machine(_) | Scope::Shared, Some(machine)) => {
                finding.of_values(machine, &self.secret.generator)
            }
            _ => finding,
        }
    }
}

/// Reads a secret and its links, and compares the two.
pub(super) fn check(
    tree: &dyn Tree,
    book: &KeyBook,
    secret: &Secret,
    findings: &mut Vec<Finding>,
) -> Result<Known, TreeError> {
    let mut known = Known {
        secret: secret.clone(),
        bytes: None,
        recipients: None,
        inspection: None,
        readers: BTreeMap::new(),
    };
    let links = read_links(tree, book, &mut known, findings)?;
    match tree.read(&secret.path) {
        Ok(bytes) => known.bytes = bytes,
        Err(error) => {
            findings.push(known.finding(&secret.path, Defect::Tree(error)));
            return Ok(known);
        }
    }
    let bytes = known.bytes.as_deref().unwrap_or_default();
    let inspection = match sops::inspect(bytes) {
        Ok(inspection) => inspection,
        Err(error) => {
            findings.push(known.finding(&secret.path, Defect::of_file(error, bytes)));
            return Ok(known);
        }
    };
    let path = secret.path.as_str();
    if let Some(stanzas) = &inspection.anonymous {
        findings.push(known.finding(path, Defect::PlainAge));
        for (holder, linked) in &known.readers {
            for key in book.keys(holder) {
                if !stanzas.iter().any(|stanza| key.may_be_of(stanza)) {
                    let defect = Defect::NotEncrypted {
                        holder: holder.clone(),
                        key: Some(key.clone()),
                        linked: *linked,
                    };
                    findings.push(known.finding_of(path, holder, defect));
                }
            }
        }
        known.inspection = Some(inspection);
        return Ok(known);
    }
    let recipients = recipients(&inspection);
    known.inspection = Some(inspection);
    if links == Links::None && !recipients.is_empty() {
        findings.push(known.finding(path, Defect::NoLinks));
    } else {
        compare(book, &known, &recipients, links, findings);
    }
    known.recipients = Some(recipients);
    Ok(known)
}

fn recipients(inspection: &Inspection) -> BTreeSet<PublicKey> {
    let age = inspection.age.iter().map(|text| PublicKey::age(text));
    age.chain(inspection.pgp.iter().map(|text| PublicKey::pgp(text)))
        .collect()
}

/// What links there are beside a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    None,
    /// All lead to somebody.
    Whole,
    /// Some do not, which is a finding of its own.
    Broken,
}

fn read_links(
    tree: &dyn Tree,
    book: &KeyBook,
    known: &mut Known,
    findings: &mut Vec<Finding>,
) -> Result<Links, TreeError> {
    let mut links = Links::None;
    let mut broken = Vec::new();
    for kind in [ReaderKind::Machine, ReaderKind::User] {
        let folder = format!("{}/{}", known.secret.folder, kind.folder());
        for entry in tree.list(&folder)? {
            links = Links::Whole;
            match book.linked(tree, &folder, kind, &entry.name, entry.kind)? {
                keybook::Linked::Holder(holder) => {
                    known.readers.insert(holder, Linked::ByLink);
                }
                keybook::Linked::Defect(defect) => broken.push((format!("{folder}/{}", entry.name), defect)),
            }
        }
    }
    let folder = format!("{}/groups", known.secret.folder);
    for entry in tree.list(&folder)? {
        links = Links::Whole;
        match book.group(tree, &folder, &entry.name)? {
            Ok(members) => {
                for holder in members {
                    known.readers.entry(holder.clone()).or_insert(Linked::ByGroup);
                }
            }
            Err(defect) => broken.push((format!("{folder}/{}", entry.name), defect)),
        }
    }
    if !broken.is_empty() {
        links = Links::Broken;
    }
    for (path, defect) in broken {
        findings.push(known.finding(&path, defect));
    }
    Ok(links)
}

fn compare(
    book: &KeyBook,
    known: &Known,
    recipients: &BTreeSet<PublicKey>,
    links: Links,
    findings: &mut Vec<Finding>,
) {
    let path = known.secret.path.as_str();
    let mut wanted = BTreeSet::new();
    for (holder, linked) in &known.readers {
        if let Some(shares) = known.held_alone(holder, book) {
            let holder = holder.clone();
            findings.push(known.finding_of(path, &holder.clone(), Defect::Shared { holder, shares }));
        }
        for key in book.keys(holder) {
            wanted.insert(key);
            if !recipients.contains(key) {
                let defect = Defect::NotEncrypted {
                    holder: holder.clone(),
                    key: Some(key.clone()),
                    linked: *linked,
                };
                findings.push(known.finding_of(path, holder, defect));
            }
        }
    }
    for key in recipients.difference(&wanted.into_iter().cloned().collect()) {
        let defect = match book.holders(key).next() {
            Some(holder) => {
                let defect = Defect::NotLinked {
                    holder: holder.clone(),
                    key: key.clone(),
                };
                findings.push(known.finding_of(path, holder, defect));
                continue;
            }
            // The key of the one whom the broken link names, most likely.
            None if links == Links::Broken => continue,
            None => Defect::UnknownRecipient { key: key.clone() },
        };
        findings.push(known.finding(path, defect));
    }
}
