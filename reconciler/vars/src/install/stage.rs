//! Owns the writing of a generation beside the one in force. It must never change what is in force before
//! [`Staged::activate`], nor leave a half-written folder behind.

use std::collections::BTreeMap;

use unix::fcntl::renameat;

use super::accounts::Accounts;
use super::change::{self, Change, Snapshot};
use super::error::{InstallError, Operation};
use super::folder::Folder;
use super::generation::SecretsGeneration;
use super::plan::{Planned, plan};
use super::root::{PARTIAL, SecretsRoot};
use crate::preflight::Opened;

/// A generation that is written and not yet in force.
#[derive(Debug)]
pub struct Staged {
    root: SecretsRoot,
    number: u64,
    units: BTreeMap<String, Vec<String>>,
    snapshot: Snapshot,
}

/// Writes the secrets to `<link>.d/<number>`: folders with mode 0751, each file with its exact owner and mode under
/// any umask, readable by nobody else at any moment.
///
/// A folder of that number that is not in force is replaced. [`SecretsRoot::ensure_ramfs`] comes first.
///
/// # Errors
/// [`InstallError`]; what was half written is removed again and what is in force stays so.
pub fn stage(
    root: &SecretsRoot,
    opened: &Opened,
    number: u64,
    accounts: &Accounts,
) -> Result<Staged, InstallError> {
    if root.current() == Some(number) {
        return Err(InstallError::InForce { number });
    }
    let planned = plan(opened.files(), accounts)?;
    let folder = Folder::open_trusted(&root.folder()?)?;
    write_generation(root, &folder, number, |folder| write(folder, opened, &planned))?;
    let units = planned.iter().zip(opened.files());
    let units = units
        .map(|(file, (requirement, _))| (file.path.clone(), requirement.restart_units.clone()))
        .collect();
    Ok(Staged {
        root: root.clone(),
        number,
        units,
        snapshot: opened.snapshot(&planned),
    })
}

/// Makes the folder of a generation, whole or not at all: it has its number only once `write` is done with it.
pub(crate) fn write_generation(
    root: &SecretsRoot,
    folder: &Folder,
    number: u64,
    write: impl FnOnce(&Folder) -> Result<(), InstallError>,
) -> Result<(), InstallError> {
    let (partial, whole) = (format!("{number}{PARTIAL}"), number.to_string());
    root.remove_folder(&partial)?;
    let written = folder
        .make(&partial)
        .and_then(|made| write(&made))
        .and_then(|()| {
            root.remove_folder(&whole)?;
            let path = root.generation_folder(number)?;
            renameat(folder.fd(), partial.as_str(), folder.fd(), whole.as_str())
                .map_err(InstallError::during(Operation::Rename, &path))
        });
    if written.is_err() {
        // The first failure is the one to tell; `prune` removes what could not be removed now.
        let _ = root.remove_folder(&partial);
    }
    written
}

fn write(folder: &Folder, opened: &Opened, planned: &[Planned]) -> Result<(), InstallError> {
    for (file, secret) in planned.iter().zip(&opened.secrets) {
        folder.write_below(&file.path, &secret.plaintext, file.ownership, file.mode)?;
    }
    Ok(())
}

impl Staged {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether bytes, owner and mode of all files equal those of an installed generation, so that nothing needs to
    /// change. One that is gone or cannot be read is not the same.
    pub fn same_as(&self, number: u64) -> bool {
        self.changes_from(Some(number))
            .is_ok_and(|changes| changes.is_empty())
    }

    /// In what this differs from an installed generation, with the units to restart; from none at all for `None`.
    ///
    /// # Errors
    /// [`InstallError::Gone`] where that generation is, [`InstallError::System`] where it cannot be read.
    pub fn changes_from(&self, number: Option<u64>) -> Result<Vec<Change>, InstallError> {
        changes(&self.root, number, &self.snapshot, &self.units)
    }

    /// Puts it in force, by one rename of the link.
    ///
    /// # Errors
    /// As [`SecretsRoot::switch_to`].
    pub fn activate(self) -> Result<SecretsGeneration, InstallError> {
        self.root.switch_to(self.number)
    }

    /// Removes it, unless it was put in force meanwhile.
    ///
    /// # Errors
    /// [`InstallError::System`] where it cannot be removed.
    pub fn discard(self) -> Result<(), InstallError> {
        if self.root.current() == Some(self.number) {
            return Err(InstallError::InForce { number: self.number });
        }
        self.root.remove_folder(&self.number.to_string())
    }
}

impl Opened {
    /// Whether an installed generation already holds just this, so that nothing needs to be staged.
    pub fn same_as(&self, root: &SecretsRoot, number: u64, accounts: &Accounts) -> bool {
        let differences = || {
            let planned = plan(self.files(), accounts)?;
            changes(root, Some(number), &self.snapshot(&planned), &BTreeMap::new())
        };
        differences().is_ok_and(|changes| changes.is_empty())
    }

    fn snapshot(&self, planned: &[Planned]) -> Snapshot {
        change::of_plan(
            planned
                .iter()
                .zip(self.secrets.iter().map(|secret| secret.plaintext.as_slice())),
        )
    }
}

fn changes(
    root: &SecretsRoot,
    number: Option<u64>,
    new: &Snapshot,
    units: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<Change>, InstallError> {
    let old = number.map(|number| root.snapshot(number)).transpose()?;
    Ok(change::between(&old.unwrap_or_default(), new, units))
}
