//! Owns what may be told of identities: where they come from, of what kind they are, their public halves. It must
//! never hold a private one.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where an identity may be found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdentitySource {
    /// A file as age-keygen writes it: lines of `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…` and
    /// `AGE-PLUGIN-…`, and comments.
    AgeKeyFile(PathBuf),
    /// An OpenSSH private key, usually the host's: ed25519 or RSA.
    SshHostKey(PathBuf),
    /// Either of them, as its first line says.
    KeyFile(PathBuf),
}

impl IdentitySource {
    /// The file.
    pub fn path(&self) -> &Path {
        let (Self::AgeKeyFile(path) | Self::SshHostKey(path) | Self::KeyFile(path)) = self;
        path
    }
}

/// What kind of identity it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// An X25519 key of an age key file.
    AgeKey,
    /// A post-quantum key of an age key file.
    HybridKey,
    /// An ed25519 SSH key, converted as ssh-to-age does it.
    SshHostKey,
    /// An SSH key as age itself uses it.
    NativeSshKey,
    /// A key that an age plugin holds.
    PluginKey,
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgeKey => "age key",
            Self::HybridKey => "post-quantum age key",
            Self::SshHostKey => "SSH host key, converted",
            Self::NativeSshKey => "SSH host key",
            Self::PluginKey => "age plugin key",
        })
    }
}

/// What may be told of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityInfo {
    /// Its public half: `age1…`, or `ssh-ed25519 AAAA…` without a comment.
    pub recipient: String,
    /// The file it was read from.
    pub source: PathBuf,
    /// What kind it is.
    pub kind: IdentityKind,
}
