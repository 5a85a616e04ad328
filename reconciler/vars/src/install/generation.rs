//! Owns which generation is in force: one rename of the link. It must never write a secret, nor replace
//! anything but a link.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use unix::fcntl::{OFlag, open, renameat};
use unix::sys::stat::Mode as Bits;
use unix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::accounts::{Accounts, UnknownAccounts};
use super::error::{InstallError, Operation};
use super::folder::{Ownership, own};
use super::plan::{USERS_FOLDER, plan};
use super::root::SecretsRoot;
use crate::requirements::Requirements;

/// The generation in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SecretsGeneration {
    /// Its number.
    pub number: u64,
}

impl SecretsRoot {
    /// Puts a generation that is there in force, as for a rollback.
    ///
    /// # Errors
    /// [`InstallError::Gone`] where it is not there; whatever was in force then stays so.
    pub fn switch_to(&self, number: u64) -> Result<SecretsGeneration, InstallError> {
        if !self.exists(number) {
            return Err(InstallError::Gone { number });
        }
        for link in [&self.link, &self.users_link] {
            if link.symlink_metadata().is_ok_and(|facts| !facts.is_symlink()) {
                return Err(InstallError::NotALink { path: link.clone() });
            }
        }
        let name = self.name()?;
        // Relative, so that it also holds where the system's root is mounted elsewhere.
        point(&self.link, &format!("{name}.d/{number}"))?;
        if self.generation_folder(number)?.join(USERS_FOLDER).is_dir() {
            point(&self.users_link, &format!("{name}/{USERS_FOLDER}"))?;
        }
        Ok(SecretsGeneration { number })
    }

    /// Gives the files of a generation the owner, group and mode that they were to have, once the accounts exist
    /// ([`UnknownAccounts::Defer`]). Tells the paths below the link that it changed; does nothing where
    /// `accounts` are unprivileged.
    ///
    /// # Errors
    /// [`InstallError::UnknownAccounts`] where accounts are still missing and `accounts` refuses that,
    /// [`InstallError::Gone`] where the generation is.
    pub fn settle(
        &self,
        number: u64,
        requirements: &Requirements,
        machine: &str,
        accounts: &Accounts,
    ) -> Result<Vec<String>, InstallError> {
        if !self.exists(number) {
            return Err(InstallError::Gone { number });
        }
        if accounts.is_unprivileged() {
            return Ok(Vec::new());
        }
        let paths: Vec<_> = requirements
            .installed()
            .map(|file| (file, file.install_path(machine)))
            .collect();
        let deferring = accounts.clone().with_unknown(UnknownAccounts::Defer);
        let files = || paths.iter().map(|(file, path)| (*file, path.as_str()));
        let folder = self.generation_folder(number)?;
        let mut settled = Vec::new();
        for (planned, (_, shown)) in plan(files(), &deferring)?.iter().zip(&paths) {
            let path = folder.join(&planned.path);
            let failed = |operation| InstallError::during(operation, &path);
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            let mut options = std::fs::OpenOptions::new();
            let file = options
                .read(true)
                .custom_flags(flags.bits())
                .open(&path)
                .map_err(failed(Operation::Inspect))?;
            let facts = file.metadata().map_err(failed(Operation::Inspect))?;
            let found = Some(Ownership {
                uid: facts.uid(),
                gid: facts.gid(),
            });
            if found != planned.ownership || facts.mode() & 0o7777 != planned.mode.bits() {
                own(&file, &path, planned.ownership, planned.mode)?;
                settled.push(shown.clone());
            }
        }
        // Those that exist are served before those that do not are told.
        plan(files(), accounts).map(|_| settled)
    }
}

/// Makes `link` point at `target` in one step: it is the old link or the new one at every moment.
fn point(link: &Path, target: &str) -> Result<(), InstallError> {
    let (Some(parent), Some(name)) = (link.parent(), link.file_name().and_then(|name| name.to_str())) else {
        return Err(super::error::InvalidLink {
            path: link.to_owned(),
        }
        .into());
    };
    if link.read_link().is_ok_and(|found| found == Path::new(target)) {
        return Ok(());
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder =
        open(parent, flags, Bits::empty()).map_err(InstallError::during(Operation::OpenFolder, parent))?;
    let temporary = format!(".{name}.new");
    match unlinkat(&folder, temporary.as_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(unix::Error::ENOENT) => {}
        Err(error) => {
            return Err(InstallError::during(Operation::Remove, &parent.join(&temporary))(
                error,
            ));
        }
    }
    symlinkat(target, &folder, temporary.as_str()).map_err(InstallError::during(
        Operation::MakeLink,
        &parent.join(&temporary),
    ))?;
    renameat(&folder, temporary.as_str(), &folder, name)
        .map_err(InstallError::during(Operation::Rename, link))
}
