//! Owns what an installation tells when it is over. It must never hold a value.

use super::finding::ManifestFinding;
use super::restart::Action;

/// Why systemctl did not do it.
pub type UnitsError = Box<dyn std::error::Error + Send + Sync>;

/// What tells systemd of units.
pub type Systemctl<'a> = dyn FnMut(Action, &[String]) -> Result<(), UnitsError> + 'a;

/// What an installation did, and what it could not do.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines for standard output: what changed, where the manifest asks for it.
    pub changes: Vec<String>,
    /// Lines for standard error that are no failure.
    pub notes: Vec<String>,
    /// What is not installed as it should be.
    pub findings: Vec<ManifestFinding>,
    /// Units that could not be told.
    pub units: Vec<UnitsNotTold>,
}

/// Units that could not be told; the next run tries it again.
#[derive(Debug, thiserror::Error)]
#[error("systemctl {} {} failed; it is tried again at the next run", action.verb(), units.join(" "))]
pub struct UnitsNotTold {
    /// What was to be done.
    pub action: Action,
    /// With which units.
    pub units: Vec<String>,
    /// Why.
    #[source]
    pub source: UnitsError,
}

impl Report {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.findings.is_empty() && self.units.is_empty()
    }
}
