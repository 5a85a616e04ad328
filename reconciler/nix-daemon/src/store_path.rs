//! Store paths and the hash part of one. Owns what is a well-formed store path; never looks at a file system.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// Length of the hash part: 160 bits in Nix's base 32.
const HASH_LENGTH: usize = 32;
/// The longest name, as Nix's `StorePath::MaxPathLen`.
const NAME_LENGTH: usize = 211;

/// A validated store path: `<store directory>/<hash part>-<name>`, nothing below it.
///
/// Cheap to clone. Ordered as its text is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    full: Arc<str>,
    base: usize,
}

/// Why a text is not a store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorePathError {
    /// It does not start with `/`, or its directory is not in its shortest form.
    #[error("store path `{path}` is not an absolute, normal path")]
    NotAbsolute {
        /// The text that was given.
        path: String,
    },
    /// It is not directly below the store directory.
    #[error("path `{path}` is not directly in the store `{store_dir}`")]
    OutsideStore {
        /// The text that was given.
        path: String,
        /// The store directory it was expected in.
        store_dir: String,
    },
    /// Its hash part is not 32 characters of Nix's base 32 followed by `-`.
    #[error("store path `{path}` has no valid hash part")]
    Hash {
        /// The text that was given.
        path: String,
    },
    /// Its name is empty, too long, or has a character that Nix does not allow.
    #[error("store path `{path}` has no valid name")]
    Name {
        /// The text that was given.
        path: String,
    },
}

impl StorePath {
    /// Reads a full path that must lie directly in `store_dir`, such as `/nix/store` or a relocated one.
    ///
    /// # Errors
    /// When the path lies elsewhere or its base name is not `<hash part>-<name>`.
    pub fn parse(store_dir: &str, full: &str) -> Result<StorePath, StorePathError> {
        let store_dir = store_dir.trim_end_matches('/');
        let path = StorePath::from_absolute(full)?;
        if path.store_dir() != store_dir {
            return Err(StorePathError::OutsideStore {
                path: full.to_owned(),
                store_dir: store_dir.to_owned(),
            });
        }
        Ok(path)
    }

    /// Reads a full path whose store directory is its parent: what a daemon names is in its own store.
    ///
    /// # Errors
    /// When the path is not absolute or its base name is not `<hash part>-<name>`.
    pub fn from_absolute(full: &str) -> Result<StorePath, StorePathError> {
        let not_absolute = || StorePathError::NotAbsolute {
            path: full.to_owned(),
        };
        let (directory, base_name) = full.rsplit_once('/').ok_or_else(not_absolute)?;
        let mut components = directory.split('/');
        let rooted = components.next() == Some("");
        if !rooted || components.any(|c| matches!(c, "" | "." | "..")) || directory.contains(char::is_control)
        {
            return Err(not_absolute());
        }
        let hash = || StorePathError::Hash {
            path: full.to_owned(),
        };
        let (hash_part, rest) = base_name.split_at_checked(HASH_LENGTH).ok_or_else(hash)?;
        if !is_base32(hash_part) {
            return Err(hash());
        }
        let name = rest.strip_prefix('-').ok_or_else(hash)?;
        if !is_name(name) {
            return Err(StorePathError::Name {
                path: full.to_owned(),
            });
        }
        Ok(StorePath {
            full: Arc::from(full),
            base: directory.len() + 1,
        })
    }

    /// Joins a store directory and a base name `<hash part>-<name>`.
    ///
    /// # Errors
    /// As [`StorePath::parse`].
    pub fn from_base_name(store_dir: &str, base_name: &str) -> Result<StorePath, StorePathError> {
        let store_dir = store_dir.trim_end_matches('/');
        StorePath::parse(store_dir, &format!("{store_dir}/{base_name}"))
    }

    /// The full path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The store directory, without a trailing slash.
    #[must_use]
    pub fn store_dir(&self) -> &str {
        self.full.get(..self.base.saturating_sub(1)).unwrap_or_default()
    }

