//! Installed secrets: generations on a ramdisk, the link that says which one is in force, and what activation
//! scripts need on the disk.

mod accounts;
mod activation;
mod backing;
mod change;
mod error;
mod fingerprint;
mod folder;
mod generation;
mod plan;
#[cfg(target_os = "macos")]
#[path = "darwin.rs"]
mod platform;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
mod root;
mod stage;

pub(crate) use backing::Wanted;
pub(crate) use change::{Snapshot, between, of_folder, of_plan};
pub(crate) use folder::{Folder, Ownership};
pub(crate) use plan::Planned;
pub(crate) use stage::write_generation;

#[cfg(feature = "fuzzing")]
pub(crate) use accounts::numbers;
pub use accounts::{AccountKind, AccountNames, Accounts, AccountsError, UnknownAccounts};
pub use backing::{Backing, BackingError, Filesystem};
pub use change::{Change, ChangeKind};
pub use error::{InstallError, InvalidLink, Operation, UnknownAccount};
pub use fingerprint::{Fingerprint, FingerprintKey};
pub use generation::SecretsGeneration;
pub use root::SecretsRoot;
pub use stage::{Staged, stage};
