//! Whether the agent is still the one that would be started: its program, its unit and its configuration.
//!
//! Nothing restarts the agent from outside when a generation brings a new one (that would cut its own
//! activation off): it ends by itself between two passes, and the service manager starts the new one.

use crate::host::SERVICE_FILES;
use camino::{Utf8Path, Utf8PathBuf};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What the agent was started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    files: Vec<Utf8PathBuf>,
    program: Option<PathBuf>,
    state: u64,
}

impl Origin {
    /// Takes note of it. `program` is the path the agent was started by.
    pub(super) fn note(config: &Utf8Path, program: Option<PathBuf>) -> Origin {
        let mut files = vec![config.to_owned(), config.with_file_name("config.d")];
        files.extend(SERVICE_FILES.map(Utf8PathBuf::from));
        let state = state(&files, program.as_ref());
        Origin {
            files,
            program,
            state,
        }
    }

    /// Whether another agent would be started now.
    pub(super) fn is_outdated(&self) -> bool {
        state(&self.files, self.program.as_ref()) != self.state
    }
}

fn state(files: &[Utf8PathBuf], program: Option<&PathBuf>) -> u64 {
    let mut hash = DefaultHasher::new();
    for file in files {
        let mut found: Vec<Utf8PathBuf> = match file.read_dir_utf8() {
            Ok(entries) => entries.flatten().map(|entry| entry.path().to_owned()).collect(),
            Err(_) => vec![file.clone()],
        };
        found.sort();
        for file in found {
            file.hash(&mut hash);
            // What cannot be read now could be read at the start, or could not then either.
            std::fs::read(&file).unwrap_or_default().hash(&mut hash);
        }
    }
    if let Some(program) = program {
        let facts = program
            .metadata()
            .map(|facts| (facts.dev(), facts.ino(), facts.mtime(), facts.size()));
        (program.canonicalize().ok(), facts.ok()).hash(&mut hash);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, replace};

    #[test]
    fn a_new_configuration_or_program_is_noticed_and_a_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (config, program) = (folder.join("config.toml"), folder.join("reconcile"));
        let write =
            |path: &Utf8Path, text: &str| replace(path, text.as_bytes(), 0o644, Lasting::Process).unwrap();
        write(&config, "a");
        write(&program, "1");
        let note = || Origin::note(&config, Some(program.clone().into()));
        let origin = note();
        assert!(!origin.is_outdated());
        write(&config, "a");
        assert!(!origin.is_outdated());
        write(&config, "b");
        assert!(origin.is_outdated());
        let origin = note();
        write(&program, "2");
        assert!(origin.is_outdated());
        let origin = note();
        std::fs::create_dir(folder.join("config.d")).unwrap();
        write(&folder.join("config.d/a.toml"), "c");
        assert!(origin.is_outdated());
    }
}
