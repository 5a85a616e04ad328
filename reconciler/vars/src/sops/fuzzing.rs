//! Doors for the fuzz targets, behind the feature `fuzzing`: the format under a data key that everybody knows, as no
//! chance finds one that fits. Owns that key; must never be built into what opens anybody's files.

use zeroize::Zeroizing;

use super::decrypted::Decrypted;
use super::encrypt::{self, MacScope, SealError};
use super::error::{SopsError, ValueProblem};
use super::format::Format;
use super::metadata::Metadata;
use super::node::{self, Node, pair};
use super::open::Nonces;
use super::rules::Selection;
use super::store::{self, SealedFile};
use super::value::{self, DataKey, IV, Kind};
use super::walk::Made;
use super::{dotenv, json, open as opening};

const TIME: &str = "2024-02-29T12:00:00Z";

fn key() -> DataKey {
    DataKey(Zeroizing::new([7; 32]))
}

/// Seals a document, as [`encrypt()`](super::encrypt()) does it; whoever asks for it gets no data key.
///
/// # Errors
/// Those of `encrypt`.
pub fn seal(
    plaintext: &[u8],
    format: Format,
    selection: &Selection,
    mac: MacScope,
) -> Result<Vec<u8>, SealError> {
    let branches = encrypt::plain(plaintext, format)?;
    let (name, text) = selection.field();
    let mut section = vec![
        pair(name, Node::text(text)),
        pair("version", Node::text("3.13.0")),
    ];
    if mac == MacScope::Encrypted {
        section.push(pair("mac_only_encrypted", Node::Bool(true)));
    }
    encrypt::sealed(&branches, section, format, &key(), &mut Nonces::default(), TIME)
}

/// Opens a file that was sealed under the known key.
///
/// # Errors
/// Those of [`decrypt()`](super::decrypt()).
pub fn open(bytes: &[u8], format: Format) -> Result<Decrypted, SopsError> {
    let SealedFile { branches, section } = store::read_sealed(bytes, format)?;
    let branches = opening::open(&branches, &Metadata::read(&section)?, &key())?;
    Ok(Decrypted::document(format, branches))
}

/// Whether two plaintexts hold the same values, comments aside.
///
/// # Errors
/// Where one of them is none.
pub fn same_values(one: &[u8], other: &[u8], format: Format) -> Result<bool, SopsError> {
    let (one, other) = (store::read(one, format)?, store::read(other, format)?);
    let plain = |branches: Vec<node::Branch>| -> Vec<node::Branch> {
        branches.into_iter().map(node::without_comments).collect()
    };
    Ok(node::same(&plain(one), &plain(other)))
}

/// Opens one value, `ENC[…]`, under the known key, and writes it again with its own nonce; `None` where that has
/// another length than is written, or its type is only read.
///
/// # Errors
/// [`ValueProblem`].
pub fn reseal(text: &str, context: &str) -> Result<Option<String>, ValueProblem> {
    let value::Opened { made, iv } = value::open(&key(), text, context)?;
    let (kind, bytes) = match &made {
        Made::Value(node) => (Kind::of(node), node.bytes()),
        Made::Comment(comment) => (Kind::Comment, Some(comment.text.clone())),
    };
    let sealed = iv
        .zip(bytes)
        .and_then(|(iv, bytes)| value::seal(&key(), &bytes, kind, context, &iv));
    Ok(sealed)
}

/// A value sealed under the known key as of a type, by its place among them.
#[must_use]
pub fn seal_value(kind: u8, plaintext: &[u8], context: &str) -> Option<String> {
    let kinds = [
        Kind::Text,
        Kind::Integer,
        Kind::Float,
        Kind::Bool,
        Kind::Time,
        Kind::Comment,
    ];
    let kind = kinds.get(usize::from(kind) % kinds.len())?;
    value::seal(&key(), plaintext, *kind, context, &[3; IV])
}

/// What a `sops` section says, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// Recipients, by group.
    pub recipients: Vec<Vec<String>>,
    /// How many groups are needed.
    pub threshold: usize,
    /// `lastmodified` and `mac`.
    pub texts: [String; 2],
    /// The rule, with its expression.
    pub rule: String,
}

/// Reads a `sops` section of this JSON text; and what it is as the flat lines of a dotenv file.
///
/// # Errors
/// Those of [`decrypt()`](super::decrypt()).
pub fn fields(text: &[u8]) -> Result<(Fields, Result<Fields, SopsError>), SopsError> {
    let Node::Map(section) = json::parse(text)? else {
        return Err(SopsError::NotAnObject);
    };
    let nested = Fields::of(&Metadata::read(&section)?);
    let mut flat = dotenv::write_section(&section);
    let flat = dotenv::take_section(&mut flat).and_then(|section| Metadata::read(&section));
    Ok((nested, flat.as_ref().map(Fields::of).map_err(Clone::clone)))
}

impl Fields {
    fn of(metadata: &Metadata) -> Self {
        let groups = metadata.groups.iter().map(|group| {
            let recipients = group.age.iter().map(|sealed| sealed.recipient.clone());
            recipients.collect()
        });
        Self {
            recipients: groups.collect(),
            threshold: metadata.threshold,
            texts: [metadata.last_modified.clone(), metadata.mac.clone()],
            rule: format!(
                "{:?} {}",
                metadata.protection.rule, metadata.protection.mac_only_encrypted
            ),
        }
    }
}
