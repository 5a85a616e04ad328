//! Owns the public keys that files are sealed for, of every kind that age and sops know. It must never hold a private
//! one, nor quote what may be one.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use age::{EncryptError, tag, tagpq, x25519};
use age_core::format::{FileKey, Stanza};

use crate::identity::{HybridRecipient, PluginRecipient, Plugins, SshConversionError, SshRecipient};

/// Whom a file is sealed for: `age1…`, also of a plugin (`age1yubikey1…`) or post-quantum (`age1pq1…`), or an SSH
/// public key (`ssh-ed25519 AAAA…`, `ssh-rsa AAAA…`).
#[derive(Clone)]
pub struct Recipient {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    X25519(x25519::Recipient),
    /// `age1tag1…`, of a hardware token: sealing for it takes no plugin, opening does.
    Tag(Box<tag::Recipient>),
    TagHybrid(Box<tagpq::Recipient>),
    Hybrid(Box<HybridRecipient>),
    Ssh(SshRecipient),
    Plugin(PluginRecipient),
}

/// A text that nothing can be encrypted to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidRecipient {
    /// It is a private key, or looks like one.
    #[error("this is a private key; whoever sees it can open what is encrypted to it")]
    PrivateKey,
    /// It begins as an age recipient does, and is none: a character too few, or mistyped.
    #[error("{0:?} is not an age recipient: it is cut off or mistyped")]
    Age(String),
    /// It is an SSH key that age files cannot be sealed for.
    #[error("the SSH key cannot be encrypted to: it is {0}")]
    Ssh(#[source] SshConversionError),
    /// It is something else.
    #[error("{0:?} is neither an age recipient (age1…) nor an SSH public key (ssh-ed25519 or ssh-rsa)")]
    Other(String),
}

impl Recipient {
    /// The same, with plugins looked for elsewhere than in their usual folders.
    #[must_use]
    pub fn with_plugins(self, plugins: &Plugins) -> Self {
        let kind = match self.kind {
            Kind::Plugin(plugin) => Kind::Plugin(plugin.with_plugins(plugins)),
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// Whether a file's or a key list's text is this one, in whatever spelling.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.text == canonical(text)
    }
}

/// The one spelling of a recipient: bech32 in lower case, an SSH key without its comment.
pub(crate) fn canonical(text: &str) -> String {
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) if kind.starts_with("ssh-") => format!("{kind} {key}"),
        (Some(key), _) => key.to_ascii_lowercase(),
        (None, _) => String::new(),
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        let upper = text.to_ascii_uppercase();
        if ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY"]
            .iter()
            .any(|sign| upper.contains(sign))
        {
            return Err(InvalidRecipient::PrivateKey);
        }
        let text = text.trim();
        let canonical = canonical(text);
        if canonical.starts_with("ssh-") || canonical.starts_with("ecdsa-") || canonical.starts_with("sk-") {
            let key = SshRecipient::parse(text).map_err(InvalidRecipient::Ssh)?;
            return Ok(Self {
                text: key.line().to_owned(),
                kind: Kind::Ssh(key),
            });
        }
        if !canonical.starts_with("age1") {
            return Err(InvalidRecipient::Other(shown(text)));
        }
        let kind = if canonical.starts_with("age1pq1") {
            HybridRecipient::parse(&canonical).map(|key| Kind::Hybrid(Box::new(key)))
        } else if canonical.starts_with("age1tag1") {
            canonical.parse().ok().map(|key| Kind::Tag(Box::new(key)))
        } else if canonical.starts_with("age1tagpq1") {
            canonical.parse().ok().map(|key| Kind::TagHybrid(Box::new(key)))
        } else if let Ok(key) = canonical.parse() {
            Some(Kind::X25519(key))
        } else {
            PluginRecipient::parse(&canonical).map(Kind::Plugin)
        };
        match kind {
            Some(kind) => Ok(Self {
                text: canonical,
                kind,
            }),
            None => Err(InvalidRecipient::Age(shown(text))),
        }
    }
}

/// A post-quantum recipient has 1959 characters; an error shows this many.
const SHOWN: usize = 80;

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl age::Recipient for Recipient {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        match &self.kind {
            Kind::X25519(recipient) => recipient.wrap_file_key(key),
            Kind::Tag(recipient) => recipient.wrap_file_key(key),
            Kind::TagHybrid(recipient) => recipient.wrap_file_key(key),
            Kind::Hybrid(recipient) => recipient.wrap_file_key(key),
            Kind::Ssh(recipient) => recipient.wrap_file_key(key),
            Kind::Plugin(recipient) => recipient.wrap_file_key(key),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}
