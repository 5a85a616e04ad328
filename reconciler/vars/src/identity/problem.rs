//! Owns the reasons for which a key file gives no identity. It must never quote what the file holds.

use std::io;
use std::path::PathBuf;

use super::ssh::SshConversionError;

/// Why a source gave no identity, or not all that it has.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityProblem {
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("could not read {}: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It is no regular file, or larger than a key file may be.
    #[error("{} is not a key file: it is no regular file, or larger than {limit} bytes", path.display())]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// The key is sealed with a passphrase, which an agent cannot be asked for.
    #[error("the key in {} is protected by a passphrase", path.display())]
    PassphraseProtected {
        /// The file.
        path: PathBuf,
    },
    /// The SSH key is not of a kind that converts to age.
    #[error("the key in {} is not an ed25519 key but {algorithm}", path.display())]
    NotEd25519 {
        /// The file.
        path: PathBuf,
        /// The SSH algorithm's name.
        algorithm: String,
    },
    /// It is no OpenSSH private key.
    #[error("could not read an SSH private key from {}", path.display())]
    SshKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SshConversionError,
    },
    /// A line of an age key file is no age identity.
    #[error("line {line} of {} is not an age identity", path.display())]
    AgeKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line of an age key file is an identity that only a plugin or a newer age can use.
    #[error("line {line} of {} is an age identity that needs a plugin or post-quantum support", path.display())]
    UnsupportedAgeKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An age key file holds no identity at all.
    #[error("{} holds no age identity", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl IdentityProblem {
    /// Whether the file is only absent, as is usual for one of several places where a key may lie.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "check the paths in [identity] of the agent's configuration",
            Self::Unreadable { .. } => "run the agent as root, or give it access to the file",
            Self::NotAKeyFile { .. } => "name a key file in [identity]",
            Self::PassphraseProtected { .. } => "use a key without a passphrase, as an SSH host key is",
            Self::NotEd25519 { .. } => "use the host's ed25519 key, usually /etc/ssh/ssh_host_ed25519_key",
            Self::SshKey { .. } => "name an OpenSSH private key; ssh-keygen -A makes missing host keys",
            Self::AgeKey { .. } | Self::Empty { .. } => {
                "the file is to hold lines like AGE-SECRET-KEY-1…, as age-keygen writes them"
            }
            Self::UnsupportedAgeKey { .. } => "use an X25519 identity (age-keygen) for machines",
        }
    }
}
