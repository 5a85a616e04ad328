//! Owns the opening of what is sealed for several age recipients, each in an age file of its own. It must never
//! return what has another length than asked for.

use zeroize::Zeroizing;

use super::agefile::{self, Bounds};
use super::error::SopsError;
use super::metadata::Sealed;
use crate::identity::{Identities, Reach};

/// sops seals each entry for one recipient; age adds a stanza that means nothing.
const MOST_STANZAS: usize = 8;

/// Opens the first entry that one of the identities opens, to `length` bytes: the entries that name this machine
/// first, then all others, as an entry may name its recipient in another spelling; plugins only after that.
pub(super) fn open(
    sealed: &[Sealed],
    length: usize,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let (ours, others): (Vec<_>, Vec<_>) = sealed
        .iter()
        .partition(|entry| identities.is_recipient(&entry.recipient));
    let reaches: &[Reach] = if identities.has_plugins() {
        &[Reach::Own, Reach::Plugins]
    } else {
        &[Reach::Own]
    };
    let bounds = Bounds {
        stanzas: MOST_STANZAS,
        // One more than is right, to tell what is longer.
        plaintext: length.saturating_add(1),
    };
    let (mut damaged, mut plugin) = (None, None);
    for reach in reaches {
        for (entry, named) in ours
            .iter()
            .map(|entry| (entry, true))
            .chain(others.iter().map(|entry| (entry, false)))
        {
            match agefile::open_within(entry.armored.as_bytes(), identities, *reach, bounds) {
                Ok(bytes) if bytes.len() == length => return Ok(bytes),
                Ok(_) => damaged = damaged.or(Some(entry)),
                Err(error @ SopsError::Plugin { .. }) => plugin = plugin.or(Some(error)),
                // A plugin's own entry says nothing until it was asked.
                Err(_) if named && (*reach == Reach::Plugins || !identities.has_plugins()) => {
                    damaged = damaged.or(Some(entry));
                }
                Err(_) => {}
            }
        }
    }
    Err(match (plugin, damaged) {
        (Some(error), _) => error,
        (None, Some(entry)) => SopsError::DataKey {
            recipient: entry.recipient.clone(),
        },
        (None, None) => SopsError::NotEncryptedToThisMachine {
            recipients: sealed.iter().map(|entry| entry.recipient.clone()).collect(),
        },
    })
}
