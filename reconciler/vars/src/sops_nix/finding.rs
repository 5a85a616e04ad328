//! Owns what is wrong with one secret or template of a manifest, as a sentence and a hint. It must never hold a
//! value.

use std::fmt;
use std::path::{Path, PathBuf};

use super::link::LinkError;
use super::manifest::Manifest;
use super::name::InvalidPlace;
use super::prepare::format_of;
use super::source::SourceError;
use crate::install::{AccountKind, AccountsError, InstallError};
use crate::mode::InvalidMode;
use crate::sops::{KeyKind, SealedKeys, SopsError, UnknownFormat};

/// What an entry of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A secret.
    Secret,
    /// A template.
    Template,
    /// What is of no one entry.
    Manifest,
}

/// Why an entry is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Its name leads elsewhere.
    #[error(transparent)]
    Place(#[from] InvalidPlace),
    /// Two entries would be one file, or one the folder of the other.
    #[error("lies where {other} lies too")]
    Taken {
        /// The other entry's name.
        other: String,
    },
    /// Its mode is none.
    #[error(transparent)]
    Mode(#[from] InvalidMode),
    /// Its format is none.
    #[error("its format {0}")]
    Format(#[from] UnknownFormat),
    /// Its file does not give it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its owner or group does not exist.
    #[error("there is no {kind} {name}")]
    Account {
        /// User or group.
        kind: AccountKind,
        /// Its name.
        name: String,
    },
    /// Its owner's or group's number is none.
    #[error("{number} is no number of a {kind}")]
    AccountNumber {
        /// User or group.
        kind: AccountKind,
        /// The number.
        number: i64,
    },
    /// Its owner or group is there, and the new system takes it away.
    #[error("the new system has no {kind} {name} any more")]
    Leaving {
        /// User or group.
        kind: AccountKind,
        /// The name.
        name: String,
    },
    /// Accounts could not be looked up.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// It has no text.
    #[error("has neither content nor file")]
    NoText,
    /// Its text could not be read.
    #[error("cannot read {}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It takes the value of a secret that is not in its manifest.
    #[error("takes the value of secret {name}, which this manifest does not install")]
    ForeignSecret {
        /// That secret.
        name: String,
    },
    /// It has the placeholder of no secret.
    #[error("has the placeholder {placeholder}, which stands for no secret")]
    Stray {
        /// The placeholder.
        placeholder: String,
    },
    /// It takes the value of a secret that has none.
    #[error("takes the value of secret {name}, which failed")]
    NoValue {
        /// That secret.
        name: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The link at its path could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// GnuPG's folder is named together with keys that sops-nix would put into another one.
    #[error("gnupgHome and {field} exclude each other")]
    Exclusive {
        /// The other field.
        field: &'static str,
    },
}

/// What became of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing was to be installed, or it is not known yet.
    Open,
    /// It is not installed.
    Missing,
    /// The bytes of the generation before are installed again.
    Kept,
    /// It is installed, for root alone.
    RootOnly,
    /// It is installed.
    Installed,
}

/// One thing that is wrong with a manifest.
#[derive(Debug)]
pub struct ManifestFinding {
    /// What it is about.
    pub kind: Kind,
    /// The entry's name.
    pub name: String,
    /// What is wrong.
    pub reason: Reason,
    /// What became of the entry.
    pub consequence: Consequence,
}

impl fmt::Display for ManifestFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Secret => write!(f, "secret {}: ", self.name)?,
            Kind::Template => write!(f, "template {}: ", self.name)?,
            Kind::Manifest => {}
        }
        write!(f, "{}", self.reason)?;
        let mut source = std::error::Error::source(&self.reason);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        f.write_str(match self.consequence {
            Consequence::Open => "",
            Consequence::Missing => "; it is not installed",
            Consequence::Kept => "; its value of before stays",
            Consequence::RootOnly => "; it is installed for root alone",
            Consequence::Installed => "; the file itself is installed",
        })
    }
}

impl ManifestFinding {
    pub(super) fn new(kind: Kind, name: &str, reason: impl Into<Reason>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            reason: reason.into(),
            consequence: Consequence::Open,
        }
    }

    /// Whether a key that is no age key could open its file: GnuPG's or a cloud's, which the original program may
    /// have and this one has not.
    pub fn may_open_with_other_keys(&self, manifest: &Manifest) -> bool {
        match &self.reason {
            Reason::Source(SourceError::Sops {
                reason: SopsError::NoAgeRecipient { kinds },
                ..
            }) => !kinds.is_empty(),
            Reason::Source(SourceError::Sops {
                path,
                reason: SopsError::NotEncryptedToThisMachine { .. },
            }) => {
                let entry = manifest.secrets.iter().find(|secret| secret.name == self.name);
                entry
                    .and_then(|secret| format_of(&secret.format).ok())
                    .zip(super::source::read(path).ok())
                    .and_then(|(format, bytes)| SealedKeys::read(&bytes, format).ok())
                    .is_some_and(|keys| !keys.other_kinds().is_empty())
            }
            _ => false,
        }
    }

    /// The same with the encrypted file by another path, which people know it by.
    #[must_use]
    pub fn by_path(mut self, path: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        if let Reason::Source(error) = &mut self.reason {
            let file = error.path_mut();
            if let Some(path) = path(file) {
                *file = path;
            }
        }
        self
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match &self.reason {
            Reason::Source(error) => source_hint(error),
            Reason::Account { kind, name } | Reason::Leaving { kind, name } => {
                Some(format!("declare the {kind} {name}, or correct the entry's owner"))
            }
            Reason::ForeignSecret { name } => Some(format!(
                "a template cannot take what is needed for users: declare {name} a second time, without neededForUsers"
            )),
            Reason::Stray { .. } => text("take the placeholder from config.sops.placeholder"),
            Reason::Mode(_) => text("write the mode as octal digits, such as 0400"),
            Reason::Taken { .. } | Reason::Place(_) => text("give the entry another name"),
            Reason::Install(error) => text(error.hint()),
            Reason::Link(error) => text(error.hint()),
            _ => None,
        }
    }
}

fn source_hint(error: &SourceError) -> Option<String> {
    match error {
        SourceError::Sops {
            path,
            reason: SopsError::NoAgeRecipient { kinds },
        } => {
            let why = if kinds.contains(&KeyKind::Pgp) {
                "only age keys are used here, and SSH keys as age keys: the PGP keys that sops-nix makes of RSA keys are not"
            } else {
                "only age keys are used here, and SSH keys as age keys"
            };
            Some(format!(
                "{why}; add the machine's age recipient, which `reconcile keys` shows, to {} (`sops rotate --in-place --add-age …`)",
                path.display()
            ))
        }
        SourceError::Sops {
            path,
            reason: SopsError::NotEncryptedToThisMachine { .. },
        } => Some(format!(
            "add the machine's recipient to .sops.yaml and run `sops updatekeys {}`",
            path.display()
        )),
        SourceError::Key { path, .. } => Some(format!("`sops {}` shows its keys", path.display())),
        _ => None,
    }
}
