//! Owns the opening of a file's data key with this machine's identities. It must never go on with a key
//! of the wrong length.

use std::io::Read;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity};
use zeroize::Zeroizing;

use super::error::SopsError;
use super::metadata::{Group, Metadata, Sealed};
use super::shamir;
use super::value::DataKey;
use crate::identity::Identities;

/// More recipients than any fleet has; a bound on the work that a hostile file can cause.
const MOST_RECIPIENTS: usize = 1024;

/// Length in bytes of a data key.
const KEY: usize = 32;

/// Opens the data key: with any key of the one group, or from the shares of several.
pub(super) fn open(metadata: &Metadata, identities: &Identities) -> Result<DataKey, SopsError> {
    let count = metadata.age().count();
    if count > MOST_RECIPIENTS {
        return Err(SopsError::TooManyRecipients {
            count,
            limit: MOST_RECIPIENTS,
        });
    }
    let bytes = match metadata.groups.as_slice() {
        [] => return Err(SopsError::NoAgeRecipient { kinds: Vec::new() }),
        [group] => open_group(group, KEY, identities)?,
        groups => combine(groups, metadata.threshold, identities)?,
    };
    let key = <[u8; KEY]>::try_from(bytes.as_slice()).map_err(|_| SopsError::Shares)?;
    Ok(DataKey(Zeroizing::new(key)))
}

/// A group that does not open is none of ours; how many have to is the file's own word (sops.go,
/// `GetDataKeyWithKeyServices`).
fn combine(
    groups: &[Group],
    threshold: usize,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let length = KEY.saturating_add(1);
    let opened = groups.iter().map(|group| open_group(group, length, identities));
    let shares: Vec<_> = opened.filter_map(Result::ok).collect();
    let needed = threshold.max(2);
    if shares.len() < needed {
        return Err(SopsError::KeyGroups {
            count: groups.len(),
            opened: shares.len(),
            needed,
        });
    }
    shamir::combine(&shares).ok_or(SopsError::Shares)
}

/// Opens what a group's keys are sealed over: the entries that name this machine first, then all others, as an
/// entry may name its recipient in another spelling.
fn open_group(
    group: &Group,
    length: usize,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let sealed = &group.age;
    if sealed.is_empty() {
        return Err(SopsError::NoAgeRecipient {
            kinds: group.others.clone(),
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
        match open_entry(entry, length, identities) {
            Ok(key) => return Ok(key),
            Err(_) => damaged = damaged.or(Some(entry)),
        }
    }
    for entry in others {
        match open_entry(entry, length, identities) {
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

fn open_entry(entry: &Sealed, length: usize, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let keys = identities.keys().map(|(_, key)| key as &dyn Identity);
    let open = || -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let decryptor = Decryptor::new(ArmoredReader::new(entry.armored.as_bytes()))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        // One more than is right, to tell what is longer.
        decryptor.decrypt(keys)?.take(34).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|_| Failure::NotForUs)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(Failure::WrongLength)
    }
}
