//! The keys with which a machine opens its secrets.

mod identities;
mod problem;
mod ssh;

pub use identities::{Identities, IdentityInfo, IdentityKind, IdentitySource};
pub use problem::IdentityProblem;
pub use ssh::{SshConversionError, ssh_public_key_to_recipient};
