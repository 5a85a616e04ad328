//! The detached runner, where no systemd runs: the agent's own binary as the parent of one activation.
//!
//! In a session of its own, so that neither the agent's end nor its terminal's ends the activation, and with no
//! terminal that could stop it. It holds a lock on the step's marker while it lives, and writes the log and the
//! result.

use super::result;
use crate::durable::{self, DurableError, Lasting};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use unix::fcntl::{Flock, FlockArg};

/// An activation that the runner could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// It could not leave the agent's session.
    #[error("cannot leave the agent's session")]
    Session(#[source] unix::Error),
    /// The step's marker could not be taken: another runner has it, or it is gone.
    #[error("cannot take the marker {path}")]
    Marker {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log could not be opened.
    #[error("cannot write the log {path}")]
    Log {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The script could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result could not be written.
    #[error("cannot write the result of the activation")]
    Result(#[source] DurableError),
}

/// Runs `program` to its end; its output goes to `log`, its end to `result`.
pub fn run(
    started: &Utf8Path,
    log: &Utf8Path,
    result: &Utf8Path,
    program: &Utf8Path,
    arguments: &[String],
) -> Result<(), RunnerError> {
    // Before the marker names it: whom the marker names leads a process group, which can be killed whole.
    unix::unistd::setsid().map_err(RunnerError::Session)?;
    let _marker = take(started)?;
    crate::host::adopt_orphans();
    // The agent's own files are private; a system's are not.
    unix::sys::stat::umask(unix::sys::stat::Mode::from_bits_truncate(0o022));
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(log);
    let logging = |source| RunnerError::Log {
        path: log.to_owned(),
        source,
    };
    let (stdout, stderr) = (open().map_err(logging)?, open().map_err(logging)?);
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .status()
        .map_err(|source| RunnerError::Start {
            program: program.to_owned(),
            source,
        })?;
    durable::replace(
        result,
        result::format(status.into()).as_bytes(),
        0o600,
        Lasting::Power,
    )
    .map_err(RunnerError::Result)
}

/// Locks the marker and writes into it whom to end: nothing of the activation runs without the lock.
fn take(started: &Utf8Path) -> Result<Flock<File>, RunnerError> {
    let failed = |source| RunnerError::Marker {
        path: started.to_owned(),
        source,
    };
    let file = OpenOptions::new().append(true).open(started).map_err(failed)?;
    let mut tries = 0;
    let mut file = file;
    let mut marker = loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(marker) => break marker,
            // The agent glances at the lock for a moment; another runner would keep it.
            Err((back, unix::Error::EWOULDBLOCK)) if tries < 100 => {
                tries += 1;
                file = back;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err((_, error)) => return Err(failed(error.into())),
        }
    };
    writeln!(marker, "pid {}", std::process::id()).map_err(failed)?;
    Ok(marker)
}
