//! The locks: one agent, or one command that makes a pass, at a time; and one pass at a time.
//!
//! Who holds one writes its process id into it: while the lock is held, that is its holder's and nobody else's.

use camino::{Utf8Path, Utf8PathBuf};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use unix::fcntl::{Flock, FlockArg};
use unix::unistd::Pid;

/// The lock is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("another agent or pass is running here")]
    Held,
    /// Its file could not be opened.
    #[error("cannot open the lock {path}")]
    Open {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel does not lock it.
    #[error("cannot lock {path}")]
    Lock {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: unix::Error,
    },
}

/// The lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// The process that holds a pass's turn; none where nobody does.
    #[must_use]
    pub fn holder(state: &Utf8Path) -> Option<Pid> {
        let path = state.join("pass.lock");
        match Lock::of(path.clone()) {
            Err(LockError::Held) => {}
            _ => return None,
        }
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    }

    /// Takes the agent's, at once or not at all.
    pub fn take(state: &Utf8Path) -> Result<Lock, LockError> {
        Lock::of(state.join("lock"))
    }

    /// Takes a pass's turn, waiting for one that is being stopped.
    pub async fn turn(state: &Utf8Path, limit: Duration) -> Result<Lock, LockError> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            match Lock::of(state.join("pass.lock")) {
                Err(LockError::Held) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
    }

    fn of(path: Utf8PathBuf) -> Result<Lock, LockError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(|source| LockError::Open {
            path: path.clone(),
            source,
        })?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                // Whoever may not know it waits a little longer: a full disk is no reason to do nothing at all.
                let _ = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Lock { _file: file })
            }
            Err((_, unix::Error::EWOULDBLOCK)) => Err(LockError::Held),
            Err((_, source)) => Err(LockError::Lock { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = Utf8Path::from_path(folder.path()).unwrap();
        let first = Lock::take(state).unwrap();
        assert!(matches!(Lock::take(state), Err(LockError::Held)));
        drop(first);
        assert!(Lock::take(state).is_ok());
    }

    #[tokio::test]
    async fn who_has_the_turn_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let state = Utf8Path::from_path(folder.path()).unwrap();
        assert_eq!(Lock::holder(state), None);
        let turn = Lock::turn(state, Duration::ZERO).await.unwrap();
        assert_eq!(Lock::holder(state), Some(Pid::this()));
        drop(turn);
        assert_eq!(Lock::holder(state), None);
    }
}
