//! Owns the look at what a sealed file has keys for, and whom it is sealed for, without any key. It must never
//! open a value, nor show one that stands there in cleartext.

use super::decrypted::{Decrypted, LookupError};
use super::error::{KeyKind, SopsError};
use super::format::Format;
use super::metadata::Metadata;
use super::store;

/// The keys of a sealed file, and the kinds of keys that open it.
#[derive(Debug)]
pub struct SealedKeys {
    /// The sealed values in the place of the opened ones.
    tree: Decrypted,
    other_kinds: Vec<KeyKind>,
}

impl SealedKeys {
    /// Reads a sealed file and its `sops` section.
    ///
    /// # Errors
    /// [`SopsError`] where it is no file of that store, or is not sealed.
    pub fn read(bytes: &[u8], format: Format) -> Result<Self, SopsError> {
        let sealed = store::read_sealed(bytes, format)?;
        let metadata = Metadata::read(&sealed.section)?;
        let groups = metadata.groups.into_iter();
        Ok(Self {
            tree: Decrypted::document(format, sealed.branches),
            other_kinds: groups.flat_map(|group| group.others).collect(),
        })
    }

    /// The kinds of keys besides age's that it is sealed for, in any of its groups.
    #[must_use]
    pub fn other_kinds(&self) -> &[KeyKind] {
        &self.other_kinds
    }

    /// Whether a secret of this key could be had ([`Decrypted::lookup`]); what is sealed counts as a text.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn find(&self, key: &str) -> Result<(), LookupError> {
        match self.tree.format() {
            Format::Json | Format::Yaml => self.tree.lookup(key).map(drop),
            // Their key is the whole file.
            Format::Dotenv | Format::Ini | Format::Binary => Ok(()),
        }
    }
}
