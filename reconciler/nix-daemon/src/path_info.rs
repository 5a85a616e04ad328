//! What the store knows about a valid path. Facts and the forms of a hash.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::store_path::StorePath;

/// The SHA-256 of a path's archive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash([u8; 32]);

/// Why a text is not the hash of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a sha256 in base 16")]
pub struct NarHashError {
    /// The text that was given.
    pub text: String,
}

impl NarHash {
    /// Makes one from the digest.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> NarHash {
        NarHash(digest)
    }

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    ///
    /// # Errors
    /// For anything else.
    pub fn parse_base16(text: &str) -> Result<NarHash, NarHashError> {
        let error = || NarHashError {
            text: text.to_owned(),
        };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() != 64 {
            return Err(error());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit)
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok());
                *byte = (*byte << 4) | value.ok_or_else(error)?;
            }
        }
        Ok(NarHash(digest))
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// `sha256-<base 64>`: the form of flake references and lock files.
    #[must_use]
    pub fn to_sri(&self) -> String {
        format!("sha256-{}", STANDARD.encode(self.0))
    }

    /// 64 hexadecimal digits: the form of the wire.
    #[must_use]
    pub fn to_base16(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sri())
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NarHash({self})")
    }
}

/// How what is added makes its own name: the content-addressing methods that every daemon knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddMethod {
    /// An archive, by its SHA-256: what `nix` makes of a source tree.
    #[default]
    Archive,
    /// The bytes of one file, by their SHA-256: what `nix-prefetch-url` makes. It cannot have references.
    Flat,
    /// The bytes of a text, by their SHA-256 and its references: what `builtins.toFile` and a derivation make.
    Text,
}

impl AddMethod {
    /// Nix's name of the method and the hash.
    pub(crate) fn code(self) -> &'static str {
        match self {
            AddMethod::Archive => "fixed:r:sha256",
            AddMethod::Flat => "fixed:sha256",
            AddMethod::Text => "text:sha256",
        }
    }
}

/// Whether a path that is added needs a signature of a key that the daemon trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureCheck {
    /// As the daemon is configured.
    #[default]
    Required,
    /// Not if the daemon trusts the user, who vouches for the path; otherwise as if `Required`.
    Waived,
}

/// What the store knows about a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// The derivation that made it, where known; it need not be valid.
    pub deriver: Option<StorePath>,
    /// The hash of its archive.
    pub nar_hash: NarHash,
    /// The paths it refers to, possibly itself among them.
    pub references: BTreeSet<StorePath>,
    /// Seconds since the epoch at which it became valid here.
    pub registered_at: u64,
    /// Bytes of its archive.
    pub nar_size: u64,
    /// Whether it was built here, and so is trusted without a signature.
    pub ultimate: bool,
    /// Signatures: `<key name>:<base 64>`.
    pub signatures: BTreeSet<String>,
    /// How its content makes its name, such as `fixed:r:sha256:…`; none for an input-addressed path.
    pub content_address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::NarHash;

    // The SHA-256 of nothing.
    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn forms_of_a_hash() {
        let hash = NarHash::parse_base16(HEX).unwrap();
        assert_eq!(hash.to_base16(), HEX);
        assert_eq!(
            hash.to_sri(),
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
        assert_eq!(NarHash::parse_base16(&format!("sha256:{HEX}")).unwrap(), hash);
        assert_eq!(NarHash::from_digest(*hash.digest()), hash);
    }

    #[test]
    fn malformed_hashes() {
        for text in [
            "",
            "sha256:",
            &HEX[1..],
            &format!("{HEX}0"),
            &HEX.replace('e', "g"),
            &"é".repeat(32),
        ] {
            assert!(NarHash::parse_base16(text).is_err(), "{text}");
        }
    }
}
