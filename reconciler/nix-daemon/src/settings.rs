//! The settings a client may lay over the daemon's own. Owns their shape; knows no default of any of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Level;

/// Settings for the rest of a connection: the body of the protocol's `SetOptions`.
///
/// There is deliberately no default. The daemon applies every one of these unconditionally, over its
/// `nix.conf`: read the machine's configuration first, and change only what is meant to change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of nix.conf that is on or off"
)]
pub struct ClientSettings {
    /// `keep-failed`: keep the build directory of a failed build.
    pub keep_failed: bool,
    /// `keep-going`: go on with other targets when one fails.
    pub keep_going: bool,
    /// `fallback`: build what cannot be substituted.
    pub fallback: bool,
    /// Which free text lines the daemon sends.
    pub verbosity: Level,
    /// `max-jobs`.
    pub max_jobs: u64,
    /// `max-silent-time`; zero for no limit.
    pub max_silent_time: Duration,
    /// Whether builders' output is sent.
    pub build_output: bool,
    /// `cores`; 0 for all.
    pub cores: u64,
    /// `substitute`.
    pub substitute: bool,
    /// Any other setting by name. For a user who is not trusted the daemon ignores most, with a warning.
    pub overrides: BTreeMap<String, String>,
}
