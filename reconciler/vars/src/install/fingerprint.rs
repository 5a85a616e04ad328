//! Owns the fingerprints of installed secrets: enough to tell that a file was changed, and nothing that helps to
//! guess what is in it. It must never keep a plaintext, a key or a plain hash.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::InstallError;
use super::root::SecretsRoot;

/// What the key is derived for: no other use of the same identity has this word.
const PURPOSE: &[u8] = b"reconciler drift fingerprints 1";

/// A key that only this machine can derive.
pub struct FingerprintKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

/// One installed file, as far as it may be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// HMAC-SHA-256 of the SHA-256 of its bytes, 64 hexadecimal digits.
    pub content: String,
    /// Its mode, owner and group as numbers, `0400 0:0`.
    pub access: String,
}

impl FingerprintKey {
    /// Derives the key from the bytes of a private key of the machine.
    #[must_use]
    pub fn derive(identity: &[u8]) -> Self {
        Self(mac(identity, PURPOSE))
    }

    /// What tells this key from another, 64 hexadecimal digits.
    #[must_use]
    pub fn name(&self) -> String {
        hex(mac(self.0.as_slice(), b"name").as_slice())
    }
}

impl SecretsRoot {
    /// The fingerprint of every file of a generation, by its path below the generation's folder.
    ///
    /// # Errors
    /// [`InstallError::Gone`] where the generation is, [`InstallError::System`] where a file cannot be read.
    pub fn fingerprints(
        &self,
        number: u64,
        key: &FingerprintKey,
    ) -> Result<BTreeMap<String, Fingerprint>, InstallError> {
        let found = self.snapshot(number)?.into_iter().map(|(path, facts)| {
            let owner = facts
                .ownership()
                .map_or_else(String::new, |owner| format!(" {}:{}", owner.uid, owner.gid));
            let print = Fingerprint {
                content: hex(mac(key.0.as_slice(), facts.digest()).as_slice()),
                access: format!("{}{owner}", facts.mode()),
            };
            (path, print)
        });
        Ok(found.collect())
    }
}

fn mac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Zeroizing::new([0; 32]);
    };
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
    fn bytes_and_access_are_told_apart_and_depend_on_the_key() {
        let scratch = tempfile::tempdir().unwrap();
        let root = SecretsRoot::new(scratch.path().join("secrets"));
        let file = scratch.path().join("secrets.d/1/a/b");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "one").unwrap();
        let key = FingerprintKey::derive(b"host key");
        let look = |key: &FingerprintKey| root.fingerprints(1, key).unwrap()["a/b"].clone();
        let first = look(&key);
        assert_eq!(look(&key), first);

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let opened = look(&key);
        assert_eq!(opened.content, first.content);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(look(&key).access, opened.access);

        std::fs::write(&file, "two").unwrap();
        assert_ne!(look(&key).content, first.content);

        let other = FingerprintKey::derive(b"another");
        assert_ne!(other.name(), key.name());
        assert_ne!(look(&other).content, look(&key).content);
        assert!(!format!("{key:?}").contains(&key.name()));
        assert!(matches!(
            root.fingerprints(2, &key),
            Err(InstallError::Gone { number: 2 })
        ));
    }
}
