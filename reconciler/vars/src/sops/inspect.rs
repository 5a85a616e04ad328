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
use crate::identity::SshRecipient;

/// Whom a file says it is encrypted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Age recipients, as they are written.
    pub age: Vec<String>,
    /// OpenPGP fingerprints, as they are written.
    pub pgp: Vec<String>,
    /// How many keys of other kinds (cloud services, Vault) it names.
    pub others: usize,
    /// Its key groups: of several, shares open it together.
    pub groups: Vec<BTreeSet<String>>,
    /// How many of several groups it takes.
    pub threshold: usize,
    /// Of a plain age file, what its header tells of each recipient. It names none of them.
    pub anonymous: Option<Vec<AgeStanza>>,
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
        threshold: metadata.groups_needed(),
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

    /// How many of its key groups one of these recipients is in, where shares of several open it.
    #[must_use]
    pub fn shares<'k>(&self, recipients: impl IntoIterator<Item = &'k str>) -> Option<Shares> {
        if self.groups.len() < 2 {
            return None;
        }
        let held: BTreeSet<String> = recipients.into_iter().map(canonical).collect();
        let is_in = |group: &&BTreeSet<String>| !group.is_disjoint(&held);
        Some(Shares {
            held: self.groups.iter().filter(is_in).count(),
            needed: self.threshold,
            groups: self.groups.len(),
        })
    }

    fn take(&mut self, group: Group) -> Result<(), SopsError> {
        let mut members = BTreeSet::new();
        for key in group.age {
            if !agefile::is_age(key.armored.trim_start().as_bytes()) {
                return Err(SopsError::DataKey {
                    recipient: key.recipient,
                });
            }
            members.insert(canonical(&key.recipient));
            self.age.push(key.recipient);
        }
        self.groups.push(members);
        self.pgp.extend(group.pgp);
        self.others = self.others.saturating_add(group.services);
        Ok(())
    }
}

/// How far somebody's keys go in a file whose data key is shared out among groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// The groups that they are in.
    pub held: usize,
    /// The groups that open it together.
    pub needed: usize,
    /// All groups.
    pub groups: usize,
}

impl Shares {
    /// Whether they open it without anybody's help.
    #[must_use]
    pub fn open(self) -> bool {
        self.held >= self.needed
    }
}

/// What the header of an age file tells of one recipient (age-encryption.org/v1, "Recipient stanza").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeStanza {
    /// The kind of its key: `X25519`, `ssh-ed25519`, `mlkem768x25519` …
    pub kind: String,
    /// Its first argument. Of an SSH key it is the start of the key's hash, of the others it tells nothing.
    pub argument: String,
}

impl AgeStanza {
    /// Whether it could be for a recipient, as far as it can be told without any key. What a plugin writes for its
    /// recipients only the plugin knows.
    #[must_use]
    pub fn may_be_for(&self, recipient: &str) -> bool {
        let recipient = canonical(recipient);
        match recipient.split_once(' ') {
            Some((kind, _)) => SshRecipient::parse(&recipient)
                .is_ok_and(|key| self.kind == kind && self.argument == key.tag()),
            // In bech32 the last 1 ends what says of which kind it is.
            None => match recipient.rsplit_once('1').map(|(kind, _)| kind) {
                Some("age") => self.kind == "X25519",
                Some("age1pq") => self.kind == "mlkem768x25519",
                _ => true,
            },
        }
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

/// The recipients in the header of an age file.
fn age_stanzas(bytes: &[u8]) -> Result<Vec<AgeStanza>, SopsError> {
    let mut header = Vec::new();
    ArmoredReader::new(bytes)
        .take(LONGEST_HEADER)
        .read_to_end(&mut header)
        .map_err(|_| SopsError::AgeFile)?;
    let mut stanzas = Vec::new();
    for line in header.split(|byte| *byte == b'\n') {
        if line.starts_with(b"--- ") {
            return if stanzas.is_empty() {
                Err(SopsError::AgeFile)
            } else {
                Ok(stanzas)
            };
        }
        let Some(stanza) = line.strip_prefix(b"-> ") else {
            continue;
        };
        let stanza = String::from_utf8_lossy(stanza);
        let mut words = stanza.split_whitespace().map(str::to_owned);
        let (kind, argument) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // Random stanzas that rage adds, so that readers stay tolerant, are nobody's.
        if !kind.ends_with("-grease") {
            stanzas.push(AgeStanza { kind, argument });
        }
    }
    Err(SopsError::AgeFile)
}
