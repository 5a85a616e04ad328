//! Owns the units that are to be restarted or reloaded: NixOS's lists, and what is still owed to systemd. It
//! must never call systemd itself.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use unix::fcntl::OFlag;

use super::source::read_bounded;
use crate::install::{Folder, InstallError};
use crate::mode::Mode;

/// How units hear of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitsVia {
    /// By lists that switch-to-configuration reads after the activation script.
    Lists,
    /// By systemctl, as a unit that runs this is too late for the lists.
    Systemctl,
}

/// What is to be done with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Restart those that run.
    Restart,
    /// Reload those that run, or restart them where they cannot.
    Reload,
}

impl Action {
    /// systemctl's verb for it.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Restart => "try-restart",
            Self::Reload => "try-reload-or-restart",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

/// Units, each once, in the order they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Units {
    restart: Vec<String>,
    reload: Vec<String>,
}

/// What an interrupted run still owes, below the folder of all generations: a line `restart UNIT` or `reload UNIT`.
const OWED: &str = "units-to-restart";

/// The lists of a machine are a few lines.
const LARGEST_OWED: u64 = 1 << 20;

impl Units {
    pub(super) fn add(&mut self, action: Action, units: &[String]) {
        let list = match action {
            Action::Restart => &mut self.restart,
            Action::Reload => &mut self.reload,
        };
        for unit in units {
            // A name with a line's end would be two in a list.
            if !unit.is_empty() && !unit.contains(['\n', '\0']) && !list.contains(unit) {
                list.push(unit.clone());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.restart.is_empty() && self.reload.is_empty()
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (Action, &[String])> {
        let all = [
            (Action::Restart, self.restart.as_slice()),
            (Action::Reload, self.reload.as_slice()),
        ];
        all.into_iter().filter(|(_, units)| !units.is_empty())
    }

    /// Appends to `<folder>/<prefix>-restart-list` and `-reload-list`, where NixOS made the folder.
    pub(super) fn append(&self, folder: &Path, prefix: &str) -> Result<(), ListError> {
        if !folder.is_dir() {
            return Ok(());
        }
        for (action, units) in self.each() {
            let path = folder.join(format!("{prefix}-{}-list", action.word()));
            let lines: String = units.iter().map(|unit| format!("{unit}\n")).collect();
            let written = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .and_then(|mut file| file.write_all(lines.as_bytes()));
            written.map_err(|source| ListError { path, source })?;
        }
        Ok(())
    }

    /// What an earlier run still owes.
    pub(super) fn owed(folder: &Path) -> Self {
        let mut units = Self::default();
        let Ok(Some(text)) = read_bounded(&folder.join(OWED), LARGEST_OWED) else {
            return units;
        };
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(' ') {
                Some(("restart", unit)) => units.add(Action::Restart, &[unit.to_owned()]),
                Some(("reload", unit)) => units.add(Action::Reload, &[unit.to_owned()]),
                _ => {}
            }
        }
        units
    }

    /// Remembers it, so that who is killed between the swap and systemctl still does it at the next run.
    pub(super) fn owe(&self, folder: &Folder, path: &Path) -> Result<(), InstallError> {
        forget(path)?;
        let lines: String = self
            .each()
            .flat_map(|(action, units)| {
                units
                    .iter()
                    .map(move |unit| format!("{} {unit}\n", action.word()))
            })
            .collect();
        folder.write_below(OWED, lines.as_bytes(), None, Mode::OWNER_READ)
    }
}

/// Nothing is owed any more.
pub(super) fn forget(folder: &Path) -> Result<(), InstallError> {
    let path = folder.join(OWED);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(InstallError::during(
            crate::install::Operation::Remove,
            &path,
        )(error)),
        _ => Ok(()),
    }
}

/// A list of NixOS could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell NixOS which units to restart: could not write {}", path.display())]
pub struct ListError {
    /// The list.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_once_and_only_names() {
        let mut units = Units::default();
        let name = |text: &str| text.to_owned();
        units.add(
            Action::Restart,
            &[name("a"), name("b"), name("a"), name(""), name("c\nd")],
        );
        units.add(Action::Reload, &[name("a")]);
        assert_eq!((units.restart.len(), units.reload.len()), (2, 1));
        let folder = tempfile::tempdir().unwrap();
        units.append(&folder.path().join("absent"), "activation").unwrap();
        units.append(folder.path(), "activation").unwrap();
        units.append(folder.path(), "activation").unwrap();
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("activation-restart-list"), "a\nb\na\nb\n");
        assert_eq!(read("activation-reload-list"), "a\na\n");
    }

    #[test]
    fn what_is_owed_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut units = Units::default();
        units.add(Action::Restart, &["a b.service".to_owned()]);
        units.add(Action::Reload, &["c.service".to_owned()]);
        let open = Folder::open_trusted(folder.path()).unwrap();
        units.owe(&open, folder.path()).unwrap();
        units.owe(&open, folder.path()).unwrap();
        assert_eq!(Units::owed(folder.path()), units);
        forget(folder.path()).unwrap();
        assert!(Units::owed(folder.path()).is_empty());
    }
}
