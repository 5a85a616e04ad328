//! Owns the way from a file's bytes to its plaintext. It must never read a file itself.

use zeroize::Zeroizing;

use super::decrypted::Decrypted;
use super::error::SopsError;
use super::format::Format;
use super::metadata::Metadata;
use super::node::{Branch, Entry, Node, pairs};
use super::store::{self, LARGEST_FILE};
use super::{agefile, datakey, open};
use crate::identity::Identities;

/// Opens a sops file of any store, or a plain age file, which its first bytes tell apart.
///
/// # Errors
/// [`SopsError`]; it never holds a value.
pub fn decrypt(bytes: &[u8], format: Format, identities: &Identities) -> Result<Decrypted, SopsError> {
    if let Some(opened) = age_file(bytes, identities)? {
        return Ok(opened);
    }
    let (branches, format) = (sealed(bytes, format, identities)?, format);
    match (format, branches.as_slice()) {
        (Format::Binary, [branch]) => match data(branch)? {
            Some(data) => Ok(Decrypted::binary(data)),
            None => Err(SopsError::NotBinary),
        },
        _ => Ok(Decrypted::document(format, branches)),
    }
}

/// Opens a file whose name says nothing: a sops file of the binary or the JSON store, or a plain age file.
///
/// # Errors
/// [`SopsError`]; it never holds a value.
pub fn decrypt_file(bytes: &[u8], identities: &Identities) -> Result<Decrypted, SopsError> {
    if let Some(opened) = age_file(bytes, identities)? {
        return Ok(opened);
    }
    let branches = sealed(bytes, Format::Json, identities)?;
    match branches.as_slice() {
        [branch] => match data(branch)? {
            Some(data) => Ok(Decrypted::binary(data)),
            None => Ok(Decrypted::document(Format::Json, branches)),
        },
        _ => Ok(Decrypted::document(Format::Json, branches)),
    }
}

fn age_file(bytes: &[u8], identities: &Identities) -> Result<Option<Decrypted>, SopsError> {
    if bytes.len() > LARGEST_FILE {
        return Err(SopsError::TooLarge {
            size: bytes.len(),
            limit: LARGEST_FILE,
        });
    }
    if !agefile::is_age(bytes) {
        return Ok(None);
    }
    agefile::open(bytes, identities).map(|plaintext| Some(Decrypted::binary(plaintext)))
}

fn sealed(bytes: &[u8], format: Format, identities: &Identities) -> Result<Vec<Branch>, SopsError> {
    let file = store::read_sealed(bytes, format)?;
    let metadata = Metadata::read(&file.section)?;
    let key = datakey::open(&metadata, identities)?;
    open::open(&file.branches, &metadata, &key)
}

/// What a file of the binary store holds; `None` where the tree is none.
fn data(branch: &[Entry]) -> Result<Option<Zeroizing<Vec<u8>>>, SopsError> {
    let (data, others): (Vec<_>, Vec<_>) = pairs(branch).partition(|(name, _)| *name == "data");
    match (data.as_slice(), others.as_slice()) {
        ([(_, Node::Text(data))], []) => Ok(Some(data.clone())),
        // Someone without a key could turn a binary file into a document by adding what no MAC covers.
        ([(_, Node::Text(_))], others) if others.iter().all(|(_, value)| value.is_unsealed()) => {
            Err(SopsError::Unsealed)
        }
        _ => Ok(None),
    }
}
