//! The agent's side of secrets: what the vars crate is given of git, of the host and of the configuration.

mod identities;
mod marks;
mod tree;

pub use identities::{load, named, plugins, recorded, sources};
pub use marks::marks;
pub use tree::FleetTree;
