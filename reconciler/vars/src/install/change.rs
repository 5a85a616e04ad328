//! Owns the comparison of generations: bytes, owner and mode of every file. It must never keep a plaintext,
//! nor write.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use unix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::error::{InstallError, Operation};
use super::folder::Ownership;
use super::plan::{ACTIVATION_FOLDER, Planned, USERS_FOLDER, place};
use super::root::SecretsRoot;
use crate::mode::Mode;
use crate::requirements::Requirements;

/// In what a file differs from an earlier generation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is no longer there.
    Removed,
    /// Its bytes are others.
    Content,
    /// Its bytes are the same; its owner, group or mode is another.
    Ownership,
}

/// One file that differs from an earlier generation's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path below the secrets' link.
    pub path: String,
    /// In what it differs.
    pub kind: ChangeKind,
    /// systemd units to restart for it; none for a removed file.
    pub restart_units: Vec<String>,
}

/// Type and permission bits, owner, and a digest of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    mode: u32,
    ownership: Option<Ownership>,
    digest: [u8; 32],
}

/// All files of a generation, by their path below its folder.
pub(crate) type Snapshot = BTreeMap<String, Facts>;

/// A regular file's type bits (POSIX `S_IFREG`).
const REGULAR: u32 = 0o100_000;

/// What is planned, as it would be found once installed.
pub(crate) fn of_plan<'a>(planned: impl Iterator<Item = (&'a Planned, &'a [u8])>) -> Snapshot {
    let facts = planned.map(|(file, bytes)| {
        let digest = Sha256::digest(bytes).into();
        (
            file.path.clone(),
            Facts {
                mode: REGULAR | file.mode.bits(),
                ownership: file.ownership,
                digest,
            },
        )
    });
    facts.collect()
}

/// What is installed in a folder. Whatever is neither file nor folder counts as a file without content.
pub(crate) fn of_folder(folder: &Path) -> io::Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    let mut pending = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let facts = entry.path().symlink_metadata()?;
            if facts.is_dir() {
                pending.push((entry.path(), format!("{path}/")));
                continue;
            }
            snapshot.insert(path, of_entry(&entry.path(), &facts)?);
        }
    }
    Ok(snapshot)
}

/// What one file is; a symbolic link is not followed.
pub(super) fn of_file(path: &Path) -> io::Result<Facts> {
    of_entry(path, &path.symlink_metadata()?)
}

fn of_entry(path: &Path, facts: &Metadata) -> io::Result<Facts> {
    let digest = if facts.is_file() { digest(path)? } else { [0; 32] };
    Ok(Facts {
        mode: facts.mode(),
        ownership: Some(Ownership {
            uid: facts.uid(),
            gid: facts.gid(),
        }),
        digest,
    })
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let flags = OFlag::O_NOFOLLOW.bits();
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let mut buffer = Zeroizing::new([0; 16 * 1024]);
    let mut hash = Sha256::new();
    loop {
        match file.read(buffer.as_mut_slice())? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// What changes from `old` to `new`; `units` are those of each path below the generation's folder.
pub(crate) fn between(old: &Snapshot, new: &Snapshot, units: &BTreeMap<String, Vec<String>>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, facts) in new {
        let kind = match old.get(path) {
            None => ChangeKind::Added,
            Some(before) if before.digest != facts.digest => ChangeKind::Content,
            Some(before) if !before.same_access(facts) => ChangeKind::Ownership,
            Some(_) => continue,
        };
        let restart_units = units.get(path).cloned().unwrap_or_default();
        changes.push(Change {
            path: shown(path),
            kind,
            restart_units,
        });
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        changes.push(Change {
            path: shown(path),
            kind: ChangeKind::Removed,
            restart_units: Vec::new(),
        });
    }
    changes
}

impl SecretsRoot {
    /// In what generation `to` differs from `from`, with the units that `requirements`, those of `to`, name;
    /// from none at all for `None`. Both are compared as they lie there, so no key is needed.
    ///
    /// # Errors
    /// [`InstallError::Gone`] where one of them is, [`InstallError::System`] where one cannot be read.
    pub fn changes(
        &self,
        from: Option<u64>,
        to: u64,
        requirements: &Requirements,
        machine: &str,
    ) -> Result<Vec<Change>, InstallError> {
        let units = requirements.installed().map(|file| {
            let path = place(file, &file.install_path(machine));
            (path, file.restart_units.clone())
        });
        let old = from.map(|number| self.snapshot(number)).transpose()?;
        let new = self.snapshot(to)?;
        Ok(between(&old.unwrap_or_default(), &new, &units.collect()))
    }

    /// What is installed in a generation's folder.
    pub(super) fn snapshot(&self, number: u64) -> Result<Snapshot, InstallError> {
        if !self.exists(number) {
            return Err(InstallError::Gone { number });
        }
        let folder = self.generation_folder(number)?;
        of_folder(&folder).map_err(InstallError::during(Operation::Inspect, &folder))
    }
}

/// The path as a reader of the links sees it; that of what activation scripts need as the fleet has it.
fn shown(path: &str) -> String {
    let below = |folder| path.strip_prefix(folder)?.strip_prefix('/');
    match (below(USERS_FOLDER), below(ACTIVATION_FOLDER)) {
        (Some(rest), _) => rest.to_owned(),
        (None, Some(rest)) => format!("vars/{rest}"),
        (None, None) => path.to_owned(),
    }
}

impl Facts {
    /// The digest of its bytes.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Its owner and group, where they are known.
    pub(super) fn ownership(&self) -> Option<Ownership> {
        self.ownership
    }

    /// Its permission bits.
    pub(super) fn mode(&self) -> Mode {
        Mode::of_bits(self.mode)
    }

    /// Whether bytes, owner, group and mode are the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.digest == other.digest && self.same_access(other)
    }

    fn same_access(&self, other: &Self) -> bool {
        let same_owner = match (self.ownership, other.ownership) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.mode == other.mode && same_owner
    }
}
