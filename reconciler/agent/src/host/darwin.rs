//! macOS: the boot's id, the supervisor, bounds on a process, becoming another user.

use crate::process::Command;
use camino::Utf8Path;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use unix::unistd::Pid;

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

/// Nothing here does that.
pub fn adopt_orphans() {}

/// None that could be told: what leaves its process group leaves the activation.
#[must_use]
pub fn descendants(_of: Pid) -> Vec<Pid> {
    Vec::new()
}

/// The monotonic clock: no setting of the time moves it.
#[must_use]
pub fn monotonic() -> Duration {
    // clock_gettime(3) fails for a clock that the kernel does not have; every one has this.
    unix::time::clock_gettime(unix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Whether somebody holds a lock on a file. The macOS kernel does not tell without trying, and no tool for nix-darwin
/// takes one.
#[must_use]
pub fn is_locked(_file: &Utf8Path) -> bool {
    false
}

/// Asks launchd how a job of the system does.
#[must_use]
pub fn unit_query(_root: &Utf8Path, _folders: &[PathBuf], unit: &str, limit: Duration) -> Option<Command> {
    Some(
        Command::new("/bin/launchctl", limit)
            .arg("print")
            .arg(format!("system/{unit}")),
    )
}

/// Reads the answer: how often a job that runs was started; else what it is instead. launchctl(1) says of what it
/// prints that it is for people: only two lines are looked at, `state = running` and `runs = 3`.
pub fn unit_state(shown: &str) -> Result<Option<u64>, String> {
    let value = |name: &str| {
        let mut lines = shown.lines();
        lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))
    };
    match value("state") {
        Some("running") => Ok(value("runs").and_then(|runs| runs.parse().ok())),
        Some(state) => Err(state.to_owned()),
        None => Err("no job of this host".to_owned()),
    }
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
