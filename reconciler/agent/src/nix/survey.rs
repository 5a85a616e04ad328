//! What all machines of a fleet declare, asked of the person's own Nix for the folder that the person works in, or for
//! a commit of its repository: the same expression that the agent evaluates. The lock is never written, nothing is
//! built, and no toplevel is evaluated.

use super::entry::{Answer, Metadata, VERSION, versions};
use super::evaluate::{ENTRY, quoted};
use super::evaluate_error::UnusableEntry;
use crate::process::{Command, Exit, RunError, locate};
use crate::text;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// A machine of a large fleet takes half a minute; this is for one that never ends.
const LIMIT: Duration = Duration::from_secs(1800);

/// What a tree that is no commit has for one.
const NO_REVISION: &str = "0000000000000000000000000000000000000000";

/// A survey that was not made.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// Nix could not be run.
    #[error("cannot run nix")]
    Run(#[source] RunError),
    /// Nix found an error in the fleet.
    #[error("{summary}")]
    Nix {
        /// Nix's own last word.
        summary: String,
        /// Everything Nix said, without colours.
        trace: String,
    },
    /// The fleet declares nothing that could be used.
    #[error(transparent)]
    Unusable(#[from] UnusableEntry),
    /// The answer is not what the expression gives.
    #[error("the evaluator's answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// The answer is of another version.
    #[error("the evaluator's answer has version {found}, and {VERSION} is known")]
    Version {
        /// The version.
        found: u64,
    },
}

/// A fleet, as Nix names its flake.
#[derive(Debug)]
pub struct Survey {
    nix: PathBuf,
    environment: Vec<(OsString, OsString)>,
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
    ) -> Result<Self, SurveyError> {
        let command = command(nix, &environment)
            .args(["flake", "metadata", "--json", "--no-update-lock-file"])
            .arg(flake);
        let output = run(command).await?;
        Ok(Self {
            nix: nix.to_owned(),
            environment,
            source: serde_json::from_slice(&output).map_err(SurveyError::Answer)?,
            directory: directory.to_owned(),
        })
    }

    /// The names of all machines.
    pub async fn machines(&self) -> Result<Vec<String>, SurveyError> {
        // No machine has the empty name, and who asks for one that is not there is told those that are.
        match self.ask("").await? {
            Answer::NoMachine { machines, .. } => Ok(machines),
            Answer::Ok(_) => Ok(Vec::new()),
            other => Err(self.unusable(other, "").into()),
        }
    }

    /// What one machine declares, but for its toplevel.
    pub async fn entry(&self, machine: &str) -> Result<Metadata, SurveyError> {
        match self.ask(machine).await? {
            Answer::Ok(metadata) => Ok(metadata),
            other => Err(self.unusable(other, machine).into()),
        }
    }

    async fn ask(&self, machine: &str) -> Result<Answer<Metadata>, SurveyError> {
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
        let command = command(&self.nix, &self.environment)
            .args([
                "eval",
                "--json",
                "--no-update-lock-file",
                "--show-trace",
                "--log-format",
                "raw",
            ])
            .args(["--expr", &expression]);
        let output = run(command).await?;
        let answer: Answer<Metadata> = serde_json::from_slice(&output).map_err(SurveyError::Answer)?;
        match versions(&answer) {
            VERSION => Ok(answer),
            found => Err(SurveyError::Version { found }),
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

fn command(nix: &Path, environment: &[(OsString, OsString)]) -> Command {
    let command = Command::new(nix, LIMIT)
        .args(["--extra-experimental-features", "nix-command flakes"])
        .args(["--option", "accept-flake-config", "false"])
        .args(["--option", "flake-registry", ""]);
    environment
        .iter()
        .fold(command, |command, (name, value)| command.env(name, value))
}

async fn run(command: Command) -> Result<Zeroizing<Vec<u8>>, SurveyError> {
    let finished = command.run(&mut |_| {}).await.map_err(SurveyError::Run)?;
    if finished.exit == Exit::Code(0) {
        return Ok(finished.stdout);
    }
    let trace = text::plain(&finished.stderr);
    let mut errors = trace
        .lines()
        .rev()
        .filter_map(|line| line.trim_start().strip_prefix("error:"));
    let last = errors.find(|message| !message.trim().is_empty());
    Err(SurveyError::Nix {
        summary: last.unwrap_or("nix failed and did not say why").trim().to_owned(),
        trace,
    })
}
