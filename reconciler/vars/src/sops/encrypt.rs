//! Owns the making of sealed files, and their sealing anew: with other values, for other recipients, under another key.
//! It must never reuse a data key for another file, hand out what does not open again, nor ask for the time.

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use zeroize::Zeroizing;

use super::error::{KeyKind, SopsError};
use super::format::Format;
use super::key_groups::KeyGroups;
use super::metadata::{Metadata, Protection};
use super::node::{self, Branch, Entry, Node, pair};
use super::open::Nonces;
use super::recipient::Recipient;
use super::rules::Selection;
use super::store::{self, SealedFile};
use super::value::DataKey;
use super::{datakey, open, seal, timestamp};
use crate::identity::Identities;

/// The release of sops whose format is written.
const VERSION: &str = "3.13.0";

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is nobody who could open it.
    #[error("no recipient to encrypt to")]
    NoRecipient,
    /// So many groups are never, or not all of them, needed.
    #[error(
        "{threshold} of {groups} key groups cannot be asked for: at least two, and not more than there are"
    )]
    Threshold {
        /// How many were to be needed.
        threshold: u8,
        /// How many there are.
        groups: usize,
    },
    /// A key group would have nobody left who could open its share.
    #[error("nobody would be left in key group {group} of {groups}")]
    EmptyGroup {
        /// Which, from 1.
        group: usize,
        /// How many there are.
        groups: usize,
    },
    /// The time is not of the form that the MAC is sealed with.
    #[error("{time:?} is not a time like 2024-01-31T12:00:00Z")]
    Time {
        /// The time as it was given.
        time: String,
    },
    /// The system has no randomness to give.
    #[error("could not get random bytes")]
    Randomness(#[source] aes_gcm::aead::rand_core::Error),
    /// The data key could not be sealed.
    #[error("could not seal the data key for {recipient}")]
    DataKey {
        /// For whom.
        recipient: String,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
    /// The plaintext could not be sealed.
    #[error("could not encrypt the value")]
    Value,
    /// What is to be sealed is not of its store, or the rule for it is none.
    #[error("the plaintext {0}")]
    Plaintext(#[source] SopsError),
    /// A key has the name of what sops adds itself.
    #[error("the plaintext has the key {key:?}, which is sops' own")]
    Reserved {
        /// The key.
        key: String,
    },
    /// Keys of other kinds open the file, and cannot be given a new data key here.
    #[error("it is also encrypted for keys that cannot be encrypted to here: {}", names(.kinds))]
    OtherKeys {
        /// Their kinds.
        kinds: Vec<KeyKind>,
    },
    /// What was made does not open to what it was made of, so it was thrown away.
    #[error(
        "the sealed file would not open to the same values and comments: simplify its comments or its rule"
    )]
    NotReadBack,
    /// The file that is to be sealed anew could not be opened.
    #[error(transparent)]
    Open(#[from] SopsError),
}

fn names(kinds: &[KeyKind]) -> String {
    let names: Vec<_> = kinds.iter().map(KeyKind::to_string).collect();
    names.join(", ")
}

/// What sealing anew made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rekeyed {
    /// There was nothing to change.
    Unchanged,
    /// Its new bytes.
    Changed(Vec<u8>),
}

/// What a MAC vouches for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacScope {
    /// Every value.
    #[default]
    All,
    /// The encrypted ones only (`mac_only_encrypted`): the others may be edited without a key.
    Encrypted,
}

/// How a new file is sealed.
#[derive(Debug, Clone)]
pub struct SealOptions {
    /// For whom.
    pub readers: KeyGroups,
    /// Which of its values.
    pub selection: Selection,
    /// Under which MAC.
    pub mac: MacScope,
}

impl SealOptions {
    /// For these, with sops' own defaults for the rest.
    #[must_use]
    pub fn new(readers: KeyGroups) -> Self {
        Self {
            readers,
            selection: Selection::default(),
            mac: MacScope::default(),
        }
    }
}

