//! The pin: the one revision the machine stays on until it is unpinned.

use super::error::malformed;
use super::{Journal, JournalError};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// A pin in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit, whole.
    pub revision: String,
    /// Who pinned it.
    pub by: String,
    /// Why, if they said.
    pub why: Option<String>,
    /// When.
    pub since: Timestamp,
    /// The recorded generation it goes back to, where it is one: then nothing is evaluated or built.
    #[serde(skip)]
    pub generation: Option<u64>,
}

impl Pin {
    /// As the pin gate reads it.
    #[must_use]
    pub fn into_gate(self) -> reconciler_policies::Pin {
        reconciler_policies::Pin {
            revision: self.revision,
            by: self.by,
            why: self.why,
            since: self.since,
        }
    }
}

impl Journal {
    /// The pin in force.
    pub fn pin(&self) -> Result<Option<Pin>, JournalError> {
        self.connection
            .query_row(
                "SELECT revision, by, why, since, generation FROM pins WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1",
                [],
                |row| {
                    let since: String = row.get(3)?;
                    Ok(Pin {
                        revision: row.get(0)?,
                        by: row.get(1)?,
                        why: row.get(2)?,
                        since: since.parse().map_err(|error: jiff::Error| malformed(3, error))?,
                        generation: row.get(4)?,
                    })
                },
            )
            .optional()
            .map_err(JournalError::reading("the pin"))
    }

    /// Puts a pin in force, ending the one before it.
    pub fn set_pin(&mut self, pin: &Pin) -> Result<(), JournalError> {
        let writing = || JournalError::writing("the pin");
        let at = pin.since.to_string();
        let transaction = self.connection.transaction().map_err(writing())?;
        transaction
            .execute(
                "UPDATE pins SET ended_at = ?1 WHERE ended_at IS NULL",
                params![at],
            )
            .map_err(writing())?;
        transaction
            .execute(
                "INSERT INTO pins (revision, by, why, since, generation) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![pin.revision, pin.by, pin.why, at, pin.generation],
            )
            .map_err(writing())?;
        transaction.commit().map_err(writing())
    }

    /// Ends the pin in force and returns it.
    pub fn end_pin(&self, at: Timestamp) -> Result<Option<Pin>, JournalError> {
        let pin = self.pin()?;
        self.connection
            .execute(
                "UPDATE pins SET ended_at = ?1 WHERE ended_at IS NULL",
                params![at.to_string()],
            )
            .map_err(JournalError::writing("the end of the pin"))?;
        Ok(pin)
    }
}
