//! The one writer of files: temp, write, fsync, rename, fsync the folder.
//!
//! Nothing else in the agent writes state. A reader sees the old content or the new, never half of one,
//! also after a power cut.

use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};

/// A file that could not be made to last.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// The temporary file beside the target could not be written and synced.
    #[error("cannot write {path}")]
    Write {
        /// The file that was to be replaced.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The new file could not take the place of the old one.
    #[error("cannot put {path} in place")]
    Rename {
        /// The file that was to be replaced.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder's own entry could not be synced.
    #[error("cannot sync the folder {path}")]
    SyncFolder {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder could not be made.
    #[error("cannot create the folder {path}")]
    CreateFolder {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DurableError {
    /// Whether the disk had no room for it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let (DurableError::Write { source, .. }
        | DurableError::Rename { source, .. }
        | DurableError::SyncFolder { source, .. }
        | DurableError::CreateFolder { source, .. }) = self;
        source.kind() == io::ErrorKind::StorageFull
    }
}

/// How much of a crash a file has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// A power cut: synced before the rename, and the folder after it.
    Power,
    /// The process only: for files on a tmpfs and what is cheap to make anew.
    Process,
}

/// Replaces the file at `path` by `content` with the given mode, whatever the umask.
pub fn replace(path: &Utf8Path, content: &[u8], mode: u32, lasting: Lasting) -> Result<(), DurableError> {
    let temporary = beside(path);
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        if lasting == Lasting::Power {
            file.sync_all()?;
        }
        Ok(())
    })();
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(DurableError::Write {
            path: path.to_owned(),
            source,
        });
    }
    put_in_place(&temporary, path, lasting)
}

/// Replaces the file at `path` by a copy of `from` with the given mode, which outlives a power cut.
pub fn copy(from: &Utf8Path, path: &Utf8Path, mode: u32) -> Result<(), DurableError> {
    let temporary = beside(path);
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut source = File::open(from)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        io::copy(&mut source, &mut file)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.sync_all()
    })();
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(DurableError::Write {
            path: path.to_owned(),
            source,
        });
    }
    put_in_place(&temporary, path, Lasting::Power)
}

/// Removes the file at `path`, in a way that outlives a power cut.
pub fn remove(path: &Utf8Path) -> Result<(), DurableError> {
    let removed = fs::remove_file(path).map_err(|source| DurableError::Write {
        path: path.to_owned(),
        source,
    });
    removed.and_then(|()| path.parent().map_or(Ok(()), sync_folder))
}

/// Replaces whatever is at `path` by a symbolic link to `target`, in one rename.
pub fn replace_link(path: &Utf8Path, target: &Utf8Path) -> Result<(), DurableError> {
    let temporary = beside(path);
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary).map_err(|source| DurableError::Write {
        path: path.to_owned(),
        source,
    })?;
    put_in_place(&temporary, path, Lasting::Power)
}

/// Creates `path` and its missing parents; the last one gets `mode` exactly, also when it exists already.
pub fn folder(path: &Utf8Path, mode: u32) -> Result<(), DurableError> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o755).create(path)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    create().map_err(|source| DurableError::CreateFolder {
        path: path.to_owned(),
        source,
    })
}

/// Syncs a folder, so that the names in it outlive a power cut.
pub fn sync_folder(path: &Utf8Path) -> Result<(), DurableError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| DurableError::SyncFolder {
            path: path.to_owned(),
            source,
        })
}

fn put_in_place(temporary: &Utf8Path, path: &Utf8Path, lasting: Lasting) -> Result<(), DurableError> {
    if let Err(source) = fs::rename(temporary, path) {
        let _ = fs::remove_file(temporary);
        return Err(DurableError::Rename {
            path: path.to_owned(),
            source,
        });
    }
    match (lasting, path.parent()) {
        (Lasting::Power, Some(folder)) => sync_folder(folder),
        _ => Ok(()),
    }
}

fn beside(path: &Utf8Path) -> Utf8PathBuf {
    let name = path.file_name().unwrap_or("unnamed");
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    #[test]
    fn replaces_content_and_mode_and_leaves_nothing_behind() {
        let (_keep, folder) = scratch();
        let file = folder.join("state.json");
        replace(&file, b"one", 0o644, Lasting::Power).unwrap();
        replace(&file, b"two", 0o600, Lasting::Power).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_file_and_keeps_the_old_one() {
        let (_keep, folder) = scratch();
        let error = replace(&folder.join("missing/state"), b"x", 0o600, Lasting::Power).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        let occupied = folder.join("folder");
        fs::create_dir(&occupied).unwrap();
        fs::create_dir(occupied.join("inside")).unwrap();
        let error = replace(&occupied, b"x", 0o600, Lasting::Power).unwrap_err();
        assert!(matches!(error, DurableError::Rename { .. }));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_in_one_step() {
        let (_keep, folder) = scratch();
        let link = folder.join("current");
        replace_link(&link, Utf8Path::new("/one")).unwrap();
        replace_link(&link, Utf8Path::new("/two")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("/two"));
    }
}