    /// `<hash part>-<name>`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.full.get(self.base..).unwrap_or_default()
    }

    /// The 32 characters before the name.
    #[must_use]
    pub fn hash_part(&self) -> &str {
        self.base_name().get(..HASH_LENGTH).unwrap_or_default()
    }

    /// What follows the hash part and its dash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.base_name().get(HASH_LENGTH + 1..).unwrap_or_default()
    }

    /// Whether the name ends in `.drv`.
    #[must_use]
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(full: &str) -> Result<StorePath, StorePathError> {
        StorePath::from_absolute(full)
    }
}

impl AsRef<Path> for StorePath {
    fn as_ref(&self) -> &Path {
        Path::new(self.as_str())
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePath({})", self.as_str())
    }
}

/// The hash part of a store path alone: 32 characters of Nix's base 32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashPart(String);

impl HashPart {
    /// Reads 32 characters of Nix's base 32.
    ///
    /// # Errors
    /// [`StorePathError::Hash`] for anything else.
    pub fn parse(text: &str) -> Result<HashPart, StorePathError> {
        if text.len() == HASH_LENGTH && is_base32(text) {
            Ok(HashPart(text.to_owned()))
        } else {
            Err(StorePathError::Hash {
                path: text.to_owned(),
            })
        }
    }

    /// The 32 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Nix's base 32 alphabet: digits and letters without e, o, u, t. Not looked up in a slice, which a closure of many
/// paths would spend much of its time on.
fn is_base32(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z'))
}

/// Nix's rule for the name of a store object and of a derivation's output.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_LENGTH
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'?' | b'='))
        // Refused since 2.24; no tool makes one.
        && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::{HashPart, StorePath, StorePathError};

    const BASE: &str = "vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-hello-2.12";

    #[test]
    fn a_hash_part_has_the_letters_of_base_32_and_no_others() {
        let taken = |letter: char| {
            let hash: String = std::iter::repeat_n(letter, 32).collect();
            StorePath::from_absolute(&format!("/nix/store/{hash}-a")).is_ok()
        };
        let letters: String = (0..=127_u8).map(char::from).filter(|c| taken(*c)).collect();
        assert_eq!(letters, "0123456789abcdfghijklmnpqrsvwxyz");
    }

    #[test]
    fn parts_of_a_path() {
        for store_dir in ["/nix/store", "/tmp/nd1/store", "/gnu"] {
            let full = format!("{store_dir}/{BASE}");
            let path = StorePath::parse(store_dir, &full).unwrap();
            assert_eq!(path.to_string(), full);
            assert_eq!(path.store_dir(), store_dir);
            assert_eq!(path.base_name(), BASE);
            assert_eq!(path.hash_part(), "vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w");
            assert_eq!(path.name(), "hello-2.12");
            assert!(!path.is_derivation());
            assert_eq!(StorePath::from_base_name(store_dir, BASE).unwrap(), path);
        }
    }

    #[test]
    fn a_trailing_slash_of_the_store_is_no_other_store() {
        assert!(StorePath::parse("/nix/store/", &format!("/nix/store/{BASE}")).is_ok());
    }

    #[test]
    fn what_is_no_store_path() {
        let long = format!("/nix/store/{}-{}", "0".repeat(32), "n".repeat(212));
        for full in [
            "",
            "/",
            BASE,
            "nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x",
            "/nix/store/../store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x",
            "/nix//store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x",
            "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w",
            "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-",
            "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x y",
            "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x/bin/sh",
            "/nix/store/evr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x",
            "/nix/store/VVR0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-x",
            "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3\u{e9}-x",
            &long,
        ] {
            assert!(StorePath::from_absolute(full).is_err(), "{full}");
        }
    }

    #[test]
    fn another_store_is_refused() {
        let error = StorePath::parse("/nix/store", &format!("/gnu/store/{BASE}")).unwrap_err();
        assert!(matches!(error, StorePathError::OutsideStore { .. }));
    }

    #[test]
    fn hash_parts() {
        assert!(HashPart::parse("vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w").is_ok());
        assert!(HashPart::parse("vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3").is_err());
        assert!(HashPart::parse("evr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w").is_err());
    }
}
