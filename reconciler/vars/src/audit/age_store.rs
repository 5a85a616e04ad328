//! Owns the check of clan's age store without any key: the lists of recipients that clan keeps beside its files. It
//! must never open one.

use std::collections::{BTreeMap, BTreeSet};

use super::defect::Defect;
use super::finding::Finding;
use super::keybook::KeyBook;
use super::places::{Places, Scope, Secret};
use super::public_key::PublicKey;
use crate::backend::AGE_KEYS;
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
        if let Some(defect) = file(tree, &secret.path, noted.as_ref()) {
            findings.push(finding(secret, noted.as_ref(), book, defect));
        }
        recipients.insert(secret.path.clone(), noted);
    }
    for machine in book.age_store().keys() {
        let path = format!("{AGE_KEYS}/{machine}/key.age");
        let noted = noted(tree, &path)?;
        if let Some(defect) = file(tree, &path, noted.as_ref()) {
            findings.push(Finding::new(path, [machine.as_str()], defect));
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

/// What is wrong with one file.
fn file(tree: &dyn Tree, path: &str, noted: Option<&BTreeSet<PublicKey>>) -> Option<Defect> {
    let bytes = match tree.read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Some(Defect::Missing),
        Err(error) => return Some(Defect::Tree(error)),
    };
    match sops::inspect(&bytes) {
        Err(error) => Some(Defect::of_file(error, &bytes)),
        Ok(inspection) => match (inspection.anonymous, noted) {
            // A file of sops in the place of an age file.
            (None, _) => Some(Defect::File(sops::SopsError::AgeFile)),
            (Some(actual), Some(noted)) if actual != noted.len() => Some(Defect::Sidecar {
                named: noted.len(),
                actual,
            }),
            (Some(_), _) => None,
        },
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
