//! The status document as data.

use crate::drift::Item;
use crate::exit::Outcome;
use crate::journal::{PassRecord, Pin, Quarantined};
use jiff::Timestamp;
use reconciler_policies::GateReport;
use serde::Serialize;

/// The version of the document.
pub(super) const VERSION: u32 = 1;

/// Everything there is to tell of a machine.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The document's version.
    pub version: u32,
    /// The machine.
    pub machine: String,
    /// How its generation is activated.
    pub class: Option<String>,
    /// What it follows.
    pub fleet: FleetStatus,
    /// How it stands to the fleet.
    pub sync: Sync,
    /// How well it runs.
    pub health: Health,
    /// What it runs.
    pub generation: Option<GenerationStatus>,
    /// What waits.
    pub pending: Option<PendingStatus>,
    /// Where the machine is not what its generation is.
    pub drift: Vec<Item>,
    /// Whether a reboot is due.
    pub reboot: RebootStatus,
    /// What boots next and waits for it.
    pub staged: Option<StagedStatus>,
    /// The pin in force.
    pub pin: Option<Pin>,
    /// The hold in force.
    pub hold: Option<reconciler_policies::Hold>,
    /// The last transaction, where neither it nor the way back succeeded: a person is needed.
    pub failed_revert: Option<FailedRevert>,
    /// What is not tried again.
    pub quarantine: Vec<Quarantined>,
    /// The last pass that ended.
    pub last_pass: Option<LastPass>,
    /// When the running agent polls next; none where none runs.
    pub next_pass_at: Option<Timestamp>,
}

/// What is followed.
#[derive(Debug, Serialize)]
pub struct FleetStatus {
    /// The first URL, without credentials.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// Where the branch was last seen.
    pub head: Option<String>,
    /// When.
    pub checked_at: Option<Timestamp>,
    /// Why the remote could not be asked the last time.
    pub error: Option<String>,
}

/// How the machine stands to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// On the branch's head.
    Synced,
    /// On an earlier commit.
    Behind,
    /// On a commit that somebody pinned.
    Pinned,
    /// A gate holds the head back.
    Held,
    /// The head is not trusted.
    Refused,
    /// The head was activated and reverted.
    Quarantined,
    /// Nothing is known yet.
    Unknown,
}

/// How well it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Everything runs.
    Healthy,
    /// Something does not.
    Degraded,
    /// Nothing is known yet.
    Unknown,
}

/// The generation in force.
#[derive(Debug, Serialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// Its commit.
    pub revision: String,
    /// That commit's first line.
    pub subject: String,
    /// Its store path.
    pub toplevel: String,
    /// Its secrets generation.
    pub secrets: Option<u64>,
    /// When it was activated.
    pub activated_at: Timestamp,
}

/// What waits.
#[derive(Debug, Serialize)]
pub struct PendingStatus {
    /// The commit.
    pub revision: String,
    /// What each gate says of it.
    pub gates: Vec<GateReport>,
}

/// What only a reboot reaches: it is the boot default already.
#[derive(Debug, Serialize)]
pub struct StagedStatus {
    /// The commit.
    pub revision: String,
    /// That commit's first line.
    pub subject: String,
    /// Its store path.
    pub toplevel: String,
    /// Why nothing but a reboot reaches it.
    pub reasons: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A transaction that left the machine on neither system.
#[derive(Debug, Serialize)]
pub struct FailedRevert {
    /// The commit.
    pub revision: String,
    /// What failed, and then what failed on the way back.
    pub reason: String,
    /// When.
    pub since: Timestamp,
}

/// Whether a reboot is due.
#[derive(Debug, Default, Serialize)]
pub struct RebootStatus {
    /// Whether it is.
    pub required: bool,
    /// Why.
    pub reasons: Vec<String>,
}

/// The last pass.
#[derive(Debug, Serialize)]
pub struct LastPass {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The outcome's name.
    pub outcome: Option<String>,
    /// Why, unless it converged.
    pub reason: Option<String>,
    /// How long its phases took.
    pub phases: Vec<crate::journal::PhaseTime>,
}

impl From<PassRecord> for LastPass {
    fn from(record: PassRecord) -> LastPass {
        LastPass {
            started_at: record.started_at,
            finished_at: record.finished_at,
            outcome: record.outcome,
            reason: record.reason,
            phases: record.phases,
        }
    }
}

impl Status {
    /// The outcome that `status --check` exits with.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let last = self
            .last_pass
            .as_ref()
            .and_then(|pass| pass.outcome.as_deref())
            .and_then(Outcome::from_name);
        match (self.sync, self.health, last) {
            _ if self.failed_revert.is_some() => Outcome::RevertFailed,
            (Sync::Refused, _, _) => Outcome::Refused,
            (Sync::Quarantined, _, _) => Outcome::Reverted,
            (Sync::Held, _, _) => Outcome::Held,
            _ if self.staged.is_some() => Outcome::Held,
            (Sync::Behind | Sync::Unknown, _, Some(outcome)) if outcome != Outcome::Converged => outcome,
            (Sync::Unknown, _, _) => Outcome::Failed,
            (_, _, Some(Outcome::FetchFailed)) => Outcome::FetchFailed,
            _ if !self.drift.is_empty() || self.health == Health::Degraded => Outcome::Drift,
            _ => Outcome::Converged,
        }
    }
}
