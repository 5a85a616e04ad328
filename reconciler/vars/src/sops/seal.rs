//! Owns the sealing of a tree: every value that the rule names is encrypted, and the whole gets its MAC. It must never
//! use a nonce for two plaintexts.

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;

use super::encrypt::SealError;
use super::metadata::Protection;
use super::node::{Branch, Comment, Node};
use super::open::{Mac, Nonces};
use super::value::{self, DataKey, Kind};
use super::walk::{self, Leaf, Made, Spot};

/// The sealed documents, and the text of their MAC.
///
/// A value that `nonces` has at the same place is sealed to the same text as before.
pub(super) fn seal(
    branches: &[Branch],
    protection: &Protection,
    key: &DataKey,
    nonces: &mut Nonces,
) -> Result<(Vec<Branch>, String), SealError> {
    let mut mac = Mac::new(protection);
    let mut visit = |spot: &Spot<'_>, leaf: Leaf<'_>| {
        let encrypted = protection.rule.is_encrypted(spot, leaf);
        match leaf {
            Leaf::Value(node) | Leaf::Item(node) => {
                mac.take(node, encrypted);
                if !encrypted {
                    return Ok(Made::Value(node.clone()));
                }
                let plaintext = node.bytes().unwrap_or_default();
                sealed(key, nonces, spot, &plaintext, Kind::of(node)).map(Made::Value)
            }
            Leaf::Comment(comment) | Leaf::ItemComment(comment) if !encrypted || comment.text.is_empty() => {
                Ok(Made::Comment(comment.clone()))
            }
            Leaf::Comment(comment) => {
                let text = sealed(key, nonces, spot, &comment.text, Kind::Comment)?;
                Ok(Made::Comment(Comment {
                    text: text.bytes().unwrap_or_default(),
                    place: comment.place,
                }))
            }
            // In a list a sealed comment is a value of its own (sops.go, `walkSlice`).
            Leaf::ItemComment(comment) => {
                sealed(key, nonces, spot, &comment.text, Kind::Comment).map(Made::Value)
            }
        }
    };
    let mut made = Vec::with_capacity(branches.len());
    for branch in branches {
        made.push(walk::branch(branch, &mut Spot::default(), &mut visit)?);
    }
    Ok((made, mac.text()))
}

fn sealed(
    key: &DataKey,
    nonces: &mut Nonces,
    spot: &Spot<'_>,
    plaintext: &[u8],
    kind: Kind,
) -> Result<Node, SealError> {
    // The empty text stands for itself (aes/cipher.go).
    if plaintext.is_empty() {
        return Ok(Node::text(""));
    }
    let context = spot.context();
    let iv = match nonces.take(&context, kind, plaintext) {
        Some(iv) => iv,
        None => fresh_iv()?,
    };
    let text = value::seal(key, plaintext, kind, &context, &iv).ok_or(SealError::Value)?;
    Ok(Node::text(text))
}

/// The MAC as it stands in the file, sealed for this time.
pub(super) fn sealed_mac(key: &DataKey, mac: &str, last_modified: &str) -> Result<String, SealError> {
    value::seal(key, mac.as_bytes(), Kind::Text, last_modified, &fresh_iv()?).ok_or(SealError::Value)
}

fn fresh_iv() -> Result<[u8; value::IV], SealError> {
    let mut iv = [0; value::IV];
    OsRng.try_fill_bytes(&mut iv).map_err(SealError::Randomness)?;
    Ok(iv)
}
