//! Owns the opening of a file's data key with this machine's identities. It must never go on with a key
//! of the wrong length.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity};
use zeroize::Zeroizing;

use super::error::SopsError;
use super::metadata::{Metadata, Sealed};
use super::value::DataKey;
use crate::identity::Identities;

/// More recipients than any fleet has; a bound on the work that a hostile file can cause.
const MOST_RECIPIENTS: usize = 1024;

/// Opens the data key: the entries that name this machine first, then all others, as an entry may name
/// its recipient in another spelling.
pub(super) fn open(metadata: &Metadata, identities: &Identities) -> Result<DataKey, SopsError> {
    let sealed = &metadata.age;
    if sealed.is_empty() {
        return Err(SopsError::NoAgeRecipient {
            kinds: metadata.others.clone(),
        });
    }
    if sealed.len() > MOST_RECIPIENTS {
        return Err(SopsError::TooManyRecipients {
            count: sealed.len(),
            limit: MOST_RECIPIENTS,
        });
    }
    let names_us = |entry: &&Sealed| {
        identities
            .recipients()
            .iter()
            .any(|info| info.recipient == entry.recipient)
    };
    let (ours, others): (Vec<_>, Vec<_>) = sealed.iter().partition(names_us);
    let mut damaged = None;
    for entry in ours {
        match open_entry(entry, identities) {
            Ok(key) => return Ok(key),
            Err(_) => damaged = damaged.or(Some(entry)),
        }
    }
    for entry in others {
        match open_entry(entry, identities) {
            Ok(key) => return Ok(key),
            Err(Failure::NotForUs) => {}
            Err(Failure::WrongLength) => damaged = damaged.or(Some(entry)),
        }
    }
    Err(match damaged {
        Some(entry) => SopsError::DataKey {
            recipient: entry.recipient.clone(),
        },
        None => SopsError::NotEncryptedToThisMachine {
            recipients: sealed.iter().map(|entry| entry.recipient.clone()).collect(),
        },
    })
}

enum Failure {
    NotForUs,
    WrongLength,
}

fn open_entry(entry: &Sealed, identities: &Identities) -> Result<DataKey, Failure> {
    let keys = identities.keys().map(|(_, key)| key as &dyn Identity);
    let open = || -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let decryptor = Decryptor::new(ArmoredReader::new(entry.armored.as_bytes()))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        decryptor.decrypt(keys)?.take(33).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|_| Failure::NotForUs)?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| Failure::WrongLength)?;
    Ok(DataKey(Zeroizing::new(key)))
}
