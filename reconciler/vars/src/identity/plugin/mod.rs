//! age plugins: identities and recipients that only a program of their own can use (yubikey, tpm, se, …).
//!
//! Written here rather than taken from the crate `age`, whose client looks for the program in the process's
//! `PATH`, hands it the whole environment and waits for ever.

mod conversation;
mod folders;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod identity;
mod problem;
mod process;
mod recipient;

pub use folders::Plugins;
pub(super) use identity::{PluginIdentity, plugin_name};
pub use problem::PluginProblem;
pub(crate) use recipient::PluginRecipient;
