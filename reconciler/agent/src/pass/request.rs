//! What is asked of a pass, and what comes of it.

use crate::closure::Change;
use crate::drift::Scope;
use crate::exit::Outcome;
use serde::{Deserialize, Serialize};

/// Why a pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The branch moved.
    Poll,
    /// The agent was started.
    Start,
    /// A person asked.
    Now,
    /// A person asked to go back.
    Rollback,
    /// The wait after a failure is over.
    Retry,
    /// A look for drift is due, or a person asked for one.
    Drift,
    /// Nobody confirmed a transaction in time: it is undone, and that is all of this pass.
    Deadman {
        /// The transaction.
        transaction: i64,
        /// The time that it had, in seconds.
        limit: u64,
    },
}

impl Cause {
    /// The name in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::Poll => "poll",
            Cause::Start => "start",
            Cause::Now => "now",
            Cause::Rollback => "rollback",
            Cause::Retry => "retry",
            Cause::Drift => "drift",
            Cause::Deadman { .. } => "deadman",
        }
    }
}

/// How far a pass goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// To its end.
    #[default]
    Whole,
    /// Up to the gates: everything is built and nothing is touched.
    DryRun,
    /// Up to the build, where there is anything to build or fetch.
    Unbuilt,
}

/// How much a person insists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Insistence {
    /// Nobody does.
    #[default]
    None,
    /// `now`: waits are cut short.
    Asked,
    /// `now --force`: what is in quarantine is tried again, and what runs already is activated again.
    Forced,
}

/// A pass that is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Why.
    pub cause: Cause,
    /// A revision of the mirror instead of the branch's head.
    pub revision: Option<String>,
    /// How far.
    #[serde(default)]
    pub depth: Depth,
    /// How much it matters.
    #[serde(default)]
    pub insistence: Insistence,
    /// How much a look for drift looks at.
    #[serde(default)]
    pub scope: Scope,
}

impl Request {
    /// A pass on the branch's head.
    #[must_use]
    pub fn of(cause: Cause) -> Request {
        Request {
            cause,
            revision: None,
            depth: Depth::Whole,
            insistence: Insistence::None,
            scope: Scope::Due,
        }
    }
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The outcome.
    pub outcome: Outcome,
    /// One sentence: what the machine is on, or what went wrong.
    pub summary: String,
    /// Why, each cause on a line, outermost first.
    pub causes: Vec<String>,
    /// Lines below: the findings, the end of a log, Nix's trace.
    pub details: Vec<String>,
    /// What to type next.
    pub hint: Option<String>,
    /// The commit it was about.
    pub revision: Option<String>,
    /// That commit's first line.
    pub subject: Option<String>,
    /// Where the branch was, if it was looked at.
    pub head: Option<String>,
    /// The generation in force after it.
    pub generation: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it changed, or would.
    #[serde(default)]
    pub change: Option<Box<Change>>,
}
