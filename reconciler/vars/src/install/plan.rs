//! Owns what a generation is to hold: for each secret its place, owner and mode. It must never write.

use super::accounts::{AccountKind, Accounts, UnknownAccounts};
use super::error::{InstallError, UnknownAccount};
use super::folder::Ownership;
use crate::declared::NeededFor;
use crate::mode::Mode;
use crate::requirements::Requirement;

/// Folder of a generation that holds what is needed before accounts are made. The link for users points at it
/// through the main link, so that one rename switches both.
pub(super) const USERS_FOLDER: &str = ".users";

/// Folder of a generation that holds what activation scripts need, as it lies below
/// `<upload directory>/activation`: kept here, so that going back needs no key.
pub(super) const ACTIVATION_FOLDER: &str = ".activation";

/// What one file is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Path below the generation's folder.
    pub(crate) path: String,
    /// `None` leaves it with the account that writes it.
    pub(crate) ownership: Option<Ownership>,
    pub(crate) mode: Mode,
}

/// Path below the generation's folder.
pub(super) fn place(requirement: &Requirement, install_path: &str) -> String {
    match requirement.needed_for {
        NeededFor::Users => format!("{USERS_FOLDER}/{install_path}"),
        NeededFor::Activation => {
            let below = install_path.strip_prefix("vars/").unwrap_or(install_path);
            format!("{ACTIVATION_FOLDER}/{below}")
        }
        NeededFor::Services | NeededFor::Partitioning => install_path.to_owned(),
    }
}

/// Plans all files; every unknown account is named at once.
pub(super) fn plan<'a>(
    files: impl Iterator<Item = (&'a Requirement, &'a str)>,
    accounts: &Accounts,
) -> Result<Vec<Planned>, InstallError> {
    let mut planned = Vec::new();
    let mut unknown = Vec::new();
    for (requirement, install_path) in files {
        let path = place(requirement, install_path);
        if accounts.is_unprivileged() {
            planned.push(Planned {
                path,
                ownership: None,
                mode: requirement.mode,
            });
            continue;
        }
        let mut resolve = |kind, name: &str| -> Result<Option<u32>, InstallError> {
            let number = accounts.resolve(kind, name)?;
            if number.is_none() {
                unknown.push(UnknownAccount {
                    kind,
                    name: name.to_owned(),
                    path: path.clone(),
                });
            }
            Ok(number)
        };
        let uid = resolve(AccountKind::User, &requirement.owner)?;
        let gid = resolve(AccountKind::Group, &requirement.group)?;
        let (ownership, mode) = match (uid, gid) {
            (Some(uid), Some(gid)) => (Ownership { uid, gid }, requirement.mode),
            _ => (Ownership { uid: 0, gid: 0 }, requirement.mode.for_owner_alone()),
        };
        planned.push(Planned {
            path,
            ownership: Some(ownership),
            mode,
        });
    }
    if unknown.is_empty() || accounts.unknown() == UnknownAccounts::Defer {
        Ok(planned)
    } else {
        Err(InstallError::UnknownAccounts(unknown))
    }
}
