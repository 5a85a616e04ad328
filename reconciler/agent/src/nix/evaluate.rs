//! Evaluating the entry: the embedded expression, run by the machine's own `nix`, purely, at one revision,
//! as a user that can read nothing of root's, within bounds of time and memory.
//!
//! The lock is never written and never ignored; `accept-flake-config` is never set.

use super::entry::{Answer, VERSION, Versioned, versions};
use super::evaluate_error::{EvaluateError, UnusableEntry, failed};
use super::evaluation_log::{EvaluationLog, Reads};
use super::evaluator_home::EvaluatorHome;
use super::interpreter::Nix;
use super::source_tree::SourceTree;
use super::tools::NixTools;
use crate::process::{Account, Exit, RunError};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The expression.
pub(super) const ENTRY: &str = include_str!("entry.nix");

/// What an evaluation may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall time.
    pub time: Duration,
    /// Address space, in bytes.
    pub memory: u64,
}

/// Whether an evaluation may build what it then reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFromDerivation {
    /// It may.
    Allowed,
    /// It fails instead.
    Forbidden,
}

impl ImportFromDerivation {
    /// Nix's own word for it.
    pub(super) fn setting(self) -> &'static str {
        match self {
            ImportFromDerivation::Allowed => "true",
            ImportFromDerivation::Forbidden => "false",
        }
    }
}

/// What is asked of the expression.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The folder of the flake in the repository.
    pub directory: &'a str,
    /// The machine; of no meaning where the step looks at none.
    pub machine: &'a str,
    /// What is asked.
    pub step: Step<'a>,
}

/// A step of the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Everything but the toplevel.
    Metadata,
    /// The toplevel, which writes its derivation to the store.
    Toplevel,
    /// Both, the toplevel only of a machine of this system.
    Published {
        /// The system, as Nix names it.
        system: &'a str,
    },
    /// Which machines there are.
    Machines,
}

impl Step<'_> {
    /// Its name in the expression and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Metadata => "metadata",
            Step::Toplevel => "toplevel",
            Step::Published { .. } => "published",
            Step::Machines => "machines",
        }
    }
}

/// An answer of the expression.
#[derive(Debug)]
pub struct Answered<T> {
    /// What it says.
    pub value: T,
    /// The same as it was written, to be kept and read again by [`read_answer`].
    pub json: String,
    /// What the fleet looked at for it.
    pub reads: Reads,
}

/// Runs evaluations.
#[derive(Debug)]
pub struct Evaluator<'a> {
    /// The environment of Nix's commands.
    pub tools: &'a NixTools,
    /// The evaluator itself.
    pub nix: &'a Nix,
    /// Whom to run as, when the agent is root.
    pub account: Option<Account>,
    /// Its home.
    pub home: &'a EvaluatorHome,
    /// Bounds.
    pub limits: Limits,
    /// Whether it may build.
    pub import_from_derivation: ImportFromDerivation,
}

impl Evaluator<'_> {
    /// Evaluates one step; `on_line` hears what Nix does meanwhile.
    pub async fn ask<T: DeserializeOwned + Versioned>(
        &self,
        source: &SourceTree,
        question: Question<'_>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answered<T>, EvaluateError> {
        let command = crate::host::bounded(self.nix.path(), self.limits.memory, self.limits.time)
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
                "internal-json",
            ])
            // No registry: an evaluation looks up nothing that the lock does not name.
            .args(["--option", "flake-registry", ""])
            .args(["--option", "accept-flake-config", "false"])
            .args(["--option", "connect-timeout", "10"])
            .args([
                "--option",
                "allow-import-from-derivation",
                self.import_from_derivation.setting(),
            ])
            .args(["--expr", &expression(source, question)])
            .folder(self.home.folder())
            .unkept()
            .account(self.account);
        let command = self
            .home
            .environment()
            .iter()
            .fold(self.tools.command(command), |command, (name, value)| {
                command.env(name, value)
            });
        let mut log = EvaluationLog::default();
        let mut hear = |line: &str| {
            if let Some(doing) = log.hear(line) {
                on_line(&doing);
            }
        };
        let finished = match command.run(&mut hear).await {
            Ok(finished) => finished,
            Err(RunError::TimedOut { limit, .. }) => {
                return Err(EvaluateError::TooSlow {
                    limit,
                    trace: log.said().to_owned(),
                });
            }
            Err(error) => return Err(EvaluateError::Run(error)),
        };
        match finished.exit {
            Exit::Code(0) => {}
            exit => {
                let (trace, summary) = (log.said().to_owned(), log.summary());
                return Err(failed(exit, trace, summary, self.limits.memory));
            }
        }
        let json = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Answered {
            value: read_answer(&json, question.directory, question.machine)?,
            json,
            reads: log.reads(),
        })
    }
}

/// Reads an answer of the expression.
pub fn read_answer<T: DeserializeOwned + Versioned>(
    json: &str,
    directory: &str,
    machine: &str,
) -> Result<T, EvaluateError> {
    let answer: Answer<T> = serde_json::from_str(json).map_err(EvaluateError::Answer)?;
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
        Answer::NoMachine { machines, .. } => UnusableEntry::no_machine(machine, &machines),
        Answer::NoToplevel { .. } => UnusableEntry::NoToplevel { machine },
        Answer::NotADerivation { kind, .. } => UnusableEntry::NotADerivation { machine, kind },
    }))
}

fn expression(source: &SourceTree, question: Question<'_>) -> String {
    let system = match question.step {
        Step::Published { system } => quoted(system),
        Step::Metadata | Step::Toplevel | Step::Machines => "null".to_owned(),
    };
    format!(
        "({ENTRY}) {{ source = {{ path = {path}; narHash = {hash}; rev = {rev}; lastModified = {modified}; \
         revCount = {count}; }}; directory = {directory}; machine = {machine}; step = {step}; system = {system}; }}",
        path = quoted(&source.path),
        hash = quoted(&source.nar_hash),
        rev = quoted(&source.revision.to_string()),
        modified = source.last_modified,
        count = source.rev_count,
        directory = quoted(question.directory),
        machine = quoted(question.machine),
        step = quoted(question.step.name()),
    )
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
    fn strings_cannot_break_out() {
        assert_eq!(quoted("a\"; ${b} \\"), "\"a\\\"; \\${b} \\\\\"");
    }
}
