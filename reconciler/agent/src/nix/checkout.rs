//! Evaluating a fleet in the folder that a person works in, as that person: dirty files included, with their own
//! Nix, its settings and its credentials. The lock is never written; the agent's configuration has no say.

use super::evaluate::{Limits, quoted};
use super::evaluate_error::{EvaluateError, failed};
use crate::host::bounded;
use crate::process::{Command, Exit, RunError, locate};
use crate::text;
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_vars::generators::FleetGenerators;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const GENERATORS: &str = include_str!("generators.nix");

/// The version of the answers that `generators.nix` gives.
const VERSION: u64 = 1;
/// How long builds for scripts may take. A person can stop them; this is for those who left them running.
const LIMIT: Duration = Duration::from_secs(3600);

/// A fleet that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// There is no Nix.
    #[error("there is no `{program}` in {}", folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoNix {
        /// The command.
        program: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// The flake is no native fleet.
    #[error("the flake in {folder} has no output `reconciler`")]
    NotNative {
        /// The flake's folder.
        folder: Utf8PathBuf,
    },
    /// The evaluation failed.
    #[error("cannot evaluate the fleet in {folder}")]
    Evaluate {
        /// The flake's folder.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        source: EvaluateError,
    },
    /// What scripts need could not be built.
    #[error("cannot build what the generators need: {summary}")]
    Build {
        /// Nix's last word.
        summary: String,
        /// Everything Nix said.
        trace: String,
    },
    /// Nix could not be run.
    #[error("cannot run Nix")]
    Run(#[source] RunError),
}

/// The script of one generator.
#[derive(Debug, Clone, Deserialize)]
pub struct Script {
    /// The machine that declares it.
    pub machine: String,
    /// Its name.
    pub generator: String,
    /// What is run.
    pub script: String,
    /// The `bin` folders of its runtime inputs, joined by `:`.
    pub path: String,
    /// Outputs that have to be in the store: `/nix/store/….drv!out`.
    pub needs: Vec<String>,
}

#[derive(Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    answer: T,
}

#[derive(Deserialize)]
struct Scripts {
    scripts: Vec<Script>,
}

/// A fleet in a folder.
#[derive(Debug)]
pub struct Checkout {
    nix: PathBuf,
    nix_store: PathBuf,
    folder: Utf8PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// Of each evaluation.
    limits: Limits,
}

impl Checkout {
    /// The flake in `folder`, with the Nix in `folders` and this environment.
    pub fn new(
        folder: &Utf8Path,
        folders: &[PathBuf],
        environment: Vec<(OsString, OsString)>,
        limits: Limits,
    ) -> Result<Checkout, CheckoutError> {
        let find = |program: &'static str| {
            locate(program, folders).ok_or_else(|| CheckoutError::NoNix {
                program,
                folders: folders.to_vec(),
            })
        };
        Ok(Checkout {
            nix: find("nix")?,
            nix_store: find("nix-store")?,
            folder: folder.to_owned(),
            environment,
            limits,
        })
    }

    /// All generators of all machines, without their scripts.
    pub async fn generators(
        &self,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<FleetGenerators, CheckoutError> {
        self.step("generators", "[]", on_line).await
    }

    /// The scripts of some generators, by machine and name.
    pub async fn scripts(
        &self,
        wanted: &[(String, String)],
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<Script>, CheckoutError> {
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(machine, generator)| serde_json::json!({ "machine": machine, "generator": generator }))
            .collect();
        let wanted = serde_json::Value::from(wanted).to_string();
        let answer: Scripts = self.step("scripts", &wanted, on_line).await?;
        Ok(answer.scripts)
    }

    /// Builds what scripts need, and protects it from the garbage collector by links below `roots`.
    pub async fn realise(
        &self,
        needs: &[String],
        roots: &Path,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), CheckoutError> {
        if needs.is_empty() {
            return Ok(());
        }
        let command = Command::new(&self.nix_store, LIMIT)
            .args(["--realise", "--indirect", "--add-root"])
            .arg(roots)
            .args(needs);
        let finished = self.in_the_folder(command).run(on_line).await;
        let finished = finished.map_err(CheckoutError::Run)?;
        if finished.exit == Exit::Code(0) {
            return Ok(());
        }
        let trace = text::plain(&finished.stderr);
        let last = trace.lines().rev().find_map(|line| line.strip_prefix("error:"));
        Err(CheckoutError::Build {
            summary: last.unwrap_or("nix-store did not say why").trim().to_owned(),
            trace,
        })
    }

    async fn step<T: DeserializeOwned>(
        &self,
        step: &str,
        wanted: &str,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<T, CheckoutError> {
        let function = format!(
            "({GENERATORS}) {{ step = {}; system = {}; wanted = {}; }}",
            quoted(step),
            quoted(crate::host::system()),
            quoted(wanted)
        );
        let command = bounded(&self.nix, self.limits.memory, self.limits.time)
            .args(["--extra-experimental-features", "nix-command flakes"])
            .args(["eval", "--json", "--no-update-lock-file", "--show-trace"])
            .args(["--log-format", "raw", "--option", "accept-flake-config", "false"])
            .args([".#reconciler", "--apply"])
            .arg(function);
        let finished = self.in_the_folder(command).run(on_line).await;
        let failure = |source| CheckoutError::Evaluate {
            folder: self.folder.clone(),
            source,
        };
        let finished = finished.map_err(|error| match error {
            RunError::TimedOut { limit, stderr, .. } => failure(EvaluateError::TooSlow {
                limit,
                trace: text::plain(&stderr),
            }),
            error => CheckoutError::Run(error),
        })?;
        if finished.exit != Exit::Code(0) {
            let trace = text::plain(&finished.stderr);
            if trace.contains("does not provide attribute") {
                return Err(CheckoutError::NotNative {
                    folder: self.folder.clone(),
                });
            }
            return Err(failure(failed(finished.exit, trace, None, self.limits.memory)));
        }
        let answer: Versioned<T> = serde_json::from_slice(&finished.stdout)
            .map_err(|error| failure(EvaluateError::Answer(error)))?;
        match answer.version {
            VERSION => Ok(answer.answer),
            found => Err(failure(EvaluateError::Version { found })),
        }
    }

    fn in_the_folder(&self, command: Command) -> Command {
        let command = command.folder(&self.folder);
        self.environment
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
    }
}
