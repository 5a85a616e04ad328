//! What must be found nowhere but where secrets lie: the values that a fleet's secrets were made of, and private keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A shorter value is a word that stands anywhere, in bytes.
const SHORTEST: usize = 6;

/// The plaintexts of one fleet, shared with its hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plaintexts(Arc<Mutex<BTreeSet<String>>>);

impl Plaintexts {
    /// Adds one.
    pub(crate) fn add(&self, text: &str) {
        if text.len() >= SHORTEST {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(text.to_owned());
        }
    }

    /// The first of them that stands in these bytes.
    pub(crate) fn in_bytes(&self, bytes: &[u8]) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |text: &&String| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        all.iter().find(has).cloned()
    }

    /// Looks through a file, or everything below a folder; what it finds, in a sentence.
    pub(crate) fn in_files(&self, path: &Path) -> Option<String> {
        // Where they are to be: on the ramdisk.
        if path.is_symlink() || path.ends_with("secrets.d") {
            return None;
        }
        if path.is_dir() {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            return entries
                .map(|entry| entry.path())
                .find_map(|path| self.in_files(&path));
        }
        // A socket or a pipe holds nothing.
        if !path.is_file() {
            return None;
        }
        let text = self.in_bytes(&std::fs::read(path).ok()?)?;
        Some(format!("{} holds the plaintext {text:?}", path.display()))
    }
}
