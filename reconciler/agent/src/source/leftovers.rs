//! What a killed process or a power cut leaves in a mirror, and libgit2 stumbles over: half a pack, the lock of
//! a ref, a ref that was not written whole.
//!
//! Called only by whoever is the only writer of these files. What cannot be removed shows in the write that
//! follows.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use git2::Oid;

use super::mirror::TRACKING;

/// How libgit2's indexer names a pack that is still growing (`git_futils_mktmp`).
const UNFINISHED_PACK: &str = "pack_git2_";

/// Removes what a fetch left. The caller holds the fetch's lock.
pub(super) fn of_fetch(mirror: &Utf8Path) {
    remove_files(&mirror.join("objects/pack"), |file| {
        file.file_name()
            .is_some_and(|name| name.starts_with(UNFINISHED_PACK))
    });
    let mut folders = vec![mirror.join(TRACKING)];
    while let Some(folder) = folders.pop() {
        remove_files(&folder, |file| file.extension() == Some("lock") || is_torn(file));
        let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|entry| entry.path().is_dir())
                .map(camino::Utf8DirEntry::into_path),
        );
    }
}

/// Removes what the writing of one ref left.
pub(super) fn of_ref(mirror: &Utf8Path, name: &str) {
    let file = mirror.join(name);
    let _ = fs::remove_file(Utf8PathBuf::from(format!("{file}.lock")));
    if is_torn(&file) {
        let _ = fs::remove_file(file);
    }
}

/// A loose ref holds an object id. A torn one is refused by libgit2 even when it is to be written anew.
fn is_torn(file: &Utf8Path) -> bool {
    fs::read(file).is_ok_and(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        text.len() != 40 || text.parse::<Oid>().is_err()
    })
}

fn remove_files(folder: &Utf8Path, wanted: impl Fn(&Utf8Path) -> bool) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        if wanted(entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
