//! What is done about a machine that is not what its generation says.

use serde::{Deserialize, Serialize};

/// What follows from drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftResponse {
    /// It is told, and nothing is done.
    Report,
    /// The machine is made again what its generation says.
    Correct,
    /// It is told, and nothing new is activated until it is gone or somebody insists.
    Hold,
}
