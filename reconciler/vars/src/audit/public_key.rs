//! Owns public keys as they are compared: the same key in two spellings is one. It must never judge whether a key
//! is a good one.

use std::fmt;

use serde::Deserialize;

use crate::sops::{AgeStanza, canonical};

/// A key that a secret can be encrypted to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PublicKey {
    /// An age recipient: `age1…` of any kind, or an SSH public key without its comment.
    Age(String),
    /// An OpenPGP fingerprint, in upper case.
    Pgp(String),
}

impl PublicKey {
    /// An age recipient in its one spelling.
    pub fn age(text: &str) -> Self {
        Self::Age(canonical(text))
    }

    /// A fingerprint in its one spelling.
    pub fn pgp(text: &str) -> Self {
        let text = text.trim().trim_start_matches("0x");
        Self::Pgp(
            text.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
                .to_ascii_uppercase(),
        )
    }

    /// Whether a recipient in the header of an age file could be this one.
    pub(super) fn may_be_of(&self, stanza: &AgeStanza) -> bool {
        match self {
            Self::Age(text) => stanza.may_be_for(text),
            Self::Pgp(_) => false,
        }
    }

    /// The key as it stands in a file.
    pub fn text(&self) -> &str {
        match self {
            Self::Age(text) | Self::Pgp(text) => text,
        }
    }
}

/// A line shows this much of a key; an X25519 recipient has 62 characters, a post-quantum one 1959.
const SHOWN: usize = 80;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(text) if text.len() <= SHOWN => f.write_str(text),
            Self::Age(text) => write!(
                f,
                "{}…",
                text.chars().take(SHOWN.saturating_sub(1)).collect::<String>()
            ),
            Self::Pgp(text) => write!(f, "PGP key {text}"),
        }
    }
}

/// Why a `key.json` is none. It quotes nothing of the file: whoever puts a private key there is not to find it in the
/// logs of CI as well.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not of clan's form.
    #[error(
        "is not a key file: not an object of `publickey` and `type`, or a list of such, at line {line}, column {column}"
    )]
    Form {
        /// From 1; 0 where only the whole is wrong.
        line: usize,
        /// From 1; 0 likewise.
        column: usize,
    },
    /// It has no key.
    #[error("holds no key")]
    Empty,
    /// A key is of a kind that sops does not have.
    #[error("has a key of another type than age and pgp")]
    Kind,
    /// A key is not what its type says.
    #[error("has an {kind} key that is none")]
    Key {
        /// The type.
        kind: &'static str,
    },
}

#[derive(Deserialize)]
struct Entry {
    publickey: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Reads a `key.json`: an object `{"publickey", "type"}` with the type `age` or `pgp`, or a list of such.
///
/// # Errors
/// [`KeyFileError`] where it is none, or holds no key.
pub fn parse_key_file(bytes: &[u8]) -> Result<Vec<PublicKey>, KeyFileError> {
    // One key or a list of them: both are in use.
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let entries = if is_list {
        serde_json::from_slice::<Vec<Entry>>(bytes)
    } else {
        serde_json::from_slice::<Entry>(bytes).map(|entry| vec![entry])
    };
    let entries = entries.map_err(|error| KeyFileError::Form {
        line: error.line(),
        column: error.column(),
    })?;
    if entries.is_empty() {
        return Err(KeyFileError::Empty);
    }
    entries.into_iter().map(Entry::key).collect()
}

impl Entry {
    fn key(self) -> Result<PublicKey, KeyFileError> {
        match self.kind.to_ascii_lowercase().as_str() {
            "age" => {
                let key = PublicKey::age(&self.publickey);
                let text = key.text();
                if text.starts_with("age1") || text.starts_with("ssh-") {
                    Ok(key)
                } else {
                    Err(KeyFileError::Key { kind: "age" })
                }
            }
            "pgp" => {
                let key = PublicKey::pgp(&self.publickey);
                if !key.text().is_empty() && key.text().chars().all(|c| c.is_ascii_hexdigit()) {
                    Ok(key)
                } else {
                    Err(KeyFileError::Key { kind: "pgp" })
                }
            }
            _ => Err(KeyFileError::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "age1u7snfagg0d2vq6lqdz6vxjyd43w4naecg5w0zfaq8tqsa07nxc6qzku6d2";

    #[test]
    fn key_files_of_both_forms_are_read_and_others_are_not() {
        let one = format!(r#"{{"publickey":"{ONE}","type":"age"}}"#);
        let two = format!(
            r#"[{{"publickey":" {} ","type":"age"}},{{"publickey":"abcd 1234","type":"pgp"}}]"#,
            ONE.to_uppercase()
        );
        assert_eq!(parse_key_file(one.as_bytes()).unwrap(), [PublicKey::age(ONE)]);
        assert_eq!(
            parse_key_file(two.as_bytes()).unwrap(),
            [PublicKey::age(ONE), PublicKey::Pgp("ABCD1234".to_owned())]
        );
        for (text, why) in [
            ("[]", "holds no key"),
            ("", "not a key file"),
            ("{}", "not a key file"),
            (r#"[{"publickey":"x"}]"#, "not a key file"),
            (r#"{"publickey":"x","type":"age"}"#, "an age key that is none"),
            (r#"{"publickey":"xyz","type":"pgp"}"#, "an pgp key that is none"),
            (
                r#"{"publickey":"x","type":"kms"}"#,
                "another type than age and pgp",
            ),
        ] {
            let error = parse_key_file(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_same_key_in_two_spellings_is_one() {
        assert_eq!(
            PublicKey::age(&format!("{}\n", ONE.to_uppercase())),
            PublicKey::age(ONE)
        );
        assert_eq!(
            PublicKey::age("ssh-ed25519 AAAAC3Nz admin@host"),
            PublicKey::age("ssh-ed25519  AAAAC3Nz")
        );
        assert_ne!(
            PublicKey::age("ssh-ed25519 aaaac3nz"),
            PublicKey::age("ssh-ed25519 AAAAC3Nz")
        );
        assert_eq!(PublicKey::pgp("0xab cd"), PublicKey::pgp("ABCD"));
        let long = format!("age1pq1{}", "q".repeat(1952));
        assert!(PublicKey::age(&long).to_string().chars().count() <= 80);
    }
}
