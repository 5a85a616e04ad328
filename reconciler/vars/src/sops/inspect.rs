//! Owns what can be told of an encrypted file without any key: its form, and whom it says it is encrypted to. It
//! must never open anything, nor quote a value.

use std::collections::BTreeSet;
use std::io::Read;

use age::armor::ArmoredReader;
use serde::Deserialize;

use super::error::{SopsError, ValueProblem};
use super::node::Node;
use super::recipient::canonical;
use super::{LARGEST_FILE, agefile, json, timestamp};

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

#[derive(Deserialize)]
struct File {
    data: Option<serde_json::Value>,
    sops: Option<Section>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    #[serde(flatten)]
    keys: Keys,
    key_groups: Option<Vec<Keys>>,
    lastmodified: Option<String>,
    mac: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    age: Option<Vec<AgeKey>>,
    pgp: Option<Vec<PgpKey>>,
    kms: Option<Vec<serde::de::IgnoredAny>>,
    gcp_kms: Option<Vec<serde::de::IgnoredAny>>,
    hckms: Option<Vec<serde::de::IgnoredAny>>,
    azure_kv: Option<Vec<serde::de::IgnoredAny>>,
    hc_vault: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct AgeKey {
    recipient: String,
    enc: String,
}

#[derive(Deserialize)]
struct PgpKey {
    fp: String,
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
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SopsError::Empty);
    }
    // The strict reader first: it refuses what the lenient one below would pass over.
    let Node::Map(_) = json::parse(bytes)? else {
        return Err(SopsError::NotAnObject);
    };
    let file: File = serde_json::from_slice(bytes).map_err(|_| SopsError::Metadata { field: "sops" })?;
    let section = file.sops.ok_or(SopsError::NoMetadata)?;
    sealed(
        "mac",
        section
            .mac
            .as_deref()
            .filter(|mac| !mac.is_empty())
            .ok_or(SopsError::NoMac)?,
    )?;
    let modified = section.lastmodified.unwrap_or_default();
    timestamp::canonical(&modified).ok_or(SopsError::LastModified)?;
    match file.data {
        // The empty text is not sealed: an empty secret is a legal one.
        Some(serde_json::Value::String(data)) if !data.is_empty() => sealed("data", &data)?,
        None | Some(serde_json::Value::String(_)) => {}
        // Entries of a document may be anything; each is looked at when it is opened.
        Some(_) => {}
    }
    let mut inspection = Inspection::default();
    inspection.take(section.keys)?;
    if inspection == Inspection::default() {
        for keys in section.key_groups.unwrap_or_default() {
            inspection.take(keys)?;
            inspection.groups = inspection.groups.saturating_add(1);
        }
    } else {
        inspection.groups = 1;
    }
    Ok(inspection)
}

impl Inspection {
    /// The age recipients in their one spelling, each once.
    #[must_use]
    pub fn age_readers(&self) -> BTreeSet<String> {
        self.age.iter().map(|recipient| canonical(recipient)).collect()
    }

    fn take(&mut self, keys: Keys) -> Result<(), SopsError> {
        for key in keys.age.unwrap_or_default() {
            if !agefile::is_age(key.enc.trim_start().as_bytes()) {
                return Err(SopsError::DataKey {
                    recipient: key.recipient,
                });
            }
            self.age.push(key.recipient);
        }
        self.pgp
            .extend(keys.pgp.unwrap_or_default().into_iter().map(|key| key.fp));
        let others = [keys.kms, keys.gcp_kms, keys.hckms, keys.azure_kv, keys.hc_vault];
        self.others = others
            .iter()
            .flatten()
            .fold(self.others, |count, keys| count.saturating_add(keys.len()));
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