/// A new sealed file of a store, with a data key of its own.
///
/// `plaintext` is of the store's syntax, or any bytes for the binary one; `last_modified` a time in UTC to the second,
/// `2024-01-31T12:00:00Z`.
///
/// # Errors
/// [`SealError`]; it never holds a value.
pub fn encrypt(
    plaintext: &[u8],
    format: Format,
    options: &SealOptions,
    last_modified: &str,
) -> Result<Vec<u8>, SealError> {
    let time = checked(last_modified)?;
    let branches = plain(plaintext, format)?;
    let key = fresh_key()?;
    let mut section = options.readers.seal(&key, None)?;
    let (name, text) = options.selection.field();
    section.push(pair(name, Node::text(text)));
    if options.mac == MacScope::Encrypted {
        section.push(pair("mac_only_encrypted", Node::Bool(true)));
    }
    section.push(pair("version", Node::text(VERSION)));
    section.sort_by(|one, other| one.key().cmp(&other.key()));
    sealed(&branches, section, format, &key, &mut Nonces::default(), time)
}

/// A file of the binary store that holds `plaintext`: [`encrypt()`] for any one of `recipients`.
///
/// # Errors
/// [`SealError`]; it never holds the plaintext.
pub fn encrypt_binary(
    plaintext: &[u8],
    recipients: &[Recipient],
    last_modified: &str,
) -> Result<Vec<u8>, SealError> {
    let options = SealOptions::new(KeyGroups::any_of(recipients)?);
    encrypt(plaintext, Format::Binary, &options, last_modified)
}

/// The same file with other values: its data key, its recipients and its rule stay, and so does the ciphertext of what
/// is not changed.
///
/// # Errors
/// [`SealError::Open`] where these identities do not open it, or its MAC is wrong.
pub fn edit(
    bytes: &[u8],
    format: Format,
    identities: &Identities,
    plaintext: &[u8],
    last_modified: &str,
) -> Result<Rekeyed, SealError> {
    let time = checked(last_modified)?;
    let branches = plain(plaintext, format)?;
    let SealedFile {
        branches: old,
        section,
    } = store::read_sealed(bytes, format)?;
    let metadata = Metadata::read(&section)?;
    let key = datakey::open(&metadata, identities)?;
    let (opened, mut nonces) = open::open_with_nonces(&old, &metadata, &key)?;
    if node::same(&opened, &branches) {
        return Ok(Rekeyed::Unchanged);
    }
    sealed(&branches, section, format, &key, &mut nonces, time).map(Rekeyed::Changed)
}

/// The same file sealed for others: [`rekey()`] for a file of the JSON or binary store, for any one of `recipients`.
///
/// # Errors
/// As [`rekey()`].
pub fn rekey_file(
    bytes: &[u8],
    identities: &Identities,
    recipients: &[Recipient],
) -> Result<Rekeyed, SealError> {
    rekey(bytes, Format::Json, identities, &KeyGroups::any_of(recipients)?)
}

/// The same file sealed for `readers` in place of its age recipients, with the same data key and values, as
/// `sops updatekeys` does it. Whoever could open it before still knows its plaintext. Keys of other kinds stay.
///
/// # Errors
/// [`SealError::Open`] where these identities do not open it, or its MAC is wrong; [`SealError::OtherKeys`] where
/// shares would have to be made for keys of other kinds.
pub fn rekey(
    bytes: &[u8],
    format: Format,
    identities: &Identities,
    readers: &KeyGroups,
) -> Result<Rekeyed, SealError> {
    let SealedFile {
        branches,
        mut section,
    } = store::read_sealed(bytes, format)?;
    let metadata = Metadata::read(&section)?;
    let key = datakey::open(&metadata, identities)?;
    open::open(&branches, &metadata, &key)?;
    if readers.are_of(&metadata) {
        return Ok(Rekeyed::Unchanged);
    }
    let sealed = match readers.seal_in_place(&section, &metadata, identities)? {
        Some(sealed) => sealed,
        None => {
            if readers.are_several() || metadata.groups.len() > 1 {
                only_age(&metadata)?;
            }
            readers.seal(&key, Some(&metadata))?
        }
    };
    replace_readers(&mut section, sealed);
    let text = store::write_sealed(&branches, &section, format)?;
    reopened(&text, format, &key)?;
    Ok(Rekeyed::Changed(text))
}

