//! Owns what a script is given, whatever confines it: its folders, its environment, its shell. It must never start
//! anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where a script runs and what it may use.
#[derive(Debug, Clone)]
pub struct Jail {
    /// A folder in memory with `in/`, `out/`, `prompts/`, `etc/` and the file `script`.
    pub work: PathBuf,
    /// The folder of the store's paths.
    pub store: PathBuf,
    /// The shell that reads the script; none where the script names its own interpreter.
    pub shell: Option<PathBuf>,
    /// The `bin` folders of its runtime inputs, joined by `:`.
    pub path: String,
}

/// A program with everything that it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// The folder that it starts in.
    pub folder: PathBuf,
}

impl Jail {
    /// What the script is called with: its shell and itself, in a folder that is called `work`.
    pub(super) fn words(&self, work: &Path) -> Vec<OsString> {
        let shell = self.shell.iter().map(|shell| shell.as_os_str().to_owned());
        shell.chain([work.join("script").into_os_string()]).collect()
    }

    /// clan's `$in`, `$out` and `$prompts`, and what any program expects.
    pub(super) fn environment(&self, work: &Path, path: &str) -> Vec<(&'static str, OsString)> {
        let folder = |name: &str| work.join(name).into_os_string();
        vec![
            ("in", folder("in")),
            ("out", folder("out")),
            ("prompts", folder("prompts")),
            ("PATH", path.into()),
            ("HOME", "/homeless-shelter".into()),
            ("TMPDIR", folder("tmp")),
            ("LANG", "C.UTF-8".into()),
        ]
    }
}

/// The script with nothing around it: it may do what the person may. `path` comes after its runtime inputs.
pub fn unconfined(jail: &Jail, path: &str) -> Invocation {
    let joined = [jail.path.as_str(), path]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(":");
    let mut words = jail.words(&jail.work).into_iter();
    Invocation {
        program: words.next().unwrap_or_default().into(),
        arguments: words.collect(),
        environment: jail.environment(&jail.work, &joined),
        folder: jail.work.join("tmp"),
    }
}
