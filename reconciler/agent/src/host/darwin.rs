//! macOS: the boot's id, the supervisor, bounds on a process, becoming another user.

use crate::process::Command;
use camino::Utf8Path;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
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

/// Turns this process into a program that runs as another user: in that user's own launchd domain where somebody
/// is logged in, as home-manager's module for nix-darwin does it. Returns only why not.
#[must_use]
pub fn become_person(name: &str, uid: u32, _gid: u32, program: &str, arguments: &[String]) -> std::io::Error {
    let logged_in = std::process::Command::new("/bin/launchctl")
        .args(["print", &format!("gui/{uid}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    // sudo clears the environment: it is handed over by env.
    let kept = std::env::vars().map(|(name, value)| format!("{name}={value}"));
    let (mut command, uid) = (std::process::Command::new("/bin/launchctl"), uid.to_string());
    if logged_in {
        command.args(["asuser", &uid, "/usr/bin/sudo"]);
    } else {
        command = std::process::Command::new("/usr/bin/sudo");
    }
    command
        .args(["--non-interactive", "--user", name, "--", "/usr/bin/env", "-i"])
        .args(kept)
        .arg(program)
        .args(arguments)
        .exec()
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
