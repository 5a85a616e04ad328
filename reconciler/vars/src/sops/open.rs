//! Owns the opening of a tree: every value is opened, and the whole is checked against its MAC. It must never
//! return a tree whose MAC was not checked.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256, Sha512};

use super::error::{SopsError, ValueProblem};
use super::metadata::{Metadata, Protection};
use super::node::{Branch, Node};
use super::timestamp;
use super::value::{self, DataKey, IV, Kind};
use super::walk::{self, Leaf, Made, Spot};

/// With `mac_only_encrypted` the hash begins with these bytes, the SHA-256 of `sops` (sops.go,
/// `MACOnlyEncryptedInitialization`).
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// The hash over the plaintext of a file's values.
pub(super) struct Mac {
    hash: Sha512,
    only_encrypted: bool,
}

impl Mac {
    pub(super) fn new(protection: &Protection) -> Self {
        let mut hash = Sha512::new();
        if protection.mac_only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self {
            hash,
            only_encrypted: protection.mac_only_encrypted,
        }
    }

    pub(super) fn take(&mut self, value: &Node, encrypted: bool) {
        if !encrypted && self.only_encrypted {
            return;
        }
        match value {
            Node::Text(bytes) => self.hash.update(bytes),
            other => {
                if let Some(bytes) = other.bytes() {
                    self.hash.update(&bytes);
                }
            }
        }
    }

    pub(super) fn text(self) -> String {
        self.hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect()
    }
}

/// The nonces of a file's values by their place, type and the hash of their plaintext, so that what does not change
/// is sealed to the same text again.
#[derive(Default)]
pub(super) struct Nonces(HashMap<(String, Kind, [u8; 32]), VecDeque<[u8; IV]>>);

impl Nonces {
    fn keep(&mut self, context: String, kind: Kind, plaintext: &[u8], iv: [u8; IV]) {
        let place = (context, kind, Sha256::digest(plaintext).into());
        self.0.entry(place).or_default().push_back(iv);
    }

    /// The next nonce that this very value had at this very place.
    pub(super) fn take(&mut self, context: &str, kind: Kind, plaintext: &[u8]) -> Option<[u8; IV]> {
        let place = (context.to_owned(), kind, Sha256::digest(plaintext).into());
        self.0.get_mut(&place)?.pop_front()
    }
}

/// Opens the documents of a file, without their `sops` sections.
pub(super) fn open(
    branches: &[Branch],
    metadata: &Metadata,
    key: &DataKey,
) -> Result<Vec<Branch>, SopsError> {
    open_noting(branches, metadata, key, |_, _, _, _| {})
}

/// The same, and the nonces that were met.
pub(super) fn open_with_nonces(
    branches: &[Branch],
    metadata: &Metadata,
    key: &DataKey,
) -> Result<(Vec<Branch>, Nonces), SopsError> {
    let mut nonces = Nonces::default();
    let opened = open_noting(branches, metadata, key, |context, kind, plaintext, iv| {
        nonces.keep(context, kind, plaintext, iv);
    })?;
    Ok((opened, nonces))
}

fn open_noting(
    branches: &[Branch],
    metadata: &Metadata,
    key: &DataKey,
    mut noted: impl FnMut(String, Kind, &[u8], [u8; IV]),
) -> Result<Vec<Branch>, SopsError> {
    let mut mac = Mac::new(&metadata.protection);
    let mut visit = |spot: &Spot<'_>, leaf: Leaf<'_>| {
        let encrypted = metadata.protection.rule.is_encrypted(spot, leaf);
        let made = if encrypted {
            open_leaf(spot, leaf, key, &mut noted)?
        } else {
            match leaf {
                Leaf::Value(node) | Leaf::Item(node) => Made::Value(node.clone()),
                Leaf::Comment(comment) | Leaf::ItemComment(comment) => Made::Comment(comment.clone()),
            }
        };
        if let Made::Value(value) = &made {
            mac.take(value, encrypted);
        }
        Ok(made)
    };
    let mut opened = Vec::with_capacity(branches.len());
    for branch in branches {
        opened.push(walk::branch(branch, &mut Spot::default(), &mut visit)?);
    }
    check(mac, metadata, key)?;
    Ok(opened)
}

fn open_leaf(
    spot: &Spot<'_>,
    leaf: Leaf<'_>,
    key: &DataKey,
    noted: &mut impl FnMut(String, Kind, &[u8], [u8; IV]),
) -> Result<Made, SopsError> {
    let context = spot.context();
    let wrong = |problem| SopsError::Value {
        path: spot.path.join(":"),
        problem,
    };
    let sealed = match leaf {
        // What cannot be opened was never sealed: sops of old left comments alone. No MAC covers them either way.
        Leaf::Comment(comment) | Leaf::ItemComment(comment) => {
            let text = std::str::from_utf8(&comment.text).unwrap_or_default();
            // sops itself may have written it below another key than the one it was sealed at.
            let opened = spot
                .contexts()
                .find_map(|context| value::open(key, text, &context).ok());
            return Ok(Made::Comment(match opened {
                Some(value::Opened {
                    made: Made::Comment(opened),
                    iv,
                }) => {
                    if let Some(iv) = iv {
                        noted(context, Kind::Comment, &opened.text, iv);
                    }
                    opened
                }
                _ => comment.clone(),
            }));
        }
        Leaf::Value(node) | Leaf::Item(node) => {
            node.as_str().ok_or_else(|| wrong(ValueProblem::NotEncrypted))?
        }
    };
    let value::Opened { made, iv } = value::open(key, sealed, &context).map_err(wrong)?;
    match (&made, leaf) {
        (Made::Comment(_), Leaf::Value(_)) => return Err(wrong(ValueProblem::Type)),
        (Made::Comment(comment), _) => {
            if let Some(iv) = iv {
                noted(context, Kind::Comment, &comment.text, iv);
            }
        }
        (Made::Value(value), _) => {
            if let (Some(iv), Some(bytes)) = (iv, value.bytes()) {
                noted(context, Kind::of(value), &bytes, iv);
            }
        }
    }
    Ok(made)
}

fn check(mac: Mac, metadata: &Metadata, key: &DataKey) -> Result<(), SopsError> {
    if metadata.mac.is_empty() {
        return Err(SopsError::NoMac);
    }
    let context = timestamp::canonical(&metadata.last_modified).ok_or(SopsError::LastModified)?;
    match value::open(key, &metadata.mac, &context) {
        Ok(value::Opened {
            made: Made::Value(Node::Text(sealed)),
            ..
        }) if sealed.as_slice() == mac.text().as_bytes() => Ok(()),
        _ => Err(SopsError::BadMac),
    }
}
