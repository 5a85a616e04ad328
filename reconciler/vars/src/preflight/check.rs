//! Owns the preflight itself: all files are looked at, and all that is wrong is told at once. It must never
//! stop at the first finding, nor write anything.

use sha2::{Digest, Sha256};

use super::expected::Expected;
use super::finding::{Finding, FindingReason, Findings, Problems};
use super::opened::{Opened, OpenedSecret};
use crate::audit::PublicKey;
use crate::backend::Backend;
use crate::identity::Identities;
use crate::requirements::{InvalidName, NameKind, Requirement, Requirements, check_name};
use crate::sops::{decrypt_file, inspect};
use crate::tree::{EntryKind, Tree, TreeError};
use crate::validation;

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
    /// The secrets are not in the repository at all.
    #[error(
        "machine {machine} needs {needed} secrets, and its secret store `{store}` keeps none in the repository"
    )]
    NotPullable {
        /// The machine.
        machine: String,
        /// How many secrets it needs.
        needed: usize,
        /// The store, as the fleet names it.
        store: String,
    },
    /// Files are missing or do not open.
    #[error("vars of this machine are not ready: {0}")]
    Findings(Findings),
    /// The fleet's directory could not be looked at.
    #[error("could not look at the fleet's directory")]
    Tree(#[source] TreeError),
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
/// [`PreflightError::Findings`] names every file that is missing, stale or does not open.
pub fn preflight(
    tree: &dyn Tree,
    machine: &str,
    requirements: &Requirements,
    identities: &Identities,
) -> Result<Opened, PreflightError> {
    preflight_of(tree, machine, &Expected::of_tree(tree)?, requirements, identities)
}

/// As [`preflight`], with what the machine's entry says besides.
///
/// # Errors
/// As [`preflight`], and [`PreflightError::NotPullable`] where the secrets are not in the repository.
pub fn preflight_of(
    tree: &dyn Tree,
    machine: &str,
    expected: &Expected,
    requirements: &Requirements,
    identities: &Identities,
) -> Result<Opened, PreflightError> {
    let Salvaged { opened, findings } = look(tree, machine, expected, requirements, identities)?;
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
    look(tree, machine, &Expected::of_tree(tree)?, requirements, identities)
}

fn look(
    tree: &dyn Tree,
    machine: &str,
    expected: &Expected,
    requirements: &Requirements,
    identities: &Identities,
) -> Result<Salvaged, PreflightError> {
    check_name(NameKind::Machine, machine)?;
    for file in requirements.files() {
        check_name(NameKind::Generator, &file.generator)?;
        check_name(NameKind::File, &file.file)?;
    }
    let needed = requirements.installed().count();
    if let Some(Backend::Elsewhere { name }) = &expected.backend
        && needed > 0
    {
        return Err(PreflightError::NotPullable {
            machine: machine.to_owned(),
            needed,
            store: name.clone(),
        });
    }
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
    let mut found = |path: String, generator: &str, reason| {
        let own = identities.recipients().iter().map(|info| info.recipient.clone());
        findings.push(Finding {
            path,
            reason,
            machine: machine.to_owned(),
            generator: generator.to_owned(),
            kind: expected.kind,
            own_recipients: own.collect(),
        });
    };
    for file in requirements.files() {
        let path = expected.path(tree, file, machine);
        let outcome = if file.is_installed() {
            open(tree, machine, file, &path, identities).map(|secret| secrets.push(secret))
        } else if file.secret && matches!(expected.backend, Some(Backend::Elsewhere { .. })) {
            // Of no use to the machine, and nothing can be said of it.
            Ok(())
        } else {
            exists(tree, &path)
        };
        if let Err(reason) = outcome {
            found(path, &file.generator, reason);
        }
    }
    for (folder, generator, declared) in expected.validations(machine) {
        match validation::compare(tree, &folder, declared) {
            Ok(None) => {}
            // What was never made is missing, and told as such.
            Ok(Some(stale)) => {
                if is_there(tree, &folder).unwrap_or(true) {
                    let path = format!("{folder}/{}", validation::FILE);
                    let stored = stale.stored;
                    found(path, generator, FindingReason::Stale { stored });
                }
            }
            Err(error) => found(format!("{folder}/{}", validation::FILE), generator, error.into()),
        }
    }
    Ok(Salvaged {
        opened: Opened { secrets },
        findings: Findings(findings),
    })
}

fn is_there(tree: &dyn Tree, folder: &str) -> Result<bool, TreeError> {
    Ok(!tree.list(folder)?.is_empty())
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
    check_listed(&bytes, identities)?;
    Ok(OpenedSecret {
        requirement: requirement.clone(),
        install_path: requirement.install_path(machine),
        plaintext,
        ciphertext: Sha256::digest(&bytes).into(),
    })
}

/// What opens has to say so as well: the next re-encryption goes by the recipients that the file names. A plain age
/// file names none.
fn check_listed(bytes: &[u8], identities: &Identities) -> Result<(), FindingReason> {
    let inspection = inspect(bytes)?;
    let is_own = |listed: &String| {
        let listed = PublicKey::age(listed);
        let mut own = identities.recipients().iter();
        own.any(|info| PublicKey::age(&info.recipient) == listed)
    };
    if inspection.anonymous.is_some() || identities.has_plugins() || inspection.age.iter().any(is_own) {
        Ok(())
    } else {
        Err(FindingReason::NotListed {
            recipients: inspection.age,
        })
    }
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
