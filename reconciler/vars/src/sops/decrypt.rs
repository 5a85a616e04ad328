//! Owns the way from a file's bytes to its plaintext. It must never read a file itself.

use std::fmt;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::json::{self, Node};
use super::metadata::Metadata;
use super::plain::Plain;
use super::{agefile, datakey, document};
use crate::identity::Identities;

/// The largest file that is opened, in bytes: 32 MiB.
pub const LARGEST_FILE: usize = 32 << 20;

/// The plaintext of a file.
pub enum Decrypted {
    /// What a file of the binary store (`{"data": …, "sops": …}`) or a plain age file holds.
    Binary(Zeroizing<Vec<u8>>),
    /// What a file of the JSON store holds.
    Document(Plain),
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary(_) => "Binary([redacted])",
            Self::Document(_) => "Document([redacted])",
        })
    }
}

impl Decrypted {
    /// The bytes to install: those of a binary file, or a document's JSON text.
    ///
    /// # Errors
    /// [`SopsError::NotText`] where a document has a text that is not UTF-8.
    pub fn into_bytes(self) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        match self {
            Self::Binary(bytes) => Ok(bytes),
            Self::Document(document) => document.to_json().map_err(|_| SopsError::NotText),
        }
    }
}

/// Opens a sops file (JSON or binary store) or a plain age file, which its first bytes tell apart.
///
/// # Errors
/// [`SopsError`]; it never holds a value.
pub fn decrypt_file(bytes: &[u8], identities: &Identities) -> Result<Decrypted, SopsError> {
    if bytes.len() > LARGEST_FILE {
        return Err(SopsError::TooLarge {
            size: bytes.len(),
            limit: LARGEST_FILE,
        });
    }
    if agefile::is_age(bytes) {
        return agefile::open(bytes, identities).map(Decrypted::Binary);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SopsError::Empty);
    }
    let Node::Map(mut entries) = json::parse(bytes)? else {
        return Err(SopsError::NotAnObject);
    };
    let section = entries
        .iter()
        .position(|(key, _)| key == "sops")
        .ok_or(SopsError::NoMetadata)?;
    let (_, section) = entries.remove(section);
    let metadata = Metadata::read(&section)?;
    let key = datakey::open(&metadata, identities)?;
    let mut opened = document::open(&entries, &metadata, &key)?;
    match opened.as_mut_slice() {
        [(name, Plain::Text(data))] if name == "data" => Ok(Decrypted::Binary(std::mem::take(data))),
        // Someone without a key could turn a binary file into a document by adding what no MAC covers.
        entries if is_binary_but_for_unsealed(entries) => Err(SopsError::Unsealed),
        _ => Ok(Decrypted::Document(Plain::Map(opened))),
    }
}

fn is_binary_but_for_unsealed(entries: &[(String, Plain)]) -> bool {
    let (data, others): (Vec<_>, Vec<_>) = entries.iter().partition(|(name, _)| name == "data");
    matches!(data.as_slice(), [(_, Plain::Text(_))]) && others.iter().all(|(_, value)| value.is_unsealed())
}
