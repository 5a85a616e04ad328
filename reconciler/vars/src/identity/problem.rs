//! Owns the reasons for which a key file gives no identity, or a doubtful one. It must never quote what the file
//! holds.

use std::io;
use std::path::PathBuf;

use super::plugin::PluginProblem;
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
    /// An age key file that is itself encrypted, with a passphrase or for another key.
    #[error("the key file {} is itself encrypted", path.display())]
    EncryptedKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// It is the public half of a key.
    #[error("{} holds a public key", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
    },
    /// The SSH key is of a kind that opens no age file.
    #[error("the key in {} is of the kind {algorithm}, which opens no age file", path.display())]
    UnsupportedSshKey {
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
    /// A line of an age key file is an identity of a plugin that cannot be used.
    #[error("line {line} of {} needs the age plugin {name}: {problem}", path.display())]
    Plugin {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The plugin's name.
        name: String,
        /// Why it cannot be used.
        problem: PluginProblem,
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
    pub fn hint(&self) -> String {
        let text = match self {
            Self::PassphraseProtected { path } => {
                return format!(
                    "`ssh-keygen -p -N '' -f {}` takes the passphrase away, as nobody is there to type it",
                    path.display()
                );
            }
            Self::EncryptedKeyFile { path } => {
                return format!(
                    "`(umask 077; age --decrypt -o KEY-FILE {})`, and name that file",
                    path.display()
                );
            }
            Self::NotFound { .. } => "check the paths in [identity] of the agent's configuration",
            Self::Unreadable { .. } => "run it as root, or give it access to the file",
            Self::NotAKeyFile { .. } => "name a key file in [identity]",
            Self::PublicKey { .. } => {
                "name the private key: the same path without .pub, or the file of age-keygen"
            }
            Self::UnsupportedSshKey { .. } => {
                "use the host's ed25519 key, usually /etc/ssh/ssh_host_ed25519_key"
            }
            Self::SshKey { .. } => "name an OpenSSH private key; ssh-keygen -A makes missing host keys",
            Self::AgeKey { .. } | Self::Empty { .. } => {
                "the file is to hold lines like AGE-SECRET-KEY-1…, as age-keygen writes them"
            }
            Self::Plugin { .. } => {
                "install the plugin for the whole system, in a folder that only root may write"
            }
        };
        text.to_owned()
    }
}

/// What is wrong with a key file that gives identities all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityWarning {
    /// Its mode lets others in.
    #[error("{} can be read by others than its owner: its mode is {mode:04o}", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to neither root nor the agent's own user.
    #[error("{} belongs to the user {owner}, who can read and replace it", path.display())]
    OthersOwn {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// It lies in the store, which everybody can read, and caches copy.
    #[error("{} lies in the Nix store, which everybody can read", path.display())]
    InStore {
        /// The file.
        path: PathBuf,
    },
}

impl IdentityWarning {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::OpenToOthers { path, .. } => format!("chmod 0600 {}", path.display()),
            Self::OthersOwn { path, .. } => format!("chown root {}", path.display()),
            Self::InStore { .. } => {
                "make a new key outside of the store, encrypt everything for it, and change the secrets"
                    .to_owned()
            }
        }
    }
}
