//! Linux: the boot id, the supervisor, bounds on a process, becoming another user.

use crate::process::Command;
use camino::Utf8Path;
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;
use unix::unistd::{Gid, Uid, geteuid, initgroups, setgid, setuid};

/// What starts a process that outlives the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// systemd is PID 1 and runs it in a transient unit.
    Systemd,
    /// The agent is a user's own, and that user's systemd runs it.
    UsersSystemd,
    /// Nobody: it is a child in a session of its own.
    Detached,
}

impl Supervisor {
    /// Whether it has units that can be restarted.
    #[must_use]
    pub fn restarts_units(self) -> bool {
        self == Supervisor::Systemd
    }
}

/// How a process outlives the agent here. A host below another root has no systemd that would serve it.
#[must_use]
pub fn supervisor(root: &Utf8Path) -> Supervisor {
    // What sd_booted(3) looks at.
    if root == "/" && Path::new("/run/systemd/system").is_dir() {
        if geteuid().is_root() {
            Supervisor::Systemd
        } else if Path::new(&users_runtime()).join("systemd/private").exists() {
            Supervisor::UsersSystemd
        } else {
            Supervisor::Detached
        }
    } else {
        Supervisor::Detached
    }
}

/// The runtime directory of the user that this process runs as, where pam_systemd makes it.
#[must_use]
pub fn users_runtime() -> String {
    format!("/run/user/{}", geteuid())
}

/// Turns this process into a program that runs as another user, with that user's groups. Returns only why not.
#[must_use]
pub fn become_person(name: &str, uid: u32, gid: u32, program: &str, arguments: &[String]) -> std::io::Error {
    let turn = || -> Result<(), std::io::Error> {
        let group = Gid::from_raw(gid);
        initgroups(&CString::new(name)?, group)?;
        setgid(group)?;
        setuid(Uid::from_raw(uid))?;
        Ok(())
    };
    match turn() {
        Ok(()) => std::process::Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

/// Tells one boot from another.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// How many processors a program may keep busy for its whole time before its processor time is up: Nix's collector
/// marks on several.
const PROCESSORS: u64 = 16;

/// `program` with a bound on its address space, in bytes, at low priority for the processors and idle for the
/// disks. It leaves no core, which would hold what it was given in confidence. Its processor time is bounded, too, so
/// that one that nobody is left to kill ends.
///
/// The bounds are set by a shell on itself before it becomes the program: setting them from here would leave a
/// moment without them.
#[must_use]
pub fn bounded(program: &Path, memory: u64, limit: Duration) -> Command {
    let script = "ulimit -v \"$1\" && ulimit -t \"$2\" && ulimit -c 0 && shift 2 || exit
        command -v ionice >/dev/null 2>&1 && set -- ionice -c 3 \"$@\"
        exec nice -n 10 \"$@\"";
    Command::new("/bin/sh", limit)
        .args(["-c", script, "sh"])
        .arg((memory / 1024).to_string())
        .arg(limit.as_secs().saturating_mul(PROCESSORS).max(1).to_string())
        .arg(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_bounded_is_so_from_its_start() {
        let seen = bounded(Path::new("/bin/sh"), 1 << 30, Duration::from_secs(60))
            .args([
                "-c",
                "ulimit -v; ulimit -c; ulimit -t; nice; command -v ionice >/dev/null && ionice || echo idle",
            ])
            .env("PATH", "/usr/bin:/bin")
            .run(&mut |_| {})
            .await
            .unwrap();
        let seen = String::from_utf8(seen.stdout).unwrap();
        let lines: Vec<&str> = seen.lines().collect();
        let (limits, nice) = (&lines[..3], lines[3].parse::<i32>().unwrap());
        assert_eq!(limits, ["1048576", "0", "960"]);
        assert!(nice >= 10, "{seen}");
        assert!(lines[4].starts_with("idle"), "{seen}");
    }
}
