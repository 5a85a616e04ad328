//! Owns the preflight itself: all files are looked at, and all that is wrong is told at once. It must never
//! stop at the first finding, nor write anything.

use sha2::{Digest, Sha256};

use super::finding::{Finding, FindingReason, Findings, Problems};
use super::opened::{Opened, OpenedSecret};
use crate::identity::Identities;
use crate::requirements::{InvalidName, NameKind, Requirement, Requirements, check_name};
use crate::sops::decrypt_file;
use crate::tree::{EntryKind, Tree};

/// Why a machine's vars are not ready.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// There are secrets to open, and no key to open them with.
    #[error("machine {machine} needs {needed} secrets and has no key to open them: {problems}")]
    NoIdentity {
        /// The machine.
        machine: String,
        /// How many secrets it needs.
        needed: usize,
        /// Why no source gave a key.
        problems: Problems,
    },
    /// Files are missing or do not open.
    #[error("vars of this machine are not ready: {0}")]
    Findings(Findings),
    /// A stored requirement has a name that is no path component.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// What could be had of a machine's secrets.
#[derive(Debug)]
pub struct Salvaged {
    /// Those that open.
    pub opened: Opened,
    /// What is wrong with the others; empty where nothing is.
    pub findings: Findings,
}

/// Checks that the tree has everything that `requirements` name, and opens the secrets.
///
/// # Errors
/// [`PreflightError::Findings`] names every file that is missing or does not open.
pub fn preflight(
    tree: &dyn Tree,
    machine: &str,
    requirements: &Requirements,
    identities: &Identities,
) -> Result<Opened, PreflightError> {
    let Salvaged { opened, findings } = salvage(tree, machine, requirements, identities)?;
    if findings.0.is_empty() {
        Ok(opened)
    } else {
        Err(PreflightError::Findings(findings))
    }
}

/// As [`preflight`], for a machine that boots: it has to do with what opens.
///
/// # Errors
/// [`PreflightError::NoIdentity`] where there is no key at all.
pub fn salvage(
    tree: &dyn Tree,
    machine: &str,
    requirements: &Requirements,
    identities: &Identities,
) -> Result<Salvaged, PreflightError> {
    check_name(NameKind::Machine, machine)?;
    for file in requirements.files() {
        check_name(NameKind::Generator, &file.generator)?;
        check_name(NameKind::File, &file.file)?;
    }
    let needed = requirements.installed().count();
    if needed > 0 && identities.is_empty() {
        let problems = Problems(identities.problems().to_vec());
        return Err(PreflightError::NoIdentity {
            machine: machine.to_owned(),
            needed,
            problems,
        });
    }
    let mut secrets = Vec::with_capacity(needed);
    let mut findings = Vec::new();
    for file in requirements.files().iter().filter(|file| file.must_exist()) {
        let path = file.repository_path(machine);
        let outcome = if file.is_installed() {
            open(tree, machine, file, &path, identities).map(|secret| secrets.push(secret))
        } else {
            exists(tree, &path)
        };
        if let Err(reason) = outcome {
            let own = identities.recipients().iter().map(|info| info.recipient.clone());
            findings.push(Finding {
                path,
                reason,
                machine: machine.to_owned(),
                own_recipients: own.collect(),
            });
        }
    }
    Ok(Salvaged {
        opened: Opened { secrets },
        findings: Findings(findings),
    })
}

fn open(
    tree: &dyn Tree,
    machine: &str,
    requirement: &Requirement,
    path: &str,
    identities: &Identities,
) -> Result<OpenedSecret, FindingReason> {
    let bytes = tree.read(path)?.ok_or(FindingReason::Missing)?;
    let plaintext = decrypt_file(&bytes, identities)?.into_bytes()?;
    Ok(OpenedSecret {
        requirement: requirement.clone(),
        install_path: requirement.install_path(machine),
        plaintext,
        ciphertext: Sha256::digest(&bytes).into(),
    })
}

/// A public value may be of any size, so it is looked for and not read.
fn exists(tree: &dyn Tree, path: &str) -> Result<(), FindingReason> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let found = tree
        .list(folder)?
        .into_iter()
        .any(|entry| entry.name == name && entry.kind != EntryKind::Directory);
    if found {
        Ok(())
    } else {
        Err(FindingReason::Missing)
    }
}
