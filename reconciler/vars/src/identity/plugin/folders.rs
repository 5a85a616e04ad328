//! Owns the search for a plugin's program. It must never find one that anybody but root, or the agent's own user,
//! could have put there.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use unix::unistd::geteuid;

use super::problem::PluginProblem;

/// Where plugins are, and how long one may take.
#[derive(Debug, Clone)]
pub struct Plugins {
    folders: Vec<PathBuf>,
    limit: Duration,
}

/// Where NixOS, nix-darwin, Debian and others install programs for everybody.
const FOLDERS: [&str; 5] = [
    "/run/current-system/sw/bin",
    "/nix/var/nix/profiles/default/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
];

/// A hardware token answers within seconds; one that waits for a finger never does.
const LIMIT: Duration = Duration::from_secs(20);

impl Default for Plugins {
    fn default() -> Self {
        Self::new(FOLDERS.map(PathBuf::from).into(), LIMIT)
    }
}

impl Plugins {
    /// Looks in these folders alone, in order; those that are not absolute are left out.
    pub fn new(folders: Vec<PathBuf>, limit: Duration) -> Self {
        let folders = folders.into_iter().filter(|folder| folder.is_absolute());
        Self {
            folders: folders.collect(),
            limit,
        }
    }

    /// The same time limit, other folders.
    #[must_use]
    pub fn in_folders(self, folders: Vec<PathBuf>) -> Self {
        Self::new(folders, self.limit)
    }

    /// These folders first, then those of before.
    #[must_use]
    pub fn after(self, mut first: Vec<PathBuf>) -> Self {
        first.extend(self.folders);
        Self::new(first, self.limit)
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// What a plugin may use as its `PATH`.
    pub(super) fn search_path(&self) -> String {
        let folders: Vec<_> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        folders.join(":")
    }

    /// The program of the plugin of this name.
    pub(super) fn locate(&self, name: &str) -> Result<PathBuf, PluginProblem> {
        let program = format!("age-plugin-{name}");
        let missing = || PluginProblem::NotInstalled {
            program: program.clone(),
            folders: self
                .folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect(),
        };
        // A name that is a path would lead out of the folders (rage, GHSA-4fg7-vxc8-qx5w).
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(harmless) {
            return Err(missing());
        }
        let mut places = self.folders.iter().map(|folder| folder.join(&program));
        let found = places.find(|place| {
            place
                .metadata()
                .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
        });
        let place = found.ok_or_else(missing)?;
        let place = place.canonicalize().map_err(|_| missing())?;
        match place.ancestors().find(|part| !is_trusted(part)) {
            None => Ok(place),
            Some(part) => Err(PluginProblem::Untrusted {
                part: part.to_owned(),
                program: place.clone(),
            }),
        }
    }
}

/// Whether only root and the agent's own user can put something else at this place. In a folder with the sticky
/// bit, as the Nix store is one, nobody can replace what is another's.
fn is_trusted(part: &Path) -> bool {
    part.symlink_metadata().is_ok_and(|facts| {
        let owned = facts.uid() == 0 || facts.uid() == geteuid().as_raw();
        let mode = facts.permissions().mode();
        let sticky = facts.is_dir() && mode & 0o1000 != 0;
        owned && (mode & 0o022 == 0 || sticky)
    })
}
