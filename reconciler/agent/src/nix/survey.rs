//! What all machines of a fleet declare, asked of the person's own Nix for the folder that the person works in, or for
//! a commit of its repository: the same expression that the agent evaluates. The lock is never written, nothing is
//! built, and no toplevel is evaluated.

use super::entry::{Answer, Metadata, VERSION, versions};
use super::evaluate::{ENTRY, Limits, quoted};
use super::evaluate_error::{EvaluateError, UnusableEntry, failed};
use crate::host::bounded;
use crate::process::{Command, Exit, RunError, locate};
use crate::text;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a tree that is no commit has for one.
const NO_REVISION: &str = "0000000000000000000000000000000000000000";

/// A fleet, as Nix names its flake.
#[derive(Debug)]
pub struct Survey {
    nix: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// Of each evaluation.
    limits: Limits,
    source: Source,
    directory: String,
}

/// Where a flake's tree lies, as `nix flake metadata --json` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    path: String,
    locked: Locked,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    rev_count: u64,
    #[serde(default)]
    last_modified: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Locked {
    nar_hash: String,
}

impl Survey {
    /// The `nix` of these folders; `None` where there is none.
    #[must_use]
    pub fn find_nix(folders: &[PathBuf]) -> Option<PathBuf> {
        locate("nix", folders)
    }

    /// Has Nix copy the flake's tree to the store. `directory` is where flake.nix lies in it.
    pub async fn begin(
        nix: &Path,
        environment: Vec<(OsString, OsString)>,
        flake: &str,
        directory: &str,
        limits: Limits,
    ) -> Result<Self, EvaluateError> {
        let command = command(nix, &environment, limits)
            .args(["flake", "metadata", "--json", "--no-update-lock-file"])
            .arg(flake);
        let output = run(command, limits).await?;
        Ok(Self {
            nix: nix.to_owned(),
            environment,
            limits,
            source: serde_json::from_slice(&output).map_err(EvaluateError::Answer)?,
            directory: directory.to_owned(),
        })
    }

    /// The names of all machines.
    pub async fn machines(&self) -> Result<Vec<String>, EvaluateError> {
        // No machine has the empty name, and who asks for one that is not there is told those that are.
        match self.ask("").await? {
            Answer::NoMachine { machines, .. } => Ok(machines),
            Answer::Ok(_) => Ok(Vec::new()),
            other => Err(self.unusable(other, "").into()),
        }
    }

    /// What one machine declares, but for its toplevel.
    pub async fn entry(&self, machine: &str) -> Result<Metadata, EvaluateError> {
        match self.ask(machine).await? {
            Answer::Ok(metadata) => Ok(metadata),
            other => Err(self.unusable(other, machine).into()),
        }
    }

    async fn ask(&self, machine: &str) -> Result<Answer<Metadata>, EvaluateError> {
        let Source {
            path,
            locked,
            revision,
            rev_count,
            last_modified,
        } = &self.source;
        let expression = format!(
            "({ENTRY}) {{ source = {{ path = {path}; narHash = {hash}; rev = {rev}; lastModified = {last_modified}; \
             revCount = {rev_count}; }}; directory = {directory}; machine = {machine}; step = \"metadata\"; }}",
            path = quoted(path),
            hash = quoted(&locked.nar_hash),
            rev = quoted(revision.as_deref().unwrap_or(NO_REVISION)),
            directory = quoted(&self.directory),
            machine = quoted(machine),
        );
        let command = command(&self.nix, &self.environment, self.limits)
            .args([
                "eval",
                "--json",
                "--no-update-lock-file",
                "--show-trace",
                "--log-format",
                "raw",
            ])
            .args(["--expr", &expression]);
        let output = run(command, self.limits).await?;
        let answer: Answer<Metadata> = serde_json::from_slice(&output).map_err(EvaluateError::Answer)?;
        match versions(&answer) {
            VERSION => Ok(answer),
            found => Err(EvaluateError::Version { found }),
        }
    }

    fn unusable<T>(&self, answer: Answer<T>, machine: &str) -> UnusableEntry {
        let machine = machine.to_owned();
        match answer {
            Answer::Unlocked { inputs, .. } => UnusableEntry::Unlocked { inputs },
            Answer::NoMachine { machines, .. } => UnusableEntry::NoMachine { machine, machines },
            Answer::NotADerivation { kind, .. } => UnusableEntry::NotADerivation { machine, kind },
            Answer::NoToplevel { .. } => UnusableEntry::NoToplevel { machine },
            Answer::NoFlake { .. } | Answer::Ok(_) => UnusableEntry::NoFlake {
                directory: self.directory.clone(),
            },
        }
    }
}

fn command(nix: &Path, environment: &[(OsString, OsString)], limits: Limits) -> Command {
    let command = bounded(nix, limits.memory, limits.time)
        .args(["--extra-experimental-features", "nix-command flakes"])
        .args(["--option", "accept-flake-config", "false"])
        .args(["--option", "flake-registry", ""]);
    environment
        .iter()
        .fold(command, |command, (name, value)| command.env(name, value))
}

async fn run(command: Command, limits: Limits) -> Result<Zeroizing<Vec<u8>>, EvaluateError> {
    let finished = command.run(&mut |_| {}).await.map_err(|error| match error {
        RunError::TimedOut { limit, stderr, .. } => EvaluateError::TooSlow {
            limit,
            trace: text::plain(&stderr),
        },
        error => EvaluateError::Run(error),
    })?;
    match finished.exit {
        Exit::Code(0) => Ok(finished.stdout),
        exit => Err(failed(exit, text::plain(&finished.stderr), None, limits.memory)),
    }
}
