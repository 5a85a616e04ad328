//! Folders that are gone when the test is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder of one test. Others may enter it, as they may enter a real host's: the evaluator is another user.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A folder where programs may be run from.
    #[must_use]
    pub fn on_disk() -> Scratch {
        Scratch::in_folder(&std::env::temp_dir())
    }

    /// A folder in memory, where secrets may lie.
    #[must_use]
    pub fn in_memory() -> Scratch {
        Scratch::in_folder(Path::new("/dev/shm"))
    }

    fn in_folder(folder: &Path) -> Scratch {
        // Short: the path of a socket ends at 107 bytes.
        let made = tempfile::Builder::new().prefix("rc").tempdir_in(folder).unwrap();
        std::fs::set_permissions(made.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Scratch { path: made.keep() }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file that a test needs and no fleet or host has.
pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Kept to be looked at, where somebody asks for it.
        if std::env::var_os("RECONCILE_TEST_KEEP").is_none() {
            make_writable(&self.path);
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Store paths cannot be deleted by anybody but root as they are.
fn make_writable(folder: &Path) {
    if unix::unistd::geteuid().is_root() {
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755));
            make_writable(&entry.path());
        }
    }
}
