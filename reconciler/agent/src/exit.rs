//! How a command or a pass ended: the outcomes, their names and exit codes, in one place.
//!
//! The codes and names are a contract (`docs/exit-codes.md`); a new one is added here and nowhere else.

use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// How a command or a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The machine is on what the fleet declares, or the command did its job.
    Converged,
    /// Something unexpected failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// A gate holds the change back.
    Held,
    /// The revision is not trusted.
    Refused,
    /// The fleet could not be fetched.
    FetchFailed,
    /// The entry could not be evaluated.
    EvaluationFailed,
    /// A secret is missing or does not open, or something stands in the way of the toplevel.
    PreflightFailed,
    /// The toplevel could not be built.
    BuildFailed,
    /// The activation failed and the machine is back on what it ran before.
    Reverted,
    /// Going back failed as well: a person is needed.
    RevertFailed,
    /// The machine differs from its generation, or units are degraded.
    Drift,
    /// Another pass is running.
    Busy,
}

impl Outcome {
    /// Every outcome, in the order of its exit code.
    pub const ALL: [Outcome; 13] = [
        Outcome::Converged,
        Outcome::Failed,
        Outcome::Usage,
        Outcome::Held,
        Outcome::Refused,
        Outcome::FetchFailed,
        Outcome::EvaluationFailed,
        Outcome::PreflightFailed,
        Outcome::BuildFailed,
        Outcome::Reverted,
        Outcome::RevertFailed,
        Outcome::Drift,
        Outcome::Busy,
    ];

    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Outcome::Converged => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Held => 10,
            Outcome::Refused => 11,
            Outcome::FetchFailed => 12,
            Outcome::EvaluationFailed => 13,
            Outcome::PreflightFailed => 14,
            Outcome::BuildFailed => 15,
            Outcome::Reverted => 16,
            Outcome::RevertFailed => 17,
            Outcome::Drift => 18,
            Outcome::Busy => 75,
        }
    }

    /// The name in JSON and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Converged => "converged",
            Outcome::Failed => "failed",
            Outcome::Usage => "usage",
            Outcome::Held => "held",
            Outcome::Refused => "refused",
            Outcome::FetchFailed => "fetch-failed",
            Outcome::EvaluationFailed => "evaluation-failed",
            Outcome::PreflightFailed => "preflight-failed",
            Outcome::BuildFailed => "build-failed",
            Outcome::Reverted => "reverted",
            Outcome::RevertFailed => "revert-failed",
            Outcome::Drift => "drift",
            Outcome::Busy => "busy",
        }
    }

    /// What the outcome means, for the documentation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Outcome::Converged => "converged, or the command did its job",
            Outcome::Failed => "unexpected failure",
            Outcome::Usage => "usage or configuration",
            Outcome::Held => "held by a gate",
            Outcome::Refused => "refused: trust",
            Outcome::FetchFailed => "fetch failed",
            Outcome::EvaluationFailed => "evaluation failed",
            Outcome::PreflightFailed => "preflight failed: vars, or something in the way of the toplevel",
            Outcome::BuildFailed => "build failed",
            Outcome::Reverted => "activation failed; reverted",
            Outcome::RevertFailed => "revert failed: needs a person",
            Outcome::Drift => "drift, or degraded",
            Outcome::Busy => "another pass is running",
        }
    }

    /// The outcome of a name, as the journal keeps it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_code_and_name() {
        let table: Vec<String> = Outcome::ALL
            .iter()
            .map(|o| format!("{:>2} {:<18} {}", o.code(), o.name(), o.meaning()))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
         0 converged          converged, or the command did its job
         1 failed             unexpected failure
         2 usage              usage or configuration
        10 held               held by a gate
        11 refused            refused: trust
        12 fetch-failed       fetch failed
        13 evaluation-failed  evaluation failed
        14 preflight-failed   preflight failed: vars, or something in the way of the toplevel
        15 build-failed       build failed
        16 reverted           activation failed; reverted
        17 revert-failed      revert failed: needs a person
        18 drift              drift, or degraded
        75 busy               another pass is running
        ");
    }

    #[test]
    fn names_survive_the_journal() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
            assert_eq!(
                serde_json::to_string(&outcome).unwrap(),
                format!("\"{}\"", outcome.name())
            );
        }
    }
}
