//! Owns the secrets of one machine, opened in memory. It must never show one, nor write one to a disk.

use std::collections::HashSet;
use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::requirements::{Requirement, Requirements};

/// One opened secret.
pub(crate) struct OpenedSecret {
    pub(crate) requirement: Requirement,
    /// Path below the secrets' link.
    pub(crate) install_path: String,
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    /// SHA-256 of the encrypted file.
    pub(crate) ciphertext: [u8; 32],
}

/// All secrets that a machine needs, opened. They are overwritten when this is dropped.
pub struct Opened {
    pub(crate) secrets: Vec<OpenedSecret>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| secret.install_path.as_str())
            .collect();
        f.debug_struct("Opened")
            .field("paths", &paths)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// How many secrets there are.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The secrets' requirements, each with its path below the secrets' link.
    pub fn files(&self) -> impl Iterator<Item = (&Requirement, &str)> {
        self.secrets
            .iter()
            .map(|secret| (&secret.requirement, secret.install_path.as_str()))
    }

    /// What they are, as requirements of their own.
    pub fn requirements(&self) -> Requirements {
        Requirements::from_files(self.files().map(|(file, _)| file.clone()).collect())
    }

    /// Those that `requirements` install; the others are overwritten.
    #[must_use]
    pub fn only(mut self, requirements: &Requirements) -> Self {
        let wanted: HashSet<_> = requirements.installed().collect();
        self.secrets.retain(|secret| wanted.contains(&secret.requirement));
        self
    }

    /// Lower-case hexadecimal SHA-256 over every secret's place, owner, group, mode and encrypted bytes. It is
    /// the same for the same ciphertexts, and tells nothing of a plaintext.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"reconcile secrets 1\n");
        for OpenedSecret {
            requirement,
            install_path,
            ciphertext,
            ..
        } in &self.secrets
        {
            let mode = requirement.mode.to_string();
            // Each is a place of its own.
            let needed_for = [match requirement.needed_for {
                crate::NeededFor::Users => 1,
                crate::NeededFor::Activation => 2,
                crate::NeededFor::Services | crate::NeededFor::Partitioning => 0,
            }];
            let fields: [&[u8]; 5] = [
                install_path.as_bytes(),
                requirement.owner.as_bytes(),
                requirement.group.as_bytes(),
                mode.as_bytes(),
                &needed_for,
            ];
            for field in fields {
                // The length first, so that no two lists of fields read the same.
                hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(field);
            }
            hash.update(ciphertext);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
