//! A step that was begun, as it can be asked about and ended: a detached runner or a transient unit. Reads no
//! result and decides nothing.

use super::files::Files;
#[cfg(target_os = "linux")]
use super::unit::Systemd;
use crate::host::{self, Supervisor};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;
use unix::sys::signal::{Signal, kill, killpg};

/// What is left of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It runs, is about to, or is just ending.
    Alive,
    /// It runs no more, and its name is still taken.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only systemd keeps a name")
    )]
    Ended,
    /// Nothing.
    Gone,
    /// There was no answer.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only systemd can owe an answer")
    )]
    Unknown,
}

/// A step that was or will be begun.
#[derive(Debug)]
pub(super) enum Handle {
    /// A detached runner, and the thread that waits for it where this agent started it.
    Detached(Option<JoinHandle<()>>),
    /// A transient unit, by its name.
    #[cfg(target_os = "linux")]
    Unit(Systemd, String),
}

impl Handle {
    /// The handle of what runs as `unit`, or will.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(unused_variables, reason = "only systemd names what it runs")
    )]
    pub(super) fn of(supervisor: Supervisor, folders: &[PathBuf], unit: &str) -> Handle {
        match supervisor {
            Supervisor::Detached => Handle::Detached(None),
            #[cfg(target_os = "linux")]
            Supervisor::Systemd => Handle::Unit(Systemd::among(folders), unit.to_owned()),
            #[cfg(target_os = "linux")]
            Supervisor::UsersSystemd => Handle::Unit(Systemd::of_user(folders), unit.to_owned()),
        }
    }

    /// How long to wait before asking again: a look at a lock costs nothing, a process for systemctl does.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Handle::Detached(_) => Duration::from_millis(20),
            #[cfg(target_os = "linux")]
            Handle::Unit(..) => Duration::from_secs(1),
        }
    }

    /// Asks what is left of it.
    pub(super) async fn presence(&self, files: &Files) -> Presence {
        match self {
            // A runner that has only just been started does not hold the marker yet.
            Handle::Detached(Some(runner)) if !runner.is_finished() => Presence::Alive,
            Handle::Detached(_) if files.is_held() => Presence::Alive,
            Handle::Detached(_) => Presence::Gone,
            #[cfg(target_os = "linux")]
            Handle::Unit(systemd, name) => systemd.presence(name).await,
        }
    }

    /// Has it stop, so that it does not come back.
    pub(super) async fn stop(&self, files: &Files) {
        match self {
            Handle::Detached(_) => self.end(files).await,
            #[cfg(target_os = "linux")]
            Handle::Unit(systemd, name) => systemd.stop(name).await,
        }
    }

    /// Kills it with all its processes.
    pub(super) async fn end(&self, files: &Files) {
        match self {
            Handle::Detached(_) => {
                if let Some(runner) = files.runner() {
                    // Those first that left its group: once it is gone, nothing leads to them any more.
                    for process in host::descendants(runner) {
                        let _ = kill(process, Signal::SIGKILL);
                    }
                    let _ = killpg(runner, Signal::SIGKILL);
                }
            }
            #[cfg(target_os = "linux")]
            Handle::Unit(systemd, name) => systemd.end(name).await,
        }
    }
}
