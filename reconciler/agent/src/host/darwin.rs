//! macOS: the boot time, the supervisor, bounds on a process.

use crate::process::Command;
use camino::Utf8Path;
use std::path::Path;
use std::time::Duration;

/// What starts a process that outlives the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody: it is a child in a session of its own, which launchd does not end with the agent's job.
    Detached,
}

impl Supervisor {
    /// Whether it has units that can be restarted.
    #[must_use]
    pub fn restarts_units(self) -> bool {
        false
    }
}

/// How a process outlives the agent here.
#[must_use]
pub fn supervisor(_root: &Utf8Path) -> Supervisor {
    Supervisor::Detached
}

/// Tells one boot from another: the kernel's session UUID, new at every boot.
pub fn boot_id() -> std::io::Result<String> {
    let said = std::process::Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output()?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// `program` at low priority. The macOS kernel enforces no bound on an address space, so `memory` only holds
/// on Linux.
#[must_use]
pub fn bounded(program: &Path, _memory: u64, limit: Duration) -> Command {
    Command::new("/usr/bin/nice", limit)
        .args(["-n", "10"])
        .arg(program)
}
