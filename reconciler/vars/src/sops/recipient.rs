//! Owns the public keys that files are sealed for. It must never hold a private one.

use std::fmt;
use std::str::FromStr;

use age::x25519;

/// An age X25519 recipient, `age1…`.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

/// A text that is no age X25519 recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an age X25519 recipient")]
pub struct InvalidRecipient(pub String);

impl Recipient {
    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        text.trim()
            .parse()
            .map(Self)
            .map_err(|_| InvalidRecipient(text.to_owned()))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Recipient {}
