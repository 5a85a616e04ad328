//! Owns whom a file is sealed for, and the sealing of its data key for them. It must never write a key in the clear.

use std::io::Write;

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use age::armor::{ArmoredWriter, Format};

use super::encrypt::SealError;
use super::metadata::Metadata;
use super::node::{Branch, Item, Node, pair};
use super::recipient::Recipient;
use super::shamir;
use super::value::DataKey;

/// Whom a file is sealed for: one group, of which any recipient opens it, or several, each of which holds a share of
/// its data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroups {
    groups: Vec<Vec<Recipient>>,
    threshold: u8,
}

impl KeyGroups {
    /// One group: any one of these opens the file.
    ///
    /// # Errors
    /// [`SealError::NoRecipient`] where there is none.
    pub fn any_of(recipients: &[Recipient]) -> Result<Self, SealError> {
        if recipients.is_empty() {
            return Err(SealError::NoRecipient);
        }
        Ok(Self {
            groups: vec![recipients.to_vec()],
            threshold: 0,
        })
    }

    /// Several groups: any one recipient of at least `threshold` of them together open the file.
    ///
    /// # Errors
    /// [`SealError::NoRecipient`] where a group has none, and [`SealError::Threshold`] unless there are two groups to
    /// 255, and the threshold is at least two and not above their number.
    pub fn shares(groups: Vec<Vec<Recipient>>, threshold: u8) -> Result<Self, SealError> {
        if groups.iter().any(Vec::is_empty) {
            return Err(SealError::NoRecipient);
        }
        if threshold < 2 || usize::from(threshold) > groups.len() || groups.len() > 255 {
            return Err(SealError::Threshold {
                threshold,
                groups: groups.len(),
            });
        }
        Ok(Self { groups, threshold })
    }

    /// Whether a file is already sealed for just these.
    pub(super) fn are_of(&self, metadata: &Metadata) -> bool {
        let threshold = match self.groups.len() {
            1 => metadata.threshold,
            _ => usize::from(self.threshold),
        };
        threshold == metadata.threshold
            && self.groups.len() == metadata.groups.len()
            && self.groups.iter().zip(&metadata.groups).all(|(wanted, found)| {
                wanted.len() == found.age.len()
                    && wanted.iter().all(|recipient| {
                        let name = recipient.to_string();
                        found.age.iter().any(|sealed| sealed.recipient == name)
                    })
            })
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.groups.len() > 1
    }

    /// The fields of the `sops` section that seal `key` for them. What `known` already holds of it stays as it is:
    /// a recipient that is still one sees no change.
    pub(super) fn seal(&self, key: &DataKey, known: Option<&Metadata>) -> Result<Branch, SealError> {
        if let [group] = self.groups.as_slice() {
            return Ok(vec![pair("age", sealed_group(&*key.0, group, known)?)]);
        }
        let count = u8::try_from(self.groups.len()).unwrap_or(u8::MAX);
        let shares = shamir::split(&*key.0, count, self.threshold, |buffer| {
            OsRng.try_fill_bytes(buffer)
        })
        .map_err(SealError::Randomness)?;
        let groups = self.groups.iter().zip(&shares).map(|(group, share)| {
            let age = sealed_group(share, group, None)?;
            Ok(Item::Value(Node::Map(vec![pair("age", age)])))
        });
        Ok(vec![
            pair(
                "key_groups",
                Node::List(groups.collect::<Result<_, SealError>>()?),
            ),
            pair("shamir_threshold", Node::Integer(i64::from(self.threshold))),
        ])
    }
}

fn sealed_group(secret: &[u8], group: &[Recipient], known: Option<&Metadata>) -> Result<Node, SealError> {
    let sealed = group.iter().map(|recipient| {
        let name = recipient.to_string();
        let kept = known.filter(|known| known.groups.len() == 1);
        let kept = kept.and_then(|known| known.age().find(|sealed| sealed.recipient == name));
        let enc = match kept {
            Some(sealed) => sealed.armored.clone(),
            None => armored(secret, recipient).map_err(|source| SealError::DataKey {
                recipient: name.clone(),
                source,
            })?,
        };
        Ok(Item::Value(Node::Map(vec![
            pair("enc", Node::text(enc)),
            pair("recipient", Node::text(name)),
        ])))
    });
    sealed.collect::<Result<_, _>>().map(Node::List)
}

fn armored(secret: &[u8], recipient: &Recipient) -> std::io::Result<String> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient.as_age()));
    let encryptor = encryptor.map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(secret)?;
    let bytes = writer.finish()?.finish()?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}
