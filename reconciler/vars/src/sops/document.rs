//! Owns the walk over a document: every value is opened, and the whole is checked against its MAC. It must
//! never return a document whose MAC was not checked.

use sha2::{Digest, Sha512};

use super::error::{SopsError, ValueProblem};
use super::json::Node;
use super::metadata::Metadata;
use super::plain::Plain;
use super::timestamp;
use super::value::{self, DataKey};

/// With `mac_only_encrypted` the hash begins with these bytes, the SHA-256 of `sops` (sops.go,
/// `MACOnlyEncryptedInitialization`).
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Opens the entries of a document, without its `sops` section.
pub(super) fn open(
    entries: &[(String, Node)],
    metadata: &Metadata,
    key: &DataKey,
) -> Result<Vec<(String, Plain)>, SopsError> {
    let mut walk = Walk {
        metadata,
        key,
        hash: Sha512::new(),
        path: Vec::new(),
    };
    if metadata.mac_only_encrypted {
        walk.hash.update(ONLY_ENCRYPTED);
    }
    let opened = walk.entries(entries)?;
    check_mac(metadata, key, walk.hash)?;
    Ok(opened)
}

fn check_mac(metadata: &Metadata, key: &DataKey, hash: Sha512) -> Result<(), SopsError> {
    if metadata.mac.is_empty() {
        return Err(SopsError::NoMac);
    }
    let context = timestamp::canonical(&metadata.last_modified).ok_or(SopsError::LastModified)?;
    let computed: String = hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
    match value::open(key, &metadata.mac, &context) {
        Ok(Plain::Text(sealed)) if sealed.as_slice() == computed.as_bytes() => Ok(()),
        _ => Err(SopsError::BadMac),
    }
}

struct Walk<'a> {
    metadata: &'a Metadata,
    key: &'a DataKey,
    hash: Sha512,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn entries(&mut self, entries: &'a [(String, Node)]) -> Result<Vec<(String, Plain)>, SopsError> {
        let mut opened = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            self.path.push(key);
            let value = self.node(value)?;
            self.path.pop();
            opened.push((key.clone(), value));
        }
        Ok(opened)
    }

    fn node(&mut self, node: &'a Node) -> Result<Plain, SopsError> {
        match node {
            Node::Map(entries) => Ok(Plain::Map(self.entries(entries)?)),
            // A list's items have the path of the list itself.
            Node::List(items) => {
                let mut opened = Vec::with_capacity(items.len());
                for item in items {
                    opened.push(self.node(item)?);
                }
                Ok(Plain::List(opened))
            }
            // sops does not visit null: it is neither encrypted nor under the MAC.
            Node::Null => Ok(Plain::Null),
            leaf => self.leaf(leaf),
        }
    }

    fn leaf(&mut self, leaf: &Node) -> Result<Plain, SopsError> {
        let encrypted = self.metadata.rule.is_encrypted(&self.path);
        let opened = if encrypted {
            self.open(leaf).map_err(|problem| SopsError::Value {
                path: self.path.join(":"),
                problem,
            })?
        } else {
            leaf.clone().into()
        };
        if encrypted || !self.metadata.mac_only_encrypted {
            opened.hashed(|bytes| self.hash.update(bytes));
        }
        Ok(opened)
    }

    fn open(&self, leaf: &Node) -> Result<Plain, ValueProblem> {
        let Node::Text(text) = leaf else {
            return Err(ValueProblem::NotEncrypted);
        };
        let mut context = self.path.join(":");
        context.push(':');
        value::open(self.key, text, &context)
    }
}
