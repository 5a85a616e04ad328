//! Linux: the boot id, the supervisor, bounds on a process, becoming another user.

use crate::process::{Command, locate};
use camino::Utf8Path;
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unix::unistd::{Gid, Pid, Uid, geteuid, initgroups, setgid, setuid};

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

/// Makes this process the parent of every process below it whose own parent ends: none of them gets out of sight.
pub fn adopt_orphans() {
    // Where it is not allowed, one that left its session outlives the activation.
    let _ = unix::sys::prctl::set_child_subreaper(true);
}

/// All processes below one, as they are at this moment.
#[must_use]
pub fn descendants(of: Pid) -> Vec<Pid> {
    let parent = |pid: Pid| -> Option<Pid> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it, in parentheses, may hold anything.
        let (_, after) = stat.rsplit_once(") ")?;
        after.split(' ').nth(1)?.parse().ok().map(Pid::from_raw)
    };
    let all: Vec<(Pid, Pid)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
            Some((pid, parent(pid)?))
        })
        .collect();
    let mut found: Vec<Pid> = Vec::new();
    let mut looked_at = vec![of];
    while let Some(parent) = looked_at.pop() {
        let children = all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
        for child in children {
            if !found.contains(&child) {
                found.push(child);
                looked_at.push(child);
            }
        }
    }
    found
}

/// The monotonic clock: no setting of the time moves it, and it stands still while the machine is suspended.
#[must_use]
pub fn monotonic() -> Duration {
    // clock_gettime(2) fails for a clock that the kernel does not have; every one has this.
    unix::time::clock_gettime(unix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Whether somebody holds a lock of flock(2) on a file, without touching it: to try it would be to hold it for a
/// moment, and whoever tries at the same moment would be refused.
#[must_use]
pub fn is_locked(file: &Utf8Path) -> bool {
    let Ok(facts) = file.metadata() else { return false };
    let (major, minor) = (
        unix::sys::stat::major(facts.dev()),
        unix::sys::stat::minor(facts.dev()),
    );
    std::fs::read_to_string("/proc/locks")
        .is_ok_and(|locks| holds(&locks, &format!("{major:02x}:{minor:02x}:{}", facts.ino())))
}

/// Whether a lock of flock(2) on a file is in `/proc/locks`, as proc_locks(5) has them: `1: FLOCK ADVISORY WRITE PID
/// MAJOR:MINOR:INODE START END`. Who waits for one has an arrow after the number.
fn holds(locks: &str, file: &str) -> bool {
    locks.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.nth(3) == Some(file)
    })
}

/// Asks systemd how a unit does; none where it does not run the host.
#[must_use]
pub fn unit_query(root: &Utf8Path, folders: &[PathBuf], unit: &str, limit: Duration) -> Option<Command> {
    (supervisor(root) == Supervisor::Systemd).then(|| {
        let systemctl = locate("systemctl", folders).unwrap_or_else(|| "systemctl".into());
        Command::new(systemctl, limit)
            .args([
                "show",
                "--property=LoadState,ActiveState,SubState,NRestarts",
                "--",
            ])
            .arg(unit)
    })
}

/// Reads the answer: how often a unit that runs was started again by systemd; else what it is instead.
pub fn unit_state(shown: &str) -> Result<Option<u64>, String> {
    let value = |name: &str| {
        let mut lines = shown.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    match (value("LoadState"), value("ActiveState"), value("SubState")) {
        ("", _, _) => Err("not told of by systemd".to_owned()),
        ("not-found", _, _) => Err("no unit of this host".to_owned()),
        // Only services are started again by systemd.
        (_, "active" | "reloading" | "refreshing", _) => Ok(value("NRestarts").parse().ok()),
        (_, active, sub) => Err(format!("{active} ({sub})")),
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
        let seen = String::from_utf8(seen.stdout.to_vec()).unwrap();
        let lines: Vec<&str> = seen.lines().collect();
        let (limits, nice) = (&lines[..3], lines[3].parse::<i32>().unwrap());
        assert_eq!(limits, ["1048576", "0", "960"]);
        assert!(nice >= 10, "{seen}");
        assert!(lines[4].starts_with("idle"), "{seen}");
    }

    #[test]
    fn a_lock_is_seen_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("lock");
        assert!(!is_locked(&path));
        let file = std::fs::File::create_new(&path).unwrap();
        assert!(!is_locked(&path));
        file.lock().unwrap();
        assert!(is_locked(&path));
        file.unlock().unwrap();
        assert!(!is_locked(&path));
    }

    #[test]
    fn a_unit_runs_or_is_something_else() {
        let table = [
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=3\n",
                Ok(Some(3)),
            ),
            (
                "LoadState=loaded\nActiveState=active\nSubState=listening\n",
                Ok(None),
            ),
            (
                "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=3\n",
                Err("activating (auto-restart)"),
            ),
            (
                "LoadState=not-found\nActiveState=inactive\nSubState=dead\n",
                Err("no unit of this host"),
            ),
            ("", Err("not told of by systemd")),
        ];
        for (shown, state) in table {
            assert_eq!(unit_state(shown), state.map_err(str::to_owned), "{shown}");
        }
    }

    #[test]
    fn only_who_holds_it_counts() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:1a:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:1a:43 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 00:1a:44 0 EOF\n";
        assert!(holds(locks, "00:1a:43"));
        for file in ["00:1a:42", "00:1a:44", "00:1a:4"] {
            assert!(!holds(locks, file), "{file}");
        }
    }
}
