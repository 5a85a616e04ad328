//! What `reconcile vars check` fails with, before it found anything; and what to type next.

use crate::exit::Outcome;
use crate::nix::EvaluateError;
use crate::source::CheckoutError;
use camino::Utf8PathBuf;
use reconciler_policies::PolicyError;
use reconciler_vars::{IdentityProblem, TreeError};
use std::io;

/// A check that was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum CheckError {
    #[error("cannot use the folder {folder}")]
    Folder {
        folder: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot tell in which folder this is")]
    Here(#[source] io::Error),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error("{folder} is in no git repository, so it has no revision {revision:?}")]
    NoRepository { folder: Utf8PathBuf, revision: String },
    #[error("there are neither vars nor keys in {folder}")]
    NoVars { folder: Utf8PathBuf },
    #[error("cannot read the fleet's files")]
    Tree(#[from] TreeError),
    #[error("cannot use {problem}")]
    Identity { problem: IdentityProblem },
    #[error("cannot evaluate the fleet in {folder}")]
    Survey {
        folder: Utf8PathBuf,
        #[source]
        source: EvaluateError,
    },
    #[error("cannot tell how much an evaluation may use")]
    Policy(#[from] PolicyError),
    #[error("the fleet has no machine `{machine}`; it has {}", machines.join(", "))]
    NoMachine { machine: String, machines: Vec<String> },
}

impl CheckError {
    /// The outcome, and with it the exit code.
    pub(in crate::cli) fn outcome(&self) -> Outcome {
        match self {
            CheckError::Folder { .. }
            | CheckError::Here(_)
            | CheckError::NoRepository { .. }
            | CheckError::NoVars { .. }
            | CheckError::Identity { .. }
            | CheckError::NoMachine { .. }
            | CheckError::Checkout(CheckoutError::Revision { .. } | CheckoutError::Bare { .. }) => {
                Outcome::Usage
            }
            CheckError::Survey { .. } => Outcome::EvaluationFailed,
            CheckError::Checkout(_) | CheckError::Tree(_) | CheckError::Policy(_) => Outcome::Failed,
        }
    }

    /// What to type next.
    pub(in crate::cli) fn hint(&self) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match self {
            CheckError::NoVars { .. } => text("`--fleet FOLDER` names the folder with the fleet's flake.nix"),
            CheckError::Identity { problem } => Some(problem.hint()),
            CheckError::Survey {
                source: EvaluateError::OutOfMemory { .. } | EvaluateError::TooSlow { .. },
                ..
            } => text(
                "raise `evaluation_memory` or `evaluation_timeout` below `[policy]` in the fleet's reconciler.toml; \
                 `--no-evaluate` looks at what lies there alone",
            ),
            CheckError::Survey { .. } => text("`--no-evaluate` looks at what lies there alone"),
            CheckError::Checkout(CheckoutError::Bare { .. }) => text("`--revision HEAD` looks at a commit"),
            CheckError::Checkout(CheckoutError::Open { folder, source })
                if source.code() == git2::ErrorCode::Owner =>
            {
                Some(format!("git config --global --add safe.directory {folder}"))
            }
            CheckError::NoMachine { machine, machines } => {
                let closest = reconciler_inventory::closest_first(machine, machines);
                closest
                    .first()
                    .map(|closest| format!("did you mean `--machine {closest}`?"))
            }
            _ => None,
        }
    }

    /// Lines below the sentence: Nix's own words.
    pub(in crate::cli) fn details(&self) -> Vec<String> {
        match self {
            CheckError::Survey { source, .. } => source
                .trace()
                .map(|trace| trace.trim_end().lines().map(str::to_owned).collect())
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}
