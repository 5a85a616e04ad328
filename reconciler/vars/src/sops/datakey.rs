//! Owns the opening of a file's data key with this machine's identities. It must never go on with a key
//! of the wrong length.

use zeroize::Zeroizing;

use super::error::SopsError;
use super::metadata::{Group, Metadata};
use super::value::DataKey;
use super::{sealed, shamir};
use crate::identity::Identities;

/// More recipients than any fleet has; a bound on the work that a hostile file can cause.
pub(super) const MOST_RECIPIENTS: usize = 1024;

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
        groups => combine(groups, metadata.groups_needed(), identities)?,
    };
    let key = <[u8; KEY]>::try_from(bytes.as_slice()).map_err(|_| SopsError::Shares)?;
    Ok(DataKey(Zeroizing::new(key)))
}

/// A group that does not open is none of ours.
fn combine(
    groups: &[Group],
    needed: usize,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let opened = groups.iter().map(|group| open_share(group, identities));
    let shares: Vec<_> = opened.filter_map(Result::ok).collect();
    if shares.len() < needed {
        return Err(SopsError::KeyGroups {
            count: groups.len(),
            opened: shares.len(),
            needed,
        });
    }
    shamir::combine(&shares).ok_or(SopsError::Shares)
}

/// Opens a group's share: as long as the key, and the point at which it was taken.
pub(super) fn open_share(group: &Group, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    open_group(group, KEY.saturating_add(1), identities)
}

/// Opens what a group's keys are sealed over.
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
    sealed::open(sealed, length, identities)
}
