//! Owns the change of one folder of the fleet: all of it, or nothing. It must never follow a link on the way there,
//! nor touch a folder whose content is as it should be.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// What comes after the name of a folder that is not in force yet, and of one that was.
pub(super) const NEW: &str = ".reconcile-new";
pub(super) const OLD: &str = ".reconcile-old";

/// Changes of one folder, by paths below it.
#[derive(Debug, Clone)]
pub struct Edit {
    folder: String,
    changes: BTreeMap<String, Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    File(Vec<u8>),
    Link(String),
    Gone,
}

/// Why a folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Something on the way is no folder.
    #[error("{path} is a link or a file, and a folder is needed")]
    NotAFolder {
        /// The path below the fleet's directory.
        path: String,
    },
    /// The new content could not be written beside the old.
    #[error("could not write the new {folder}")]
    Stage {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The new content could not take the place of the old.
    #[error("could not put the new {folder} in place")]
    Switch {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What an interrupted run left could not be cleared.
    #[error("could not clear {path}, which an interrupted run left")]
    Recover {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another run changes the fleet's values.
    #[error("another command is changing the vars of {}", path.display())]
    Locked {
        /// The fleet's directory.
        path: PathBuf,
    },
    /// The lock could not be had.
    #[error("could not lock {}", path.display())]
    Lock {
        /// The fleet's directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Edit {
    /// No change yet of `folder`, a plain path below the fleet's directory.
    pub fn new(folder: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            changes: BTreeMap::new(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// A file with this content at `path` below the folder.
    pub fn file(&mut self, path: impl Into<String>, content: Vec<u8>) {
        self.changes.insert(path.into(), Change::File(content));
    }

    /// A symbolic link.
    pub fn link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.changes.insert(path.into(), Change::Link(target.into()));
    }

    /// Nothing at `path`; what is below it goes as well.
    pub fn remove(&mut self, path: impl Into<String>) {
        self.changes.insert(path.into(), Change::Gone);
    }

    /// Takes those changes of `other` that are of the same folder.
    pub fn merge(&mut self, other: Edit) {
        self.changes.extend(other.changes);
    }

    /// Whether the folder is already so.
    pub fn is_idle(&self, root: &Path) -> bool {
        self.outstanding(root).is_empty()
    }

    /// Makes the changes that are not so already, all at once; whether there were any.
    ///
    /// The new folder is written whole beside the old one and exchanged with it. Where the file system cannot
    /// exchange, two renames do it, and [`recover()`](super::recover()) finishes what was cut between them.
    ///
    /// # Errors
    /// [`EditError`]; the old content is in force then.
    pub fn commit(&self, root: &Path) -> Result<bool, EditError> {
        let outstanding = self.outstanding(root);
        if outstanding.is_empty() {
            return Ok(false);
        }
        let stage = |source| EditError::Stage {
            folder: self.folder.clone(),
            source,
        };
        let target = self.prepare(root)?;
        let new = beside(&target, NEW);
        clear(&new).map_err(stage)?;
        let written = self.write(&target, &new, &outstanding);
        if let Err(source) = written {
            let _ = clear(&new);
            return Err(stage(source));
        }
        let switched = switch(&target, &new);
        switched.map_err(|source| EditError::Switch {
            folder: self.folder.clone(),
            source,
        })?;
        Ok(true)
    }

    fn outstanding(&self, root: &Path) -> Vec<(&String, &Change)> {
        let folder = root.join(&self.folder);
        let outstanding = self.changes.iter();
        outstanding
            .filter(|(path, change)| !is_so(&folder.join(path), change))
            .collect()
    }

    /// The folder's place, with the folders above it.
    fn prepare(&self, root: &Path) -> Result<PathBuf, EditError> {
        let mut place = root.to_owned();
        let mut components = self.folder.split('/').peekable();
        while let Some(component) = components.next() {
            place.push(component);
            let made = match place.symlink_metadata() {
                Ok(facts) if facts.is_dir() => continue,
                Ok(_) => {
                    return Err(EditError::NotAFolder {
                        path: self.folder.clone(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if components.peek().is_none() {
                        break;
                    }
                    fs::create_dir(&place)
                }
                Err(error) => Err(error),
            };
            made.map_err(|source| EditError::Stage {
                folder: self.folder.clone(),
                source,
            })?;
        }
        Ok(place)
    }

    fn write(&self, target: &Path, new: &Path, changes: &[(&String, &Change)]) -> io::Result<()> {
        if target.is_dir() {
            copy(target, new)?;
        } else {
            fs::create_dir(new)?;
        }
        for (path, change) in changes {
            let place = new.join(path);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            clear(&place)?;
            match change {
                Change::File(content) => {
                    let mut file = OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(0o644)
                        .open(&place)?;
                    file.write_all(content)?;
                    file.sync_all()?;
                }
                Change::Link(to) => symlink(to, &place)?,
                Change::Gone => {}
            }
        }
        settle(new)
    }
}

fn is_so(place: &Path, change: &Change) -> bool {
    match change {
        Change::Gone => place.symlink_metadata().is_err(),
        Change::Link(target) => place.read_link().is_ok_and(|found| found == Path::new(target)),
        Change::File(content) => {
            place.symlink_metadata().is_ok_and(|facts| facts.is_file())
                && fs::read(place).is_ok_and(|found| found == *content)
        }
    }
}

/// The same files by another name: what is not changed is not written, and keeps its times.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &place)?;
        } else if kind.is_symlink() {
            symlink(source.read_link()?, place)?;
        } else if fs::hard_link(&source, &place).is_err() {
            fs::copy(&source, &place)?;
        }
    }
    Ok(())
}

/// Takes away folders that hold nothing, as git keeps none, and syncs those that hold something.
fn settle(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            settle(&entry.path())?;
            if entry.path().read_dir()?.next().is_none() {
                fs::remove_dir(entry.path())?;
            }
        }
    }
    File::open(folder)?.sync_all()
}

fn switch(target: &Path, new: &Path) -> io::Result<()> {
    let old = beside(target, OLD);
    if new.read_dir()?.next().is_none() {
        // Nothing is left of it.
        fs::remove_dir(new)?;
        clear(&old)?;
        if target.symlink_metadata().is_ok() {
            fs::rename(target, &old)?;
        }
        clear(&old)?;
    } else if target.symlink_metadata().is_err() {
        fs::rename(new, target)?;
    } else if exchange(target, new) {
        clear(new)?;
    } else {
        clear(&old)?;
        fs::rename(target, &old)?;
        if let Err(error) = fs::rename(new, target) {
            let _ = fs::rename(&old, target);
            return Err(error);
        }
        clear(&old)?;
    }
    match target.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Exchanges two folders in one step, where the system and the file system can.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn exchange(one: &Path, other: &Path) -> bool {
    use unix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}{suffix}"))
}

pub(super) fn clear(place: &Path) -> io::Result<()> {
    let cleared = match place.symlink_metadata() {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(error) => Err(error),
    };
    match cleared {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const FOLDER: &str = "vars/shared/g";

    fn names(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut queue = vec![root.to_owned()];
        while let Some(folder) = queue.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    queue.push(path);
                } else {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_folder_changes_whole_and_keeps_what_it_was_not_told() {
        let root = tempfile::tempdir().unwrap();
        let mut edit = Edit::new(FOLDER);
        edit.file("f/secret", b"one".to_vec());
        edit.link("f/users/ann", "../x");
        edit.file(".validation-hash", b"h".to_vec());
        assert!(edit.commit(root.path()).unwrap());
        let secret = root.path().join(FOLDER).join("f/secret");
        let inode = secret.metadata().unwrap().ino();
        assert!(!edit.commit(root.path()).unwrap());
        let mut more = Edit::new(FOLDER);
        more.file("k/value", b"two".to_vec());
        more.remove("f/users/ann");
        assert!(more.commit(root.path()).unwrap());
        assert_eq!(
            names(root.path()),
            [
                "vars/shared/g/.validation-hash",
                "vars/shared/g/f/secret",
                "vars/shared/g/k/value"
            ]
        );
        assert!(
            !root.path().join(FOLDER).join("f/users").exists(),
            "no empty folder"
        );
        assert_eq!(
            secret.metadata().unwrap().ino(),
            inode,
            "what is not changed is not written"
        );
        let mut gone = Edit::new(FOLDER);
        for path in [".validation-hash", "f", "k"] {
            gone.remove(path);
        }
        assert!(gone.commit(root.path()).unwrap());
        assert!(!root.path().join(FOLDER).exists());
        assert_eq!(root.path().join("vars/shared").read_dir().unwrap().count(), 0);
    }

    #[test]
    fn links_on_the_way_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), root.path().join("vars")).unwrap();
        let mut edit = Edit::new(FOLDER);
        edit.file("f/secret", b"one".to_vec());
        assert!(matches!(
            edit.commit(root.path()),
            Err(EditError::NotAFolder { .. })
        ));
        assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
    }
}
