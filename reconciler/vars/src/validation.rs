//! Owns the hash that clan keeps beside values of what they depend on. It must never read a value.

use crate::tree::{Tree, TreeError};

/// The name of the file: plain lower-case hexadecimal, without a newline.
pub(crate) const FILE: &str = ".validation-hash";

/// A hash is 64 characters long; this leaves room for what a person may have put there. In bytes.
const SHOWN: usize = 128;

/// Values that are older than what they are declared for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stale {
    /// What is stored beside them; none where nothing is.
    pub(crate) stored: Option<String>,
}

/// The folder of a generator's files, public ones and the hash included.
pub(crate) fn folder(machine: &str, share: bool, generator: &str) -> String {
    if share {
        format!("vars/shared/{generator}")
    } else {
        format!("vars/per-machine/{machine}/{generator}")
    }
}

/// Compares the declared hash with the stored one. Both absent is fine.
pub(crate) fn compare(
    tree: &dyn Tree,
    folder: &str,
    declared: Option<&str>,
) -> Result<Option<Stale>, TreeError> {
    let bytes = tree.read(&format!("{folder}/{FILE}"))?;
    let stored = bytes.map(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        text.trim().chars().take(SHOWN).collect::<String>()
    });
    Ok(if stored.as_deref() == declared {
        None
    } else {
        Some(Stale { stored })
    })
}