/// The same file under a new data key, each value sealed anew, for `readers` in place of those it had, as
/// `sops rotate` does it.
///
/// # Errors
/// [`SealError::Open`] where these identities do not open it, or its MAC is wrong; [`SealError::OtherKeys`] where it is
/// encrypted for keys of other kinds too.
pub fn rotate(
    bytes: &[u8],
    format: Format,
    identities: &Identities,
    readers: &KeyGroups,
    last_modified: &str,
) -> Result<Vec<u8>, SealError> {
    let time = checked(last_modified)?;
    let SealedFile {
        branches,
        mut section,
    } = store::read_sealed(bytes, format)?;
    let metadata = Metadata::read(&section)?;
    let old = datakey::open(&metadata, identities)?;
    let opened = open::open(&branches, &metadata, &old)?;
    only_age(&metadata)?;
    let key = fresh_key()?;
    replace_readers(&mut section, readers.seal(&key, None)?);
    sealed(&opened, section, format, &key, &mut Nonces::default(), time)
}

fn only_age(metadata: &Metadata) -> Result<(), SealError> {
    let mut kinds: Vec<_> = metadata
        .groups
        .iter()
        .flat_map(|group| group.others.clone())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        Ok(())
    } else {
        Err(SealError::OtherKeys { kinds })
    }
}

/// What a file of older releases has of empty lists stays where it is.
fn replace_readers(section: &mut Branch, readers: Branch) {
    let gone = ["age", "key_groups", "shamir_threshold"];
    section.retain(|entry| {
        entry
            .key()
            .is_none_or(|key| !gone.contains(&key) || node::get(&readers, key).is_some())
    });
    for entry in readers {
        if let Entry::Pair(key, value) = entry {
            node::set(section, &key, value);
        }
    }
}

/// The sealed text, after it was opened again.
pub(super) fn sealed(
    branches: &[Branch],
    mut section: Branch,
    format: Format,
    key: &DataKey,
    nonces: &mut Nonces,
    time: &str,
) -> Result<Vec<u8>, SealError> {
    let protection = Protection::read(&section).map_err(SealError::Plaintext)?;
    let (made, mac) = seal::seal(branches, &protection, key, nonces)?;
    node::set(&mut section, "lastmodified", Node::text(time));
    node::set(
        &mut section,
        "mac",
        Node::text(seal::sealed_mac(key, &mac, time)?),
    );
    let text = store::write_sealed(&made, &section, format)?;
    if node::same(&reopened(&text, format, key)?, branches) {
        Ok(text)
    } else {
        Err(SealError::NotReadBack)
    }
}

/// What was just made, read and opened as everybody else will.
fn reopened(text: &[u8], format: Format, key: &DataKey) -> Result<Vec<Branch>, SealError> {
    let open = || {
        let SealedFile { branches, section } = store::read_sealed(text, format)?;
        open::open(&branches, &Metadata::read(&section)?, key)
    };
    open().map_err(|error| match error {
        too_large @ SopsError::TooLarge { .. } => SealError::Plaintext(too_large),
        _ => SealError::NotReadBack,
    })
}

fn checked(last_modified: &str) -> Result<&str, SealError> {
    if timestamp::canonical(last_modified).is_none_or(|canonical| canonical != last_modified) {
        return Err(SealError::Time {
            time: last_modified.to_owned(),
        });
    }
    Ok(last_modified)
}

pub(super) fn plain(plaintext: &[u8], format: Format) -> Result<Vec<Branch>, SealError> {
    if format == Format::Binary {
        return Ok(vec![vec![pair("data", Node::text(plaintext))]]);
    }
    let branches = store::read(plaintext, format).map_err(SealError::Plaintext)?;
    let reserved = |key: &str| key == "sops" || (format == Format::Dotenv && key.starts_with("sops_"));
    let mut keys = branches.iter().flatten().filter_map(Entry::key);
    match keys.find(|key| reserved(key)) {
        Some(key) => Err(SealError::Reserved { key: key.to_owned() }),
        None => Ok(branches),
    }
}

fn fresh_key() -> Result<DataKey, SealError> {
    let mut key = DataKey(Zeroizing::new([0; 32]));
    OsRng.try_fill_bytes(&mut *key.0).map_err(SealError::Randomness)?;
    Ok(key)
}
