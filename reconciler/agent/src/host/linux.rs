//! Linux: the boot id, the supervisor, bounds on a process.

use crate::process::Command;
use camino::Utf8Path;
use std::path::Path;
use std::time::Duration;

/// What starts a process that outlives the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// systemd is PID 1 and runs it in a transient unit.
    Systemd,
    /// Nobody: it is a child in a session of its own.
    Detached,
}

/// How a process outlives the agent here. A host below another root has no systemd that would serve it.
#[must_use]
pub fn supervisor(root: &Utf8Path) -> Supervisor {
    // What sd_booted(3) looks at.
    if root == "/" && Path::new("/run/systemd/system").is_dir() {
        Supervisor::Systemd
    } else {
        Supervisor::Detached
    }
}

/// Tells one boot from another.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// `program` with a bound on its address space, in bytes, at low priority.
///
/// The bound is set by a shell on itself before it becomes the program: setting it from here would leave a
/// moment without it.
#[must_use]
pub fn bounded(program: &Path, memory: u64, limit: Duration) -> Command {
    Command::new("/bin/sh", limit)
        .args(["-c", "ulimit -v \"$1\" && shift && exec nice -n 10 \"$@\"", "sh"])
        .arg((memory / 1024).to_string())
        .arg(program)
}
