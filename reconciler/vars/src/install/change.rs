//! Owns the comparison of generations: bytes, owner and mode of every file. It must never keep a plaintext,
//! nor write.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use unix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::folder::Ownership;
use super::plan::{Planned, USERS_FOLDER};

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
pub(super) struct Facts {
    mode: u32,
    ownership: Option<Ownership>,
    digest: [u8; 32],
}

/// All files of a generation, by their path below its folder.
pub(super) type Snapshot = BTreeMap<String, Facts>;

/// A regular file's type bits (POSIX `S_IFREG`).
const REGULAR: u32 = 0o100_000;

/// What is planned, as it would be found once installed.
pub(super) fn of_plan<'a>(planned: impl Iterator<Item = (&'a Planned, &'a [u8])>) -> Snapshot {
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
pub(super) fn of_folder(folder: &Path) -> io::Result<Snapshot> {
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
            let digest = if facts.is_file() {
                digest(&entry.path())?
            } else {
                [0; 32]
            };
            let ownership = Some(Ownership {
                uid: facts.uid(),
                gid: facts.gid(),
            });
            snapshot.insert(
                path,
                Facts {
                    mode: facts.mode(),
                    ownership,
                    digest,
                },
            );
        }
    }
    Ok(snapshot)
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
pub(super) fn between(old: &Snapshot, new: &Snapshot, units: &BTreeMap<String, Vec<String>>) -> Vec<Change> {
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

/// The path as a reader of the link for users sees it.
fn shown(path: &str) -> String {
    path.strip_prefix(USERS_FOLDER)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
        .to_owned()
}

impl Facts {
    fn same_access(&self, other: &Self) -> bool {
        let same_owner = match (self.ownership, other.ownership) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.mode == other.mode && same_owner
    }
}
