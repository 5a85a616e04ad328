//! Vars of a fleet: which generated values a machine needs, whether this machine can open them, and
//! how the opened ones are installed as a generation of secrets.
//!
//! The order of work is [`Requirements`] → [`preflight()`] → [`stage()`] → [`Staged::activate`].
//! Plaintext lives only in zeroising buffers and on the ramdisk behind [`SecretsRoot`]; it never
//! appears in an error, a `Debug` output or a log.

pub mod audit;
mod backend;
mod declared;
mod fleet_kind;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod generators;
mod identity;
mod install;
mod mode;
mod preflight;
mod readers;
mod redacted;
mod requirements;
pub mod sops;
pub mod sops_nix;
mod tree;
mod validation;
mod wiped;

pub use backend::Backend;
pub use declared::{Declared, DeclaredFile, DeclaredGenerator, NeededFor};
pub use fleet_kind::FleetKind;
pub use identity::{
    Identities, IdentityInfo, IdentityKind, IdentityProblem, IdentitySource, IdentityWarning, PluginProblem,
    Plugins, SshConversionError, ssh_public_key_to_recipient,
};
pub use install::{
    AccountKind, AccountNames, Accounts, AccountsError, Backing, BackingError, Change, ChangeKind,
    Filesystem, Fingerprint, FingerprintKey, InstallError, InvalidLink, Operation, SecretsGeneration,
    SecretsRoot, Staged, UnknownAccount, UnknownAccounts, stage,
};
pub use mode::{InvalidMode, Mode};
pub use preflight::{
    Expected, Finding, FindingReason, Findings, Opened, PreflightError, Problems, Salvaged, preflight,
    preflight_of, salvage,
};
pub use readers::{Reader, ReaderKind, ReadersError, readers};
pub use redacted::Redacted;
pub use requirements::{
    Installer, InvalidName, NameKind, Placement, Requirement, RequirementProblem, RequirementProblems,
    Requirements, RequirementsError,
};
pub use sops::{
    Decrypted, Format, InvalidRecipient, LookupError, Recipient, Rekeyed, SealError, SopsError, decrypt,
    decrypt_file, encrypt_binary, rekey_file,
};
pub use tree::{DirectoryTree, EntryKind, Tree, TreeEntry, TreeError};
pub use wiped::{Wiped, lossy};
