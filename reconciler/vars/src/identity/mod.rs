//! The keys with which a machine opens its secrets.

mod attempt;
mod hybrid;
mod identities;
mod info;
mod keyfile;
mod plugin;
mod problem;
mod ssh;
mod ssh_ed25519;
mod ssh_recipient;
mod ssh_rsa;

pub(crate) use attempt::{Attempt, Reach};
pub(crate) use hybrid::HybridRecipient;
pub use identities::Identities;
pub use info::{IdentityInfo, IdentityKind, IdentitySource};
pub(crate) use plugin::PluginRecipient;
#[cfg(feature = "fuzzing")]
pub(crate) use plugin::fuzzing;
pub use plugin::{PluginProblem, Plugins};
pub use problem::{IdentityProblem, IdentityWarning};
pub use ssh::{SshConversionError, ssh_public_key_to_recipient};
pub(crate) use ssh_recipient::SshRecipient;
