//! One run of one generator's script: its folder in memory, its sandbox, its bounds, what it made. Writes nothing of
//! the fleet.

use super::error::AdminError;
use super::fleet::say;
use super::memory::Memory;
use crate::nix::Script;
use crate::process::{Command, Exit, Finished, locate};
use crate::text;
use reconciler_vars::generators::sandbox::{Invocation, Jail, bubblewrap, seatbelt, unconfined};
use reconciler_vars::generators::{Answer, Collected, GeneratorId, Node, Value, collect, without_values};
use reconciler_vars::lossy;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The most that a script may leave in `$out`, in bytes.
const OUT: u64 = 64 << 20;
/// The largest file that it may write anywhere, in blocks of 512 bytes: 256 MiB.
const LARGEST_FILE: u64 = (256 << 20) / 512;
/// How often `$out` is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// How many of the last lines of a failed script are shown.
const LINES: usize = 20;

/// Who an unprivileged script is: programs ask the user database.
const ACCOUNTS: [(&str, &str); 3] = [
    (
        "passwd",
        "root:x:0:0::/:/noshell\ngenerator:x:1000:1000::/work:/noshell\nnobody:x:65534:65534::/:/noshell\n",
    ),
    ("group", "root:x:0:\ngenerator:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];

/// Whether scripts are confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confinement {
    Sandbox,
    None,
}

/// What every run shares.
#[derive(Debug)]
pub(super) struct Executor<'a> {
    pub(super) memory: &'a Memory,
    /// The folder of the store's paths.
    pub(super) store: PathBuf,
    /// Where commands are looked for.
    pub(super) folders: &'a [PathBuf],
    pub(super) confinement: Confinement,
    pub(super) limit: Duration,
    pub(super) verbose: bool,
}

/// What one run is given.
pub(super) struct Given<'a> {
    pub(super) id: &'a GeneratorId,
    pub(super) node: &'a Node,
    pub(super) script: &'a Script,
    pub(super) answers: &'a BTreeMap<String, Answer>,
    /// Files of what it depends on, by generator's name.
    pub(super) inputs: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Executor<'_> {
    /// Runs a script and takes what it made.
    pub(super) async fn run(&self, given: &Given<'_>) -> Result<Collected, AdminError> {
        let prepare = |source| AdminError::Prepare {
            id: given.id.clone(),
            source,
        };
        let made = tempfile::Builder::new()
            .prefix("run.")
            .tempdir_in(self.memory.path());
        let folder = made.map_err(prepare)?;
        let work = folder.path().canonicalize().map_err(prepare)?;
        lay_out(&work, given).map_err(prepare)?;
        // Where the script is nothing, the answers to its prompts are all that it makes.
        if !given.script.script.trim().is_empty() {
            let finished = self.start(given, &work).await?;
            self.judge(given, &work, &finished)?;
        }
        collect(&work.join("out"), &given.node.definition.files).map_err(|source| AdminError::Output {
            id: given.id.clone(),
            source,
        })
    }

    async fn start(&self, given: &Given<'_>, work: &Path) -> Result<Finished, AdminError> {
        let jail = Jail {
            work: work.to_owned(),
            store: self.store.clone(),
            shell: self.shell(given)?,
            path: given.script.path.clone(),
        };
        let invocation = match self.confinement {
            Confinement::None => {
                let path: Vec<_> = self
                    .folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                unconfined(&jail, &path.join(":"))
            }
            Confinement::Sandbox if cfg!(target_os = "macos") => seatbelt(&jail),
            Confinement::Sandbox => {
                let bwrap = locate("bwrap", self.folders).ok_or(AdminError::NoSandbox)?;
                bubblewrap(&bwrap, &jail)
            }
        };
        let failed = |source| AdminError::Run {
            id: given.id.clone(),
            source,
        };
        let mut silent = |_: &str| {};
        let running = bounded(invocation, self.limit).run(&mut silent);
        let out = work.join("out");
        tokio::select! {
            finished = running => finished.map_err(failed),
            () = full(&out) => Err(AdminError::Flooded { id: given.id.clone(), limit: OUT }),
        }
    }

    /// What reads the script: a shell of its runtime inputs, or the host's own where that is in the store.
    fn shell(&self, given: &Given<'_>) -> Result<Option<PathBuf>, AdminError> {
        if given.script.script.starts_with("#!") {
            return Ok(None);
        }
        let own: Vec<PathBuf> = std::env::split_paths(OsStr::new(&given.script.path)).collect();
        let find = |folders: &[PathBuf]| {
            ["bash", "sh"]
                .iter()
                .find_map(|shell| locate(shell, folders)?.canonicalize().ok())
        };
        // A shell with several names goes by the one that it is called by.
        let named = ["bash", "sh"].iter().find_map(|shell| locate(shell, &own));
        let usable = |shell: &PathBuf| {
            self.confinement == Confinement::None
                || cfg!(target_os = "macos")
                || shell.starts_with(&self.store)
        };
        named
            .or_else(|| find(self.folders).filter(usable))
            .map(Some)
            .ok_or_else(|| AdminError::NoShell { id: given.id.clone() })
    }

    /// Passes on what the script said, without what it was given or made.
    fn judge(&self, given: &Given<'_>, work: &Path, finished: &Finished) -> Result<(), AdminError> {
        let failed = finished.exit != Exit::Code(0);
        if !failed && !self.verbose {
            return Ok(());
        }
        let output = lossy(&finished.stdout);
        let room = output.len().saturating_add(finished.stderr.len());
        let mut said = Zeroizing::new(String::with_capacity(room));
        said.push_str(&output);
        said.push_str(&finished.stderr);
        let made = made(&work.join("out"));
        let given_values = given.inputs.values().flat_map(BTreeMap::values);
        let values = given_values.chain(given.answers.values()).chain(&made);
        let values: Vec<&[u8]> = values.map(|value| value.as_slice()).collect();
        // As they are, and as they look without what moves a cursor.
        let said = without_values(&said, values.iter().copied());
        let said = Zeroizing::new(text::plain(&said));
        let said = without_values(&said, values.iter().copied());
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        if failed {
            let skipped = lines.len().saturating_sub(LINES);
            return Err(AdminError::Script {
                id: given.id.clone(),
                exit: finished.exit,
                said: lines.into_iter().skip(skipped).collect(),
            });
        }
        for line in lines {
            say(&format!("  {}: {line}", given.id.name));
        }
        Ok(())
    }
}

