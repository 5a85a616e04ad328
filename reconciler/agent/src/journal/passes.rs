//! Passes: when each began, why, how it ended, and how long its phases took.

use super::error::malformed;
use super::{Journal, JournalError};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// How long one phase took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// The phase's name.
    pub name: String,
    /// Milliseconds.
    pub ms: u64,
}

/// A recorded pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassRecord {
    /// Its number.
    pub id: i64,
    /// What started it: `poll`, `now`, `rollback`, `start`.
    pub cause: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none when the agent was killed in it.
    pub finished_at: Option<Timestamp>,
    /// The commit it was about.
    pub revision: Option<String>,
    /// That commit's first line.
    pub subject: Option<String>,
    /// The outcome's name.
    pub outcome: Option<String>,
    /// Why, for any outcome but `converged`.
    pub reason: Option<String>,
    /// Its phases in order.
    pub phases: Vec<PhaseTime>,
}

const COLUMNS: &str = "id, cause, started_at, finished_at, revision, subject, outcome, reason, phases";

fn pass(row: &Row<'_>) -> rusqlite::Result<PassRecord> {
    let time = |column: usize, text: String| {
        text.parse::<Timestamp>()
            .map_err(|error| malformed(column, error))
    };
    let started: String = row.get(2)?;
    let finished: Option<String> = row.get(3)?;
    let phases: String = row.get(8)?;
    Ok(PassRecord {
        id: row.get(0)?,
        cause: row.get(1)?,
        started_at: time(2, started)?,
        finished_at: finished.map(|text| time(3, text)).transpose()?,
        revision: row.get(4)?,
        subject: row.get(5)?,
        outcome: row.get(6)?,
        reason: row.get(7)?,
        phases: serde_json::from_str(&phases).map_err(|error| malformed(8, error))?,
    })
}

impl Journal {
    /// Records that a pass begins.
    pub fn begin_pass(&self, cause: &str, at: Timestamp) -> Result<i64, JournalError> {
        self.connection
            .execute(
                "INSERT INTO passes (cause, started_at) VALUES (?1, ?2)",
                params![cause, at.to_string()],
            )
            .map_err(JournalError::writing("a pass"))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Records how a pass ended.
    pub fn end_pass(&self, record: &PassRecord) -> Result<(), JournalError> {
        let phases = serde_json::to_string(&record.phases).unwrap_or_else(|_| "[]".to_owned());
        self.connection
            .execute(
                "UPDATE passes SET finished_at = ?2, revision = ?3, subject = ?4, outcome = ?5, reason = ?6,
                 phases = ?7 WHERE id = ?1",
                params![
                    record.id,
                    record.finished_at.map(|at| at.to_string()),
                    record.revision,
                    record.subject,
                    record.outcome,
                    record.reason,
                    phases
                ],
            )
            .map(|_| ())
            .map_err(JournalError::writing("a pass"))
    }

    /// The newest pass that ended.
    pub fn last_pass(&self) -> Result<Option<PassRecord>, JournalError> {
        self.connection
            .query_row(
                &format!("SELECT {COLUMNS} FROM passes WHERE outcome IS NOT NULL ORDER BY id DESC LIMIT 1"),
                [],
                pass,
            )
            .optional()
            .map_err(JournalError::reading("the last pass"))
    }

    /// Ends every pass that never ended: the agent was stopped or killed in it.
    pub fn close_passes(&self, reason: &str, at: Timestamp) -> Result<(), JournalError> {
        self.connection
            .execute(
                "UPDATE passes SET finished_at = ?1, outcome = 'failed', reason = ?2 WHERE outcome IS NULL",
                params![at.to_string(), reason],
            )
            .map(|_| ())
            .map_err(JournalError::writing("the pass that was cut off"))
    }

    /// Forgets all but the newest `keep` passes.
    pub fn prune_passes(&self, keep: u32) -> Result<(), JournalError> {
        self.connection
            .execute(
                "DELETE FROM passes WHERE id <= (SELECT max(id) FROM passes) - ?1",
                params![keep],
            )
            .map(|_| ())
            .map_err(JournalError::writing("the pruned passes"))
    }
}
