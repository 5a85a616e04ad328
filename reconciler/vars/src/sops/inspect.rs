//! Owns what can be told of an encrypted file without any key: its form, and whom it says it is encrypted to. It
//! must never open anything, nor quote a value.

use std::collections::BTreeSet;
use std::io::Read;

use age::armor::ArmoredReader;

use super::error::{SopsError, ValueProblem};
use super::format::Format;
use super::metadata::{Group, Metadata};
use super::node::{self, Node};
use super::recipient::canonical;
use super::store::{self, SealedFile};
use super::{LARGEST_FILE, agefile, timestamp};

/// Whom a file says it is encrypted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Age recipients, as they are written.
    pub age: Vec<String>,
    /// OpenPGP fingerprints, as they are written.
    pub pgp: Vec<String>,
    /// How many keys of other kinds (cloud services, Vault) it names.
    pub others: usize,
    /// How many key groups it has: of several, shares open it together.
    pub groups: usize,
    /// Of a plain age file, how many recipients it has. It names none of them.
    pub anonymous: Option<usize>,
}

/// Reads a sops file of the JSON or binary store, or an age file, as far as that goes without a key.
///
/// # Errors
/// [`SopsError`] where the file is none, or has no form in which it could ever be opened: no metadata, no code that
/// vouches for it, a key twice, cleartext in the place of `data`.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, SopsError> {
    if bytes.len() > LARGEST_FILE {
        return Err(SopsError::TooLarge {
            size: bytes.len(),
            limit: LARGEST_FILE,
        });
    }
    if agefile::is_age(bytes) {
        return Ok(Inspection {
            anonymous: Some(age_stanzas(bytes)?),
            ..Inspection::default()
        });
    }
    // By the reader that opens it: what opens is never called damaged.
    let SealedFile { branches, section } = store::read_sealed(bytes, Format::Json)?;
    let metadata = Metadata::read(&section)?;
    if metadata.mac.is_empty() {
        return Err(SopsError::NoMac);
    }
    sealed("mac", &metadata.mac)?;
    timestamp::canonical(&metadata.last_modified).ok_or(SopsError::LastModified)?;
    // The empty text is not sealed: an empty secret is a legal one. What a document holds besides is looked at when it
    // is opened.
    let data = branches.first().and_then(|branch| node::get(branch, "data"));
    if let Some(data) = data.and_then(Node::as_str).filter(|data| !data.is_empty()) {
        sealed("data", data)?;
    }
    let mut inspection = Inspection {
        groups: metadata.groups.len(),
        ..Inspection::default()
    };
    for group in metadata.groups {
        inspection.take(group)?;
    }
    Ok(inspection)
}

impl Inspection {
    /// The age recipients in their one spelling, each once.
    #[must_use]
    pub fn age_readers(&self) -> BTreeSet<String> {
        self.age.iter().map(|recipient| canonical(recipient)).collect()
    }

    fn take(&mut self, group: Group) -> Result<(), SopsError> {
        for key in group.age {
            if !agefile::is_age(key.armored.trim_start().as_bytes()) {
                return Err(SopsError::DataKey {
                    recipient: key.recipient,
                });
            }
            self.age.push(key.recipient);
        }
        self.pgp.extend(group.pgp);
        self.others = self.others.saturating_add(group.services);
        Ok(())
    }
}

fn sealed(path: &'static str, text: &str) -> Result<(), SopsError> {
    let problem = match text.strip_prefix("ENC[AES256_GCM,data:") {
        None => ValueProblem::NotEncrypted,
        Some(rest) => match rest.split_once(']') {
            Some((parts, ""))
                if [",iv:", ",tag:", ",type:"]
                    .iter()
                    .all(|part| parts.contains(part)) =>
            {
                return Ok(());
            }
            Some((_, "")) | None => ValueProblem::NotEncrypted,
            Some(_) => ValueProblem::TrailingText,
        },
    };
    Err(SopsError::Value {
        path: path.to_owned(),
        problem,
    })
}

/// An age header is as long as its recipients are many; this leaves room for a thousand post-quantum ones. In bytes.
const LONGEST_HEADER: u64 = 4 << 20;

/// How many recipients the header of an age file has (age-encryption.org/v1, "Recipient stanza").
fn age_stanzas(bytes: &[u8]) -> Result<usize, SopsError> {
    let mut header = Vec::new();
    ArmoredReader::new(bytes)
        .take(LONGEST_HEADER)
        .read_to_end(&mut header)
        .map_err(|_| SopsError::AgeFile)?;
    let mut count: usize = 0;
    for line in header.split(|byte| *byte == b'\n') {
        if line.starts_with(b"--- ") {
            return if count > 0 {
                Ok(count)
            } else {
                Err(SopsError::AgeFile)
            };
        }
        let Some(stanza) = line.strip_prefix(b"-> ") else {
            continue;
        };
        // Random stanzas that rage adds, so that readers stay tolerant, are nobody's.
        let kind = stanza.split(|byte| *byte == b' ').next().unwrap_or_default();
        if !kind.ends_with(b"-grease") {
            count = count.saturating_add(1);
        }
    }
    Err(SopsError::AgeFile)
}
