//! Owns the making of files of the binary store, and their sealing for other recipients. It must never reuse a
//! data key for another plaintext, nor ask for the time.

use std::io::Write;

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use age::armor::{ArmoredWriter, Format};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::error::SopsError;
use super::format::Format as Store;
use super::metadata::Metadata;
use super::node::{Branch, Entry, Item, Node};
use super::recipient::Recipient;
use super::store::SealedFile;
use super::value::{self, DataKey, Kind};
use super::{datakey, open, store, timestamp};
use crate::identity::Identities;

/// The release of sops whose format is written.
const VERSION: &str = "3.13.0";

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is nobody who could open it.
    #[error("no recipient to encrypt to")]
    NoRecipient,
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
    /// The file that is to be sealed anew could not be opened.
    #[error(transparent)]
    Open(#[from] SopsError),
}

/// What sealing for other recipients made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rekeyed {
    /// It was already sealed for just these.
    Unchanged,
    /// Its new bytes.
    Changed(Vec<u8>),
}

/// A file of the binary store that holds `plaintext`, sealed with a new data key for `recipients`.
///
/// `last_modified` is a time in UTC to the second, `2024-01-31T12:00:00Z`.
///
/// # Errors
/// [`SealError`]; it never holds the plaintext.
pub fn encrypt_binary(
    plaintext: &[u8],
    recipients: &[Recipient],
    last_modified: &str,
) -> Result<Vec<u8>, SealError> {
    if timestamp::canonical(last_modified).is_none_or(|canonical| canonical != last_modified) {
        return Err(SealError::Time {
            time: last_modified.to_owned(),
        });
    }
    let mut key = DataKey(Zeroizing::new([0; 32]));
    OsRng.try_fill_bytes(&mut *key.0).map_err(SealError::Randomness)?;
    let digest: String = Sha512::digest(plaintext)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let data = if plaintext.is_empty() {
        String::new()
    } else {
        seal_value(&key, plaintext, "data:")?
    };
    let mac = seal_value(&key, digest.as_bytes(), last_modified)?;
    let section = vec![
        pair("age", seal_key(&key, recipients)?),
        pair("lastmodified", Node::text(last_modified)),
        pair("mac", Node::text(mac)),
        pair("version", Node::text(VERSION)),
    ];
    let file = vec![pair("data", Node::text(data)), pair("sops", Node::Map(section))];
    written(&file)
}

fn pair(key: &str, value: Node) -> Entry {
    Entry::Pair(key.to_owned(), value)
}

/// The same file sealed for `recipients` in place of its age recipients, with the same data key, as
/// `sops updatekeys` does it. Whoever could open it before still knows its plaintext.
///
/// # Errors
/// [`SealError::Open`] where these identities do not open it, or its MAC is wrong.
pub fn rekey_file(
    bytes: &[u8],
    identities: &Identities,
    recipients: &[Recipient],
) -> Result<Rekeyed, SealError> {
    let SealedFile {
        branches,
        mut section,
    } = store::read_sealed(bytes, Store::Json)?;
    let metadata = Metadata::read(&section)?;
    let key = datakey::open(&metadata, identities)?;
    open::open(&branches, &metadata, &key)?;
    let wanted: Vec<_> = recipients.iter().map(Recipient::to_string).collect();
    let found: Vec<_> = metadata.age().map(|sealed| &sealed.recipient).collect();
    if found.len() == wanted.len() && wanted.iter().all(|recipient| found.contains(&recipient)) {
        return Ok(Rekeyed::Unchanged);
    }
    let sealed = seal_key(&key, recipients)?;
    section.retain(|entry| !matches!(entry, Entry::Pair(name, _) if name == "age" || name == "key_groups"));
    section.insert(0, pair("age", sealed));
    let mut file: Branch = branches.into_iter().next().unwrap_or_default();
    file.push(pair("sops", Node::Map(section)));
    written(&file).map(Rekeyed::Changed)
}

fn written(file: &Branch) -> Result<Vec<u8>, SealError> {
    Ok(store::write_json(file)?.to_vec())
}

fn seal_value(key: &DataKey, plaintext: &[u8], context: &str) -> Result<String, SealError> {
    let mut iv = [0; value::IV];
    OsRng.try_fill_bytes(&mut iv).map_err(SealError::Randomness)?;
    value::seal(key, plaintext, Kind::Text, context, &iv).ok_or(SealError::Value)
}

fn seal_key(key: &DataKey, recipients: &[Recipient]) -> Result<Node, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    let sealed = recipients.iter().map(|recipient| {
        let name = recipient.to_string();
        let armored = armored(key, recipient).map_err(|source| SealError::DataKey {
            recipient: name.clone(),
            source,
        })?;
        Ok(Item::Value(Node::Map(vec![
            pair("enc", Node::text(armored)),
            pair("recipient", Node::text(name)),
        ])))
    });
    sealed.collect::<Result<_, _>>().map(Node::List)
}

fn armored(key: &DataKey, recipient: &Recipient) -> std::io::Result<String> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient.as_age()));
    let encryptor = encryptor.map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(&*key.0)?;
    let bytes = writer.finish()?.finish()?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}
