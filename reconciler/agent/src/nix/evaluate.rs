//! Evaluating the entry: the embedded expression, run by the machine's own `nix`, purely, at one revision,
//! as a user that can read nothing of root's, within bounds of time and memory.
//!
//! The lock is never written and never ignored; `accept-flake-config` is never set.

use super::entry::{Answer, Derivation, Entry, Metadata, VERSION, Versioned, nix_config, versions};
use super::tools::NixTools;
use crate::process::{Account, Exit, RunError};
use crate::source::Revision;
use crate::text;
use camino::Utf8PathBuf;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const ENTRY: &str = include_str!("entry.nix");

/// What an evaluation may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall time.
    pub time: Duration,
    /// Address space, in bytes.
    pub memory: u64,
}

/// The fleet's tree at one revision, in the store.
#[derive(Debug, Clone)]
pub struct SourceTree {
    /// The store path.
    pub path: String,
    /// Its NAR hash in SRI form.
    pub nar_hash: String,
    /// The commit.
    pub revision: Revision,
    /// The commit's time, in seconds since 1970.
    pub last_modified: i64,
    /// The number of commits up to it.
    pub rev_count: u64,
}

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
            | EvaluateError::OutOfMemory { trace, .. }
            | EvaluateError::TooSlow { trace, .. }
            | EvaluateError::Killed { trace, .. } => {
                Some(trace.as_str()).filter(|trace| !trace.trim().is_empty())
            }
            _ => None,
        }
    }
}

/// Runs evaluations.
#[derive(Debug)]
pub struct Evaluator<'a> {
    /// Nix.
    pub tools: &'a NixTools,
    /// Whom to run as, when the agent is root.
    pub account: Option<Account>,
    /// A folder that account owns: its home and its cache.
    pub home: Utf8PathBuf,
    /// Bounds.
    pub limits: Limits,
}

impl Evaluator<'_> {
    /// Evaluates everything but the toplevel.
    pub async fn entry(
        &self,
        source: &SourceTree,
        directory: &str,
        machine: &str,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Entry, EvaluateError> {
        let metadata: Metadata = self.step(source, directory, machine, "metadata", on_line).await?;
        Ok(Entry {
            revision: source.revision,
            metadata,
        })
    }

    /// Evaluates the toplevel, which writes its derivation to the store.
    pub async fn toplevel(
        &self,
        source: &SourceTree,
        directory: &str,
        machine: &str,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Derivation, EvaluateError> {
        self.step(source, directory, machine, "toplevel", on_line).await
    }

    async fn step<T: DeserializeOwned + Versioned>(
        &self,
        source: &SourceTree,
        directory: &str,
        machine: &str,
        step: &str,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<T, EvaluateError> {
        let expression = format!(
            "({ENTRY}) {{ source = {{ path = {path}; narHash = {hash}; rev = {rev}; lastModified = {modified}; \
             revCount = {count}; }}; directory = {directory}; machine = {machine}; step = {step}; }}",
            path = quoted(&source.path),
            hash = quoted(&source.nar_hash),
            rev = quoted(&source.revision.to_string()),
            modified = source.last_modified,
            count = source.rev_count,
            directory = quoted(directory),
            machine = quoted(machine),
            step = quoted(step),
        );
        let options = BTreeMap::from([
            // No registry: an evaluation looks up nothing that the lock does not name.
            ("flake-registry", String::new()),
            ("accept-flake-config", "false".to_owned()),
            ("connect-timeout", "10".to_owned()),
        ]);
        let nix = self.tools.nix_path();
        let command = crate::host::bounded(nix, self.limits.memory, self.limits.time)
            .args([
                "--extra-experimental-features",
                "nix-command flakes",
                "eval",
                "--json",
            ])
            .args([
                "--no-update-lock-file",
                "--show-trace",
                "--log-format",
                "raw",
                "--expr",
                &expression,
            ])
            .env("NIX_CONFIG", nix_config(&options))
            .env("HOME", self.home.as_str())
            .env("XDG_CACHE_HOME", self.home.join("cache").as_str())
            .folder(&self.home)
            .account(self.account);
        let finished = match self.tools.command(command).run(on_line).await {
            Ok(finished) => finished,
            Err(RunError::TimedOut { limit, stderr, .. }) => {
                return Err(EvaluateError::TooSlow {
                    limit,
                    trace: text::plain(&stderr),
                });
            }
            Err(error) => return Err(EvaluateError::Run(error)),
        };
        let trace = text::plain(&finished.stderr);
        match finished.exit {
            Exit::Code(0) => {}
            exit => return Err(failed(exit, trace, self.limits.memory)),
        }
        let answer: Answer<T> = serde_json::from_slice(&finished.stdout).map_err(EvaluateError::Answer)?;
        match versions(&answer) {
            VERSION => {}
            found => return Err(EvaluateError::Version { found }),
        }
        let machine = machine.to_owned();
        Err(EvaluateError::Unusable(match answer {
            Answer::Ok(answer) => return Ok(answer),
            Answer::NoFlake { .. } => UnusableEntry::NoFlake {
                directory: directory.to_owned(),
            },
            Answer::Unlocked { inputs, .. } => UnusableEntry::Unlocked { inputs },
            Answer::NoMachine { machines, .. } => {
                let machines = reconciler_inventory::closest_first(&machine, &machines)
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                UnusableEntry::NoMachine { machine, machines }
            }
            Answer::NoToplevel { .. } => UnusableEntry::NoToplevel { machine },
            Answer::NotADerivation { kind, .. } => UnusableEntry::NotADerivation { machine, kind },
        }))
    }
}

/// What a failed evaluation means. Nix says `out of memory` when an allocation fails and its collector says
/// `GC Warning: Out of Memory!` or aborts; both end it in ways that differ by version.
pub(super) fn failed(exit: Exit, trace: String, memory: u64) -> EvaluateError {
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
    match exit {
        Exit::Signal(_) if !lower.contains("error:") => EvaluateError::Killed { exit, trace },
        _ => EvaluateError::Nix {
            summary: summary(&trace),
            trace,
        },
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

/// A Nix string literal.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal.push('"');
    literal
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
    fn strings_cannot_break_out() {
        assert_eq!(quoted("a\"; ${b} \\"), "\"a\\\"; \\${b} \\\\\"");
    }

    #[test]
    fn exhaustion_is_told_from_errors() {
        let kind = |exit, trace: &str| match failed(exit, trace.to_owned(), 1 << 30) {
            EvaluateError::OutOfMemory { .. } => "memory",
            EvaluateError::Killed { .. } => "killed",
            EvaluateError::Nix { .. } => "nix",
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
    }
}
