//! The running agent: a child process, as a supervisor has it.

use crate::wait::wait_for;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use unix::sys::signal::{Signal, kill};
use unix::unistd::Pid;

/// How long anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// An agent. It is killed where a test leaves it.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Agent {
        let file = File::options().append(true).create(true).open(&log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Agent {
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// Everything that it and its predecessors on the host wrote.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something is so, and shows the log when it is not.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        wait_for(what, LIMIT, look, || {
            format!("--- the agent's log\n{}---", self.log())
        })
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, what: &str, mut look: impl FnMut() -> bool) {
        self.wait_for(what, || look().then_some(()));
    }

    /// Asks it to end (SIGTERM), as systemd does, and waits; its exit code.
    #[track_caller]
    pub fn terminate(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.ended().code()
    }

    /// Kills it (SIGKILL), as a lack of memory does. What it started goes on.
    #[track_caller]
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.ended();
        assert!(
            status.signal() == Some(9),
            "it had ended by itself: {status}\n{}",
            self.log()
        );
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let log = self.log.clone();
        let child = &mut self.child;
        wait_for(
            "the agent ends",
            LIMIT,
            || child.try_wait().unwrap(),
            || std::fs::read_to_string(log).unwrap_or_default(),
        )
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
