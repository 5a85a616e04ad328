//! What an admin's command fails with, its exit code, and what to type next. Never a value.

use super::git::GitError;
use super::memory::MemoryError;
use crate::exit::Outcome;
use crate::nix::{CheckoutError, EvaluateError};
use crate::process::{Exit, RunError};
use camino::Utf8PathBuf;
use reconciler_policies::PolicyError;
use reconciler_vars::generators::{
    EditError, GeneratorId, GraphProblems, NoReader, OutputError, PlanError, PromptProblem, RekeyError,
    WriteError,
};
use reconciler_vars::{
    IdentityProblem, InvalidName, InvalidRecipient, ReadersError, SealError, SopsError, TreeError,
};
use std::io;

/// An admin's command that did not do its job.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum AdminError {
    #[error("there is no flake.nix in {folder} or above it")]
    NoFlake { folder: Utf8PathBuf },
    #[error("cannot tell in which folder this is")]
    Folder(#[source] io::Error),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error("cannot tell how much an evaluation may use")]
    Policy(#[from] PolicyError),
    #[error("the fleet's generators are wrong")]
    Graph(GraphProblems),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Readers(#[from] ReadersError),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    NoReader(#[from] NoReader),
    #[error("{} have no key that secrets can be encrypted to", machines.join(", "))]
    NoMachineKey { machines: Vec<String> },
    #[error("{} not answered", crate::text::count(prompts.len(), "prompt"))]
    Unanswered { prompts: Vec<String> },
    #[error("cannot take the answer to {prompt}: {source}")]
    Answer { prompt: String, source: PromptProblem },
    #[error("cannot read {file}")]
    ReadFile {
        file: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no prompt {prompt} among the generators that run")]
    NoPrompt { prompt: String },
    #[error("stopped while asking; nothing was changed")]
    Interrupted,
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("cannot prepare the folder of {id}")]
    Prepare {
        id: GeneratorId,
        #[source]
        source: io::Error,
    },
    #[error("there is no `bwrap` to confine the generators with")]
    NoSandbox,
    #[error("nothing reads the script of {id}: there is no shell in its runtimeInputs")]
    NoShell { id: GeneratorId },
    #[error("generator {id} failed with {exit}")]
    Script {
        id: GeneratorId,
        exit: Exit,
        said: Vec<String>,
    },
    #[error("cannot run generator {id}")]
    Run {
        id: GeneratorId,
        #[source]
        source: RunError,
    },
    #[error("generator {id} wrote more than {} to $out", crate::text::size(*limit))]
    Flooded { id: GeneratorId, limit: u64 },
    #[error("generator {id} made nothing that can be used: {source}")]
    Output { id: GeneratorId, source: OutputError },
    #[error("generator {id} needs {path}, which cannot be opened: it {source}")]
    Open {
        id: GeneratorId,
        path: String,
        source: SopsError,
    },
    #[error("stopped; what was made so far is kept")]
    Stopped,
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("{} cannot be encrypted anew; nothing was changed", crate::text::count(errors.len(), "secret"))]
    Rekey { errors: Vec<RekeyError> },
    #[error("cannot take the key of {name}")]
    Key {
        name: String,
        #[source]
        source: InvalidRecipient,
    },
    #[error("there is no {kind} {name} in the fleet's keys, and no secret that they may read")]
    Unknown { kind: &'static str, name: String },
    #[error("{name} is to come and to go")]
    Contradiction { name: String },
    #[error("there is no group `{group}` in sops/groups")]
    NoGroup { group: String },
    #[error("{machine} has no value {file}")]
    NoValue {
        machine: String,
        file: String,
        near: Vec<String>,
    },
    #[error("cannot open {path}: it {source}")]
    Decrypt { path: String, source: SopsError },
    #[error("cannot open {path}: there is no key to open it with")]
    NoIdentity {
        path: String,
        problems: Vec<IdentityProblem>,
    },
    #[error("the new value is empty")]
    EmptyValue,
    #[error(transparent)]
    Git(#[from] GitError),
}

impl AdminError {
    /// The outcome, and with it the exit code.
    pub(in crate::cli) fn outcome(&self) -> Outcome {
        match self {
            AdminError::Checkout(CheckoutError::Evaluate { .. }) | AdminError::Graph(_) => {
                Outcome::EvaluationFailed
            }
            AdminError::Checkout(CheckoutError::Build { .. }) => Outcome::BuildFailed,
            AdminError::NoFlake { .. }
            | AdminError::Folder(_)
            | AdminError::Checkout(CheckoutError::NotNative { .. })
            | AdminError::Plan(_)
            | AdminError::Name(_)
            | AdminError::NoReader(_)
            | AdminError::NoMachineKey { .. }
            | AdminError::Unanswered { .. }
            | AdminError::Answer { .. }
            | AdminError::ReadFile { .. }
            | AdminError::NoPrompt { .. }
            | AdminError::NoSandbox
            | AdminError::NoShell { .. }
            | AdminError::Key { .. }
            | AdminError::Unknown { .. }
            | AdminError::Contradiction { .. }
            | AdminError::NoGroup { .. }
            | AdminError::NoValue { .. }
            | AdminError::EmptyValue => Outcome::Usage,
            AdminError::Edit(EditError::Locked { .. }) => Outcome::Busy,
            AdminError::Open { .. }
            | AdminError::Decrypt { .. }
            | AdminError::NoIdentity { .. }
            | AdminError::Rekey { .. } => Outcome::PreflightFailed,
            AdminError::Checkout(_)
            | AdminError::Policy(_)
            | AdminError::Tree(_)
            | AdminError::Readers(_)
            | AdminError::Interrupted
            | AdminError::Terminal(_)
            | AdminError::Memory(_)
            | AdminError::Prepare { .. }
            | AdminError::Script { .. }
            | AdminError::Run { .. }
            | AdminError::Flooded { .. }
            | AdminError::Output { .. }
            | AdminError::Stopped
            | AdminError::Write(_)
            | AdminError::Edit(_)
            | AdminError::Git(_) => Outcome::Failed,
        }
    }

    /// Lines below the sentence.
    pub(in crate::cli) fn details(&self) -> Vec<String> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        match self {
            AdminError::Checkout(CheckoutError::Evaluate { source, .. }) => {
                lines(source.trace().unwrap_or_default())
            }
            AdminError::Checkout(CheckoutError::Build { trace, .. }) => lines(trace),
            AdminError::Graph(problems) => problems.0.iter().map(ToString::to_string).collect(),
            AdminError::Unanswered { prompts } => prompts.clone(),
            AdminError::Script { said, .. } => said.clone(),
            AdminError::Rekey { errors } => errors.iter().map(with_cause).collect(),
            AdminError::NoIdentity { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            AdminError::Decrypt {
                source: SopsError::NotEncryptedToThisMachine { recipients },
                ..
            } => recipients
                .iter()
                .map(|recipient| format!("encrypted to: {recipient}"))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What to type next.
    pub(in crate::cli) fn hint(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match self {
            AdminError::NoFlake { .. } => text("go to the fleet's folder, or name it with `--fleet FOLDER`"),
            AdminError::Checkout(CheckoutError::NotNative { .. }) => text(
                "these commands are for fleets that declare `reconciler.machines`; in a clan it is `clan vars generate`",
            ),
            AdminError::Checkout(CheckoutError::Evaluate {
                source: EvaluateError::OutOfMemory { .. } | EvaluateError::TooSlow { .. },
                ..
            }) => text(
                "raise `evaluation_memory` or `evaluation_timeout` below `[policy]` in the fleet's reconciler.toml",
            ),
            AdminError::NoReader(NoReader::Nobody) => text(
                "add yourself: `reconcile vars rekey --add-user NAME=AGE-RECIPIENT` (age-keygen makes a key)",
            ),
            AdminError::NoMachineKey { machines } => {
                let name = machines.first().map_or("MACHINE", String::as_str);
                Some(format!(
                    "`reconcile keys` on the machine prints its key; then `reconcile vars rekey --add-machine {name}=KEY`"
                ))
            }
            AdminError::Unanswered { prompts } => {
                let name = prompts.first().and_then(|line| line.split_whitespace().next());
                Some(format!(
                    "answer them on a terminal, or with `--prompt {}=FILE`",
                    name.unwrap_or("GENERATOR/PROMPT")
                ))
            }
            AdminError::NoSandbox => text(
                "install bubblewrap (`nix shell nixpkgs#bubblewrap`), or trust the scripts with `--no-sandbox`",
            ),
            AdminError::NoShell { .. } => {
                text("add one, `runtimeInputs = [ pkgs.bash pkgs.coreutils ]`, or begin the script with `#!`")
            }
            AdminError::Run {
                source: RunError::TimedOut { .. },
                ..
            } => text("`--time-limit SECONDS` gives it longer"),
            AdminError::Unknown { .. } => text("`ls sops/machines sops/users` shows those that are there"),
            AdminError::NoGroup { group } => Some(format!(
                "a group is a folder with links: `mkdir -p sops/groups/{group}/users`, and a link ../../../users/NAME in it"
            )),
            AdminError::NoValue { near, .. } => near.first().map(|near| format!("did you mean {near}?")),
            AdminError::NoIdentity { problems, .. } => {
                let pressing = problems.iter().find(|problem| !problem.is_absence());
                match pressing {
                    Some(problem) => Some(format!(
                        "{}; or name another key with `--identity FILE`",
                        problem.hint()
                    )),
                    None => text("name a key that opens it with `--identity FILE`"),
                }
            }
            AdminError::Rekey { errors } => errors.first().and_then(rekey_hint),
            AdminError::Open { .. } | AdminError::Decrypt { .. } => {
                text("name a key that opens it with `--identity FILE`")
            }
            AdminError::Edit(EditError::Locked { .. }) => text("wait for it to end"),
            _ => None,
        }
    }
}

fn rekey_hint(error: &RekeyError) -> Option<String> {
    let text = match error {
        RekeyError::Open { .. } => "name a key that opens it with `--identity FILE`".to_owned(),
        RekeyError::Nobody { path } => {
            format!("add a link to {path}/users or {path}/machines, or delete {path}")
        }
        RekeyError::Seal { path, source } => match source {
            SealError::EmptyGroup { .. } => {
                format!(
                    "put somebody else into that group of {path}/secret first, with `sops edit` or `sops rotate`"
                )
            }
            SealError::OtherKeys { .. } => {
                format!("change the recipients of {path}/secret with `sops rotate`")
            }
            SealError::DataKey { .. } => {
                "install what the recipient needs in your PATH, or give its owner another key".to_owned()
            }
            _ => return None,
        },
        RekeyError::Read(_) | RekeyError::Tree(_) => return None,
    };
    Some(text)
}

fn with_cause(error: &RekeyError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !line.ends_with(&said) {
            line.push_str(": ");
            line.push_str(&said);
        }
        cause = error.source();
    }
    line
}
