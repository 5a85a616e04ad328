//! Transactions: the intent before anything is touched, and every step after it, each synced to disk.

use super::error::malformed;
use super::{Journal, JournalError, NewGeneration};
use crate::exit::Outcome;
use crate::transaction::{Event, Intent, State};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

/// A recorded transaction.
#[derive(Debug, Clone, Serialize)]
pub struct TransactionRecord {
    /// Its number; also the name of its folder below the state directory.
    pub id: i64,
    /// What it set out to do.
    pub intent: Intent,
    /// How far it came.
    pub state: State,
    /// The boot it ran in.
    pub boot_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why, unless it committed.
    pub reason: Option<String>,
    /// The generation it became.
    pub generation: Option<u64>,
}

const COLUMNS: &str = "id, intent, state, boot_id, started_at, finished_at, outcome, reason, generation";

fn transaction(row: &Row<'_>) -> rusqlite::Result<TransactionRecord> {
    let time = |column: usize, text: String| {
        text.parse::<Timestamp>()
            .map_err(|error| malformed(column, error))
    };
    let (intent, state): (String, String) = (row.get(1)?, row.get(2)?);
    let finished: Option<String> = row.get(5)?;
    let outcome: Option<String> = row.get(6)?;
    Ok(TransactionRecord {
        id: row.get(0)?,
        intent: serde_json::from_str(&intent).map_err(|error| malformed(1, error))?,
        state: serde_json::from_str(&state).map_err(|error| malformed(2, error))?,
        boot_id: row.get(3)?,
        started_at: time(4, row.get(4)?)?,
        finished_at: finished.map(|text| time(5, text)).transpose()?,
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        reason: row.get(7)?,
        generation: row.get(8)?,
    })
}

fn json<T: Serialize>(value: &T) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|error| JournalError::Write {
        what: "a transaction",
        source: rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
    })
}

impl Journal {
    /// Records the intent. Only when this returned may the host be touched.
    pub fn begin_transaction(
        &self,
        intent: &Intent,
        state: &State,
        boot_id: &str,
        at: Timestamp,
    ) -> Result<i64, JournalError> {
        self.connection
            .execute(
                "INSERT INTO transactions (revision, subject, toplevel, intent, state, boot_id, started_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    intent.revision,
                    intent.subject,
                    intent.toplevel.as_str(),
                    json(intent)?,
                    json(state)?,
                    boot_id,
                    at.to_string()
                ],
            )
            .map_err(JournalError::writing("the intent of a transaction"))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Records one step: what happened and where it led.
    pub fn step_transaction(
        &self,
        id: i64,
        event: &Event,
        state: &State,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let (event, state) = (json(event)?, json(state)?);
        let writing = || JournalError::writing("a step of a transaction");
        let transaction = self.connection.unchecked_transaction().map_err(writing())?;
        transaction
            .execute(
                "UPDATE transactions SET state = ?2 WHERE id = ?1",
                params![id, state],
            )
            .map_err(writing())?;
        transaction
            .execute(
                "INSERT INTO transaction_events (transaction_id, at, event, state) VALUES (?1, ?2, ?3, ?4)",
                params![id, at.to_string(), event, state],
            )
            .map_err(writing())?;
        transaction.commit().map_err(writing())
    }

    /// Records that a transaction became a generation, in one step: the generation, the end, and that nothing is
    /// held against its revision any more. Returns the generation's number.
    pub fn commit_transaction(
        &self,
        id: i64,
        new: &NewGeneration,
        at: Timestamp,
        took_ms: u64,
    ) -> Result<u64, JournalError> {
        let writing = || JournalError::writing("a generation");
        let transaction = self.connection.unchecked_transaction().map_err(writing())?;
        let number = self.add_generation(new, at, took_ms)?;
        self.end_transaction(id, Outcome::Converged, None, Some(number), at)?;
        self.lift_quarantine(&new.revision)?;
        self.set_failure(None)?;
        transaction.commit().map_err(writing())?;
        Ok(number)
    }

    /// Records that a transaction goes on in another boot.
    pub fn move_transaction(&self, id: i64, boot_id: &str) -> Result<(), JournalError> {
        self.connection
            .execute(
                "UPDATE transactions SET boot_id = ?2 WHERE id = ?1",
                params![id, boot_id],
            )
            .map(|_| ())
            .map_err(JournalError::writing("the boot of a transaction"))
    }

    /// Records the end of a transaction.
    pub fn end_transaction(
        &self,
        id: i64,
        outcome: Outcome,
        reason: Option<&str>,
        generation: Option<u64>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        self.connection
            .execute(
                "UPDATE transactions SET finished_at = ?2, outcome = ?3, reason = ?4, generation = ?5 WHERE id = ?1",
                params![id, at.to_string(), outcome.name(), reason, generation],
            )
            .map(|_| ())
            .map_err(JournalError::writing("the end of a transaction"))
    }

    /// The transaction that was begun and not ended, if the agent was stopped in one.
    pub fn open_transaction(&self) -> Result<Option<TransactionRecord>, JournalError> {
        self.connection
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM transactions WHERE finished_at IS NULL ORDER BY id DESC LIMIT 1"
                ),
                [],
                transaction,
            )
            .optional()
            .map_err(JournalError::reading("the open transaction"))
    }

    /// The transaction that waits for a reboot, if one does.
    pub fn staged_transaction(&self) -> Result<Option<TransactionRecord>, JournalError> {
        let open = self.open_transaction()?;
        Ok(open.filter(|record| matches!(record.state, State::Staged { .. })))
    }

    /// Whether the last transaction failed on the way back as well: what runs now is neither system for certain.
    pub fn is_broken(&self) -> Result<bool, JournalError> {
        Ok(self
            .transactions(1)?
            .first()
            .is_some_and(|last| last.outcome == Some(Outcome::RevertFailed)))
    }

    /// The newest transactions, newest first.
    pub fn transactions(&self, limit: u32) -> Result<Vec<TransactionRecord>, JournalError> {
        let reading = || JournalError::reading("the transactions");
        let mut statement = self
            .connection
            .prepare(&format!(
                "SELECT {COLUMNS} FROM transactions ORDER BY id DESC LIMIT ?1"
            ))
            .map_err(reading())?;
        let rows = statement.query_map([limit], transaction).map_err(reading())?;
        rows.collect::<Result<_, _>>().map_err(reading())
    }
}
