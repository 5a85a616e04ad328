//! Owns the fleet while one command changes its values, and what an interrupted one left. It must never change a value.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use unix::fcntl::{Flock, FlockArg};

use super::edit::{EditError, NEW, OLD, clear};

/// Takes the fleet for one command that changes its values, and finishes what an interrupted one left: a folder that
/// was moved aside and not replaced is put back, the rest is thrown away. The lock ends with what is returned.
///
/// # Errors
/// [`EditError`] where another command holds it, or the leftovers cannot be cleared.
pub fn recover(root: &Path) -> Result<Flock<File>, EditError> {
    let locking = |source| EditError::Lock {
        path: root.to_owned(),
        source,
    };
    let folder = File::open(root).map_err(locking)?;
    let lock = Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        unix::Error::EWOULDBLOCK => EditError::Locked {
            path: root.to_owned(),
        },
        error => locking(error.into()),
    })?;
    let mut folders: Vec<PathBuf> = [
        "vars/shared",
        "sops/machines",
        "sops/users",
        "sops/groups",
        "sops/secrets",
    ]
    .iter()
    .map(|folder| root.join(folder))
    .collect();
    let machines = root.join("vars/per-machine");
    folders.extend(children(&machines));
    folders.push(machines);
    for place in folders.iter().flat_map(|folder| children(folder)) {
        let finished = finish(&place);
        finished.map_err(|source| EditError::Recover { path: place, source })?;
    }
    Ok(lock)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let is_folder = folder.symlink_metadata().is_ok_and(|facts| facts.is_dir());
    let entries = folder.read_dir().ok().filter(|_| is_folder);
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn finish(place: &Path) -> io::Result<()> {
    let name = place
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Some(hidden) = name.strip_prefix('.') else {
        return Ok(());
    };
    if hidden.ends_with(NEW) {
        return clear(place);
    }
    let Some(target) = hidden.strip_suffix(OLD) else {
        return Ok(());
    };
    let target = place.with_file_name(target);
    if target.symlink_metadata().is_ok() {
        clear(place)
    } else {
        fs::rename(place, target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_is_finished() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [
            ("vars/shared", "g"),
            ("vars/per-machine/m", "h"),
            ("sops/users", "u"),
        ] {
            let folder = root.path().join(folder);
            for left in [
                format!(".{name}.reconcile-new/f"),
                format!(".{name}.reconcile-old/f"),
            ] {
                fs::create_dir_all(folder.join(left)).unwrap();
            }
            let lock = recover(root.path()).unwrap();
            assert_eq!(
                folder
                    .read_dir()
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect::<Vec<_>>(),
                [name]
            );
            assert!(matches!(recover(root.path()), Err(EditError::Locked { .. })));
            drop(lock);
            // The new one is in force: the old one goes.
            fs::create_dir_all(folder.join(format!(".{name}.reconcile-old/f"))).unwrap();
            drop(recover(root.path()).unwrap());
            assert_eq!(folder.read_dir().unwrap().count(), 1);
        }
    }
}
