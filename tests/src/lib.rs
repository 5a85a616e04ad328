//! A harness that drives the real `reconcile` as a person and systemd do, against real git and real Nix.
//!
//! A test makes a [`Store`] (a Nix daemon and a store of its own), a [`Fleet`] (a repository that is pushed to)
//! and one or more [`Host`]s (a machine in a folder). It never reaches into the agent: what it sees is what the
//! command line prints, what lies below the host's root, and what Nix and git say. A harness that cannot do
//! its part fails the test that it serves, with everything that was printed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a harness fails the test that it serves, and owns no state that has to last"
)]

mod agent;
mod binary;
mod boot;
mod desk;
mod entry;
mod files;
mod fleet;
mod host;
mod key;
mod observe;
mod output;
mod plaintexts;
mod proxy;
mod sarif;
mod scratch;
mod server;
mod sops_nix;
mod sshd;
mod store;
mod vars;
mod wait;

pub use agent::Agent;
pub use binary::{example, fixtures, is_root, reconcile, tool};
pub use desk::Desk;
pub use entry::{Class, Entry, SYSTEM};
pub use files::FileServer;
pub use fleet::Fleet;
pub use host::Host;
pub use key::Key;
pub use output::{Output, run, run_fed};
pub use proxy::{Fault, Proxy};
pub use sarif::assert_sarif;
pub use scratch::{Scratch, write};
pub use server::Server;
pub use sops_nix::SopsNix;
pub use sshd::Sshd;
pub use store::Store;
pub use vars::{Var, seal};
pub use wait::{eventually, is_stopped, wait_for};
