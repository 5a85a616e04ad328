//! Owns the plaintext of a file and the ways to take it out. It must never appear in a `Debug` output.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::SopsError;
use super::format::Format;
use super::node::{self, Branch, Entry, Node};
use super::store;

/// The plaintext of a file.
pub struct Decrypted(Content);

enum Content {
    Binary(Zeroizing<Vec<u8>>),
    Document { format: Format, branches: Vec<Branch> },
}

/// Why a key gives no value. The path is that of the key, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There is none of that name.
    #[error("the key {path:?} is not there")]
    Missing {
        /// As far as the way went, the missing one included.
        path: String,
    },
    /// The way goes on below what has nothing below it.
    #[error("the key {path:?} is {kind}, which has no keys")]
    NotAMap {
        /// Where the way ends.
        path: String,
        /// What stands there, as `a number`.
        kind: &'static str,
    },
    /// A value that is no text cannot be installed.
    #[error("the key {path:?} is {kind}, not a text")]
    NotText {
        /// The whole key.
        path: String,
        /// What stands there, as `a number`.
        kind: &'static str,
    },
    /// The whole file was asked for, and its store cannot write it.
    #[error(transparent)]
    Whole(#[from] SopsError),
}

impl Decrypted {
    pub(super) fn binary(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Content::Binary(bytes))
    }

    pub(super) fn document(format: Format, branches: Vec<Branch>) -> Self {
        Self(Content::Document { format, branches })
    }

    /// The store whose text [`Self::into_bytes`] gives; [`Format::Binary`] for a plain age file.
    #[must_use]
    pub fn format(&self) -> Format {
        match &self.0 {
            Content::Binary(_) => Format::Binary,
            Content::Document { format, .. } => *format,
        }
    }

    /// The bytes to install: those of a binary or age file, or a document in its own store's text, as
    /// `sops decrypt` prints it.
    ///
    /// # Errors
    /// [`SopsError::Unwritable`] where a document holds what its store cannot write.
    pub fn into_bytes(self) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        match self.0 {
            Content::Binary(bytes) => Ok(bytes),
            Content::Document { format, branches } => store::write_plain(&branches, format),
        }
    }

    /// How many documents it has: one, but for YAML.
    #[must_use]
    pub fn documents(&self) -> usize {
        match &self.0 {
            Content::Binary(_) => 1,
            Content::Document { branches, .. } => branches.len(),
        }
    }

    /// The tree as JSON text: tabs, keys in order, comments left out; of several documents the first, as sops does
    /// it. Of a binary or age file, an object with its bytes as `data`, and as `encoding` either `utf-8` or `base64`.
    ///
    /// # Errors
    /// [`SopsError::Unwritable`] where a text is not UTF-8, or a number is not finite.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        let bytes = match &self.0 {
            Content::Document { branches, .. } => {
                return store::write_json(branches.first().unwrap_or(&Vec::new()));
            }
            Content::Binary(bytes) => bytes,
        };
        let (data, encoding) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes.clone(), "utf-8"),
            Err(_) => (Zeroizing::new(STANDARD.encode(bytes).into_bytes()), "base64"),
        };
        store::write_json(&vec![
            Entry::Pair("data".to_owned(), Node::Text(data)),
            Entry::Pair("encoding".to_owned(), Node::text(encoding)),
        ])
    }

    /// One value, by a key as sops-nix has it: the empty key is the whole file; in JSON and YAML `a/b/0` goes down
    /// through maps by name and through lists by index; in the other stores every key is the whole file.
    ///
    /// # Errors
    /// [`LookupError`]; it never holds a value.
    pub fn lookup(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, LookupError> {
        match &self.0 {
            Content::Binary(bytes) => Ok(bytes.clone()),
            Content::Document {
                format: Format::Json | Format::Yaml,
                branches,
            } if !key.is_empty() => descend(branches.first().unwrap_or(&Vec::new()), key),
            Content::Document { format, branches } => Ok(store::write_plain(branches, *format)?),
        }
    }
}

fn descend(branch: &Branch, key: &str) -> Result<Zeroizing<Vec<u8>>, LookupError> {
    let mut parts = key.split('/').scan(0_usize, |end, part| {
        *end = end.saturating_add(part.len());
        let path = key.get(..*end).unwrap_or(key);
        *end = end.saturating_add(1);
        Some((part, path))
    });
    let missing = |path: &str| LookupError::Missing {
        path: path.to_owned(),
    };
    let (first, path) = parts.next().ok_or_else(|| missing(key))?;
    let mut node = node::get(branch, first).ok_or_else(|| missing(path))?;
    let mut so_far = path;
    for (part, path) in parts {
        node = match node {
            Node::Map(branch) => node::get(branch, part),
            Node::List(items) => {
                let index = part.parse::<usize>().ok();
                index.and_then(|index| node::values(items).nth(index))
            }
            other => {
                return Err(LookupError::NotAMap {
                    path: so_far.to_owned(),
                    kind: other.kind(),
                });
            }
        }
        .ok_or_else(|| missing(path))?;
        so_far = path;
    }
    match node {
        Node::Text(bytes) => Ok(bytes.clone()),
        other => Err(LookupError::NotText {
            path: key.to_owned(),
            kind: other.kind(),
        }),
    }
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decrypted({}, [redacted])", self.format())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_down_through_maps_and_lists() {
        let text =
            br#"{"a": "1", "b": {"c": {"d": "2"}, "list": ["x", {"y": "3"}], "": "4"}, "n": 5, "b/c": "6"}"#;
        let branches = store::read(text, Format::Json).unwrap();
        let opened = Decrypted::document(Format::Json, branches);
        let found = |key| {
            opened
                .lookup(key)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        for (key, expected) in [
            ("a", "1"),
            ("b/c/d", "2"),
            ("b/list/0", "x"),
            ("b/list/1/y", "3"),
            ("b/", "4"),
        ] {
            assert_eq!(found(key).as_deref(), Ok(expected), "{key}");
        }
        let missing = |path: &str| LookupError::Missing {
            path: path.to_owned(),
        };
        for (key, expected) in [
            ("z", missing("z")),
            ("b/z/q", missing("b/z")),
            ("b/list/2", missing("b/list/2")),
            ("b/list/x", missing("b/list/x")),
            ("/a", missing("")),
            (
                "a/b",
                LookupError::NotAMap {
                    path: "a".into(),
                    kind: "a text",
                },
            ),
            (
                "n",
                LookupError::NotText {
                    path: "n".into(),
                    kind: "a number",
                },
            ),
            (
                "b/c",
                LookupError::NotText {
                    path: "b/c".into(),
                    kind: "a map",
                },
            ),
        ] {
            assert_eq!(found(key).unwrap_err(), expected, "{key}");
        }
        assert!(found("").unwrap().starts_with("{\n\t\"a\": \"1\""));
        let whole = Decrypted::document(
            Format::Dotenv,
            vec![vec![Entry::Pair("A".into(), Node::text("1"))]],
        );
        assert_eq!(whole.lookup("A").unwrap().as_slice(), b"A=1\n");
        assert_eq!(
            Decrypted::binary(b"x".to_vec().into())
                .lookup("any")
                .unwrap()
                .as_slice(),
            b"x"
        );
    }
}
