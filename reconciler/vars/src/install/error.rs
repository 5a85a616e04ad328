//! Owns the reasons for which secrets cannot be installed. It must never hold a value.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::accounts::{AccountKind, AccountsError};

/// A link's path that has no parent or no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be the secrets' link: it is not an absolute path with a name", path.display())]
pub struct InvalidLink {
    /// The path.
    pub path: PathBuf,
}

/// What was being done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Looking at it.
    Inspect,
    /// Opening the folder.
    OpenFolder,
    /// Making the folder.
    MakeFolder,
    /// Making the file.
    MakeFile,
    /// Writing the file.
    Write,
    /// Giving it to its owner and group.
    SetOwner,
    /// Setting its mode.
    SetMode,
    /// Putting it in its final place.
    Rename,
    /// Making the link.
    MakeLink,
    /// Removing it.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "inspect",
            Self::OpenFolder => "open the folder",
            Self::MakeFolder => "make the folder",
            Self::MakeFile => "make the file",
            Self::Write => "write",
            Self::SetOwner => "set the owner of",
            Self::SetMode => "set the mode of",
            Self::Rename => "put in place",
            Self::MakeLink => "make the link",
            Self::Remove => "remove",
        })
    }
}

/// An account that a secret is to belong to and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAccount {
    /// Owner or group.
    pub kind: AccountKind,
    /// Its name.
    pub name: String,
    /// The secret, by its path below the link.
    pub path: String,
}

impl fmt::Display for UnknownAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.name, self.path)
    }
}

struct Listed<'a>(&'a [UnknownAccount]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, unknown) in self.0.iter().enumerate() {
            write!(f, "{}{unknown}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Why a generation of secrets could not be installed, switched to or removed. What was in force stays so.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The link's path cannot be one.
    #[error(transparent)]
    Link(#[from] InvalidLink),
    /// Something that is no symbolic link is where the link is to be.
    #[error("{} is not a symbolic link, and is not replaced", path.display())]
    NotALink {
        /// The path.
        path: PathBuf,
    },
    /// Someone else could change what is in the folder.
    #[error("{} can be changed by others: it belongs to uid {uid} and has mode {mode:04o}", path.display())]
    Insecure {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Accounts do not exist.
    #[error("there is no {}", Listed(.0))]
    UnknownAccounts(Vec<UnknownAccount>),
    /// Accounts could not be looked up.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The number is that of the generation in force, which is never overwritten.
    #[error("secrets generation {number} is in force and is not overwritten")]
    InForce {
        /// Its number.
        number: u64,
    },
    /// There is no such generation, as after a reboot.
    #[error("secrets generation {number} is gone")]
    Gone {
        /// Its number.
        number: u64,
    },
    /// The ramdisk is full.
    #[error("no space left to {operation} {}", path.display())]
    NoSpace {
        /// What was being done.
        operation: Operation,
        /// To what.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("could not {operation} {}", path.display())]
    System {
        /// What was being done.
        operation: Operation,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl InstallError {
    /// Turns a system's error into one that says what was being done, to what.
    pub(crate) fn during<E: Into<io::Error>>(operation: Operation, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Self::NoSpace { operation, path }
                }
                _ => Self::System {
                    operation,
                    path,
                    source,
                },
            }
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Link(_) => "set [paths] secrets to an absolute path such as /run/secrets",
            Self::NotALink { .. } => "move it away; nothing but the agent should write there",
            Self::Insecure { .. } => "let the folder belong to root alone, with mode 0751",
            Self::UnknownAccounts(_) => {
                "correct owner and group in the var's declaration, or declare the account"
            }
            Self::Accounts(_) => "check the system's account database",
            Self::InForce { .. } => "this is a bug: a generation's number was used twice",
            Self::Gone { .. } => {
                "secrets live in memory and end with a reboot; they are opened again from their revision"
            }
            Self::NoSpace { .. } => "free memory, or make the ramdisk larger",
            Self::System { .. } => "see the system's message",
        }
    }
}
