//! The three files of one step of a transaction: `<step>.started`, `<step>.log`, `<step>.result`. Starts
//! nothing and judges nothing.
//!
//! The marker has one fact a line: `boot ID`, then `unit NAME` under systemd, or `pid N` of the detached
//! runner, which holds a lock on the marker while it lives.

use super::result::{self, ResultError};
use crate::durable::{self, DurableError, Lasting};
use crate::process::Exit;
use camino::{Utf8Path, Utf8PathBuf};
use std::fs;
use std::io;
use unix::fcntl::{Flock, FlockArg};
use unix::unistd::Pid;

/// The files could not be made ready for a start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The folder or the marker could not be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// What an earlier boot left could not be removed: it would be taken for this one's.
    #[error("cannot remove {path}")]
    Remove {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The files of one step.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) folder: Utf8PathBuf,
    pub(super) started: Utf8PathBuf,
    pub(super) log: Utf8PathBuf,
    pub(super) result: Utf8PathBuf,
}

impl Files {
    pub(super) fn of(folder: &Utf8Path, step: &str) -> Files {
        let file = |extension: &str| folder.join(format!("{step}.{extension}"));
        Files {
            folder: folder.to_owned(),
            started: file("started"),
            log: file("log"),
            result: file("result"),
        }
    }

    /// Whether the step was begun in this boot.
    pub(super) fn is_begun(&self, boot_id: &str) -> bool {
        self.marked("boot ").as_deref() == Some(boot_id)
    }

    /// Marks the step as begun, with nothing left of an earlier boot: neither its result nor its log says
    /// anything of this one.
    pub(super) fn begin(&self, boot_id: &str, unit: Option<&str>) -> Result<(), PrepareError> {
        durable::folder(&self.folder, 0o700)?;
        for path in [&self.result, &self.log] {
            match fs::remove_file(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PrepareError::Remove {
                        path: path.clone(),
                        source,
                    });
                }
                Ok(()) | Err(_) => {}
            }
        }
        let unit = unit.map(|unit| format!("unit {unit}\n")).unwrap_or_default();
        let text = format!("boot {boot_id}\n{unit}");
        durable::replace(&self.started, text.as_bytes(), 0o600, Lasting::Power)?;
        Ok(())
    }

    /// Takes the marker back: the step was certainly not begun.
    pub(super) fn unmark(&self) {
        // Left behind, it makes the step one that was lost, and the machine goes back: later, but no less safe.
        let _ = fs::remove_file(&self.started);
    }

    /// Empties the log.
    pub(super) fn forget_log(&self) {
        // Left as long as it is, it is emptied at the next look.
        let _ = fs::OpenOptions::new()
            .write(true)
            .open(&self.log)
            .and_then(|log| log.set_len(0));
    }

    /// The recorded end, if there is one.
    pub(super) fn exit(&self) -> Result<Option<Exit>, ResultError> {
        match fs::read_to_string(&self.result) {
            Ok(content) => result::parse(&content).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Whether the detached runner lives.
    pub(super) fn is_held(&self) -> bool {
        match fs::File::open(&self.started).map(|file| Flock::lock(file, FlockArg::LockSharedNonblock)) {
            Ok(Err((_, unix::Error::EWOULDBLOCK))) => true,
            Ok(_) | Err(_) => false,
        }
    }

    /// The detached runner, which leads a process group; none where it does not live.
    pub(super) fn runner(&self) -> Option<Pid> {
        // While the marker is held, the process id in it is the runner's and nobody else's.
        let pid = self.marked("pid ")?.parse().ok().map(Pid::from_raw)?;
        self.is_held().then_some(pid)
    }

    fn marked(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(&self.started).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
    }
}
