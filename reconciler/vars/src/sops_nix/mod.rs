//! The program that sops-nix calls to install secrets: its command line, its manifest, its effects.
//!
//! Written after Mic92/sops-nix: `modules/sops/manifest-for.nix`, `pkgs/sops-install-secrets/main.go`.
//! [`Call`] reads the arguments, [`Manifest`] the document, [`check`] judges it where no key is,
//! [`prepare`] opens everything in memory, and [`install`] lays it down.

mod call;
mod changes;
mod check;
mod declared;
mod discover;
mod finding;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod install;
mod link;
mod manifest;
mod name;
mod origin;
mod prepare;
mod report;
mod restart;
mod runtime;
mod search_path;
mod source;
mod template;

pub use call::{Arguments, Call, CheckMode, InvalidCall, Passwd, USAGE};
pub use check::check;
pub use declared::DeclaredAccounts;
pub use discover::{Installation, Program, installations};
pub use finding::{Consequence, Kind, ManifestFinding, Reason};
pub use install::{Fatal, Host, install};
pub use link::LinkError;
pub use manifest::{Logging, Manifest, ManifestError, SecretEntry, TemplateEntry};
pub use name::InvalidPlace;
pub use origin::origin;
pub use prepare::{Prepared, prepare};
pub use report::{Report, Systemctl, UnitsError, UnitsNotTold};
pub use restart::{Action, ListError, UnitsVia};
pub use runtime::{RuntimeDirError, runtime_dir};
pub use source::SourceError;
pub use template::Template;