/// The folder as the script finds it.
fn lay_out(work: &Path, given: &Given<'_>) -> io::Result<()> {
    for folder in ["in", "out", "prompts", "tmp", "etc"] {
        fs::create_dir(work.join(folder))?;
    }
    for (name, content) in ACCOUNTS {
        write(&work.join("etc").join(name), content.as_bytes(), 0o444)?;
    }
    for (generator, files) in &given.inputs {
        let folder = work.join("in").join(generator);
        fs::create_dir(&folder)?;
        for (name, value) in files {
            write(&folder.join(name), value, 0o600)?;
        }
    }
    for (name, answer) in given.answers {
        write(&work.join("prompts").join(name), answer, 0o600)?;
        // As in clan, the script finds the file and may make another of it.
        if given
            .node
            .definition
            .prompts
            .get(name)
            .is_some_and(|prompt| prompt.persist)
        {
            write(&work.join("out").join(name), answer, 0o600)?;
        }
    }
    let script = &given.script.script;
    let whole = if script.starts_with("#!") {
        script.clone()
    } else {
        // As in clan; not every shell has `pipefail`.
        format!("set -eu; (set -o pipefail) 2>/dev/null && set -o pipefail\n{script}\n")
    };
    write(&work.join("script"), whole.as_bytes(), 0o500)
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?
        .write_all(content)
}

/// The command with bounds that a shell sets on itself before it becomes the program: no core, which would hold
/// secrets, and no file that fills the memory at one stroke.
fn bounded(invocation: Invocation, limit: Duration) -> Command {
    let limits = format!("ulimit -c 0 && ulimit -f {LARGEST_FILE} && exec \"$@\"");
    let command = Command::new("/bin/sh", limit)
        .args(["-c", &limits, "sh"])
        .arg(invocation.program)
        .args(invocation.arguments)
        .folder(invocation.folder);
    let environment = invocation.environment.into_iter();
    environment.fold(command, |command, (name, value)| command.env(name, value))
}

/// Ends when more lies in the folder than may.
async fn full(folder: &Path) {
    let mut glances = tokio::time::interval(GLANCE);
    loop {
        glances.tick().await;
        if size(folder) > OUT {
            return;
        }
    }
}

fn size(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().symlink_metadata() {
            Ok(facts) if facts.is_dir() => size(&entry.path()),
            // A file with holes takes no memory for them, and is too large all the same.
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .fold(0, u64::saturating_add)
}

/// What lies in `$out` of a script that failed: it may have said that, too.
fn made(out: &Path) -> Vec<Value> {
    let entries = out.read_dir().into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            entry
                .path()
                .symlink_metadata()
                .is_ok_and(|facts| facts.is_file() && facts.len() < OUT)
        })
        .filter_map(|entry| fs::read(entry.path()).ok().map(Value::new))
        .collect()
}
