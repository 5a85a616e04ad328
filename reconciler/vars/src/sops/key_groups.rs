//! Owns whom a file is sealed for, and the sealing of its data key for them. It must never write a key in the clear.

use std::io::Write;

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use age::armor::{self, ArmoredWriter};
use zeroize::Zeroizing;

use super::encrypt::SealError;
use super::format::Format;
use super::metadata::{Group, Metadata, Sealed};
use super::node::{self, Branch, Entry, Item, Node, pair};
use super::recipient::{Recipient, canonical};
use super::value::DataKey;
use super::{datakey, shamir, store};
use crate::identity::Identities;

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

    /// The groups of a file, as they are once just `readers` may read it: who stays stays where they are. Who comes
    /// takes the places of those keys that `replaces` names for them, or else joins as many groups as have to open
    /// the file, so that they can do it alone.
    ///
    /// A file with one group has one afterwards, of all `readers`.
    ///
    /// # Errors
    /// [`SealError::Open`] where it is no sealed file, [`SealError::NoRecipient`] where there are no readers, and
    /// [`SealError::EmptyGroup`] where a group would have nobody left.
    pub fn regrouped(
        bytes: &[u8],
        format: Format,
        readers: &[Recipient],
        replaces: impl Fn(&Recipient) -> Vec<String>,
    ) -> Result<Self, SealError> {
        let sealed = store::read_sealed(bytes, format)?;
        let metadata = Metadata::read(&sealed.section)?;
        let count = metadata.groups.len();
        if count < 2 || readers.is_empty() {
            return Self::any_of(readers);
        }
        let threshold = match metadata.threshold {
            // sops asks for all of them where it is not told.
            0 | 1 => count,
            threshold => threshold.min(count),
        };
        let holds = |group: &Group, text: &str| {
            group
                .age
                .iter()
                .any(|sealed| canonical(&sealed.recipient) == text)
        };
        let is_in = |group: &Group, reader: &Recipient| holds(group, &reader.to_string());
        let mut groups: Vec<Vec<Recipient>> = Vec::with_capacity(count);
        for (index, group) in metadata.groups.iter().enumerate() {
            let belongs = |reader: &&Recipient| {
                if metadata.groups.iter().any(|group| is_in(group, reader)) {
                    return is_in(group, reader);
                }
                let mut places = replaces(reader);
                places.retain(|old| metadata.groups.iter().any(|group| holds(group, old)));
                if places.is_empty() {
                    index < threshold
                } else {
                    places.iter().any(|old| holds(group, old))
                }
            };
            let members: Vec<Recipient> = readers.iter().filter(belongs).cloned().collect();
            if members.is_empty() && group.others.is_empty() {
                return Err(SealError::EmptyGroup {
                    group: index.saturating_add(1),
                    groups: count,
                });
            }
            groups.push(members);
        }
        Ok(Self {
            groups,
            threshold: u8::try_from(threshold).unwrap_or(u8::MAX),
        })
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
                    && wanted
                        .iter()
                        .all(|recipient| found.age.iter().any(|sealed| recipient.is(&sealed.recipient)))
            })
    }

    /// Changes only the lists of those groups of a file in which somebody comes or goes; `None` where that cannot be
    /// done: its groups are others, or one that gets a newcomer does not open with these identities.
    pub(super) fn seal_in_place(
        &self,
        section: &[Entry],
        metadata: &Metadata,
        identities: &Identities,
    ) -> Result<Option<Branch>, SealError> {
        let same =
            self.groups.len() == metadata.groups.len() && usize::from(self.threshold) == metadata.threshold;
        let Some(Node::List(items)) = node::get(section, "key_groups").filter(|_| same && self.are_several())
        else {
            return Ok(None);
        };
        let mut items = items.clone();
        let nodes = items.iter_mut().filter_map(|item| match item {
            Item::Value(Node::Map(entries)) => Some(entries),
            _ => None,
        });
        for ((entries, wanted), found) in nodes.zip(&self.groups).zip(&metadata.groups) {
            let known: Vec<&Sealed> = found.age.iter().collect();
            let comes = wanted
                .iter()
                .any(|reader| !known.iter().any(|sealed| reader.is(&sealed.recipient)));
            let share = if comes {
                match datakey::open_share(found, identities) {
                    Ok(share) => share,
                    Err(_) => return Ok(None),
                }
            } else if wanted.len() == known.len() {
                continue;
            } else {
                Zeroizing::default()
            };
            node::set(entries, "age", sealed_group(&share, wanted, &known)?);
        }
        Ok(Some(vec![
            pair("key_groups", Node::List(items)),
            pair("shamir_threshold", Node::Integer(i64::from(self.threshold))),
        ]))
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.groups.len() > 1
    }

    /// The fields of the `sops` section that seal `key` for them. What `known` already holds of it stays as it is:
    /// a recipient that is still one sees no change.
    pub(super) fn seal(&self, key: &DataKey, known: Option<&Metadata>) -> Result<Branch, SealError> {
        if let [group] = self.groups.as_slice() {
            let known = known.filter(|known| known.groups.len() == 1);
            let known: Vec<&Sealed> = known.into_iter().flat_map(Metadata::age).collect();
            return Ok(vec![pair("age", sealed_group(&*key.0, group, &known)?)]);
        }
        let count = u8::try_from(self.groups.len()).unwrap_or(u8::MAX);
        let shares = shamir::split(&*key.0, count, self.threshold, |buffer| {
            OsRng.try_fill_bytes(buffer)
        })
        .map_err(SealError::Randomness)?;
        let groups = self.groups.iter().zip(&shares).map(|(group, share)| {
            let age = sealed_group(share, group, &[])?;
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

/// The entries of a group; those that are `known` stay as they are.
fn sealed_group(secret: &[u8], group: &[Recipient], known: &[&Sealed]) -> Result<Node, SealError> {
    let sealed = group.iter().map(|recipient| {
        let kept = known.iter().find(|sealed| recipient.is(&sealed.recipient));
        let (name, enc) = match kept {
            Some(sealed) => (sealed.recipient.clone(), sealed.armored.clone()),
            None => {
                let name = recipient.to_string();
                let enc = armored(secret, recipient).map_err(|source| SealError::DataKey {
                    recipient: name.clone(),
                    source,
                })?;
                (name, enc)
            }
        };
        Ok(Item::Value(Node::Map(vec![
            pair("enc", Node::text(enc)),
            pair("recipient", Node::text(name)),
        ])))
    });
    sealed.collect::<Result<_, _>>().map(Node::List)
}

fn armored(secret: &[u8], recipient: &Recipient) -> std::io::Result<String> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient));
    let encryptor = encryptor.map_err(std::io::Error::other)?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), armor::Format::AsciiArmor)?;
    let mut writer = encryptor.wrap_output(armor)?;
    writer.write_all(secret)?;
    let bytes = writer.finish()?.finish()?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}
