//! Why an evaluation has no usable result, and how Nix's own words are read for that.

use super::entry::VERSION;
use super::evaluator_home::HomeError;
use crate::process::{Exit, RunError};
use crate::text;
use std::time::Duration;

/// An entry that was evaluated and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableEntry {
    /// There is no flake where the configuration says it is.
    #[error("there is no flake.nix in {}", if directory.is_empty() { "the repository".to_owned() } else { format!("`{directory}` of the repository") })]
    NoFlake {
        /// The folder.
        directory: String,
    },
    /// The lock file lacks inputs.
    #[error("flake.lock does not lock {}", inputs.join(", "))]
    Unlocked {
        /// The inputs.
        inputs: Vec<String>,
    },
    /// The machine is not declared.
    #[error("the fleet has no machine `{machine}`; it has {}", if machines.is_empty() { "none at all".to_owned() } else { machines.join(", ") })]
    NoMachine {
        /// The machine.
        machine: String,
        /// Those that are, closest first.
        machines: Vec<String>,
    },
    /// It is declared without a toplevel.
    #[error("`{machine}` has no toplevel")]
    NoToplevel {
        /// The machine.
        machine: String,
    },
    /// Its toplevel cannot be built.
    #[error("the toplevel of `{machine}` is a {kind} and not a derivation")]
    NotADerivation {
        /// The machine.
        machine: String,
        /// What it is instead.
        kind: String,
    },
}

impl UnusableEntry {
    /// The machine is not among `machines`.
    pub(super) fn no_machine(machine: String, machines: &[String]) -> UnusableEntry {
        let machines = reconciler_inventory::closest_first(&machine, machines)
            .into_iter()
            .map(str::to_owned)
            .collect();
        UnusableEntry::NoMachine { machine, machines }
    }
}

/// An evaluation without a usable result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The entry is not one.
    #[error(transparent)]
    Unusable(#[from] UnusableEntry),
    /// Nix found an error in the fleet.
    #[error("{summary}")]
    Nix {
        /// Nix's own last word.
        summary: String,
        /// Everything Nix said, without colours.
        trace: String,
    },
    /// It used more memory than it may.
    #[error("the evaluation needs more than the {} it may use", text::size(*limit))]
    OutOfMemory {
        /// The limit, in bytes.
        limit: u64,
        /// Everything Nix said.
        trace: String,
    },
    /// It took longer than it may.
    #[error("the evaluation did not end within {}", text::duration(*limit))]
    TooSlow {
        /// The limit.
        limit: Duration,
        /// Everything Nix said by then.
        trace: String,
    },
    /// The evaluator was killed.
    #[error("the evaluator was ended by {exit}")]
    Killed {
        /// How.
        exit: Exit,
        /// Everything Nix said.
        trace: String,
    },
    /// An import from a derivation, which the configuration forbids.
    #[error("{summary}")]
    ImportForbidden {
        /// Nix's own last word.
        summary: String,
        /// Everything Nix said, without colours.
        trace: String,
    },
    /// What private inputs are fetched with could not be given to it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// It could not be run.
    #[error("cannot run the evaluator")]
    Run(#[source] RunError),
    /// Its answer is not what the expression gives.
    #[error("the evaluator's answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// Its answer is of another version.
    #[error("the evaluator's answer has version {found}, and {VERSION} is known")]
    Version {
        /// The version.
        found: u64,
    },
}

impl EvaluateError {
    /// Nix's own words, where it had some.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        match self {
            EvaluateError::Nix { trace, .. }
            | EvaluateError::ImportForbidden { trace, .. }
            | EvaluateError::OutOfMemory { trace, .. }
            | EvaluateError::TooSlow { trace, .. }
            | EvaluateError::Killed { trace, .. } => {
                Some(trace.as_str()).filter(|trace| !trace.trim().is_empty())
            }
            _ => None,
        }
    }
}

/// What a failed evaluation means. Nix says `out of memory` when an allocation fails and its collector says
/// `GC Warning: Out of Memory!` or aborts; both end it in ways that differ by version.
///
/// `said` is the error's own sentence where the log sets it apart.
pub(super) fn failed(exit: Exit, trace: String, said: Option<&str>, memory: u64) -> EvaluateError {
    let lower = trace.to_lowercase();
    let starved = [
        "out of memory",
        "bad_alloc",
        "cannot allocate memory",
        "too many heap sections",
    ];
    if starved.iter().any(|sign| lower.contains(sign)) {
        return EvaluateError::OutOfMemory { limit: memory, trace };
    }
    let summary = said.map_or_else(|| summary(&trace), str::to_owned);
    match exit {
        Exit::Signal(_) if !lower.contains("error:") => EvaluateError::Killed { exit, trace },
        // `allow-import-from-derivation` is what every Nix names when it refuses one.
        _ if summary.contains("allow-import-from-derivation") => {
            EvaluateError::ImportForbidden { summary, trace }
        }
        _ => EvaluateError::Nix { summary, trace },
    }
}

/// The sentence in which Nix says what is wrong. Up to 2.19 it stands first, with the trace below; since then
/// the trace comes first and the last `error:` carries it.
fn summary(trace: &str) -> String {
    trace
        .lines()
        .rev()
        .filter_map(|line| line.trim_start().strip_prefix("error:"))
        .map(str::trim)
        .find(|message| !message.is_empty() && !message.starts_with("… "))
        .unwrap_or("nix eval failed and did not say why")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_sentence_of_either_order() {
        assert_eq!(
            summary("error: attribute 'x' missing\n\n       at «string»:1:1:\n"),
            "attribute 'x' missing"
        );
        let newer = "error:\n       … while evaluating the attribute 'a'\n\n       error: boom happened\n";
        assert_eq!(summary(newer), "boom happened");
        assert_eq!(summary("\n"), "nix eval failed and did not say why");
    }

    #[test]
    fn exhaustion_is_told_from_errors() {
        let kind = |exit, trace: &str| match failed(exit, trace.to_owned(), None, 1 << 30) {
            EvaluateError::OutOfMemory { .. } => "memory",
            EvaluateError::Killed { .. } => "killed",
            EvaluateError::Nix { .. } => "nix",
            EvaluateError::ImportForbidden { .. } => "import",
            _ => "other",
        };
        assert_eq!(kind(Exit::Code(1), "error: out of memory\n"), "memory");
        assert_eq!(
            kind(Exit::Signal(6), "GC Warning: Out of Memory! Returning NULL!\n"),
            "memory"
        );
        assert_eq!(kind(Exit::Signal(9), ""), "killed");
        assert_eq!(
            kind(
                Exit::Signal(11),
                "error: stack overflow (possible infinite recursion)\n"
            ),
            "nix"
        );
        assert_eq!(
            kind(Exit::Code(1), "error: infinite recursion encountered\n"),
            "nix"
        );
        let refused = "error: cannot build '/nix/store/x.drv' during evaluation because the option \
                       'allow-import-from-derivation' is disabled\n";
        assert_eq!(kind(Exit::Code(1), refused), "import");
    }
}
