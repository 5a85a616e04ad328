//! Owns what is wrong with one needed var, as a sentence and a hint. It must never hold a value.

use std::fmt;

use crate::fleet_kind::FleetKind;
use crate::identity::IdentityProblem;
use crate::sops::SopsError;
use crate::tree::TreeError;

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FindingReason {
    /// It is not in the tree.
    #[error("is missing")]
    Missing,
    /// It is there and has no content that could be opened, or none that is meant for this machine.
    #[error(transparent)]
    Sops(#[from] SopsError),
    /// It opens, and does not name this machine.
    #[error("opens with this machine's key and does not name it among its recipients")]
    NotListed {
        /// Those that it names.
        recipients: Vec<String>,
    },
    /// The values of its generator are older than what they are declared for.
    #[error("is stale: what the values depend on changed since they were made")]
    Stale {
        /// The hash that is kept beside them.
        stored: Option<String>,
    },
    /// The tree could not give it.
    #[error("cannot be read: {0}")]
    Tree(#[from] TreeError),
}

/// One file that is missing or does not open.
#[derive(Debug)]
pub struct Finding {
    /// Path below the fleet's directory.
    pub path: String,
    /// What is wrong.
    pub reason: FindingReason,
    /// Whose vars they are.
    pub machine: String,
    /// The generator that makes it.
    pub generator: String,
    /// Whose commands mend it.
    pub kind: FleetKind,
    /// This machine's own recipients, `age1…`.
    pub own_recipients: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.reason)?;
        if let FindingReason::Sops(SopsError::NotEncryptedToThisMachine { recipients }) = &self.reason {
            write!(f, " ({}", List(&self.own_recipients))?;
            if !recipients.is_empty() {
                write!(f, "; it is encrypted to {}", List(recipients))?;
            }
            f.write_str(")")?;
        }
        if let FindingReason::NotListed { recipients } = &self.reason {
            write!(f, " ({})", List(recipients))?;
        }
        Ok(())
    }
}

impl Finding {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        let Self {
            path,
            machine,
            generator,
            kind,
            ..
        } = self;
        match &self.reason {
            FindingReason::Missing | FindingReason::Stale { .. } => {
                format!("`{}`, commit and push", kind.generate(machine, Some(generator)))
            }
            FindingReason::NotListed { .. } => format!(
                "see who changed it (`git log -- {path}`), then `{}`, commit and push",
                kind.rekey(machine)
            ),
            FindingReason::Tree(TreeError::Read { .. } | TreeError::Store { .. }) => {
                "the fleet's mirror on this machine is damaged: remove `fleet.git` from the agent's state directory".to_owned()
            }
            FindingReason::Tree(_) => format!("replace {path} by the encrypted file itself"),
            FindingReason::Sops(error) => self.sops_hint(error),
        }
    }

    fn sops_hint(&self, error: &SopsError) -> String {
        let Self {
            path,
            machine,
            generator,
            kind,
            own_recipients,
            ..
        } = self;
        let regenerate = || format!("`{}`", kind.regenerate(machine, generator));
        match error {
            SopsError::NotEncryptedToThisMachine { .. } | SopsError::NoAgeRecipient { .. } => {
                let own = own_recipients
                    .first()
                    .map_or("the machine's age recipient", String::as_str);
                format!(
                    "see that {} has {own}, then `{}`, commit and push",
                    if path.starts_with(crate::backend::AGE_SECRETS) {
                        format!("{}/{machine}/pub", crate::backend::AGE_KEYS)
                    } else {
                        format!("sops/machines/{machine}/key.json")
                    },
                    kind.rekey(machine)
                )
            }
            SopsError::NoMetadata => {
                format!(
                    "{}; if it holds a secret in cleartext, change that secret everywhere: it is in the history",
                    regenerate()
                )
            }
            SopsError::BadMac | SopsError::NoMac | SopsError::Value { .. } | SopsError::LastModified => {
                format!(
                    "restore {path} from a revision before it was edited, or {}",
                    regenerate()
                )
            }
            SopsError::Truncated | SopsError::Empty | SopsError::Syntax { .. } | SopsError::NotAnObject => {
                format!(
                    "restore {path} from an earlier revision, or {}; look for merge conflict marks",
                    regenerate()
                )
            }
            SopsError::DuplicateKey { .. } => {
                format!("remove the second key from {path}; unless you put it there, ask who did")
            }
            SopsError::UnsupportedRule { .. } => {
                format!("encrypt {path} in the binary store, without that option")
            }
            SopsError::KeyGroups { .. } => {
                format!("encrypt {path} with one key group, or give this machine a key in more of them")
            }
            _ => format!("restore {path} from an earlier revision, or {}", regenerate()),
        }
    }
}

/// All findings of a preflight.
#[derive(Debug)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0, "; ")
    }
}

/// All problems of the sources of identities.
#[derive(Debug)]
pub struct Problems(pub Vec<IdentityProblem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no source of keys is configured");
        }
        joined(f, &self.0, "; ")
    }
}

struct List<'a>(&'a [String]);

/// A line names this many recipients; a file may have hundreds.
const NAMED: usize = 4;

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<_> = self.0.iter().take(NAMED).collect();
        joined(f, &named, ", ")?;
        match self.0.len().saturating_sub(named.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { separator })?;
    }
    Ok(())
}
