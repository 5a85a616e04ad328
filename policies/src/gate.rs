//! What a gate says: the verdict, its reason, and the form in which `status --json` and the journal show
//! it. It owns the words; the judgement is in `gates`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::facts::Stage;
use crate::quarantine::Cause;

/// What one gate says of the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands in the way.
    Allow,
    /// Not now.
    Hold {
        /// Why.
        reason: Reason,
        /// When the wait is over by itself; `None`: when something changes.
        until: Option<Timestamp>,
    },
    /// Never, as things are.
    Deny {
        /// Why.
        reason: Reason,
    },
}

impl Verdict {
    /// Whether the verdict lets the candidate pass.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// Why a gate holds or denies. The text form is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// This toplevel of this revision failed before.
    Quarantined {
        /// What happened.
        cause: Cause,
        /// When.
        since: Timestamp,
    },
    /// The machine is pinned to another revision.
    Pinned {
        /// The revision it is pinned to.
        revision: String,
        /// Who pinned it.
        by: String,
        /// Why, if they said so.
        why: Option<String>,
    },
    /// The machine is held.
    Held {
        /// Who holds it.
        by: String,
        /// Why, if they said so.
        why: Option<String>,
    },
    /// The machine is not what its generation says.
    Drifted {
        /// What is not.
        what: String,
        /// Since when that is known.
        since: Timestamp,
    },
    /// The revision failed and its next try has not come yet.
    Retrying {
        /// What failed.
        stage: Stage,
        /// How many times in a row.
        attempts: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |why: &Option<String>| why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        match self {
            Self::Quarantined { cause, since } => {
                write!(
                    formatter,
                    "in quarantine since {since:.0}: {cause}; a new commit ends it"
                )
            }
            Self::Pinned { revision, by, why } => {
                write!(formatter, "pinned to {revision} by {by}{}", because(why))
            }
            Self::Held { by, why } => write!(formatter, "held by {by}{}", because(why)),
            Self::Drifted { what, since } => write!(formatter, "drifted since {since:.0}: {what}"),
            Self::Retrying { stage, attempts: 1 } => write!(formatter, "the {stage} failed"),
            Self::Retrying { stage, attempts } => {
                write!(formatter, "the {stage} failed {attempts} times in a row")
            }
        }
    }
}

/// The gates, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateName {
    /// What failed is not activated again.
    Quarantine,
    /// The machine stays on a named revision.
    Pin,
    /// The machine stays as it is.
    Hold,
    /// What somebody changed by hand is not overwritten.
    Drift,
    /// A failure is not repeated at once.
    Retry,
}

impl fmt::Display for GateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Quarantine => "quarantine",
            Self::Pin => "pin",
            Self::Hold => "hold",
            Self::Drift => "drift",
            Self::Retry => "retry",
        })
    }
}

/// A verdict and whose it is. Serialises as its [`GateLine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReport {
    /// The gate.
    pub gate: GateName,
    /// What it says.
    pub verdict: Verdict,
}

impl Serialize for GateReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        GateLine::from(self).serialize(serializer)
    }
}

/// A report as `status --json` and the journal carry it: `{gate, verdict, reason, until}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateLine {
    /// The gate.
    pub gate: GateName,
    /// The kind of verdict.
    pub verdict: VerdictName,
    /// Why, for people; `null` where the gate allows.
    pub reason: Option<String>,
    /// When the wait ends by itself, in UTC; `null` where nothing is waited for or nobody knows.
    pub until: Option<Timestamp>,
}

/// The kind of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictName {
    /// Nothing stands in the way.
    Allow,
    /// Not now.
    Hold,
    /// Never, as things are.
    Deny,
}

impl From<&GateReport> for GateLine {
    fn from(report: &GateReport) -> Self {
        let (verdict, reason, until) = match &report.verdict {
            Verdict::Allow => (VerdictName::Allow, None, None),
            Verdict::Hold { reason, until } => (VerdictName::Hold, Some(reason), *until),
            Verdict::Deny { reason } => (VerdictName::Deny, Some(reason), None),
        };
        Self {
            gate: report.gate,
            verdict,
            reason: reason.map(ToString::to_string),
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_shape_and_back() {
        let held = Reason::Held {
            by: "root".into(),
            why: Some("disk swap".into()),
        };
        let cases = [
            (
                Verdict::Allow,
                r#"{"gate":"hold","verdict":"allow","reason":null,"until":null}"#,
            ),
            (
                Verdict::Hold {
                    reason: held.clone(),
                    until: Some(Timestamp::UNIX_EPOCH),
                },
                r#"{"gate":"hold","verdict":"hold","reason":"held by root: disk swap","until":"1970-01-01T00:00:00Z"}"#,
            ),
            (
                Verdict::Deny { reason: held },
                r#"{"gate":"hold","verdict":"deny","reason":"held by root: disk swap","until":null}"#,
            ),
        ];
        for (verdict, expected) in cases {
            let report = GateReport {
                gate: GateName::Hold,
                verdict,
            };
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(json, expected);
            assert_eq!(
                serde_json::from_str::<GateLine>(&json).unwrap(),
                GateLine::from(&report)
            );
        }
    }

    #[test]
    fn reasons_read_as_sentences() {
        let cases = [
            (
                Reason::Quarantined {
                    cause: Cause::ProbeFailed,
                    since: Timestamp::UNIX_EPOCH,
                },
                "in quarantine since 1970-01-01T00:00:00Z: a probe failed after its activation; a new commit ends it",
            ),
            (
                Reason::Pinned {
                    revision: "4f2a".into(),
                    by: "root".into(),
                    why: None,
                },
                "pinned to 4f2a by root",
            ),
            (
                Reason::Retrying {
                    stage: Stage::Build,
                    attempts: 1,
                },
                "the build failed",
            ),
            (
                Reason::Retrying {
                    stage: Stage::Evaluate,
                    attempts: 3,
                },
                "the evaluation failed 3 times in a row",
            ),
        ];
        for (reason, expected) in cases {
            assert_eq!(reason.to_string(), expected);
        }
    }
}
