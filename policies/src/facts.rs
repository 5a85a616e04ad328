//! What the gates judge by: the candidate and everything remembered that may stand in its way. Collected
//! by the caller; a gate never looks anything up.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::quarantine;

/// Everything the gates may know.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time of the judgement.
    pub now: Timestamp,
    /// What would be built and activated.
    pub candidate: Candidate<'a>,
    /// What failed and is remembered.
    pub quarantine: &'a [quarantine::Entry],
    /// The pin, if there is one.
    pub pin: Option<&'a Pin>,
    /// The hold, if there is one.
    pub hold: Option<&'a Hold>,
    /// What drifted, where the policy lets nothing new onto a machine that did.
    pub drift: Option<&'a Drift>,
    /// The last failure that did not end in quarantine, if there is one.
    pub failure: Option<&'a Failure>,
    /// How much a person insists.
    pub force: Force,
}

impl<'a> Facts<'a> {
    /// The candidate alone: nothing is remembered and nobody insists. The rest is set by struct update.
    #[must_use]
    pub const fn new(now: Timestamp, candidate: Candidate<'a>) -> Self {
        Self {
            now,
            candidate,
            quarantine: &[],
            pin: None,
            hold: None,
            drift: None,
            failure: None,
            force: Force::None,
        }
    }
}

/// What would be built and activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The commit, in full.
    pub revision: &'a str,
    /// The store path, once the evaluation has told it.
    pub toplevel: Option<&'a str>,
}

/// How much a person insists on this pass. Pins and holds stand in any case: `unpin` and `release` lift
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// Nobody does: a scheduled pass.
    #[default]
    None,
    /// `now`: the wait before a retry is cut short.
    Retry,
    /// `now --force`: what is in quarantine is tried as well, and drift is overwritten.
    Quarantine,
}

/// The machine shall stay on one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit, in full.
    pub revision: String,
    /// Who pinned it.
    pub by: String,
    /// Why, if they said so.
    pub why: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// The machine shall stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds it.
    pub by: String,
    /// Why, if they said so.
    pub why: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until it is released.
    pub until: Option<Timestamp>,
}

/// The machine is not what its generation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What is not, in a few words.
    pub what: String,
    /// Since when that is known.
    pub since: Timestamp,
}

/// A revision failed, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The commit, in full.
    pub revision: String,
    /// What failed.
    pub stage: Stage,
    /// How many times in a row, the last one included: at least 1.
    pub attempts: u32,
    /// When it failed last.
    pub failed_at: Timestamp,
}

/// The part of a pass that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The git fetch.
    Fetch,
    /// The evaluation of the entry.
    Evaluate,
    /// The check that every secret is there and opens.
    Preflight,
    /// The build of the toplevel.
    Build,
    /// The activation, where it failed before anything was changed.
    Activate,
}

impl Stage {
    /// The waits before the stage is tried again.
    #[must_use]
    pub const fn ladder(self) -> Backoff {
        match self {
            Self::Fetch => Backoff::FETCH,
            Self::Evaluate | Self::Preflight | Self::Build => Backoff::REVISION,
            Self::Activate => Backoff::ACTIVATION,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fetch => "fetch",
            Self::Evaluate => "evaluation",
            Self::Preflight => "vars preflight",
            Self::Build => "build",
            Self::Activate => "activation",
        })
    }
}
