//! Owns the opening of a plain age file, binary or armored. It must never be given a sops file.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity};
use zeroize::Zeroizing;

use super::error::SopsError;
use crate::identity::Identities;

/// Whether the bytes begin as an age file does (age-encryption.org/v1).
pub(super) fn is_age(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/v1\n") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// The plaintext of an age file.
pub(super) fn open(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let decryptor = Decryptor::new(ArmoredReader::new(bytes)).map_err(|_| SopsError::AgeFile)?;
    let keys = identities.keys().map(|(_, key)| key as &dyn Identity);
    let reader = decryptor.decrypt(keys).map_err(|error| match error {
        DecryptError::NoMatchingKeys => SopsError::NotEncryptedToThisMachine {
            recipients: Vec::new(),
        },
        _ => SopsError::AgeFile,
    })?;
    // The plaintext is shorter than the file, so this never grows and leaves no copy behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let limit = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    reader
        .take(limit)
        .read_to_end(&mut plaintext)
        .map_err(|_| SopsError::AgeFile)?;
    Ok(plaintext)
}
