//! Owns the check of clan's age store without any key: the lists of recipients that clan keeps beside its files. It
//! must never open one.

use std::collections::{BTreeMap, BTreeSet};

use super::defect::{Defect, Linked};
use super::finding::Finding;
use super::keybook::{Holder, KeyBook};
use super::places::{Places, Scope, Secret};
use super::public_key::PublicKey;
use crate::backend::AGE_KEYS;
use crate::readers::ReaderKind;
use crate::sops;
use crate::tree::{Tree, TreeError};

/// The recipients of every secret by its path, as far as the repository tells: from the list beside it, or of a
/// machine's own secret, which is encrypted to that machine alone and has no list.
pub(super) type Recipients = BTreeMap<String, Option<BTreeSet<PublicKey>>>;

/// Looks at every file and its list.
pub(super) fn check(
    tree: &dyn Tree,
    book: &KeyBook,
    places: &Places,
    findings: &mut Vec<Finding>,
) -> Result<Recipients, TreeError> {
    let mut recipients = Recipients::new();
    for secret in &places.age {
        let noted = noted(tree, &secret.path)?;
        let wanted = match (&noted, &secret.scope) {
            (Some(noted), _) => Wanted::Listed(noted),
            (None, Scope::Machine(machine)) => Wanted::Machine(machine, book.age_store().get(machine)),
            (None, _) => Wanted::Nobody,
        };
        for defect in file(tree, &secret.path, &wanted) {
            findings.push(finding(secret, noted.as_ref(), book, defect));
        }
        for key in strangers(secret, noted.as_ref(), book) {
            findings.push(finding(
                secret,
                noted.as_ref(),
                book,
                Defect::UnknownRecipient { key },
            ));
        }
        recipients.insert(secret.path.clone(), noted);
    }
    for machine in book.age_store().keys() {
        let path = format!("{AGE_KEYS}/{machine}/key.age");
        let noted = noted(tree, &path)?;
        let wanted = noted.as_ref().map_or(Wanted::Nobody, Wanted::Listed);
        for defect in file(tree, &path, &wanted) {
            findings.push(Finding::new(path.as_str(), [machine.as_str()], defect));
        }
    }
    Ok(recipients)
}

/// The list beside a file, one recipient a line.
fn noted(tree: &dyn Tree, path: &str) -> Result<Option<BTreeSet<PublicKey>>, TreeError> {
    let text = match tree.read(&format!("{path}.recipients")) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(None) | Err(TreeError::NotAFile { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Some(lines.map(PublicKey::age).collect()))
}

/// Who is to read a file.
enum Wanted<'a> {
    /// Those whom the list beside it names.
    Listed(&'a BTreeSet<PublicKey>),
    /// One machine alone, with its key, if it has one.
    Machine(&'a str, Option<&'a PublicKey>),
    /// Nobody says.
    Nobody,
}

/// What is wrong with one file, as far as its header tells: it hides whom it is for, but not of which kind their keys are,
/// and of SSH keys it tells the start of the hash.
fn file(tree: &dyn Tree, path: &str, wanted: &Wanted<'_>) -> Vec<Defect> {
    let bytes = match tree.read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return vec![Defect::Missing],
        Err(error) => return vec![Defect::Tree(error)],
    };
    let stanzas = match sops::inspect(&bytes) {
        Err(error) => return vec![Defect::of_file(error, &bytes)],
        // A file of sops in the place of an age file.
        Ok(inspection) => match inspection.anonymous {
            None => return vec![Defect::File(sops::SopsError::AgeFile)],
            Some(stanzas) => stanzas,
        },
    };
    let is_sealed = |key: &PublicKey| stanzas.iter().any(|stanza| key.may_be_of(stanza));
    match wanted {
        // clan lists a key of two machines twice, and encrypts to it twice.
        Wanted::Listed(noted) if stanzas.len() != noted.len() && stanzas.len() != lines(tree, path) => {
            vec![Defect::Sidecar {
                named: noted.len(),
                actual: stanzas.len(),
            }]
        }
        Wanted::Listed(noted) => noted
            .iter()
            .filter(|key| !is_sealed(key))
            .map(|key| Defect::NotSealed { key: key.clone() })
            .collect(),
        Wanted::Machine(_, None) => Vec::new(),
        Wanted::Machine(machine, Some(key)) => {
            let holder = machine_of(machine);
            if !is_sealed(key) {
                vec![Defect::NotEncrypted {
                    holder,
                    key: Some((*key).clone()),
                    linked: Linked::ByStore,
                }]
            } else if stanzas.len() > 1 {
                vec![Defect::NotAlone {
                    machine: holder,
                    actual: stanzas.len(),
                }]
            } else {
                Vec::new()
            }
        }
        Wanted::Nobody => vec![Defect::NoList],
    }
}

/// How many lines the list beside a file has, where it can be read.
fn lines(tree: &dyn Tree, path: &str) -> usize {
    let list = tree.read(&format!("{path}.recipients")).ok().flatten();
    let list = list.unwrap_or_default();
    let lines = list.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty()).count()
}

/// The listed keys of nobody. A list that names a machine is that of a shared secret, which clan encrypts to machines alone;
/// administrators, to whom it encrypts the others, have no key in the repository.
fn strangers(secret: &Secret, noted: Option<&BTreeSet<PublicKey>>, book: &KeyBook) -> Vec<PublicKey> {
    let is_machine = |key: &&PublicKey| book.age_store().values().any(|own| own == *key);
    let (Scope::Shared, Some(noted)) = (&secret.scope, noted) else {
        return Vec::new();
    };
    if !noted.iter().any(|key| is_machine(&key)) {
        return Vec::new();
    }
    noted.iter().filter(|key| !is_machine(key)).cloned().collect()
}

pub(super) fn machine_of(name: &str) -> Holder {
    Holder {
        kind: ReaderKind::Machine,
        name: name.to_owned(),
    }
}

fn finding(secret: &Secret, noted: Option<&BTreeSet<PublicKey>>, book: &KeyBook, defect: Defect) -> Finding {
    let machines: Vec<&str> = match &secret.scope {
        Scope::Machine(machine) => vec![machine.as_str()],
        _ => {
            let is_noted = |key: &PublicKey| noted.is_some_and(|noted| noted.contains(key));
            let readers = book.age_store().iter().filter(|(_, key)| is_noted(key));
            readers.map(|(machine, _)| machine.as_str()).collect()
        }
    };
    let first = machines.first().copied();
    let finding = Finding::new(secret.path.as_str(), machines.iter().copied(), defect);
    match first {
        Some(machine) => finding.of_values(machine, &secret.generator),
        None => finding,
    }
}
